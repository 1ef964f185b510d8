/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Eight threads publish, poll, flush and read statistics while another shuts the bus down, round after round in one
   process. Every call ends with success or with "shutting down", and the sums agree whenever they can be seen. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

enum { WORKERS = 8, ROUNDS = 1000 };

static net_handle_t bus;
static pthread_barrier_t start, end;
static atomic_ullong accepted, attempted;

static int is_over(int code) {
    CHECK(code >= 0 || code == NET_ERR_SHUTTING_DOWN || code == NET_ERR_INGESTION_FAILED);
    return code == NET_ERR_SHUTTING_DOWN;
}

static void count(int code, unsigned long long events) {
    if (code >= 0) {
        atomic_fetch_add(&accepted, events);
    }
}

static int publish(unsigned n) {
    char json[32];
    int len = snprintf(json, sizeof json, "{\"n\":%u}", n);
    atomic_fetch_add(&attempted, 1);
    int code = n % 2 ? net_ingest_raw(bus, json, (size_t)len) : net_ingest(bus, json, (size_t)len);
    count(code, 1);
    return code;
}

static int publish_keyed(unsigned n) {
    net_receipt_t receipt;
    atomic_fetch_add(&attempted, 1);
    int code = net_ingest_keyed(bus, &n, sizeof n, "keyed", 5, &receipt);
    count(code, 1);
    return code;
}

static int publish_batch(unsigned n) {
    const char *entries[] = {"a", "bb", "ccc"};
    const size_t lens[] = {1, 2, 3};
    atomic_fetch_add(&attempted, 3);
    int code = n % 2 ? net_ingest_raw_batch(bus, entries, lens, 3) : net_ingest_batch(bus, "[1, 2, 3]");
    count(code, (unsigned long long)code);
    return code;
}

static int poll_events(unsigned n) {
    net_poll_result_t result;
    int code = net_poll_ex(bus, n % 100 + 1, NULL, &result);
    if (code == NET_SUCCESS) {
        for (size_t i = 0; i < result.count; i++) {
            CHECK(result.events[i].raw_len > 0 && result.events[i].raw[0] != 0);
        }
        net_free_poll_result(&result);
    }
    return code;
}

static int poll_json(unsigned n) {
    (void)n;
    char json[8192];
    return net_poll(bus, "{\"limit\":10,\"ordering\":\"insertion_ts\"}", json, sizeof json);
}

static int flush(unsigned n) {
    (void)n;
    return net_flush(bus);
}

static long long now_ms(void) {
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int read_statistics(unsigned n) {
    (void)n;
    unsigned long long before = atomic_load(&accepted);
    long long asked_ms = now_ms();
    char json[16384];
    int code = net_stats(bus, json, sizeof json);
    if (code > 0) {
        unsigned long long ingested = number_of(json, "ingested");
        CHECK(ingested ==
              number_of(json, "stored") + number_of(json, "events_dropped") + number_of(json, "pending_events"));
        CHECK(ingested <= atomic_load(&attempted));
        /* Of a shard that did not answer within 100 ms it is the last snapshot. */
        CHECK(before <= ingested || now_ms() - asked_ms >= 100);
    }
    return code;
}

static void *work(void *argument) {
    int (*const jobs[WORKERS])(unsigned) = {publish,     publish,   publish_keyed, publish_batch,
                                            poll_events, poll_json, flush,         read_statistics};
    int (*job)(unsigned) = jobs[*(int *)argument];
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&start);
        for (unsigned n = 0; !is_over(job(n)); n++) {
        }
        pthread_barrier_wait(&end);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[WORKERS];
    int numbers[WORKERS];
    unsigned long long seed = 20260, total = 0;
    CHECK(pthread_barrier_init(&start, NULL, WORKERS + 1) == 0);
    CHECK(pthread_barrier_init(&end, NULL, WORKERS + 1) == 0);
    for (int i = 0; i < WORKERS; i++) {
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
            sched_yield();
        }
        uint64_t not_stored = 1;
        CHECK(net_shutdown_within(bus, 30000, &not_stored) == NET_SUCCESS && not_stored == 0);
        pthread_barrier_wait(&end);
        total += atomic_load(&accepted);
        CHECK(net_shutdown(bus) == NET_ERR_SHUTTING_DOWN);
    }
    for (int i = 0; i < WORKERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    printf("%d rounds, %llu events\n", ROUNDS, total);
    return 0;
}
