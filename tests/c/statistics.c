/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Both forms of the statistics: what is wrong with a call is told and writes nothing, and a buffer that just fits is filled. */
#include "check.h"

typedef int read_t(net_handle_t, char *, size_t);

static void check_codes(net_handle_t bus, read_t *read) {
    static char text[65536], little[65536];
    CHECK(read(NULL, text, sizeof text) == NET_ERR_NULL_POINTER);
    CHECK(read((net_handle_t)(uintptr_t)7, text, sizeof text) == NET_ERR_INVALID_ARGUMENT);
    CHECK(read(bus, NULL, sizeof text) == NET_ERR_NULL_POINTER);
    CHECK(read(bus, NULL, 0) == NET_ERR_NULL_POINTER);
    CHECK(read(bus, text, (size_t)-1) == NET_ERR_INVALID_ARGUMENT);
    int written = read(bus, text, sizeof text);
    CHECK(written > 0 && (size_t)written == strlen(text));

    size_t required = (size_t)written + 1;
    memset(little, 'x', sizeof little);
    CHECK(read(bus, little, 0) == NET_ERR_BUFFER_TOO_SMALL);
    CHECK(read(bus, little, 1) == NET_ERR_BUFFER_TOO_SMALL);
    /* Figures that grow by a digit meanwhile make it longer by a few bytes. */
    CHECK(read(bus, little, required - 64) == NET_ERR_BUFFER_TOO_SMALL);
    unsigned long long said = 0;
    for (const char *at = net_last_error(); *at != '\0'; at++) {
        unsigned long long number = strtoull(at, NULL, 10);
        said = number > said ? number : said;
    }
    CHECK(said + 64 > required && said < required + 64);
    for (size_t i = 0; i < sizeof little; i++) {
        CHECK(little[i] == 'x');
    }
    written = read(bus, little, (size_t)said + 64);
    CHECK(written > 0 && (size_t)written == strlen(little) && little[written + 1] == 'x');
}

int main(void) {
    net_handle_t bus;
    CHECK(net_init_ex("{\"num_shards\":2,\"idle\":\"park\"}", &bus) == NET_SUCCESS);
    for (int i = 0; i < 500; i++) {
        CHECK(net_ingest_raw(bus, "event", 5) == NET_SUCCESS);
    }
    CHECK(net_flush(bus) == NET_SUCCESS);
    check_codes(bus, net_stats);
    check_codes(bus, net_metrics);

    char text[65536];
    CHECK(net_metrics(bus, text, sizeof text) > 0);
    CHECK(strstr(text, "\nlibnet_stored_events_total 500\n") != NULL);
    CHECK(strcmp(text + strlen(text) - 6, "# EOF\n") == 0);
    CHECK(net_stats(bus, text, sizeof text) > 0);
    const char *first_keys[] = {"{\"events_ingested\":500,\"events_dropped\":0,\"batches_dispatched\":",
                                "\"shard_events_ingested\":500,\"shard_events_dropped\":0,\"shard_batches_dispatched\":"};
    CHECK(strstr(text, first_keys[0]) == text && strstr(text, first_keys[1]) != NULL);
    CHECK(strstr(text, "\"last_error\":null") != NULL && strstr(text, "\"version\":\"") != NULL);

    CHECK(net_shutdown(bus) == NET_SUCCESS);
    CHECK(net_stats(bus, NULL, 0) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_metrics(bus, NULL, 0) == NET_ERR_SHUTTING_DOWN);
    return 0;
}
