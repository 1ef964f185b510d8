/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A C program written against net.h alone: start, publish, read back, count, stop, and what is refused. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>

static const char SMALL[] = "{\"num_shards\":1}";

static int has_text(const net_event_t *event, const char *text) {
    return event->raw_len == strlen(text) && memcmp(event->raw, text, event->raw_len) == 0;
}

static void what_is_published_is_read_back(void) {
    net_handle_t bus = NULL;
    CHECK(net_init_ex(SMALL, &bus) == NET_SUCCESS);
    CHECK(net_num_shards(bus) == 1);

    const char json[] = " { \"b\": 1.0, \"a\": 2 } ";
    net_receipt_t receipt = {9, 0};
    CHECK(net_ingest(bus, json, strlen(json)) == NET_SUCCESS);
    CHECK(net_ingest_raw(bus, "plain", 5) == NET_SUCCESS);
    CHECK(net_ingest_raw_ex(bus, "x", 1, &receipt) == NET_SUCCESS);
    CHECK(receipt.shard_id == 0 && receipt.timestamp > 1600000000000000000u);
    CHECK(net_ingest_keyed(bus, "\xff\0k", 3, "keyed", 5, NULL) == NET_SUCCESS);
    CHECK(net_ingest_batch(bus, "[1, {\"two\": [2]} ,\"three\"]") == 3);
    CHECK(net_flush(bus) == NET_SUCCESS);

    const char *expected[] = {json, "plain", "x", "keyed", "1", "{\"two\": [2]}", "\"three\""};
    char *cursor = NULL;
    size_t seen = 0;
    int more = 1;
    while (more) {
        net_poll_result_t result;
        CHECK(net_poll_ex(bus, 2, cursor, &result) == NET_SUCCESS);
        for (size_t i = 0; i < result.count; i++) {
            CHECK(seen < 7 && has_text(&result.events[i], expected[seen]));
            CHECK(result.events[i].id_len > 0 && result.events[i].insertion_ts > 0);
            seen++;
        }
        free(cursor);
        cursor = result.next_id ? strdup(result.next_id) : NULL;
        more = result.has_more;
        net_free_poll_result(&result);
    }
    CHECK(seen == 7);

    net_poll_result_t end;
    CHECK(net_poll_ex(bus, SIZE_MAX, cursor, &end) == NET_SUCCESS);
    CHECK(end.count == 0 && strcmp(end.next_id, cursor) == 0);
    net_free_poll_result(&end);
    free(cursor);

    char text[4096];
    int written = net_poll(bus, "{\"limit\":2}", text, sizeof text);
    CHECK(written > 0 && (size_t)written == strlen(text));
    CHECK(strstr(text, "{\"events\":[ { \"b\": 1.0, \"a\": 2 } ,\"plain\"],") == text);
    CHECK(strstr(text, "\"count\":2,\"parse_errors\":1") != NULL);

    net_stats_t stats;
    CHECK(net_stats_ex(bus, &stats) == NET_SUCCESS && stats.events_ingested == 7);
    CHECK(net_stats(bus, text, sizeof text) == (int)strlen(text));
    CHECK(strstr(text, "\"shard_events_ingested\":7") != NULL);
    CHECK(net_stats(bus, text, 20) == NET_ERR_BUFFER_TOO_SMALL);

    uint64_t not_stored = 1;
    CHECK(net_shutdown_within(bus, -1, &not_stored) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_shutdown_within(bus, 5000, &not_stored) == NET_SUCCESS && not_stored == 0);
    CHECK(net_shutdown(bus) == NET_ERR_SHUTTING_DOWN);
}

static void what_is_wrong_has_a_code_and_a_detail(void) {
    net_handle_t bus = (net_handle_t)(uintptr_t)7;
    CHECK(net_init_ex("\xff", &bus) == NET_ERR_INVALID_UTF8);
    CHECK(net_init_ex(SMALL, NULL) == NET_ERR_NULL_POINTER);
    CHECK(bus == (net_handle_t)(uintptr_t)7);
    CHECK(net_ingest_raw(bus, "x", 1) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_ingest_raw(NULL, "x", 1) == NET_ERR_NULL_POINTER);

    CHECK(net_init_ex(SMALL, &bus) == NET_SUCCESS);
    CHECK(net_ingest_raw(bus, NULL, 1) == NET_ERR_NULL_POINTER);
    CHECK(net_ingest_raw(bus, "\xff", 1) == NET_ERR_INVALID_UTF8);
    CHECK(net_ingest_raw(bus, "", 0) == NET_SUCCESS);
    CHECK(net_ingest(bus, "{", 1) == NET_ERR_INVALID_JSON);
    CHECK(net_ingest(bus, "", 0) == NET_ERR_INVALID_JSON);
    CHECK(net_ingest_keyed(bus, NULL, 1, "x", 1, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_ingest_keyed(bus, NULL, 0, "x", 1, NULL) == NET_SUCCESS);
    const char *entry = "x";
    const size_t len = 1;
    CHECK(net_ingest_raw_batch(bus, &entry, &len, (size_t)1 << 31) == NET_ERR_INT_OVERFLOW);
    CHECK(net_ingest_raw_batch(bus, &entry, &len, 0) == 0);
    CHECK(net_ingest_batch(bus, "[1,2") == NET_ERR_INVALID_JSON);
    CHECK(net_ingest_batch(bus, "[]") == 0);
    net_poll_result_t result;
    CHECK(net_poll_ex(bus, 0, NULL, &result) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_poll_ex(bus, 0, "\xff", NULL) == NET_ERR_NULL_POINTER);
    char text[256];
    CHECK(net_poll(bus, "{\"limt\":1}", text, sizeof text) == NET_ERR_INVALID_JSON);
    CHECK(net_poll(bus, NULL, text, sizeof text) == NET_ERR_NULL_POINTER);
    CHECK(net_shutdown(bus) == NET_SUCCESS);

    CHECK(net_ingest_raw(bus, NULL, SIZE_MAX) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_ingest_raw_batch(bus, NULL, NULL, 0) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_poll_ex(bus, 1, NULL, NULL) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_stats_ex(bus, NULL) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_flush(bus) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_num_shards(bus) == 0);
    CHECK(net_shutdown_within(bus, -1, NULL) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_ingest_raw((net_handle_t)((uintptr_t)bus + 1), "x", 1) == NET_ERR_INVALID_ARGUMENT);
}

static void the_rest_of_the_library_answers(void) {
    CHECK(net_abi_version() == NET_ABI_VERSION);
    CHECK(strlen(net_version()) > 0);
    CHECK(strcmp(net_strerror(NET_SUCCESS), "success") == 0);
    CHECK(strlen(net_strerror(12345)) > 0);
    char *pair = net_generate_keypair();
    CHECK(pair != NULL && strlen(pair) == strlen("{\"public_key\":\"\",\"secret_key\":\"\"}") + 128);
    net_free_string(pair);
    net_free_string(pair);
    net_free_string(NULL);
    net_free_poll_result(NULL);
    net_redis_dedup_t *filter = net_redis_dedup_new(0);
    CHECK(net_redis_dedup_capacity(filter) == 4096);
    CHECK(net_redis_dedup_is_duplicate(filter, "id") == 0);
    CHECK(net_redis_dedup_is_duplicate(filter, "id") == 1);
    CHECK(net_ingest_raw((net_handle_t)filter, "x", 1) == NET_ERR_MISMATCHED_HANDLES);
    net_redis_dedup_free(filter);
}

static pthread_key_t late;
static net_handle_t late_bus;

static void publish_late(void *unused) {
    (void)unused;
    CHECK(net_ingest_raw(late_bus, "late", 4) == NET_SUCCESS);
    CHECK(net_ingest_raw(late_bus, "late", SIZE_MAX) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_last_error()[0] != 0);
}

static void *publish_and_end(void *unused) {
    CHECK(pthread_setspecific(late, &late_bus) == 0);
    CHECK(net_ingest_raw(late_bus, "early", 5) == NET_SUCCESS);
    CHECK(net_ingest_raw(late_bus, NULL, 5) == NET_ERR_NULL_POINTER);
    return unused;
}

static void a_thread_that_is_ending_can_still_publish(void) {
    late_bus = net_init(SMALL);
    CHECK(pthread_key_create(&late, publish_late) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, publish_and_end, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(net_flush(late_bus) == NET_SUCCESS);
    net_poll_result_t result;
    CHECK(net_poll_ex(late_bus, 10, NULL, &result) == NET_SUCCESS);
    CHECK(result.count == 2);
    /* In either order: an ending thread has another lane than before. */
    int late_first = has_text(&result.events[0], "late");
    CHECK(has_text(&result.events[late_first], "early") && has_text(&result.events[!late_first], "late"));
    net_free_poll_result(&result);
    CHECK(net_shutdown(late_bus) == NET_SUCCESS);
}

int main(void) {
    what_is_published_is_read_back();
    what_is_wrong_has_a_code_and_a_detail();
    the_rest_of_the_library_answers();
    a_thread_that_is_ending_can_still_publish();
    return 0;
}
