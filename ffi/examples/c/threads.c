/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Four threads publish, each under a key of its own, and every event is read back in the order of its thread.
   threads EVENTS_PER_THREAD */
#include <net.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4 };

struct work {
    net_handle_t bus;
    int thread, events;
};

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, net_last_error());
    exit(1);
}

static void *publish(void *argument) {
    struct work *work = argument;
    for (int i = 0; i < work->events; i++) {
        char event[64];
        int length = snprintf(event, sizeof event, "%d %d", work->thread, i);
        int code;
        do code = net_ingest_keyed(work->bus, &work->thread, sizeof work->thread, event, (size_t)length, NULL);
        while (code == NET_ERR_INGESTION_FAILED); /* the bus was full for as long as `push_wait_us` */
        if (code != NET_SUCCESS) fail("net_ingest_keyed");
    }
    return NULL;
}

int main(int count, char **words) {
    if (count != 2) return 2;
    net_handle_t bus;
    if (net_init_ex("{\"num_shards\":2,\"backpressure_mode\":\"FailProducer\"}", &bus) != NET_SUCCESS) fail("net_init_ex");
    pthread_t threads[THREADS];
    struct work work[THREADS];
    for (int i = 0; i < THREADS; i++) {
        work[i] = (struct work){bus, i, atoi(words[1])};
        if (pthread_create(&threads[i], NULL, publish, &work[i]) != 0) return 1;
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    if (net_flush(bus) != NET_SUCCESS) fail("net_flush");

    int next[THREADS] = {0}, more = 1;
    net_poll_result_t page = {0};
    while (more) {
        net_poll_result_t following;
        if (net_poll_ex(bus, 1000, page.next_id, &following) != NET_SUCCESS) fail("net_poll_ex");
        net_free_poll_result(&page); /* its cursor was needed until here */
        page = following;
        more = page.has_more;
        for (size_t i = 0; i < page.count; i++) {
            char event[64];
            int thread, number;
            snprintf(event, sizeof event, "%.*s", (int)page.events[i].raw_len, page.events[i].raw);
            if (sscanf(event, "%d %d", &thread, &number) != 2 || next[thread]++ != number) return 1;
        }
    }
    net_free_poll_result(&page);
    for (int i = 0; i < THREADS; i++) printf("thread %d: %d events in order\n", i, next[i]);
    return net_shutdown(bus) == NET_SUCCESS ? 0 : 1;
}
