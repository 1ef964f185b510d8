/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A forked child is refused by every function with its own code and ends in peace; the parent goes on. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static net_handle_t bus;
static net_redis_dedup_t *filter;
static char *pair;
static atomic_int forked;

/* What a thread of the parent's may hold a lock of at the fork is refused as well, and nothing waits for the lock. */
static void check_locks_are_left_alone(void) {
    net_redis_dedup_t *fresh = net_redis_dedup_new(1);
    CHECK(fresh != NULL);
    net_redis_dedup_t *const filters[] = {filter, fresh};
    for (int i = 0; i < 2; i++) {
        CHECK(net_redis_dedup_is_duplicate(filters[i], "id") == NET_ERR_FORKED);
        CHECK(net_redis_dedup_len(filters[i]) == 0 && net_redis_dedup_capacity(filters[i]) == 0);
        CHECK(net_redis_dedup_is_empty(filters[i]) == 1);
        net_redis_dedup_clear(filters[i]);
        net_redis_dedup_free(filters[i]);
    }
    CHECK(net_generate_keypair() == NULL && strstr(net_last_error(), "fork") != NULL);
    net_free_string(pair);
    CHECK(pair[0] == '{');
}

static net_claim_t claim;
static net_producer_t *producer;

static void check_refused(void) {
    char text[512];
    net_poll_result_t result;
    net_stats_t stats;
    net_handle_t other = NULL;
    const char *entry = "x";
    const size_t len = 1;
    CHECK(net_ingest(bus, "1", 1) == NET_ERR_FORKED);
    CHECK(net_ingest_raw(bus, "1", 1) == NET_ERR_FORKED);
    CHECK(net_ingest_raw_ex(bus, "1", 1, NULL) == NET_ERR_FORKED);
    CHECK(net_ingest_keyed(bus, "k", 1, "1", 1, NULL) == NET_ERR_FORKED);
    CHECK(net_ingest_batch(bus, "[1]") == NET_ERR_FORKED);
    CHECK(net_ingest_raw_batch(bus, &entry, &len, 1) == NET_ERR_FORKED);
    net_claim_t copy = claim;
    CHECK(net_claim(bus, "k", 1, 1, &copy) == NET_ERR_FORKED);
    CHECK(net_commit(&copy, NULL) == NET_ERR_FORKED);
    net_abort(&copy);
    CHECK(copy.data == claim.data);
    CHECK(net_producer_open(bus, &producer) == NET_ERR_FORKED);
    CHECK(net_producer_ingest(producer, NULL, 0, "1", 1, 0, NULL) == NET_ERR_FORKED);
    CHECK(net_producer_close(producer) == NET_ERR_FORKED);
    CHECK(net_poll(bus, "{}", text, sizeof text) == NET_ERR_FORKED);
    CHECK(net_poll_ex(bus, 1, NULL, &result) == NET_ERR_FORKED);
    CHECK(net_stats(bus, text, sizeof text) == NET_ERR_FORKED);
    CHECK(net_stats_ex(bus, &stats) == NET_ERR_FORKED);
    CHECK(net_metrics(bus, text, sizeof text) == NET_ERR_FORKED);
    CHECK(net_flush(bus) == NET_ERR_FORKED);
    CHECK(net_num_shards(bus) == 0);
    CHECK(net_shutdown(bus) == NET_ERR_FORKED);
    CHECK(net_shutdown_within(bus, 0, NULL) == NET_ERR_FORKED);
    CHECK(net_init_ex("{\"num_shards\":1}", &other) == NET_ERR_FORKED && other == NULL);
    CHECK(net_init(NULL) == NULL);
    CHECK(strstr(net_last_error(), "fork") != NULL);
}

static void *publish(void *argument) {
    for (int i = 0; i < 20000; i++) {
        CHECK(net_ingest_raw(bus, "parent", 6) == NET_SUCCESS);
    }
    return argument;
}

/* Takes the locks of filters and strings as often as it can, until the forks are over. */
static void *lock_and_unlock(void *argument) {
    while (!forked) {
        for (int i = 0; i < 100; i++) {
            net_redis_dedup_free(net_redis_dedup_new(1));
            CHECK(net_redis_dedup_is_duplicate(filter, "id") == 1);
        }
        net_free_string(net_generate_keypair());
    }
    return argument;
}

static void *check_refused_too(void *argument) {
    check_refused();
    return argument;
}

int main(void) {
    CHECK(net_init_ex("{\"num_shards\":2,\"backpressure_mode\":\"FailProducer\",\"push_wait_us\":30000000}", &bus) == 0);
    CHECK(net_ingest_raw(bus, "before", 6) == NET_SUCCESS);
    filter = net_redis_dedup_new(0);
    CHECK(net_redis_dedup_is_duplicate(filter, "id") == 0);
    pair = net_generate_keypair();
    CHECK(net_producer_open(bus, &producer) == NET_SUCCESS);
    pthread_t publisher, locker;
    CHECK(pthread_create(&publisher, NULL, publish, NULL) == 0);
    CHECK(pthread_create(&locker, NULL, lock_and_unlock, NULL) == 0);
    for (int round = 0; round < 20; round++) {
        fflush(NULL);
        CHECK(net_claim(bus, "k", 1, 1, &claim) == NET_SUCCESS);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            pthread_t thread;
            check_refused();
            check_locks_are_left_alone();
            CHECK(pthread_create(&thread, NULL, check_refused_too, NULL) == 0 && pthread_join(thread, NULL) == 0);
            /* Runs what runs at the end of a process, thread-locals included. */
            exit(42);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
        net_abort(&claim);
        CHECK(claim.data == NULL);
        CHECK(net_ingest_raw(bus, "after", 5) == NET_SUCCESS);
    }
    forked = 1;
    CHECK(pthread_join(publisher, NULL) == 0 && pthread_join(locker, NULL) == 0);
    net_redis_dedup_free(filter);
    net_free_string(pair);
    CHECK(net_producer_close(producer) == NET_SUCCESS);
    CHECK(net_flush(bus) == NET_SUCCESS);
    CHECK(read_to_the_end(bus, 1000, NULL, NULL) == 1 + 20 + 20000);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    return 0;
}
