/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Named files in the directory of the first argument: what was appended is there when it is opened again, and one redex has it at a
   time. With a second argument it appends until it is killed, and says each event that is durable. */
#include "check.h"

#include <net_cortex.h>
#include <stdint.h>

enum { COUNT = 1000 };

static net_redex_t *open_in(const char *dir, const char *name, const char *config, net_redex_file_t **file) {
    net_redex_t *redex = net_redex_new(dir);
    CHECK(redex != NULL);
    CHECK(net_redex_open_file(redex, name, config, file) == NET_SUCCESS);
    return redex;
}

static void append(net_redex_file_t *file, long number) {
    char text[32];
    int length = snprintf(text, sizeof text, "event %ld", number);
    uint64_t seq = 0;
    CHECK(net_redex_file_append(file, text, (size_t)length, &seq) == NET_SUCCESS);
    CHECK(seq == (uint64_t)number);
}

static void check_all(net_redex_file_t *file, long count) {
    net_redex_records_t raw;
    CHECK(net_redex_file_read_raw(file, 0, UINT64_MAX, &raw) == count);
    CHECK(raw.count == (size_t)count);
    for (long at = 0; at < count; at++) {
        char text[32];
        int length = snprintf(text, sizeof text, "event %ld", at);
        CHECK(raw.records[at].seq == (uint64_t)at);
        CHECK(raw.records[at].len == (size_t)length);
        CHECK(memcmp(raw.records[at].payload, text, (size_t)length) == 0);
    }
    CHECK(net_redex_records_free(&raw) == NET_SUCCESS);
    uint64_t len = 0;
    CHECK(net_redex_file_len(file, &len) == NET_SUCCESS);
    CHECK(len == (uint64_t)count);
}

int main(int argc, char **argv) {
    CHECK(argc == 2 || argc == 3);
    net_redex_file_t *file;
    if (argc == 3) {
        open_in(argv[1], "killed/file", "{\"fsync\":\"every_batch\"}", &file);
        for (long number = 0;; number++) {
            append(file, number);
            printf("%ld\n", number);
            fflush(stdout);
        }
    }
    for (long run = 0; run < 3; run++) {
        net_redex_t *redex = open_in(argv[1], "orders/2026.journal", NULL, &file);
        CHECK(net_redex_new(argv[1]) == NULL);
        CHECK(strstr(net_last_error(), "uses the directory") != NULL);
        check_all(file, run * COUNT);
        net_redex_tail_t *tail;
        CHECK(net_redex_file_tail(file, (uint64_t)(run * COUNT), &tail) == NET_SUCCESS);
        for (long number = run * COUNT; number < (run + 1) * COUNT; number++) {
            append(file, number);
        }
        CHECK(net_redex_file_sync(file) == NET_SUCCESS);
        long received = 0;
        while (received < COUNT) {
            char *json;
            size_t len;
            int count = net_redex_tail_next(tail, 1000, &json, &len);
            CHECK(count > 0);
            received += count;
            net_free_string(json);
        }
        CHECK(net_redex_tail_free(tail) == NET_SUCCESS);
        CHECK(net_redex_file_free(file) == NET_SUCCESS);
        CHECK(net_redex_free(redex) == NET_SUCCESS);
    }
    return 0;
}
