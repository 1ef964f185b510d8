/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* usage: subscribe_fleet SECONDS. 10,000 events a second go to 100 subscribers, one of which stands still for two thirds
   of the time. Nothing is refused or dropped, and every subscriber gets every event, once, in its shard's order. */
#define _POSIX_C_SOURCE 200809L

#include "subscriber.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <time.h>

enum { SUBSCRIBERS = 100, EVENTS_PER_MS = 10, SHARDS = 2, MAX = 256 };

struct subscriber {
    net_subscription_t *subscription;
    unsigned long last_id[SHARDS], last_number[SHARDS], received;
};

static net_handle_t bus;
static struct subscriber subscribers[SUBSCRIBERS];
static unsigned long total;
static int epoll;

static struct timespec after_ms(struct timespec start, unsigned long ms) {
    start.tv_nsec += (long)(ms % 1000) * 1000000;
    start.tv_sec += (time_t)(ms / 1000) + start.tv_nsec / 1000000000;
    start.tv_nsec %= 1000000000;
    return start;
}

/* Ten events each millisecond, those that fell due while the thread was kept from its core at once. */
static void *publish(void *argument) {
    struct timespec start;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &start) == 0);
    for (unsigned long number = 1; number <= total; number++) {
        char text[24];
        int len = snprintf(text, sizeof text, "%lu", number);
        CHECK(net_ingest_raw(bus, text, (size_t)len) == NET_SUCCESS);
        if (number % EVENTS_PER_MS == 0) {
            struct timespec due = after_ms(start, number / EVENTS_PER_MS);
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        }
    }
    return argument;
}

static void take(struct subscriber *subscriber) {
    net_event_t events[MAX];
    int count = net_next(subscriber->subscription, events, MAX, 0);
    CHECK(count >= 0);
    for (int i = 0; i < count; i++) {
        unsigned shard = events[i].shard_id;
        unsigned long number = number_in(events[i].raw, events[i].raw_len);
        CHECK(number_in(events[i].id, events[i].id_len) == ++subscriber->last_id[shard]);
        CHECK(number > subscriber->last_number[shard]);
        subscriber->last_number[shard] = number;
    }
    subscriber->received += (unsigned long)count;
}

static void add(struct subscriber *subscriber) {
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = subscriber};
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, net_subscription_fd(subscriber->subscription), &wanted) == 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    total = strtoul(argv[1], NULL, 10) * 1000 * EVENTS_PER_MS;
    /* The lanes of the one that stands still hold a fifth of what it misses. A producer waits for a shard that is kept from its
       core; one that waited for the subscriber would wait for ever, because that goes on when the others have got two
       thirds. */
    CHECK(net_init_ex("{\"num_shards\":2,\"backpressure_mode\":\"FailProducer\",\"push_wait_us\":60000000,"
                      "\"memory\":{\"retention_events\":16777216,\"retention_bytes\":4294967296}}", &bus) == 0);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK(epoll >= 0);
    struct subscriber *stopped = &subscribers[0];
    for (int i = 0; i < SUBSCRIBERS; i++) {
        subscribers[i].subscription = subscribe(bus, "{}");
        if (&subscribers[i] != stopped) add(&subscribers[i]);
    }
    pthread_t publisher;
    CHECK(pthread_create(&publisher, NULL, publish, NULL) == 0);
    for (int done = 0; done < SUBSCRIBERS;) {
        struct epoll_event ready[SUBSCRIBERS];
        int count = epoll_wait(epoll, ready, SUBSCRIBERS, -1);
        CHECK(count > 0);
        for (int i = 0; i < count; i++) {
            struct subscriber *subscriber = ready[i].data.ptr;
            unsigned long before = subscriber->received;
            take(subscriber);
            done += before < total && subscriber->received == total;
        }
        if (stopped != NULL && subscribers[1].received >= total / 3 * 2) {
            CHECK(stopped->received == 0);
            add(stopped);
            stopped = NULL;
        }
    }
    CHECK(pthread_join(publisher, NULL) == 0);
    char json[65536], cursor[512];
    CHECK(net_stats(bus, json, sizeof json) > 0);
    CHECK(number_of(json, "events_dropped") == 0 && number_of(json, "refused") == 0);
    CHECK(check_sums(bus) == total);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        uint64_t skipped = 1;
        CHECK(subscribers[i].received == total);
        CHECK(net_subscription_cursor(subscribers[i].subscription, cursor, sizeof cursor, &skipped) > 0 && skipped == 0);
        CHECK(net_unsubscribe(subscribers[i].subscription) == NET_SUCCESS);
    }
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    return 0;
}
