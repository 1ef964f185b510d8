/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Reading through the C ABI: ids that compare as numbers, limits without overflow, cursors that are refused, bytes that
   come back as they went in, and a filter with a limit that loses nothing. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

static const char *const TEXTS[] = {
    " { \"z\" : 1.0 , \"a\" : 1e3 }\n", "1.0", "-0.0", "\"\\u0041\\/\"", "{\"b\":1,\"b\":2}", "\t[1 ,2]\r\n",
    "12345678901234567890123456789", "{\"\\u0000\":null}", "not json at all", "",
};
enum { TEXT_COUNT = sizeof TEXTS / sizeof *TEXTS };

static void what_went_in_comes_back(void) {
    net_handle_t bus = net_init("{\"num_shards\":1}");
    CHECK(bus != NULL);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        int json = i < TEXT_COUNT - 2;
        CHECK((json ? net_ingest : net_ingest_raw)(bus, TEXTS[i], strlen(TEXTS[i])) == NET_SUCCESS);
    }
    CHECK(net_ingest_raw(bus, "a\0b", 3) == NET_SUCCESS);
    char large[300000];
    memset(large, 'x', sizeof large);
    CHECK(net_ingest_raw(bus, large, sizeof large) == NET_SUCCESS);
    CHECK(net_flush(bus) == NET_SUCCESS);
    net_poll_result_t result;
    CHECK(net_poll_ex(bus, SIZE_MAX, NULL, &result) == NET_SUCCESS);
    CHECK(result.count == TEXT_COUNT + 2 && result.has_more == 0);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        CHECK(result.events[i].raw_len == strlen(TEXTS[i]));
        CHECK(memcmp(result.events[i].raw, TEXTS[i], result.events[i].raw_len) == 0);
    }
    CHECK(result.events[TEXT_COUNT].raw_len == 3 && memcmp(result.events[TEXT_COUNT].raw, "a\0b", 3) == 0);
    CHECK(result.events[TEXT_COUNT + 1].raw_len == sizeof large);
    CHECK(memcmp(result.events[TEXT_COUNT + 1].raw, large, sizeof large) == 0);
    net_free_poll_result(&result);
    /* In the JSON answer the documents stand with their own bytes too. */
    char json[2048];
    CHECK(net_poll(bus, "{\"limit\":8}", json, sizeof json) > 0);
    for (size_t i = 0; i < TEXT_COUNT - 2; i++) {
        CHECK(strstr(json, TEXTS[i]) != NULL);
    }
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

static void check_id(const net_event_t *event, void *context) {
    unsigned long long *last = context, id;
    char text[32] = {0};
    CHECK(event->id_len > 0 && event->id_len < sizeof text);
    memcpy(text, event->id, event->id_len);
    char *end;
    id = strtoull(text, &end, 10);
    CHECK(*end == 0 && id == last[event->shard_id] + 1);
    last[event->shard_id] = id;
}

static void ids_compare_as_numbers_and_limits_do_not_overflow(void) {
    net_handle_t bus = net_init("{\"num_shards\":3}");
    CHECK(bus != NULL);
    for (unsigned i = 0; i < 700; i++) {
        CHECK(net_ingest_keyed(bus, &i, sizeof i, "event", 5, NULL) == NET_SUCCESS);
    }
    CHECK(net_flush(bus) == NET_SUCCESS);
    const size_t limits[] = {1, 2, 7, 99, 1000, SIZE_MAX - 1, SIZE_MAX, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        unsigned long long last[3] = {0, 0, 0};
        CHECK(read_to_the_end(bus, limits[i], check_id, last) == 700);
        CHECK(last[0] + last[1] + last[2] == 700 && last[0] > 200);
    }
    char json[65536];
    CHECK(net_poll(bus, "{\"limit\":18446744073709551615,\"shards\":[1]}", json, sizeof json) > 0);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

static void a_cursor_of_another_bus_is_refused_and_a_stalled_poll_echoes(void) {
    net_handle_t first = net_init("{\"num_shards\":1}"), second = net_init("{\"num_shards\":1}");
    net_handle_t noop = net_init("{\"num_shards\":1,\"noop\":{}}");
    CHECK(first != NULL && second != NULL && noop != NULL);
    CHECK(net_ingest_raw(first, "event", 5) == NET_SUCCESS && net_flush(first) == NET_SUCCESS);
    net_poll_result_t result, again;
    CHECK(net_poll_ex(first, 10, NULL, &result) == NET_SUCCESS && result.count == 1 && result.next_id != NULL);
    CHECK(net_poll_ex(first, 10, result.next_id, &again) == NET_SUCCESS);
    CHECK(again.count == 0 && again.events == NULL && again.has_more == 0);
    CHECK(strcmp(again.next_id, result.next_id) == 0);
    CHECK(net_poll_ex(second, 10, result.next_id, &again) == NET_ERR_POLL_FAILED);
    CHECK(strstr(net_last_error(), "incarnation") != NULL);
    CHECK(net_poll_ex(noop, 10, result.next_id, &again) == NET_ERR_POLL_FAILED);
    CHECK(strstr(net_last_error(), "backend") != NULL);
    CHECK(net_poll_ex(first, 10, "", &again) == NET_ERR_POLL_FAILED);
    CHECK(net_poll_ex(first, 10, "\xff", &again) == NET_ERR_POLL_FAILED);
    net_free_poll_result(&again);
    net_free_poll_result(&result);
    CHECK(net_shutdown(first) == 0 && net_shutdown(second) == 0 && net_shutdown(noop) == 0);
}

static void what_retention_removed_is_a_count(void) {
    net_handle_t bus = net_init("{\"num_shards\":1,\"memory\":{\"retention_events\":100}}");
    CHECK(bus != NULL);
    CHECK(net_ingest_raw(bus, "0", 1) == NET_SUCCESS && net_flush(bus) == NET_SUCCESS);
    net_poll_result_t result;
    CHECK(net_poll_ex(bus, 1, NULL, &result) == NET_SUCCESS && result.count == 1);
    for (int i = 0; i < 1000; i++) {
        CHECK(net_ingest_raw(bus, "1", 1) == NET_SUCCESS);
    }
    CHECK(net_flush(bus) == NET_SUCCESS);
    char request[512], json[8192];
    snprintf(request, sizeof request, "{\"limit\":1000,\"cursor\":\"%s\"}", result.next_id);
    CHECK(net_poll(bus, request, json, sizeof json) > 0);
    CHECK(number_of(json, "skipped") == 900 && number_of(json, "count") == 100);
    net_free_poll_result(&result);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

int main(void) {
    what_went_in_comes_back();
    ids_compare_as_numbers_and_limits_do_not_overflow();
    a_cursor_of_another_bus_is_refused_and_a_stalled_poll_echoes();
    what_retention_removed_is_a_count();
    return 0;
}
