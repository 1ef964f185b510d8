/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Sixteen threads call whatever there is, in any order, on one bus and one redex and on objects of their own, while another ends both,
   round after round. Every call ends, with success or with a code. abuse_race ROUNDS SEED */
#define _GNU_SOURCE

#include "abuse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { THREADS = 16 };

static struct world shared;
static unsigned long rounds;
static uint64_t first_seed;
static pthread_barrier_t start, end;
static atomic_ullong calls;

/* Ends the bus or the redex for everybody: the one that does is no worker. */
static int is_for_one(const struct row *row) {
    return strcmp(row->name, "net_redex_free") == 0 || strncmp(row->name, "net_init", 8) == 0 || strcmp(row->name, "net_redex_new") == 0;
}

static uint64_t next(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* A worker's objects end while others of the same slots begin; that is the point. */
static void reopen(struct world *world) {
    close_objects(world);
    net_producer_open(world->bus, &world->producer);
    net_subscribe(world->bus, "{\"from\":\"start\"}", &world->subscription);
    net_redex_open_file(world->redex, "file", NULL, &world->file);
    net_redex_file_tail(world->file, 0, &world->tail);
    world->filter = net_redis_dedup_new(16);
}

static void *work(void *argument) {
    unsigned number = *(unsigned *)argument;
    uint64_t seed = first_seed * (THREADS + 1) + number + 1;
    struct world world = {0};
    world.memory = map_memory();
    for (unsigned long round = 0; round < rounds; round++) {
        pthread_barrier_wait(&start);
        world.bus = shared.bus;
        world.redex = shared.redex;
        world.filter = NULL;
        reopen(&world);
        /* A few more when the bus has ended. */
        for (unsigned late = 0; late < 8; late += net_num_shards(world.bus) == 0) {
            const struct row *row = &ROWS[next(&seed) % ROW_COUNT];
            uintptr_t a[ARGUMENTS + 1] = {0};
            int is_shutdown = strstr(row->name, "shutdown") != NULL;
            if (is_for_one(row) || (is_shutdown && late == 0 && next(&seed) % 64 != 0)) {
                continue;
            }
            make_arguments(&world, row, a);
            intptr_t answer = row->call(a);
            if (!has_failed(row, answer)) {
                give_back(row, a, answer);
            }
            end_what_was_made(&world);
            atomic_fetch_add(&calls, 1);
            if (next(&seed) % 32 == 0) {
                reopen(&world);
            }
        }
        close_objects(&world);
        pthread_barrier_wait(&end);
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    rounds = strtoul(argv[1], NULL, 10);
    first_seed = strtoul(argv[2], NULL, 10);
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    uint64_t seed = first_seed * (THREADS + 1);
    CHECK(pthread_barrier_init(&start, NULL, THREADS + 1) == 0 && pthread_barrier_init(&end, NULL, THREADS + 1) == 0);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    }
    for (unsigned long round = 0; round < rounds; round++) {
        CHECK(net_init_ex(CONFIG, &shared.bus) == NET_SUCCESS);
        shared.redex = net_redex_new(NULL);
        CHECK(shared.redex != NULL);
        pthread_barrier_wait(&start);
        usleep((unsigned)(next(&seed) % 2000));
        int code = net_shutdown(shared.bus);
        CHECK(code == NET_SUCCESS || code == NET_ERR_SHUTTING_DOWN);
        CHECK(net_redex_free(shared.redex) == NET_SUCCESS);
        pthread_barrier_wait(&end);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    printf("%lu rounds, %llu calls\n", rounds, atomic_load(&calls));
    return 0;
}
