/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Every function of the library as a row: what its arguments are, and how it says that it failed. */
#ifndef ABUSE_ROWS_H
#define ABUSE_ROWS_H

#include "net.h"
#include "net_cortex.h"

enum { ENTRIES = 2 };

/* An argument is one letter. Handles: b(us), p(roducer), s(ubscription), d(edup), r(edex), f(ile), t(ail). Memory: C a claim, P a
   page, R records, S a string to give back, T a text, J one that has to be JSON, o a text or NULL, B bytes, K a key, A an array of
   texts, Z one of lengths, W an output, w an output or NULL, O characters to write. Lengths: n of what comes before, k of a key, z
   of an array, m of an output. Numbers: i milliseconds, q anything. */
struct row {
    const char *name;
    const char *kinds;
    /* How a failure is said: c a code, p NULL, z zero, v not at all. */
    char answer;
    /* The texts and the bytes, and how long outputs are. */
    const char *text;
    size_t output;
    /* Events that one success publishes; all that it answers where it is -1. */
    int events;
    intptr_t (*call)(const uintptr_t *);
};

#define AS(type, i) ((type)a[i])
#define CALL(name, expression)                                                                                         \
    static intptr_t call_##name(const uintptr_t *a) {                                                                  \
        (void)a;                                                                                                       \
        return (intptr_t)(expression);                                                                                 \
    }
#define TEXT(i) AS(const char *, i)
#define BUS(i) AS(net_handle_t, i)
#define RECEIPT(i) AS(net_receipt_t *, i)
#define FILE_(i) AS(net_redex_file_t *, i)
#define FILTER(i) AS(net_redis_dedup_t *, i)
#define SUBSCRIPTION(i) AS(net_subscription_t *, i)

CALL(net_strerror, net_strerror((int)a[0]))
CALL(net_last_error, net_last_error())
CALL(net_init, net_init(TEXT(0)))
CALL(net_init_ex, net_init_ex(TEXT(0), AS(net_handle_t *, 1)))
CALL(net_flush, net_flush(BUS(0)))
CALL(net_shutdown, net_shutdown(BUS(0)))
CALL(net_shutdown_within, net_shutdown_within(BUS(0), (int)a[1], AS(uint64_t *, 2)))
CALL(net_num_shards, net_num_shards(BUS(0)))
CALL(net_version, net_version())
CALL(net_abi_version, net_abi_version())
CALL(net_ingest, net_ingest(BUS(0), TEXT(1), a[2]))
CALL(net_ingest_raw, net_ingest_raw(BUS(0), TEXT(1), a[2]))
CALL(net_ingest_raw_ex, net_ingest_raw_ex(BUS(0), TEXT(1), a[2], RECEIPT(3)))
CALL(net_ingest_keyed, net_ingest_keyed(BUS(0), AS(const void *, 1), a[2], TEXT(3), a[4], RECEIPT(5)))
CALL(net_ingest_batch, net_ingest_batch(BUS(0), TEXT(1)))
CALL(net_ingest_raw_batch,
     net_ingest_raw_batch(BUS(0), AS(const char *const *, 1), AS(const size_t *, 2), a[3]))
CALL(net_ingest_raw_batch_ex, net_ingest_raw_batch_ex(BUS(0), AS(const char *const *, 1), AS(const size_t *, 2), a[3],
                                                      AS(size_t *, 4), AS(size_t *, 5)))
CALL(net_claim, net_claim(BUS(0), AS(const void *, 1), a[2], a[3], AS(net_claim_t *, 4)))
CALL(net_commit, net_commit(AS(net_claim_t *, 0), RECEIPT(1)))
CALL(net_abort, (net_abort(AS(net_claim_t *, 0)), 0))
CALL(net_producer_open, net_producer_open(BUS(0), AS(net_producer_t **, 1)))
CALL(net_producer_ingest, net_producer_ingest(AS(net_producer_t *, 0), AS(const void *, 1), a[2], TEXT(3), a[4],
                                              (int)a[5], RECEIPT(6)))
CALL(net_producer_close, net_producer_close(AS(net_producer_t *, 0)))
CALL(net_poll_ex, net_poll_ex(BUS(0), a[1], TEXT(2), AS(net_poll_result_t *, 3)))
CALL(net_free_poll_result, (net_free_poll_result(AS(net_poll_result_t *, 0)), 0))
CALL(net_poll, net_poll(BUS(0), TEXT(1), AS(char *, 2), a[3]))
CALL(net_subscribe, net_subscribe(BUS(0), TEXT(1), AS(net_subscription_t **, 2)))
CALL(net_next, net_next(SUBSCRIPTION(0), AS(net_event_t *, 1), a[2], (int)a[3]))
CALL(net_subscription_fd, net_subscription_fd(SUBSCRIPTION(0)))
CALL(net_subscription_cursor, net_subscription_cursor(SUBSCRIPTION(0), AS(char *, 1), a[2], AS(uint64_t *, 3)))
CALL(net_unsubscribe, net_unsubscribe(SUBSCRIPTION(0)))
CALL(net_stats, net_stats(BUS(0), AS(char *, 1), a[2]))
CALL(net_stats_ex, net_stats_ex(BUS(0), AS(net_stats_t *, 1)))
CALL(net_metrics, net_metrics(BUS(0), AS(char *, 1), a[2]))
CALL(net_generate_keypair, net_generate_keypair())
CALL(net_free_string, (net_free_string(AS(char *, 0)), 0))
CALL(net_redis_dedup_new, net_redis_dedup_new(a[0]))
CALL(net_redis_dedup_free, (net_redis_dedup_free(FILTER(0)), 0))
CALL(net_redis_dedup_is_duplicate, net_redis_dedup_is_duplicate(FILTER(0), TEXT(1)))
CALL(net_redis_dedup_len, net_redis_dedup_len(FILTER(0)))
CALL(net_redis_dedup_capacity, net_redis_dedup_capacity(FILTER(0)))
CALL(net_redis_dedup_is_empty, net_redis_dedup_is_empty(FILTER(0)))
CALL(net_redis_dedup_clear, (net_redis_dedup_clear(FILTER(0)), 0))
CALL(net_redex_new, net_redex_new(TEXT(0)))
CALL(net_redex_free, net_redex_free(AS(net_redex_t *, 0)))
CALL(net_redex_open_file, net_redex_open_file(AS(net_redex_t *, 0), TEXT(1), TEXT(2), AS(net_redex_file_t **, 3)))
CALL(net_redex_file_append, net_redex_file_append(FILE_(0), TEXT(1), a[2], AS(uint64_t *, 3)))
CALL(net_redex_file_read_range, net_redex_file_read_range(FILE_(0), a[1], a[2], AS(char **, 3), AS(size_t *, 4)))
CALL(net_redex_file_read_raw, net_redex_file_read_raw(FILE_(0), a[1], a[2], AS(net_redex_records_t *, 3)))
CALL(net_redex_file_sync, net_redex_file_sync(FILE_(0)))
CALL(net_redex_file_len, net_redex_file_len(FILE_(0), AS(uint64_t *, 1)))
CALL(net_redex_file_tail, net_redex_file_tail(FILE_(0), a[1], AS(net_redex_tail_t **, 2)))
CALL(net_redex_file_close, net_redex_file_close(FILE_(0)))
CALL(net_redex_file_free, net_redex_file_free(FILE_(0)))
CALL(net_redex_records_free, net_redex_records_free(AS(net_redex_records_t *, 0)))
CALL(net_redex_tail_next, net_redex_tail_next(AS(net_redex_tail_t *, 0), (int)a[1], AS(char **, 2), AS(size_t *, 3)))
CALL(net_redex_tail_free, net_redex_tail_free(AS(net_redex_tail_t *, 0)))

#define ROW(name, ...) {#name, __VA_ARGS__, call_##name}
#define CONFIG "{\"num_shards\":2,\"idle\":\"park\",\"max_event_bytes\":4096,\"backpressure_mode\":\"FailProducer\"}"

static const struct row ROWS[] = {
    ROW(net_strerror, "q", 'p', NULL, 0, 0),
    ROW(net_last_error, "", 'p', NULL, 0, 0),
    ROW(net_init, "j", 'p', CONFIG, 0, 0),
    ROW(net_init_ex, "jW", 'c', CONFIG, sizeof(net_handle_t), 0),
    ROW(net_flush, "b", 'c', NULL, 0, 0),
    ROW(net_shutdown, "b", 'c', NULL, 0, 0),
    ROW(net_shutdown_within, "biw", 'c', NULL, sizeof(uint64_t), 0),
    ROW(net_num_shards, "b", 'z', NULL, 0, 0),
    ROW(net_version, "", 'p', NULL, 0, 0),
    ROW(net_abi_version, "", 'z', NULL, 0, 0),
    ROW(net_ingest, "bBn", 'c', "{\"n\":[1,2]}", 0, 1),
    ROW(net_ingest_raw, "bBn", 'c', "raw", 0, 1),
    ROW(net_ingest_raw_ex, "bBnw", 'c', "raw", sizeof(net_receipt_t), 1),
    ROW(net_ingest_keyed, "bKkBnw", 'c', "keyed", sizeof(net_receipt_t), 1),
    ROW(net_ingest_batch, "bJ", 'c', "[1,{},\"3\"]", 0, -1),
    ROW(net_ingest_raw_batch, "bAZz", 'c', "entry", 0, -1),
    ROW(net_ingest_raw_batch_ex, "bAZzww", 'c', "entry", ENTRIES * sizeof(size_t), -1),
    ROW(net_claim, "bKkqW", 'c', NULL, sizeof(net_claim_t), 0),
    ROW(net_commit, "Cw", 'c', NULL, sizeof(net_receipt_t), 1),
    ROW(net_abort, "C", 'v', NULL, 0, 0),
    ROW(net_producer_open, "bW", 'c', NULL, sizeof(void *), 0),
    ROW(net_producer_ingest, "pKkBniw", 'c', "produced", sizeof(net_receipt_t), 1),
    ROW(net_producer_close, "p", 'c', NULL, 0, 0),
    ROW(net_poll_ex, "bqoW", 'c', NULL, sizeof(net_poll_result_t), 0),
    ROW(net_free_poll_result, "P", 'v', NULL, 0, 0),
    ROW(net_poll, "bJOm", 'c', "{\"limit\":1}", 0, 0),
    ROW(net_subscribe, "bJW", 'c', "{\"from\":\"start\"}", sizeof(void *), 0),
    ROW(net_next, "sWqi", 'c', NULL, sizeof(net_event_t), 0),
    ROW(net_subscription_fd, "s", 'c', NULL, 0, 0),
    ROW(net_subscription_cursor, "sOmw", 'c', NULL, sizeof(uint64_t), 0),
    ROW(net_unsubscribe, "s", 'c', NULL, 0, 0),
    ROW(net_stats, "bOm", 'c', NULL, 0, 0),
    ROW(net_stats_ex, "bW", 'c', NULL, sizeof(net_stats_t), 0),
    ROW(net_metrics, "bOm", 'c', NULL, 0, 0),
    ROW(net_generate_keypair, "", 'p', NULL, 0, 0),
    ROW(net_free_string, "S", 'v', NULL, 0, 0),
    ROW(net_redis_dedup_new, "q", 'p', NULL, 0, 0),
    ROW(net_redis_dedup_free, "d", 'v', NULL, 0, 0),
    ROW(net_redis_dedup_is_duplicate, "dT", 'c', "id", 0, 0),
    ROW(net_redis_dedup_len, "d", 'v', NULL, 0, 0),
    ROW(net_redis_dedup_capacity, "d", 'z', NULL, 0, 0),
    ROW(net_redis_dedup_is_empty, "d", 'v', NULL, 0, 0),
    ROW(net_redis_dedup_clear, "d", 'v', NULL, 0, 0),
    ROW(net_redex_new, "o", 'p', NULL, 0, 0),
    ROW(net_redex_free, "r", 'c', NULL, 0, 0),
    ROW(net_redex_open_file, "rTjW", 'c', "other", sizeof(void *), 0),
    ROW(net_redex_file_append, "fBnw", 'c', "appended", sizeof(uint64_t), 0),
    ROW(net_redex_file_read_range, "fqqWw", 'c', NULL, sizeof(void *), 0),
    ROW(net_redex_file_read_raw, "fqqW", 'c', NULL, sizeof(net_redex_records_t), 0),
    ROW(net_redex_file_sync, "f", 'c', NULL, 0, 0),
    ROW(net_redex_file_len, "fW", 'c', NULL, sizeof(uint64_t), 0),
    ROW(net_redex_file_tail, "fqW", 'c', NULL, sizeof(void *), 0),
    ROW(net_redex_file_close, "f", 'c', NULL, 0, 0),
    ROW(net_redex_file_free, "f", 'c', NULL, 0, 0),
    ROW(net_redex_records_free, "R", 'c', NULL, 0, 0),
    ROW(net_redex_tail_next, "tiWw", 'c', NULL, sizeof(void *), 0),
    ROW(net_redex_tail_free, "t", 'c', NULL, 0, 0),
};
enum { ROW_COUNT = sizeof ROWS / sizeof ROWS[0] };

#endif
