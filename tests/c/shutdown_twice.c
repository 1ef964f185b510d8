/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Of four threads that shut a bus down at once, one is told the outcome and three that it was done; the handle is
   refused by every function for ever, also when its slot has another bus. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>

enum { CLOSERS = 4, ROUNDS = 50 };

static net_handle_t bus;
static int codes[CLOSERS];
static pthread_barrier_t start;

static void check_refused(net_handle_t handle) {
    char text[512];
    net_poll_result_t result;
    net_stats_t stats;
    net_receipt_t receipt;
    const char *entry = "x";
    const size_t len = 1;
    CHECK(net_ingest(handle, "1", 1) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_ingest_raw(handle, "1", 1) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_ingest_raw_ex(handle, "1", 1, &receipt) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_ingest_keyed(handle, "k", 1, "1", 1, NULL) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_ingest_batch(handle, "[1]") == NET_ERR_SHUTTING_DOWN);
    CHECK(net_ingest_raw_batch(handle, &entry, &len, 1) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_poll(handle, "{}", text, sizeof text) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_poll_ex(handle, 1, NULL, &result) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_stats(handle, text, sizeof text) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_metrics(handle, text, sizeof text) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_stats_ex(handle, &stats) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_flush(handle) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_shutdown(handle) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_shutdown_within(handle, 0, NULL) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_num_shards(handle) == 0);
}

static void *close_it(void *argument) {
    int *code = argument;
    pthread_barrier_wait(&start);
    *code = net_shutdown(bus);
    check_refused(bus);
    return NULL;
}

int main(void) {
    net_handle_t first = NULL;
    CHECK(pthread_barrier_init(&start, NULL, CLOSERS) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        CHECK(net_init_ex("{\"num_shards\":1}", &bus) == NET_SUCCESS);
        CHECK(bus != first);
        for (int i = 0; i < 1000; i++) {
            CHECK(net_ingest_raw(bus, "event", 5) == NET_SUCCESS);
        }
        pthread_t threads[CLOSERS];
        int outcomes = 0;
        for (int i = 0; i < CLOSERS; i++) {
            CHECK(pthread_create(&threads[i], NULL, close_it, &codes[i]) == 0);
        }
        for (int i = 0; i < CLOSERS; i++) {
            CHECK(pthread_join(threads[i], NULL) == 0);
            CHECK(codes[i] == NET_SUCCESS || codes[i] == NET_ERR_SHUTTING_DOWN);
            outcomes += codes[i] == NET_SUCCESS;
        }
        CHECK(outcomes == 1);
        first = first == NULL ? bus : first;
    }
    CHECK(net_init_ex("{\"num_shards\":1}", &bus) == NET_SUCCESS);
    check_refused(first);
    CHECK(net_num_shards(bus) == 1);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    return 0;
}
