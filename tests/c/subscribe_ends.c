/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* How subscriptions end: by a shutdown, which still gives what was pushed, and by net_unsubscribe; either wakes a thread
   that sleeps in net_next. And one thread at a time is inside. */
#define _POSIX_C_SOURCE 200809L

#include "subscriber.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { ROUNDS = 200, EVENTS = 1000 };

static net_handle_t bus;

static void shutdown_gives_what_was_pushed(void) {
    CHECK(net_init_ex("{\"num_shards\":2}", &bus) == NET_SUCCESS);
    net_subscription_t *subscription = subscribe(bus, "{}");
    int descriptor = net_subscription_fd(subscription);
    for (int i = 0; i < EVENTS; i++) CHECK(net_ingest_raw(bus, "borrowed", 8) == NET_SUCCESS);
    net_event_t borrowed[8], events[8];
    int held = net_next(subscription, borrowed, 8, -1);
    CHECK(held > 0);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    /* What is borrowed stays as it is. */
    for (int i = 0; i < held; i++) {
        CHECK(borrowed[i].raw_len == 8 && memcmp(borrowed[i].raw, "borrowed", 8) == 0);
        CHECK(number_in(borrowed[i].id, borrowed[i].id_len) == (unsigned long)i + 1);
    }
    int received = held;
    while (received < EVENTS) {
        CHECK(is_readable(descriptor, 0));
        int count = net_next(subscription, events, 8, received % 2 == 0 ? 0 : -1);
        CHECK(count > 0);
        received += count;
    }
    for (int i = 0; i < 3; i++) {
        CHECK(net_next(subscription, events, 8, i - 1) == NET_ERR_SHUTTING_DOWN);
        CHECK(is_readable(descriptor, 0));
    }
    char cursor[512];
    uint64_t skipped = 1;
    CHECK(net_subscription_cursor(subscription, cursor, sizeof cursor, &skipped) > 0 && skipped == 0);
    CHECK(net_subscription_fd(subscription) == descriptor);
    CHECK(net_unsubscribe(subscription) == NET_SUCCESS);
    CHECK(net_unsubscribe(subscription) == NET_ERR_INVALID_ARGUMENT);
}

/* What a filter rejects does not hide what comes behind it, however long the run. */
static void shutdown_gives_what_is_behind_a_filter(void) {
    CHECK(net_init_ex("{\"num_shards\":1}", &bus) == NET_SUCCESS);
    net_subscription_t *subscription = subscribe(bus, "{\"filter\":{\"path\":\"wanted\",\"value\":true}}");
    for (int i = 0; i < EVENTS; i++) CHECK(net_ingest(bus, "{}", 2) == NET_SUCCESS);
    CHECK(net_ingest(bus, "{\"wanted\":true}", 15) == NET_SUCCESS);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    net_event_t event;
    int count = 0;
    while ((count = net_next(subscription, &event, 1, 0)) == 0) {
    }
    CHECK(count == 1 && event.raw_len == 15);
    CHECK(net_next(subscription, &event, 1, 0) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_unsubscribe(subscription) == NET_SUCCESS);
}

static net_subscription_t *shared;
static int outcome;

static int is_in_use(int code) {
    return code == NET_ERR_INVALID_ARGUMENT && strstr(net_last_error(), "inside") != NULL;
}

/* Waits for ever, but for the moments in which the other thread is inside. */
static void *sleep_inside(void *argument) {
    net_event_t event;
    do {
        outcome = net_next(shared, &event, 1, -1);
    } while (is_in_use(outcome));
    return argument;
}

static void a_sleeper_is_woken(int (*wake)(void), int expected) {
    for (int round = 0; round < ROUNDS; round++) {
        CHECK(net_init_ex(round % 2 ? "{\"num_shards\":2}" : "{\"num_shards\":2,\"idle\":\"park\"}", &bus) == 0);
        shared = subscribe(bus, "{}");
        pthread_t sleeper;
        CHECK(pthread_create(&sleeper, NULL, sleep_inside, NULL) == 0);
        /* One of the two is refused; when it is this one, the other is inside. */
        net_event_t event;
        int code;
        while (!is_in_use(code = net_next(shared, &event, 1, 0))) {
            CHECK(code == 0);
            sched_yield();
        }
        char cursor[512];
        CHECK(is_in_use(net_subscription_fd(shared)));
        CHECK(is_in_use(net_subscription_cursor(shared, cursor, sizeof cursor, NULL)));
        for (int i = 0; i < round; i++) sched_yield();
        CHECK(wake() == NET_SUCCESS);
        CHECK(pthread_join(sleeper, NULL) == 0);
        CHECK(outcome == expected);
        net_unsubscribe(shared);
        net_shutdown(bus);
    }
}

static int shutdown_bus(void) { return net_shutdown(bus); }
static int unsubscribe_shared(void) { return net_unsubscribe(shared); }

static atomic_int stop;
static atomic_ullong taken;

static void *take(void *argument) {
    net_event_t events[16];
    while (!atomic_load(&stop)) {
        int count = net_next(shared, events, 16, 1);
        CHECK(count >= 0 || count == NET_ERR_INVALID_ARGUMENT);
        if (count > 0) atomic_fetch_add(&taken, (unsigned)count);
    }
    return argument;
}

/* Two threads at once, which is not allowed: each call is done or refused, no event is given twice or lost. */
static void used_by_two(void) {
    pthread_t threads[2];
    CHECK(net_init_ex("{\"num_shards\":1,\"push_wait_us\":60000000}", &bus) == NET_SUCCESS);
    shared = subscribe(bus, "{}");
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, take, NULL) == 0);
    for (int i = 0; i < 100 * EVENTS; i++) CHECK(net_ingest_raw(bus, "shared", 6) == NET_SUCCESS);
    while (atomic_load(&taken) < 100 * EVENTS) sched_yield();
    CHECK(net_unsubscribe(shared) == NET_SUCCESS);
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(atomic_load(&taken) == 100 * EVENTS);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

int main(void) {
    shutdown_gives_what_was_pushed();
    shutdown_gives_what_is_behind_a_filter();
    a_sleeper_is_woken(shutdown_bus, NET_ERR_SHUTTING_DOWN);
    a_sleeper_is_woken(unsubscribe_shared, NET_ERR_INVALID_ARGUMENT);
    used_by_two();
    return 0;
}
