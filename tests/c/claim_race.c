/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Threads that claim, write, commit and abort, and one that publishes through a producer, while another shuts the bus
   down, round after round. The shutdown waits for no claim, what was committed is stored, and an open claim may be
   written and ended after it. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { CLAIMERS = 3, WORKERS = CLAIMERS + 1, ROUNDS = 1000 };

static net_handle_t bus;
static pthread_barrier_t start, end;
static atomic_ullong accepted, attempted;

static int is_over(int code) {
    CHECK(code == NET_SUCCESS || code == NET_ERR_SHUTTING_DOWN || code == NET_ERR_INGESTION_FAILED);
    return code == NET_ERR_SHUTTING_DOWN;
}

/* Publishes until the bus is shut down, and ends its last claim after that. */
static void claim_until_the_end(unsigned worker) {
    for (unsigned n = 0;; n++) {
        net_claim_t claim;
        size_t len = n % 97 == 0 ? 100000 : n % 200;
        int code = net_claim(bus, &worker, sizeof worker, len, &claim);
        if (is_over(code)) {
            return;
        }
        if (code != NET_SUCCESS) {
            continue;
        }
        memset(claim.data, 'c', len);
        if (n % 7 == 3) {
            net_abort(&claim);
            continue;
        }
        atomic_fetch_add(&attempted, 1);
        code = net_commit(&claim, NULL);
        CHECK(claim.data == NULL);
        if (is_over(code)) {
            return;
        }
        atomic_fetch_add(&accepted, 1);
    }
}

static void produce_until_the_end(void) {
    net_producer_t *producer;
    int code = net_producer_open(bus, &producer);
    if (code != NET_SUCCESS) {
        CHECK(is_over(code));
        return;
    }
    for (unsigned n = 0;; n++) {
        atomic_fetch_add(&attempted, 1);
        code = net_producer_ingest(producer, &n, sizeof n, "produced", 8, 1000, NULL);
        if (is_over(code)) {
            break;
        }
        atomic_fetch_add(&accepted, code == NET_SUCCESS);
    }
    CHECK(net_producer_close(producer) == NET_SUCCESS);
}

static void *work(void *argument) {
    unsigned worker = *(unsigned *)argument;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&start);
        net_claim_t open = {0};
        int code = NET_ERR_SHUTTING_DOWN;
        if (worker < CLAIMERS) {
            claim_until_the_end(worker);
        } else {
            unsigned key = 99;
            code = net_claim(bus, &key, sizeof key, 1000, &open);
            CHECK(code == NET_SUCCESS || is_over(code));
            produce_until_the_end();
        }
        pthread_barrier_wait(&end);
        if (code == NET_SUCCESS) {
            memset(open.data, 'o', open.len);
            CHECK(net_commit(&open, NULL) == NET_ERR_SHUTTING_DOWN && open.data == NULL);
        }
    }
    return NULL;
}

int main(void) {
    pthread_t threads[WORKERS];
    unsigned numbers[WORKERS];
    unsigned long long seed = 20261;
    CHECK(pthread_barrier_init(&start, NULL, WORKERS + 1) == 0);
    CHECK(pthread_barrier_init(&end, NULL, WORKERS + 1) == 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned long long events = (seed >> 33) % 2000;
        atomic_store(&accepted, 0);
        atomic_store(&attempted, 0);
        CHECK(net_init_ex("{\"num_shards\":2,\"backpressure_mode\":\"FailProducer\"}", &bus) == NET_SUCCESS);
        pthread_barrier_wait(&start);
        while (atomic_load(&accepted) < events) {
            unsigned long long before = atomic_load(&accepted);
            net_stats_t stats;
            CHECK(net_stats_ex(bus, &stats) == NET_SUCCESS);
            CHECK(before <= stats.events_ingested && stats.events_ingested <= atomic_load(&attempted));
            sched_yield();
        }
        uint64_t not_stored = 1;
        CHECK(net_shutdown_within(bus, 30000, &not_stored) == NET_SUCCESS && not_stored == 0);
        pthread_barrier_wait(&end);
    }
    for (int i = 0; i < WORKERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    return 0;
}
