/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* An event that is published or received costs its thread no heap allocation: malloc is counted, per thread, in place of
   the system's. */
#include "check.h"

enum { EVENTS = 20000, BATCH = 64 };

static _Thread_local unsigned long allocations;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) { allocations++; return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { allocations++; return __libc_calloc(count, size); }
void *realloc(void *block, size_t size) { allocations++; return __libc_realloc(block, size); }
void *aligned_alloc(size_t alignment, size_t size) { allocations++; return __libc_memalign(alignment, size); }
int posix_memalign(void **block, size_t alignment, size_t size) {
    allocations++;
    *block = __libc_memalign(alignment, size);
    return *block == NULL;
}

static net_handle_t bus;
/* Flat, because the JSON check of net_ingest keeps the open brackets of a nested document in a block of its own. */
static const char EVENT[] = "{\"user\":\"abc\",\"action\":\"click\",\"value\":12.5,\"tags\":null}";
static const char *entries[BATCH];
static size_t lens[BATCH];

static void raw(void) { CHECK(net_ingest_raw(bus, EVENT, sizeof EVENT - 1) == 0); }
static void keyed(void) { CHECK(net_ingest_keyed(bus, "key", 3, EVENT, sizeof EVENT - 1, NULL) == 0); }
static void claimed(void) {
    net_claim_t claim;
    CHECK(net_claim(bus, "key", 3, sizeof EVENT - 1, &claim) == 0);
    memcpy(claim.data, EVENT, claim.len);
    CHECK(net_commit(&claim, NULL) == 0);
}
static net_producer_t *producer;
static void produced(void) {
    CHECK(net_producer_ingest(producer, "key", 3, EVENT, sizeof EVENT - 1, 1000, NULL) == 0);
}
static void json(void) { CHECK(net_ingest(bus, EVENT, sizeof EVENT - 1) == 0); }
static void batch(void) { CHECK(net_ingest_raw_batch(bus, entries, lens, BATCH) == BATCH); }

static net_subscription_t *subscription;
/* Whether it waits in net_next or is told to look once. */
static void received(void) {
    net_event_t events[BATCH];
    batch();
    for (int left = BATCH, waits = 0; left > 0; waits = !waits) {
        int count = net_next(subscription, events, BATCH, waits ? -1 : 0);
        CHECK(count >= 0);
        left -= count;
    }
}

static void counted(const char *name, void (*publish)(void), int calls) {
    for (int i = 0; i < 10; i++) publish();
    unsigned long before = allocations;
    for (int i = 0; i < calls; i++) publish();
    if (allocations != before) {
        fprintf(stderr, "%s: %lu allocations in %d calls\n", name, allocations - before, calls);
        exit(1);
    }
}

int main(void) {
    /* A shard that spins is never woken, and a wake is the one thing that may allocate. */
    bus = net_init("{\"num_shards\":1,\"idle\":\"spin\"}");
    CHECK(bus != NULL);
    CHECK(allocations > 0);
    for (int i = 0; i < BATCH; i++) {
        entries[i] = EVENT;
        lens[i] = sizeof EVENT - 1;
    }
    /* First, because with the thread's own lane there would be more producers than CPUs, and the shard would sleep. */
    CHECK(net_producer_open(bus, &producer) == 0);
    counted("net_producer_ingest", produced, EVENTS);
    CHECK(net_producer_close(producer) == 0);
    counted("net_ingest_raw", raw, EVENTS);
    counted("net_ingest_keyed", keyed, EVENTS);
    counted("net_ingest", json, EVENTS);
    counted("net_claim and net_commit", claimed, EVENTS);
    counted("net_ingest_raw_batch", batch, EVENTS / BATCH);
    CHECK(net_subscribe(bus, "{}", &subscription) == 0 && net_subscription_fd(subscription) >= 0);
    counted("net_next", received, EVENTS / BATCH);
    CHECK(net_unsubscribe(subscription) == 0);
    CHECK(net_shutdown(bus) == 0);
    return 0;
}
