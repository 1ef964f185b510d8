/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* One of two processes that exchange events over UDP: publishes as many as the second argument says on a bus of the first, and
   polls the peer's meanwhile: each is there once, and those with one key are in order. Says `done` when the peer has all of
   them, and ends with its standard input. */
#include "check.h"

#include <stdint.h>

enum { KEYS = 64, CHUNK = 500, LIMIT = 4096, DIGITS = 8, BYTES = 64 };

static unsigned char *seen;
static int64_t last[KEYS];

static void visit(const net_event_t *event, uint32_t count) {
    char digits[DIGITS + 1] = {0};
    CHECK(event->raw_len == BYTES);
    memcpy(digits, event->raw, DIGITS);
    uint32_t number = (uint32_t)strtoul(digits, NULL, 16);
    CHECK(number < count);
    CHECK(seen[number]++ == 0);
    CHECK(last[number % KEYS] < (int64_t)number);
    last[number % KEYS] = number;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    net_handle_t bus;
    CHECK(net_init_ex(argv[1], &bus) == NET_SUCCESS);
    uint32_t count = (uint32_t)strtoul(argv[2], NULL, 10), published = 0, received = 0;
    seen = calloc(count, 1);
    CHECK(seen != NULL);
    memset(last, 0xff, sizeof last);
    char *cursor = NULL;
    while (published < count || received < count) {
        for (int i = 0; i < CHUNK && published < count; i++, published++) {
            char event[BYTES + 1];
            snprintf(event, sizeof event, "%0*x%0*x", DIGITS, published, BYTES - DIGITS, 0);
            uint32_t key = published % KEYS;
            int code = net_ingest_keyed(bus, &key, sizeof key, event, BYTES, NULL);
            if (code == NET_ERR_INGESTION_FAILED) {
                break; /* the peer is behind: its events are polled meanwhile */
            }
            CHECK(code == NET_SUCCESS);
        }
        net_poll_result_t page;
        CHECK(net_poll_ex(bus, LIMIT, cursor, &page) == NET_SUCCESS);
        for (size_t i = 0; i < page.count; i++) {
            visit(&page.events[i], count);
        }
        received += (uint32_t)page.count;
        if (page.next_id != NULL) {
            cursor = realloc(cursor, strlen(page.next_id) + 1);
            CHECK(cursor != NULL);
            strcpy(cursor, page.next_id);
        }
        net_free_poll_result(&page);
    }
    CHECK(net_flush(bus) == NET_SUCCESS);
    puts("done");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    free(cursor);
    free(seen);
    return 0;
}
