/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* When the descriptor of a subscription is readable, and that no wake is lost: in 100,000 rounds a pair of events is
   published about when its subscriber goes to wait, in epoll or in net_next, with the shard busy or asleep. */
#define _POSIX_C_SOURCE 200809L

#include "subscriber.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <time.h>

enum { ROUNDS = 50000, IDLE_EVERY = 500 };

static net_handle_t bus;
static net_event_t events[8];
static atomic_uint received;

static void descriptor_states(void) {
    CHECK(net_init_ex("{\"num_shards\":2}", &bus) == NET_SUCCESS);
    net_subscription_t *subscription = subscribe(bus, "{}");
    int descriptor = net_subscription_fd(subscription);
    CHECK(descriptor >= 0 && net_subscription_fd(subscription) == descriptor);
    CHECK(is_readable(descriptor, 0));
    for (int round = 0; round < 100; round++) {
        CHECK(net_next(subscription, events, 8, round % 2) == 0);
        CHECK(!is_readable(descriptor, 0));
        CHECK(net_ingest_raw(bus, "event", 5) == NET_SUCCESS);
        CHECK(is_readable(descriptor, -1));
        CHECK(net_next(subscription, events, 8, 0) == 1);
        CHECK(is_readable(descriptor, 0));
    }
    CHECK(net_unsubscribe(subscription) == NET_SUCCESS);

    /* It is right also when it is asked for after the first looks. */
    subscription = subscribe(bus, "{}");
    CHECK(net_next(subscription, events, 8, 0) == 0 && net_next(subscription, events, 8, 1) == 0);
    CHECK(net_ingest_raw(bus, "event", 5) == NET_SUCCESS);
    CHECK(is_readable(net_subscription_fd(subscription), -1));
    CHECK(net_next(subscription, events, 8, 0) == 1);
    CHECK(net_unsubscribe(subscription) == NET_SUCCESS);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

/* Publishes the next pair when the last was received, after a moment, or after a silence in which everybody goes to sleep.
   Nothing comes behind a pair that would make up for a lost wake. */
static void *publish(void *argument) {
    const struct timespec silence = {.tv_nsec = 1000000};
    const char *pair[] = {"event", "event"};
    const size_t lens[] = {5, 5};
    unsigned random = 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        while (atomic_load(&received) < 2 * round) sched_yield();
        if (round % IDLE_EVERY == 0) nanosleep(&silence, NULL);
        random = random * 1664525 + 1013904223;
        for (volatile unsigned moment = random >> 20; moment > 0; moment--) {
        }
        if (round % 2 == 0) {
            CHECK(net_ingest_raw_batch(bus, pair, lens, 2) == 2);
            continue;
        }
        CHECK(net_ingest_raw(bus, "event", 5) == NET_SUCCESS);
        for (volatile unsigned moment = random >> 19; moment > 0; moment--) {
        }
        CHECK(net_ingest_raw(bus, "event", 5) == NET_SUCCESS);
    }
    return argument;
}

static void rounds(const char *config, int through_epoll) {
    CHECK(net_init_ex(config, &bus) == NET_SUCCESS);
    net_subscription_t *subscription = subscribe(bus, "{}");
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (through_epoll) {
        struct epoll_event wanted = {.events = EPOLLIN};
        CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, net_subscription_fd(subscription), &wanted) == 0);
    }
    atomic_store(&received, 0);
    pthread_t publisher;
    CHECK(pthread_create(&publisher, NULL, publish, NULL) == 0);
    while (atomic_load(&received) < 2 * ROUNDS) {
        struct epoll_event ready;
        /* Never EINTR: nothing that the library does interrupts a call of its host. */
        if (through_epoll) CHECK(epoll_wait(epoll, &ready, 1, -1) == 1);
        int count = net_next(subscription, events, 1, through_epoll ? 0 : -1);
        CHECK(count == 1 || (through_epoll && count == 0));
        atomic_fetch_add(&received, (unsigned)count);
    }
    CHECK(pthread_join(publisher, NULL) == 0);
    CHECK(net_unsubscribe(subscription) == NET_SUCCESS);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

int main(void) {
    descriptor_states();
    rounds("{\"num_shards\":1}", 1);
    rounds("{\"num_shards\":1,\"idle\":\"park\"}", 0);
    return 0;
}
