/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A process that is loaded until it is killed: publishes numbered events on a bus of the first argument, from the number of the second
   on, and says each number up to which everything is durable. With a third argument it first polls from that cursor; it ends its
   reading with a cursor on a line of its own. */
#include "check.h"

#include <stdint.h>

enum { CHUNK = 50, LIMIT = 1000 };

/* Prints the first number behind `cursor` and the cursor at the end. */
static void read_on(net_handle_t bus, const char *from) {
    char *cursor = NULL;
    if (from[0] != '\0') {
        cursor = malloc(strlen(from) + 1);
        CHECK(cursor != NULL);
        strcpy(cursor, from);
    }
    long long first = -1;
    for (;;) {
        net_poll_result_t page;
        CHECK(net_poll_ex(bus, LIMIT, cursor, &page) == NET_SUCCESS);
        if (first < 0 && page.count > 0) {
            char digits[32] = {0};
            CHECK(page.events[0].raw_len < sizeof digits);
            memcpy(digits, page.events[0].raw, page.events[0].raw_len);
            first = atoll(digits);
        }
        if (page.next_id != NULL) {
            cursor = realloc(cursor, strlen(page.next_id) + 1);
            CHECK(cursor != NULL);
            strcpy(cursor, page.next_id);
        }
        int has_more = page.has_more;
        net_free_poll_result(&page);
        if (!has_more) {
            break;
        }
    }
    printf("first %lld\ncursor %s\n", first, cursor == NULL ? "" : cursor);
    fflush(stdout);
    free(cursor);
}

int main(int argc, char **argv) {
    CHECK(argc == 3 || argc == 4);
    net_handle_t bus;
    CHECK(net_init_ex(argv[1], &bus) == NET_SUCCESS);
    if (argc == 4) {
        read_on(bus, argv[3]);
    }
    for (long long number = atoll(argv[2]);;) {
        for (int i = 0; i < CHUNK; i++, number++) {
            char event[32];
            int length = snprintf(event, sizeof event, "%lld", number);
            CHECK(net_ingest_raw(bus, event, (size_t)length) == NET_SUCCESS);
        }
        CHECK(net_flush(bus) == NET_SUCCESS);
        printf("durable %lld\n", number);
        fflush(stdout);
    }
}
