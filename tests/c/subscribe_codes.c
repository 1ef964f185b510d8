/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What is refused of subscriptions, and with which code: requests, pointers, sizes, and what is no subscription. */
#define _POSIX_C_SOURCE 200809L

#include "subscriber.h"

#include <sys/wait.h>
#include <unistd.h>

static net_handle_t bus;
static net_event_t events[4];

/* A request that is refused writes nothing. */
static void request_is_refused(const char *request, int code) {
    net_subscription_t *subscription = (net_subscription_t *)&bus;
    CHECK(net_subscribe(bus, request, &subscription) == code);
    CHECK(subscription == (net_subscription_t *)&bus);
    CHECK(net_last_error()[0] != 0);
}

static void requests(void) {
    request_is_refused(NULL, NET_ERR_NULL_POINTER);
    request_is_refused("{\"from\":\"\xff\"}", NET_ERR_INVALID_UTF8);
    request_is_refused("", NET_ERR_INVALID_JSON);
    request_is_refused("[]", NET_ERR_INVALID_JSON);
    request_is_refused("{\"cursor\":\"x\"}", NET_ERR_INVALID_JSON);
    CHECK(strstr(net_last_error(), "cursor") != NULL);
    request_is_refused("{\"from\":7}", NET_ERR_INVALID_JSON);
    request_is_refused("{\"shards\":[]}", NET_ERR_INVALID_JSON);
    request_is_refused("{\"filter\":{\"$or\":[]}}", NET_ERR_INVALID_JSON);
    request_is_refused("{\"shards\":[0,2]}", NET_ERR_INVALID_ARGUMENT);
    request_is_refused("{\"from\":\"nonsense\"}", NET_ERR_POLL_FAILED);
    request_is_refused("{\"from\":\"\"}", NET_ERR_POLL_FAILED);
    CHECK(net_subscribe(bus, "{}", NULL) == NET_ERR_NULL_POINTER);
    net_subscription_t *subscription = NULL;
    CHECK(net_subscribe(NULL, "{}", &subscription) == NET_ERR_NULL_POINTER);
    CHECK(net_subscribe((net_handle_t)8, "{}", &subscription) == NET_ERR_INVALID_ARGUMENT);
    /* The handle is looked at first. */
    CHECK(net_subscribe((net_handle_t)8, NULL, NULL) == NET_ERR_INVALID_ARGUMENT);
    CHECK(subscription == NULL);
}

static void cursors_of_other_buses(void) {
    net_handle_t other;
    char cursor[512], request[600];
    CHECK(net_init_ex("{\"num_shards\":2}", &other) == NET_SUCCESS);
    CHECK(net_ingest_raw(other, "event", 5) == NET_SUCCESS && net_flush(other) == NET_SUCCESS);
    net_subscription_t *subscription = subscribe(other, "{\"from\":\"start\"}");
    CHECK(net_next(subscription, events, 4, -1) == 1);
    CHECK(net_subscription_cursor(subscription, cursor, sizeof cursor, NULL) > 0);
    snprintf(request, sizeof request, "{\"from\":\"%s\"}", cursor);
    request_is_refused(request, NET_ERR_POLL_FAILED);
    CHECK(net_unsubscribe(subscription) == NET_SUCCESS);
    subscription = subscribe(other, request);
    CHECK(net_unsubscribe(subscription) == NET_SUCCESS);
    CHECK(net_shutdown(other) == NET_SUCCESS);
}

/* Every function of a subscription refuses it with this code. */
static void is_refused(net_subscription_t *subscription, int code) {
    char cursor[512];
    CHECK(net_next(subscription, events, 4, 0) == code);
    CHECK(net_subscription_fd(subscription) == code);
    CHECK(net_subscription_cursor(subscription, cursor, sizeof cursor, NULL) == code);
    CHECK(net_unsubscribe(subscription) == code);
    /* It is looked at before everything else. */
    CHECK(net_next(subscription, NULL, 0, 0) == code);
    CHECK(net_subscription_cursor(subscription, NULL, (size_t)-1, NULL) == code);
}

static void pointers(void) {
    net_subscription_t *subscription = subscribe(bus, "{}");
    net_producer_t *producer;
    net_redis_dedup_t *filter = net_redis_dedup_new(1);
    CHECK(net_producer_open(bus, &producer) == NET_SUCCESS);
    is_refused(NULL, NET_ERR_NULL_POINTER);
    is_refused((net_subscription_t *)8, NET_ERR_INVALID_ARGUMENT);
    is_refused((net_subscription_t *)events, NET_ERR_INVALID_ARGUMENT);
    /* A generation that was never given out. */
    is_refused((net_subscription_t *)((uintptr_t)subscription + 1000), NET_ERR_INVALID_ARGUMENT);
    is_refused((net_subscription_t *)bus, NET_ERR_MISMATCHED_HANDLES);
    is_refused((net_subscription_t *)producer, NET_ERR_MISMATCHED_HANDLES);
    is_refused((net_subscription_t *)filter, NET_ERR_MISMATCHED_HANDLES);
    CHECK(net_flush((net_handle_t)subscription) == NET_ERR_MISMATCHED_HANDLES);
    CHECK(net_producer_close((net_producer_t *)subscription) == NET_ERR_MISMATCHED_HANDLES);
    CHECK(net_producer_close(producer) == NET_SUCCESS);
    net_redis_dedup_free(filter);

    CHECK(net_next(subscription, NULL, 4, 0) == NET_ERR_NULL_POINTER);
    CHECK(net_next(subscription, NULL, 0, 0) == NET_ERR_NULL_POINTER);
    CHECK(net_next(subscription, events, 0, 0) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_next(subscription, events, (size_t)-1, 0) == 0);

    CHECK(net_unsubscribe(subscription) == NET_SUCCESS);
    is_refused(subscription, NET_ERR_INVALID_ARGUMENT);
    /* The next one in its slot is another one. */
    net_subscription_t *next = subscribe(bus, "{}");
    CHECK(next != subscription);
    is_refused(subscription, NET_ERR_INVALID_ARGUMENT);
    CHECK(net_unsubscribe(next) == NET_SUCCESS);
}

static void cursor_buffers(void) {
    net_subscription_t *subscription = subscribe(bus, "{\"from\":\"start\"}");
    CHECK(net_ingest_raw(bus, "event", 5) == NET_SUCCESS && net_next(subscription, events, 4, -1) == 1);
    char cursor[512], exact[512];
    uint64_t skipped = 7;
    int len = net_subscription_cursor(subscription, cursor, sizeof cursor, NULL);
    CHECK(len > 0 && strlen(cursor) == (size_t)len);
    memset(exact, 'x', sizeof exact);
    CHECK(net_subscription_cursor(subscription, exact, (size_t)len, &skipped) == NET_ERR_BUFFER_TOO_SMALL);
    CHECK(exact[0] == 'x' && skipped == 7);
    CHECK(net_subscription_cursor(subscription, NULL, 512, &skipped) == NET_ERR_NULL_POINTER && skipped == 7);
    CHECK(net_subscription_cursor(subscription, exact, (size_t)-1, NULL) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_subscription_cursor(subscription, exact, (size_t)len + 1, &skipped) == len && skipped == 0);
    CHECK(strcmp(exact, cursor) == 0 && exact[len + 1] == 'x');
    CHECK(net_unsubscribe(subscription) == NET_SUCCESS);
}

static void forks(void) {
    net_subscription_t *subscription = subscribe(bus, "{}");
    CHECK(net_ingest_raw(bus, "before", 6) == NET_SUCCESS && net_next(subscription, events, 4, -1) == 1);
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        is_refused(subscription, NET_ERR_FORKED);
        net_subscription_t *other = NULL;
        CHECK(net_subscribe(bus, "{}", &other) == NET_ERR_FORKED && other == NULL);
        exit(42);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42);
    CHECK(memcmp(events[0].raw, "before", 6) == 0);
    CHECK(net_ingest_raw(bus, "after", 5) == NET_SUCCESS && net_next(subscription, events, 4, -1) == 1);
    CHECK(net_unsubscribe(subscription) == NET_SUCCESS);
}

int main(void) {
    CHECK(net_init_ex("{\"num_shards\":2}", &bus) == NET_SUCCESS);
    requests();
    cursors_of_other_buses();
    pointers();
    cursor_buffers();
    forks();
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    net_subscription_t *subscription = NULL;
    CHECK(net_subscribe(bus, "{}", &subscription) == NET_ERR_SHUTTING_DOWN && subscription == NULL);
    return 0;
}
