/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Four threads publish, the bus is flushed and polled with a cursor to its end: every event is there once, and the
   events of one thread with one key are in the order in which they were published. */
#include "check.h"

#include <pthread.h>

enum { THREADS = 4, KEYS = 16, EVENTS = 20000 };

struct event {
    unsigned thread, key, number;
};

static net_handle_t bus;
static unsigned char seen[THREADS][EVENTS];
static int last[THREADS][KEYS];

static void *publish(void *argument) {
    unsigned thread = *(unsigned *)argument;
    for (unsigned number = 0; number < EVENTS; number++) {
        char json[96];
        unsigned key = number % KEYS;
        int len = snprintf(json, sizeof json, "{\"t\":%u,\"k\":%u,\"n\":%u}", thread, key, number);
        net_receipt_t receipt;
        CHECK(net_ingest_keyed(bus, &key, sizeof key, json, (size_t)len, &receipt) == NET_SUCCESS);
        CHECK(receipt.shard_id < 3);
    }
    return NULL;
}

static void visit(const net_event_t *event, void *context) {
    (void)context;
    char text[96];
    CHECK(event->raw_len < sizeof text);
    memcpy(text, event->raw, event->raw_len);
    text[event->raw_len] = 0;
    struct event read;
    CHECK(sscanf(text, "{\"t\":%u,\"k\":%u,\"n\":%u}", &read.thread, &read.key, &read.number) == 3);
    CHECK(read.thread < THREADS && read.number < EVENTS && read.key == read.number % KEYS);
    CHECK(seen[read.thread][read.number]++ == 0);
    CHECK(last[read.thread][read.key] < (int)read.number);
    last[read.thread][read.key] = (int)read.number;
}

int main(void) {
    CHECK(net_init_ex("{\"num_shards\":3,\"backpressure_mode\":\"FailProducer\",\"push_wait_us\":30000000}", &bus) == 0);
    memset(last, 0xff, sizeof last);
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, publish, &numbers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(net_flush(bus) == NET_SUCCESS);
    CHECK(read_to_the_end(bus, 777, visit, NULL) == THREADS * EVENTS);
    CHECK(check_sums(bus) == THREADS * EVENTS);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    return 0;
}
