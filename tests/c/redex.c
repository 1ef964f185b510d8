/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Named files in memory: four threads append, ranges are read as JSON and raw, tails follow, and everything is freed in any order. */
#include "check.h"
#include "net_cortex.h"

#include <pthread.h>

enum { THREADS = 4, EVENTS = 500 };

static net_redex_file_t *orders;

/* Appends numbers, and checks that each comes behind the one before. */
static void *append_numbers(void *context) {
    uint64_t last = 0;
    for (int i = 0; i < EVENTS; i++) {
        char event[32];
        int len = snprintf(event, sizeof event, "%d/%d", *(int *)context, i);
        uint64_t seq = UINT64_MAX;
        CHECK(net_redex_file_append(orders, event, (size_t)len, &seq) == NET_SUCCESS);
        CHECK(seq < THREADS * EVENTS && (i == 0 || seq > last));
        last = seq;
    }
    return NULL;
}

/* Follows the file until it has seen everything. */
static void *follow(void *context) {
    net_redex_tail_t *cursor = context;
    int seen = 0;
    while (seen < THREADS * EVENTS) {
        char *json = NULL;
        size_t len = 0;
        int count = net_redex_tail_next(cursor, -1, &json, &len);
        CHECK(count > 0 && strlen(json) == len);
        CHECK(number_of(json, "seq") == (unsigned long long)seen);
        seen += count;
        net_free_string(json);
    }
    return NULL;
}

/* Waits for ever, and gives the code with which that ends. */
static void *wait_for_the_end(void *context) {
    char *json = (char *)context;
    int code = net_redex_tail_next(context, -1, &json, NULL);
    CHECK(json == (char *)context);
    return (void *)(intptr_t)code;
}

static void threads(net_redex_t *redex) {
    int numbers[THREADS];
    pthread_t appenders[THREADS], follower;
    net_redex_tail_t *cursor;
    CHECK(net_redex_open_file(redex, "orders/eu", NULL, &orders) == NET_SUCCESS);
    CHECK(net_redex_file_tail(orders, 0, &cursor) == NET_SUCCESS);
    CHECK(pthread_create(&follower, NULL, follow, cursor) == 0);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&appenders[i], NULL, append_numbers, &numbers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(appenders[i], NULL) == 0);
    }
    CHECK(pthread_join(follower, NULL) == 0);
    CHECK(net_redex_tail_free(cursor) == NET_SUCCESS);
    uint64_t len = 0;
    CHECK(net_redex_file_len(orders, &len) == NET_SUCCESS && len == THREADS * EVENTS);
    net_redex_records_t all;
    CHECK(net_redex_file_read_raw(orders, 0, UINT64_MAX, &all) == THREADS * EVENTS);
    int next[THREADS] = {0};
    for (size_t i = 0; i < all.count; i++) {
        int thread, number;
        char event[32];
        CHECK(all.records[i].seq == i && all.records[i].len < sizeof event);
        CHECK(i == 0 || all.records[i].ts > all.records[i - 1].ts);
        memcpy(event, all.records[i].payload, all.records[i].len);
        event[all.records[i].len] = 0;
        CHECK(sscanf(event, "%d/%d", &thread, &number) == 2 && number == next[thread]++);
    }
    CHECK(net_redex_records_free(&all) == NET_SUCCESS && all.records == NULL && all.count == 0);
    CHECK(net_redex_records_free(&all) == NET_SUCCESS && net_redex_records_free(NULL) == NET_SUCCESS);
}

static void ranges(net_redex_t *redex) {
    net_redex_file_t *file;
    CHECK(net_redex_open_file(redex, "bytes", "{\"retention_max_events\":2}", &file) == NET_SUCCESS);
    CHECK(net_redex_file_append(file, "f", 1, NULL) == NET_SUCCESS);
    CHECK(net_redex_file_append(file, "fo\0", 3, NULL) == NET_SUCCESS);
    CHECK(net_redex_file_append(file, "", 0, NULL) == NET_SUCCESS);
    CHECK(net_redex_file_sync(file) == NET_SUCCESS);
    char *json;
    size_t len;
    CHECK(net_redex_file_read_range(file, 0, 3, &json, &len) == 2);
    CHECK(strstr(json, "[{\"seq\":1,\"ts\":") == json && strstr(json, "\"payload\":\"Zm8A\"},{\"seq\":2,") != NULL);
    CHECK(strcmp(json + len - 15, ",\"payload\":\"\"}]") == 0);
    net_free_string(json);
    CHECK(net_redex_file_read_range(file, 1, 2, &json, NULL) == 1);
    net_free_string(json);
    CHECK(net_redex_file_read_range(file, 7, 9, &json, &len) == 0 && strcmp(json, "[]") == 0 && len == 2);
    net_free_string(json);
    net_redex_records_t none;
    CHECK(net_redex_file_read_raw(file, 0, 0, &none) == 0 && none.records == NULL && none.count == 0);
    CHECK(net_redex_file_free(file) == NET_SUCCESS && net_redex_file_free(file) == NET_SUCCESS);
    CHECK(net_redex_file_read_range(file, 0, 1, &json, NULL) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_redex_file_close(file) == NET_ERR_INVALID_ARGUMENT);
}

static void tails(net_redex_t *redex) {
    net_redex_file_t *file;
    net_redex_tail_t *cursor, *late;
    char *json = (char *)&file;
    size_t len = 7;
    CHECK(net_redex_open_file(redex, "tailed", "", &file) == NET_SUCCESS);
    CHECK(net_redex_file_tail(file, 0, &cursor) == NET_SUCCESS);
    CHECK(net_redex_file_tail(file, 1, &late) == NET_SUCCESS);
    CHECK(net_redex_tail_next(cursor, 0, &json, &len) == 0 && json == NULL && len == 0);
    CHECK(net_redex_tail_next(cursor, 5, &json, NULL) == 0 && json == NULL);
    CHECK(net_redex_file_append(file, "0", 1, NULL) == NET_SUCCESS);
    CHECK(net_redex_tail_next(cursor, 0, &json, NULL) == 1);
    net_free_string(json);
    CHECK(net_redex_tail_next(late, 0, &json, NULL) == 0);
    CHECK(net_redex_file_append(file, "1", 1, NULL) == NET_SUCCESS);
    CHECK(net_redex_tail_next(late, 1000, &json, NULL) == 1 && number_of(json, "seq") == 1);
    net_free_string(json);

    pthread_t waiting;
    void *code;
    CHECK(pthread_create(&waiting, NULL, wait_for_the_end, late) == 0);
    CHECK(net_redex_tail_free(late) == NET_SUCCESS && pthread_join(waiting, &code) == 0);
    CHECK((intptr_t)code == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_redex_tail_free(late) == NET_SUCCESS && net_redex_tail_free(NULL) == NET_SUCCESS);
    CHECK(net_redex_tail_next(late, 0, &json, NULL) == NET_ERR_INVALID_ARGUMENT);

    CHECK(net_redex_tail_next(cursor, 0, &json, NULL) == 1);
    net_free_string(json);
    CHECK(pthread_create(&waiting, NULL, wait_for_the_end, cursor) == 0);
    CHECK(net_redex_file_close(file) == NET_SUCCESS && pthread_join(waiting, &code) == 0);
    CHECK((intptr_t)code == NET_ERR_SHUTTING_DOWN);
    CHECK(net_redex_tail_next(cursor, 0, &json, NULL) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_redex_file_close(file) == NET_SUCCESS);
    CHECK(net_redex_file_append(file, "2", 1, NULL) == NET_ERR_REDEX);
    CHECK(strcmp(net_last_error(), "the file is closed") == 0);
    CHECK(net_redex_file_free(file) == NET_SUCCESS && net_redex_tail_free(cursor) == NET_SUCCESS);
}

/* What belongs to a redex that is gone is refused, and is freed after it. */
static void freed_in_any_order(net_redex_t *redex) {
    net_redex_file_t *file;
    net_redex_tail_t *cursor;
    char *json;
    uint64_t len;
    net_redex_records_t records;
    CHECK(net_redex_open_file(redex, "orders/eu", NULL, &file) == NET_SUCCESS);
    CHECK(net_redex_file_tail(file, 1000000, &cursor) == NET_SUCCESS);
    CHECK(net_redex_file_read_raw(file, 0, 1, &records) == 1);
    pthread_t waiting;
    void *code;
    CHECK(pthread_create(&waiting, NULL, wait_for_the_end, cursor) == 0);
    CHECK(net_redex_free(redex) == NET_SUCCESS && net_redex_free(redex) == NET_SUCCESS);
    CHECK(pthread_join(waiting, &code) == 0 && (intptr_t)code == NET_ERR_SHUTTING_DOWN);
    CHECK(net_redex_open_file(redex, "a", NULL, &file) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_redex_file_append(file, "x", 1, NULL) == NET_ERR_REDEX);
    CHECK(strcmp(net_last_error(), "the redex is freed") == 0);
    CHECK(net_redex_file_len(file, &len) == NET_ERR_REDEX && net_redex_file_sync(file) == NET_ERR_REDEX);
    CHECK(net_redex_file_read_range(file, 0, 1, &json, NULL) == NET_ERR_REDEX);
    CHECK(net_redex_file_close(orders) == NET_SUCCESS && net_redex_file_free(orders) == NET_SUCCESS);
    CHECK(net_redex_file_free(file) == NET_SUCCESS);
    CHECK(net_redex_tail_next(cursor, 0, &json, NULL) == NET_ERR_SHUTTING_DOWN);
    CHECK(net_redex_tail_free(cursor) == NET_SUCCESS);
    CHECK(records.records[0].len > 0 && net_redex_records_free(&records) == NET_SUCCESS);
}

int main(void) {
    net_redex_t *redex = net_redex_new(NULL);
    CHECK(redex != NULL);
    threads(redex);
    ranges(redex);
    tails(redex);
    freed_in_any_order(redex);
    CHECK(net_redex_free(NULL) == NET_SUCCESS);
    CHECK(strstr(net_strerror(NET_ERR_REDEX), "file") != NULL);
    return 0;
}
