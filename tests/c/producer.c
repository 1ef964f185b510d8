/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Producers: one way in that hops between threads, keeps its order, waits for room, and is refused with a code when it
   is closed, forged or in use. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { HOPS = 40, PER_HOP = 250 };

static net_handle_t bus;
static net_producer_t *producer;
static unsigned published;
static uint64_t last;

static void *hop(void *argument) {
    (void)argument;
    for (int i = 0; i < PER_HOP; i++) {
        char text[16];
        net_receipt_t receipt;
        int len = snprintf(text, sizeof text, "%u", published++);
        CHECK(net_producer_ingest(producer, "key", 3, text, (size_t)len, 60000, &receipt) == NET_SUCCESS);
        CHECK(receipt.timestamp > last);
        last = receipt.timestamp;
    }
    return NULL;
}

static void visit(const net_event_t *event, void *context) {
    unsigned *next = context;
    char text[16] = {0};
    CHECK(event->raw_len < sizeof text);
    memcpy(text, event->raw, event->raw_len);
    CHECK(strtoul(text, NULL, 10) == (*next)++);
}

/* Each hop is a thread of its own; the order is that of the producer. */
static void hops(void) {
    CHECK(net_init_ex("{\"num_shards\":2,\"lane_bytes\":4096}", &bus) == NET_SUCCESS);
    CHECK(net_producer_open(bus, &producer) == NET_SUCCESS);
    for (int i = 0; i < HOPS; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, hop, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    unsigned next = 0;
    CHECK(net_flush(bus) == NET_SUCCESS && read_to_the_end(bus, 100, visit, &next) == published);
    /* A claim of the thread blocks its own lane, not the producer's. */
    net_claim_t claim;
    CHECK(net_claim(bus, "key", 3, 1, &claim) == NET_SUCCESS);
    CHECK(net_producer_ingest(producer, "key", 3, "x", 1, 0, NULL) == NET_SUCCESS);
    net_abort(&claim);
    CHECK(net_producer_close(producer) == NET_SUCCESS);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

static void refusals(void) {
    CHECK(net_init_ex("{\"num_shards\":1,\"max_event_bytes\":64}", &bus) == NET_SUCCESS);
    CHECK(net_producer_open(NULL, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_producer_open(bus, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_producer_open((net_handle_t)8, &producer) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_producer_open(bus, &producer) == NET_SUCCESS);
    CHECK(net_producer_open((net_handle_t)producer, &producer) == NET_ERR_MISMATCHED_HANDLES);
    CHECK(net_ingest_raw((net_handle_t)producer, "x", 1) == NET_ERR_MISMATCHED_HANDLES);
    CHECK(net_producer_ingest((net_producer_t *)bus, NULL, 0, "x", 1, 0, NULL) == NET_ERR_MISMATCHED_HANDLES);
    CHECK(net_producer_close((net_producer_t *)bus) == NET_ERR_MISMATCHED_HANDLES);
    CHECK(net_producer_ingest(NULL, NULL, 0, "x", 1, 0, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_producer_ingest(producer, NULL, 1, "x", 1, 0, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_producer_ingest(producer, NULL, 0, NULL, 1, 0, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_producer_ingest(producer, NULL, 0, "x", (size_t)-1, 0, NULL) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_producer_ingest(producer, NULL, 0, "x", 1, -1, NULL) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_producer_ingest(producer, NULL, 0, "\xff", 1, 0, NULL) == NET_ERR_INVALID_UTF8);
    char large[65] = {0};
    CHECK(net_producer_ingest(producer, NULL, 0, large, 65, 0, NULL) == NET_ERR_TOO_LARGE);
    CHECK(net_producer_ingest(producer, NULL, 0, "x", 1, 0, NULL) == NET_SUCCESS);
    CHECK(net_producer_close(producer) == NET_SUCCESS);
    CHECK(net_producer_close(producer) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_producer_ingest(producer, NULL, 0, "x", 1, 0, NULL) == NET_ERR_INVALID_ARGUMENT);

    /* The next one in its slot is another one. */
    net_producer_t *stale = producer;
    CHECK(net_producer_open(bus, &producer) == NET_SUCCESS && producer != stale);
    CHECK(net_producer_close(stale) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    for (int i = 0; i < 2; i++) {
        CHECK(net_producer_ingest(producer, NULL, 0, NULL, 1, -1, NULL) == NET_ERR_SHUTTING_DOWN);
    }
    CHECK(net_producer_open(bus, &producer) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_producer_close(producer) == NET_SUCCESS);
    CHECK(net_producer_close(producer) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_producer_close(NULL) == NET_ERR_NULL_POINTER);
}

static atomic_ullong successes;
static atomic_int stop;

static void *share(void *argument) {
    (void)argument;
    while (!atomic_load(&stop)) {
        int code = net_producer_ingest(producer, NULL, 0, "shared", 6, 0, NULL);
        CHECK(code == NET_SUCCESS || code == NET_ERR_INVALID_ARGUMENT);
        atomic_fetch_add(&successes, code == NET_SUCCESS);
    }
    return NULL;
}

/* Two threads at once, which is not allowed: each call is done or refused, none is lost, and a close waits. */
static void used_by_two(void) {
    pthread_t threads[2];
    CHECK(net_init_ex("{\"num_shards\":1,\"push_wait_us\":60000000}", &bus) == NET_SUCCESS);
    CHECK(net_producer_open(bus, &producer) == NET_SUCCESS);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, share, NULL) == 0);
    while (atomic_load(&successes) < 20000) sched_yield();
    CHECK(net_producer_close(producer) == NET_SUCCESS);
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(net_flush(bus) == NET_SUCCESS);
    CHECK(check_sums(bus) == atomic_load(&successes));
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

int main(void) {
    hops();
    refusals();
    used_by_two();
    return 0;
}
