/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* usage: subscribe_epoll level|edge. Receives a million events through epoll while another thread publishes them, and
   checks that each is there once, in its shard's order, and those of one key in the order in which they were published. */
#define _POSIX_C_SOURCE 200809L

#include "subscriber.h"

#include <pthread.h>
#include <sys/epoll.h>

enum { EVENTS = 1000000, SHARDS = 3, BATCH = 50, KEYS = 16, MAX = 37 };

static net_handle_t bus;
static unsigned char seen[EVENTS];
static unsigned long last_id[SHARDS];
static long last_of_key[KEYS];
static unsigned long received;

/* Numbers, batches and singles by turns; the singles have keys. */
static void *publish(void *argument) {
    static char texts[BATCH][16];
    const char *events[BATCH];
    size_t lens[BATCH];
    for (unsigned number = 0; number < EVENTS; number += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            events[i] = texts[i];
            lens[i] = (size_t)snprintf(texts[i], sizeof texts[i], "%u", number + i);
        }
        if (number / BATCH % 2 == 0) {
            CHECK(net_ingest_raw_batch(bus, events, lens, BATCH) == BATCH);
            continue;
        }
        for (unsigned i = 0; i < BATCH; i++) {
            unsigned key = (number + i) % KEYS;
            CHECK(net_ingest_keyed(bus, &key, sizeof key, events[i], lens[i], NULL) == NET_SUCCESS);
        }
    }
    return argument;
}

static void check(const net_event_t *event) {
    unsigned long number = number_in(event->raw, event->raw_len);
    CHECK(number < EVENTS && event->shard_id < SHARDS && event->insertion_ts > 0);
    CHECK(seen[number]++ == 0);
    CHECK(number_in(event->id, event->id_len) == ++last_id[event->shard_id]);
    if (number / BATCH % 2 == 1) {
        CHECK(last_of_key[number % KEYS] < (long)number);
        last_of_key[number % KEYS] = (long)number;
    }
    received++;
}

/* Returns how many events one call gave. */
static int take(net_subscription_t *subscription) {
    net_event_t events[MAX];
    int count = net_next(subscription, events, MAX, 0);
    CHECK(count >= 0 && count <= MAX);
    for (int i = 0; i < count; i++) {
        CHECK(events[i].shard_id == events[0].shard_id);
        check(&events[i]);
    }
    return count;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    int edge = strcmp(argv[1], "edge") == 0;
    memset(last_of_key, 0xff, sizeof last_of_key);
    CHECK(net_init_ex("{\"num_shards\":3,\"backpressure_mode\":\"FailProducer\",\"push_wait_us\":30000000}", &bus) == 0);
    net_subscription_t *subscription = subscribe(bus, "{}");
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wanted = {.events = EPOLLIN | (edge ? EPOLLET : 0), .data.ptr = subscription};
    CHECK(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, net_subscription_fd(subscription), &wanted) == 0);
    pthread_t publisher;
    CHECK(pthread_create(&publisher, NULL, publish, NULL) == 0);
    while (received < EVENTS) {
        struct epoll_event ready;
        CHECK(epoll_wait(epoll, &ready, 1, -1) == 1 && ready.data.ptr == subscription);
        while (take(ready.data.ptr) > 0 && edge) {
        }
    }
    CHECK(pthread_join(publisher, NULL) == 0);
    CHECK(take(subscription) == 0);
    char cursor[512];
    uint64_t skipped = 1;
    CHECK(net_subscription_cursor(subscription, cursor, sizeof cursor, &skipped) > 0 && skipped == 0);
    CHECK(check_sums(bus) == EVENTS);
    CHECK(net_unsubscribe(subscription) == NET_SUCCESS);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    return 0;
}
