/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the test programs share: a check that says what failed and where, and reading a bus to its end. */
#ifndef CHECK_H
#define CHECK_H

#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: %s (last error: %s)\n", __FILE__, __LINE__, #condition, net_last_error()); \
            _Exit(1);                                                                          \
        }                                                                                      \
    } while (0)

/* Hands every stored event to visit, reading `limit` at a time from the oldest on. Returns how many there were. */
static inline size_t read_to_the_end(net_handle_t bus, size_t limit, void (*visit)(const net_event_t *, void *),
                                     void *context) {
    char *cursor = NULL;
    size_t count = 0;
    int more = 1;
    while (more) {
        net_poll_result_t result;
        CHECK(net_poll_ex(bus, limit, cursor, &result) == NET_SUCCESS);
        CHECK(result.count <= limit);
        for (size_t i = 0; i < result.count; i++) {
            if (visit != NULL) {
                visit(&result.events[i], context);
            }
        }
        count += result.count;
        more = result.has_more;
        char *next = NULL;
        if (result.next_id != NULL) {
            next = malloc(strlen(result.next_id) + 1);
            CHECK(next != NULL);
            strcpy(next, result.next_id);
        }
        CHECK(!more || cursor == NULL || strcmp(cursor, next) != 0);
        free(cursor);
        cursor = next;
        net_free_poll_result(&result);
    }
    free(cursor);
    return count;
}

/* The number behind the first `"key":` of a JSON text. */
static inline unsigned long long number_of(const char *json, const char *key) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *found = strstr(json, quoted);
    CHECK(found != NULL);
    return strtoull(found + strlen(quoted), NULL, 10);
}

/* In the statistics of the bus, what came in is stored, dropped or pending. Returns what came in. */
static inline unsigned long long check_sums(net_handle_t bus) {
    char json[16384];
    CHECK(net_stats(bus, json, sizeof json) > 0);
    unsigned long long ingested = number_of(json, "ingested");
    unsigned long long dropped = number_of(json, "events_dropped");
    CHECK(ingested == number_of(json, "stored") + dropped + number_of(json, "pending_events"));
    CHECK(ingested == number_of(json, "events_ingested"));
    return ingested;
}

#endif
