/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Good arguments for every row, with objects to call it on. Inputs and outputs end at a page that faults, so that a byte read or written
   too far ends the program. */
#ifndef ABUSE_H
#define ABUSE_H

#include "abuse_rows.h"
#include "check.h"

#include <sys/mman.h>

/* One slot of memory for each argument, and one that is free. */
enum { ARGUMENTS = 8, SLOT = 1 << 20, GUARD = 4096, FILL = 0xA5 };

/* One object of each kind, and the memory that arguments point to. */
struct world {
    net_handle_t bus;
    net_producer_t *producer;
    net_subscription_t *subscription;
    net_redis_dedup_t *filter;
    net_redex_t *redex;
    net_redex_file_t *file;
    net_redex_tail_t *tail;
    char *memory;
    /* What a case has made besides, to be ended after it. */
    net_claim_t claim;
    char *string;
    net_poll_result_t page;
    net_redex_records_t records;
};

/* Memory for argument i that ends at a page that faults. */
static inline char *guarded(struct world *world, unsigned i, size_t size) {
    return world->memory + (size_t)(i + 1) * (SLOT + GUARD) - GUARD - size;
}

static inline void *map_memory(void) {
    char *memory = mmap(NULL, (size_t)ARGUMENTS * (SLOT + GUARD), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    for (unsigned i = 0; i < ARGUMENTS; i++) {
        CHECK(mprotect(memory + (size_t)(i + 1) * (SLOT + GUARD) - GUARD, GUARD, PROT_NONE) == 0);
    }
    return memory;
}

/* Objects of this thread's own, beside a bus and a redex that may be shared. */
static inline void open_objects(struct world *world) {
    if (world->memory == NULL) {
        world->memory = map_memory();
    }
    world->filter = net_redis_dedup_new(16);
    CHECK(net_producer_open(world->bus, &world->producer) == NET_SUCCESS);
    CHECK(net_subscribe(world->bus, "{\"from\":\"start\"}", &world->subscription) == NET_SUCCESS);
    CHECK(net_redex_open_file(world->redex, "file", NULL, &world->file) == NET_SUCCESS);
    CHECK(net_redex_file_append(world->file, "first", 5, NULL) == NET_SUCCESS);
    CHECK(net_redex_file_tail(world->file, 0, &world->tail) == NET_SUCCESS);
}

static inline void open_world(struct world *world) {
    CHECK(net_init_ex(CONFIG, &world->bus) == NET_SUCCESS);
    world->redex = net_redex_new(NULL);
    CHECK(world->redex != NULL);
    open_objects(world);
}

/* Whatever has ended already answers that it has. */
static inline void close_objects(struct world *world) {
    net_redis_dedup_free(world->filter);
    net_unsubscribe(world->subscription);
    net_producer_close(world->producer);
    net_redex_tail_free(world->tail);
    net_redex_file_free(world->file);
}

static inline void close_world(struct world *world) {
    close_objects(world);
    CHECK(net_redex_free(world->redex) == NET_SUCCESS);
    int code = net_shutdown(world->bus);
    CHECK(code == NET_SUCCESS || code == NET_ERR_SHUTTING_DOWN);
}

static inline void fill_in(struct world *world, unsigned i, uintptr_t *argument, const void *bytes, size_t size) {
    char *at = guarded(world, i, size);
    memcpy(at, bytes, size);
    *argument = (uintptr_t)at;
}

/* The claim, the page, the records or the string that an argument is to give back. */
static inline void make_for_once(struct world *world, char kind) {
    if (kind == 'C') {
        /* Refused where the thread is ending, or the bus. */
        if (net_claim(world->bus, "key", 3, 8, &world->claim) == NET_SUCCESS) {
            memcpy(world->claim.data, "claimed!", 8);
        }
    } else if (kind == 'P') {
        net_poll_ex(world->bus, 10, NULL, &world->page);
    } else if (kind == 'R') {
        net_redex_file_read_raw(world->file, 0, 10, &world->records);
    } else if (kind == 'S') {
        world->string = net_generate_keypair();
    }
}

static inline void end_what_was_made(struct world *world) {
    net_abort(&world->claim);
    net_free_poll_result(&world->page);
    net_redex_records_free(&world->records);
    net_free_string(world->string);
    memset(&world->claim, 0, sizeof world->claim);
    world->string = NULL;
}

/* The handle of this kind. */
static inline uintptr_t handle_of(const struct world *world, char kind) {
    switch (kind) {
    case 'b': return (uintptr_t)world->bus;
    case 'p': return (uintptr_t)world->producer;
    case 's': return (uintptr_t)world->subscription;
    case 'd': return (uintptr_t)world->filter;
    case 'r': return (uintptr_t)world->redex;
    case 'f': return (uintptr_t)world->file;
    default: CHECK(kind == 't'); return (uintptr_t)world->tail;
    }
}

/* A row has one text, which is a name where it has a configuration too. */
static inline const char *text_of(const struct row *row, unsigned i) {
    return row->kinds[i] == 'j' && strchr(row->kinds, 'T') != NULL ? "{}" : row->text;
}

/* Good arguments for a row. */
static inline void make_arguments(struct world *world, const struct row *row, uintptr_t *a) {
    static const char *const entries[ENTRIES] = {"entry", "entry"};
    static const size_t lens[ENTRIES] = {5, 5};
    for (unsigned i = 0; row->kinds[i] != 0; i++) {
        make_for_once(world, row->kinds[i]);
        switch (row->kinds[i]) {
        case 'b':
        case 'p':
        case 's':
        case 'd':
        case 'r':
        case 'f':
        case 't': a[i] = handle_of(world, row->kinds[i]); break;
        case 'C': fill_in(world, i, &a[i], &world->claim, sizeof world->claim); break;
        case 'P': fill_in(world, i, &a[i], &world->page, sizeof world->page); break;
        case 'R': fill_in(world, i, &a[i], &world->records, sizeof world->records); break;
        case 'S': a[i] = (uintptr_t)world->string; break;
        case 'o': a[i] = 0; break;
        case 'T':
        case 'j':
        case 'J': {
            const char *text = text_of(row, i);
            fill_in(world, i, &a[i], text, strlen(text) + 1);
            break;
        }
        case 'B': fill_in(world, i, &a[i], row->text, strlen(row->text)); break;
        case 'n': a[i] = strlen(row->text); break;
        case 'K': fill_in(world, i, &a[i], "key", 3); break;
        case 'k': a[i] = 3; break;
        case 'A': fill_in(world, i, &a[i], entries, sizeof entries); break;
        case 'Z': fill_in(world, i, &a[i], lens, sizeof lens); break;
        case 'z': a[i] = ENTRIES; break;
        case 'W':
        case 'w':
            a[i] = (uintptr_t)guarded(world, i, row->output);
            memset((char *)a[i], FILL, row->output);
            break;
        case 'O':
            a[i] = (uintptr_t)guarded(world, i, SLOT / 4);
            memset((char *)a[i], FILL, SLOT / 4);
            break;
        case 'm': a[i] = SLOT / 4; break;
        case 'i': a[i] = strstr(row->name, "_next") != NULL ? 1 : 1000; break;
        default: CHECK(row->kinds[i] == 'q'); a[i] = 1;
        }
    }
    /* How many indices there is room for. */
    if (row->call == call_net_ingest_raw_batch_ex) {
        *(size_t *)a[5] = ENTRIES;
    }
}

/* Whether a call says that it failed. If it does by a code, the code has a name and this thread a detail. */
static inline int has_failed(const struct row *row, intptr_t answer) {
    int code = (int)answer;
    if (row->answer == 'p' || row->answer == 'z') {
        return answer == 0;
    }
    if (row->answer == 'v' || code >= 0) {
        return 0;
    }
    CHECK(code != NET_ERR_PANIC && code != NET_ERR_UNKNOWN && strcmp(net_strerror(code), "no such code") != 0);
    CHECK(net_last_error()[0] != 0);
    return 1;
}

/* Ends what its first argument is. */
static inline int ends_something(const struct row *row) {
    return strstr(row->name, "free") != NULL || strstr(row->name, "close") != NULL || strstr(row->name, "shutdown") != NULL ||
           row->call == call_net_unsubscribe;
}

/* What a call has given besides its code, given back. */
static inline void give_back(const struct row *row, uintptr_t *a, intptr_t answer) {
    if (row->call == call_net_init) {
        net_shutdown((net_handle_t)answer);
    } else if (row->call == call_net_init_ex) {
        net_shutdown(*(net_handle_t *)a[1]);
    } else if (row->call == call_net_claim) {
        net_abort((net_claim_t *)a[4]);
    } else if (row->call == call_net_producer_open) {
        net_producer_close(*(net_producer_t **)a[1]);
    } else if (row->call == call_net_poll_ex) {
        net_free_poll_result((net_poll_result_t *)a[3]);
    } else if (row->call == call_net_subscribe) {
        net_unsubscribe(*(net_subscription_t **)a[2]);
    } else if (row->call == call_net_generate_keypair) {
        net_free_string((char *)answer);
    } else if (row->call == call_net_redis_dedup_new) {
        net_redis_dedup_free((net_redis_dedup_t *)answer);
    } else if (row->call == call_net_redex_new) {
        net_redex_free((net_redex_t *)answer);
    } else if (row->call == call_net_redex_open_file) {
        net_redex_file_free(*(net_redex_file_t **)a[3]);
    } else if (row->call == call_net_redex_file_read_range) {
        net_free_string(*(char **)a[3]);
    } else if (row->call == call_net_redex_file_read_raw) {
        net_redex_records_free((net_redex_records_t *)a[3]);
    } else if (row->call == call_net_redex_file_tail) {
        net_redex_tail_free(*(net_redex_tail_t **)a[2]);
    } else if (row->call == call_net_redex_tail_next) {
        net_free_string(*(char **)a[2]);
    }
}

#endif
