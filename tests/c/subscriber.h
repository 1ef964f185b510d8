/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the programs that subscribe share. */
#ifndef SUBSCRIBER_H
#define SUBSCRIBER_H

#include "check.h"

#include <poll.h>

static inline net_subscription_t *subscribe(net_handle_t bus, const char *request) {
    net_subscription_t *subscription = NULL;
    CHECK(net_subscribe(bus, request, &subscription) == NET_SUCCESS);
    CHECK(subscription != NULL);
    return subscription;
}

/* The number that a text of decimal digits is. */
static inline unsigned long number_in(const char *digits, size_t len) {
    unsigned long number = 0;
    CHECK(len > 0);
    for (size_t i = 0; i < len; i++) {
        CHECK(digits[i] >= '0' && digits[i] <= '9');
        number = number * 10 + (unsigned long)(digits[i] - '0');
    }
    return number;
}

/* Waits until the descriptor is readable, `timeout_ms` milliseconds, for ever if negative. */
static inline int is_readable(int descriptor, int timeout_ms) {
    struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
    int ready = poll(&wanted, 1, timeout_ms);
    CHECK(ready >= 0);
    return ready;
}

#endif
