/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/**
 * @file net.h
 * libnet: an event bus inside the process.
 *
 * Generated from the library's source by `cargo xtask header`; do not edit.
 *
 * What holds for every function:
 *
 * - Threads. Any function may be called from any thread at any time, also while another thread shuts the bus down.
 *   Not from a signal handler. A claim is ended by the thread that made it, and a producer is used by one thread at a time.
 * - Codes. A negative int is a net_error_t, zero or more is success or a count. net_strerror() names a code,
 *   net_last_error() has the detail of this thread's last failure. Nothing is ever printed.
 * - Checks come in this order, before anything is read: handle, pointers, lengths, UTF-8, JSON.
 *   Outputs are written only on success, counts excepted.
 * - Every handle. NET_ERR_NULL_POINTER for NULL, NET_ERR_INVALID_ARGUMENT for what is no handle,
 *   NET_ERR_MISMATCHED_HANDLES for one of another kind, NET_ERR_SHUTTING_DOWN for ever after a shutdown,
 *   NET_ERR_FORKED in a forked child, NET_ERR_PANIC after the library failed inside (then it only takes a shutdown).
 *   A handle is looked up and never dereferenced: a stale or forged one is refused and touches no memory.
 * - Ownership. Inputs are copied before a call returns. What the library lends, it takes back with the function that is
 *   named there. An address that is not lent at the moment frees nothing.
 */

#ifndef NET_H
#define NET_H

#include <stddef.h>
#include <stdint.h>

/**
 * Version of this interface: the number in the SONAME. It changes only if an existing symbol or layout would change.
 */
#define NET_ABI_VERSION 100

/**
 * What the functions return: zero or a count, or one of these. A code is never renumbered.
 */
typedef enum net_error_t {
    /**
     * It worked.
     */
    NET_SUCCESS = 0,
    /**
     * A pointer that must not be NULL is. Final.
     */
    NET_ERR_NULL_POINTER = -1,
    /**
     * Text is not UTF-8. Final.
     */
    NET_ERR_INVALID_UTF8 = -2,
    /**
     * Text is not the JSON that is asked for. Final.
     */
    NET_ERR_INVALID_JSON = -3,
    /**
     * The bus could not be started. See `net_last_error`.
     */
    NET_ERR_INIT_FAILED = -4,
    /**
     * The event was not accepted: no room. Retry.
     */
    NET_ERR_INGESTION_FAILED = -5,
    /**
     * The poll has no answer: a cursor that is not this bus's (final), or no shard answered (retry).
     */
    NET_ERR_POLL_FAILED = -6,
    /**
     * The output does not fit. Retry with a larger buffer.
     */
    NET_ERR_BUFFER_TOO_SMALL = -7,
    /**
     * The bus is shut down, or about to be. Final.
     */
    NET_ERR_SHUTTING_DOWN = -8,
    /**
     * A count does not fit into an `int`. Final.
     */
    NET_ERR_INT_OVERFLOW = -9,
    /**
     * The handle is of another kind of object. Final.
     */
    NET_ERR_MISMATCHED_HANDLES = -10,
    /**
     * Text has a NUL in it. Final.
     */
    NET_ERR_INTERIOR_NUL = -11,
    /**
     * An argument is out of its range, or a handle was never given out. Final.
     */
    NET_ERR_INVALID_ARGUMENT = -12,
    /**
     * It did not end in time; its outcome is unknown or partial. Retry.
     */
    NET_ERR_TIMEOUT = -13,
    /**
     * Not part of this build. Final.
     */
    NET_ERR_UNSUPPORTED = -14,
    /**
     * The process is a fork of the one that started the bus. Final.
     */
    NET_ERR_FORKED = -15,
    /**
     * The library failed inside; the handle only takes a shutdown now. Final.
     */
    NET_ERR_PANIC = -16,
    /**
     * `io_uring` cannot be used. Operator: `net_last_error` has the cause and the cure.
     */
    NET_ERR_NO_IO_URING = -17,
    /**
     * The configuration was refused. Operator: `net_last_error` starts with the key's path.
     */
    NET_ERR_INVALID_CONFIG = -18,
    /**
     * The store refused. Operator: see `net_last_error`.
     */
    NET_ERR_ADAPTER = -19,
    /**
     * The event is larger than `max_event_bytes`, or its key than 1 MiB. Final.
     */
    NET_ERR_TOO_LARGE = -20,
    /**
     * Something else. See `net_last_error`.
     */
    NET_ERR_UNKNOWN = -99,
    /**
     * A named file, its name, its configuration or its store was refused. See `net_last_error`.
     */
    NET_ERR_REDEX = -103,
} net_error_t;

/**
 * A way into a bus that belongs to no thread. Opaque: a number that is looked up, never dereferenced.
 */
typedef struct net_producer_t net_producer_t;

/**
 * A filter that remembers identities it has seen. Opaque.
 */
typedef struct net_redis_dedup_t net_redis_dedup_t;

/**
 * A cursor that the shards push into. Opaque: a number that is looked up, never dereferenced.
 */
typedef struct net_subscription_t net_subscription_t;

/**
 * A bus. Opaque: a number that is looked up, never dereferenced, and never given out twice.
 */
typedef void *net_handle_t;

/**
 * What a producer is told about an accepted event.
 */
typedef struct net_receipt_t {
    /**
     * The shard that orders the event.
     */
    uint16_t shard_id;
    /**
     * Insertion time, nanoseconds since the Unix epoch, strictly increasing per thread.
     */
    uint64_t timestamp;
} net_receipt_t;

/**
 * An event's place in the bus, to be written by the thread that claimed it.
 */
typedef struct net_claim_t {
    /**
     * Where to write; NULL once the claim has ended.
     */
    void *data;
    /**
     * Bytes to write: all of them belong to the event.
     */
    size_t len;
    /**
     * The claim's identity.
     */
    uint64_t reserved[4];
} net_claim_t;

/**
 * An event as it was stored. Read-only; the strings are not NUL-terminated and belong to the result.
 */
typedef struct net_event_t {
    /**
     * Identity within its shard; with the memory store a decimal sequence number.
     */
    const char *id;
    /**
     * Bytes of `id`.
     */
    size_t id_len;
    /**
     * The bytes as they were published.
     */
    const char *raw;
    /**
     * Bytes of `raw`.
     */
    size_t raw_len;
    /**
     * Insertion time, nanoseconds since the Unix epoch.
     */
    uint64_t insertion_ts;
    /**
     * The shard that ordered the event.
     */
    uint16_t shard_id;
} net_event_t;

/**
 * The answer of `net_poll_ex`. One block of memory, given back with `net_free_poll_result`.
 */
typedef struct net_poll_result_t {
    /**
     * The events in order; NULL if there is none.
     */
    struct net_event_t *events;
    /**
     * Number of events.
     */
    size_t count;
    /**
     * Cursor to poll with next, NUL-terminated; NULL if nothing was ever examined and none was given.
     */
    char *next_id;
    /**
     * 1 if there may be more events to examine, 0 if not.
     */
    int has_more;
} net_poll_result_t;

/**
 * The bus's counters.
 */
typedef struct net_stats_t {
    /**
     * Events accepted.
     */
    uint64_t events_ingested;
    /**
     * Events dropped, for whatever reason.
     */
    uint64_t events_dropped;
    /**
     * Batches handed to the store.
     */
    uint64_t batches_dispatched;
} net_stats_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Text for a code. Any code; one that does not exist has a text too.
 *
 * Threads: any, at any time. Ownership: the text is static. Errors: none.
 */
const char *net_strerror(int code);

/**
 * Detail of the calling thread's last failure, an empty string if there was none.
 *
 * Threads: any; each has its own. Ownership: the library's, unchanged until this thread's next failing call.
 * Errors: none. A call that succeeds leaves it as it is, except a batch that returns a short count: that leaves why.
 */
const char *net_last_error(void);

/**
 * Starts a bus. `config_json` is a NUL-terminated JSON object; NULL or an empty string means all defaults.
 *
 * Threads: any. Ownership: the handle is valid until `net_shutdown`; afterwards it stays a number that every call
 * refuses. Errors: NULL, with the detail in `net_last_error`; `net_init_ex` gives a code too.
 *
 * Requires: `config_json` is NULL or NUL-terminated.
 */
net_handle_t net_init(const char *config_json);

/**
 * Starts a bus like `net_init`, and says why it could not.
 *
 * Threads: any. Ownership: `*out` as in `net_init`; written on success only. Errors: `NET_ERR_NULL_POINTER`,
 * `NET_ERR_INVALID_UTF8`, `NET_ERR_INVALID_CONFIG` (the detail starts with the key's path), `NET_ERR_UNSUPPORTED`
 * (a store that is not in this build), `NET_ERR_NO_IO_URING` (the detail has cause and cure), `NET_ERR_ADAPTER`,
 * `NET_ERR_FORKED`, `NET_ERR_INIT_FAILED`.
 *
 * Requires: `config_json` is NULL or NUL-terminated; `out` is NULL or writable.
 */
int net_init_ex(const char *config_json,
                net_handle_t *out);

/**
 * Waits until everything accepted before this call is stored, and synced where the store can.
 *
 * Threads: any; events published meanwhile neither delay nor satisfy it. Ownership: none. Errors:
 * `NET_ERR_TIMEOUT` after `flush_timeout_ms`, `NET_ERR_ADAPTER` when the store refused an event for good since the
 * last flush, `NET_ERR_SHUTTING_DOWN`, and those of any handle.
 */
int net_flush(net_handle_t handle);

/**
 * Stores what was accepted and stops the bus, within `shutdown_timeout_ms` (5 s).
 *
 * Threads: any, also while others use the handle: their calls end with `NET_ERR_SHUTTING_DOWN`. Of several callers
 * one gets the outcome and the others `NET_ERR_SHUTTING_DOWN`, and all return only when it is complete. Ownership:
 * the bus ends here; what was lent stays until it is given back. Errors: `NET_ERR_TIMEOUT` when events were left that
 * could not be stored (the bus is stopped nevertheless), and those of any handle, except that one whose bus failed
 * inside is shut down.
 */
int net_shutdown(net_handle_t handle);

/**
 * `net_shutdown` with a deadline of its own, in milliseconds from 0, that says how many events were not stored.
 *
 * Threads: as `net_shutdown`. Ownership: as `net_shutdown`; `not_stored` may be NULL, and is written on success and on
 * `NET_ERR_TIMEOUT`. Errors: as `net_shutdown`; a negative `timeout_ms` is `NET_ERR_INVALID_ARGUMENT` and shuts nothing
 * down.
 *
 * Requires: `not_stored` is NULL or writable.
 */
int net_shutdown_within(net_handle_t handle,
                        int timeout_ms,
                        uint64_t *not_stored);

/**
 * Number of shards, 0 if the handle is not usable.
 *
 * Threads: any. Ownership: none. Errors: 0, with the detail in `net_last_error`.
 */
uint16_t net_num_shards(net_handle_t handle);

/**
 * Version of the library, such as "0.1.0".
 *
 * Threads: any. Ownership: static. Errors: none.
 */
const char *net_version(void);

/**
 * Version of the interface: compare it with `NET_ABI_VERSION`.
 *
 * Threads: any. Ownership: none. Errors: none.
 */
uint32_t net_abi_version(void);

/**
 * Publishes one event, which has to be one JSON document. Its bytes are kept as they are.
 *
 * Threads: any. Ownership: the bytes are copied. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (a
 * length above `PTRDIFF_MAX`, or the thread has a claim open on the event's shard), `NET_ERR_INVALID_UTF8`,
 * `NET_ERR_INVALID_JSON`, `NET_ERR_TOO_LARGE`, `NET_ERR_INGESTION_FAILED` (no room: not accepted, try again),
 * `NET_ERR_SHUTTING_DOWN`, and those of any handle.
 *
 * Requires: `json` is NULL or has `len` readable bytes.
 */
int net_ingest(net_handle_t handle,
               const char *json,
               size_t len);

/**
 * Publishes one event, which has to be UTF-8 and is not looked at otherwise.
 *
 * Threads: any. Ownership: the bytes are copied. Errors: as `net_ingest`, without `NET_ERR_INVALID_JSON`.
 *
 * Requires: `bytes` is NULL or has `len` readable bytes.
 */
int net_ingest_raw(net_handle_t handle, const char *bytes, size_t len);

/**
 * `net_ingest_raw` that says where the event went and when. `out` may be NULL.
 *
 * Threads: any. Ownership: the bytes are copied; `out` is written on success only. Errors: as `net_ingest_raw`.
 *
 * Requires: `bytes` is NULL or has `len` readable bytes; `out` is NULL or writable.
 */
int net_ingest_raw_ex(net_handle_t handle,
                      const char *bytes,
                      size_t len,
                      struct net_receipt_t *out);

/**
 * `net_ingest_raw_ex` with a routing key: events of one thread with the same key keep their order. The key is up to 1 MiB of any
 * bytes; NULL with a length of 0 means none, and the event's own bytes route it. A Redis store keeps it with the event, as
 * the entry's field `k`, also an empty one; key and event together are then at most `max_event_bytes`. Every other store
 * forgets it. `out` may be NULL.
 *
 * Threads: any; what a thread publishes from the destructors of its thread-local data has no order with what it
 * published before. Ownership: the bytes are copied; `out` is written on success only. Errors: as `net_ingest_raw`.
 *
 * Requires: `key` is NULL or has `key_len` readable bytes; `bytes` is NULL or has `len`; `out` is NULL or writable.
 */
int net_ingest_keyed(net_handle_t handle,
                     const void *key,
                     size_t key_len,
                     const char *bytes,
                     size_t len,
                     struct net_receipt_t *out);

/**
 * Publishes the elements of a JSON array, each with its own bytes as they stand in the text, and returns how many
 * were accepted. Text that is not such an array is refused as a whole. The batch ends at its first refused event;
 * a short count is a prefix of the array, and `net_last_error` says what ended it.
 *
 * Threads: any. Ownership: the bytes are copied. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_UTF8`,
 * `NET_ERR_INVALID_JSON`, `NET_ERR_INT_OVERFLOW` (more than `INT_MAX` elements), `NET_ERR_TOO_LARGE` (the first
 * element is), `NET_ERR_INVALID_ARGUMENT` (a claim is open on its shard), `NET_ERR_SHUTTING_DOWN`, and those of any
 * handle. After an error nothing was accepted.
 *
 * Requires: `json_array` is NULL or NUL-terminated.
 */
int net_ingest_batch(net_handle_t handle,
                     const char *json_array);

/**
 * Publishes `count` events as `net_ingest_raw` does, and returns how many were accepted. Entries that are NULL,
 * not UTF-8 or larger than `max_event_bytes` are passed over. The batch ends at the first event that finds no
 * room: neither it nor any after it is accepted. After a short count `net_last_error` says why.
 *
 * Threads: any. Ownership: the bytes are copied. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT`,
 * `NET_ERR_INT_OVERFLOW` (`count` above `INT_MAX`), `NET_ERR_SHUTTING_DOWN`, and those of any handle. After an
 * error nothing was accepted.
 *
 * Requires: `jsons` and `lens` are NULL or have `count` entries; each entry is NULL or has as many readable bytes as its
 * length says.
 */
int net_ingest_raw_batch(net_handle_t handle,
                         const char *const *jsons,
                         const size_t *lens,
                         size_t count);

/**
 * `net_ingest_raw_batch` that names the entries that were not accepted: `failed` gets their indices, ascending, and
 * `failed_len` how many. That includes the event at which the batch ended and all after it. Both may be NULL.
 *
 * Threads: any. Ownership: the bytes are copied. `failed` and `failed_len` are also written when the events were
 * walked and none was accepted. Errors: as `net_ingest_raw_batch`.
 *
 * Requires: As `net_ingest_raw_batch`; `failed` is NULL or has room for `count` indices, `failed_len` is NULL or writable.
 */
int net_ingest_raw_batch_ex(net_handle_t handle,
                            const char *const *jsons,
                            const size_t *lens,
                            size_t count,
                            size_t *failed,
                            size_t *failed_len);

/**
 * Claims the place of an event of `len` bytes, to be written at `out->data` and published with `net_commit`. The key
 * routes it, and is kept or forgotten, as in `net_ingest_keyed`; it is needed, because there are no bytes yet. What the
 * place holds before it is written is of no meaning. An open claim keeps its thread's other events to the same shard
 * out, and nothing else: a flush and a shutdown do not wait for it. Waits for room as `net_ingest_raw` does.
 *
 * Threads: any; the claim belongs to the calling thread, which alone may end it. Ownership: the place is the caller's
 * until the claim is committed or aborted, also when the bus is shut down meanwhile; a thread that ends aborts its
 * claims. `out` is written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (a `key_len`
 * of 0, a length above `PTRDIFF_MAX`, or the thread has a claim open on that shard), `NET_ERR_TOO_LARGE`,
 * `NET_ERR_INGESTION_FAILED` (no room, or the thread is in the destructors of its thread-local data),
 * `NET_ERR_SHUTTING_DOWN`, and those of any handle.
 *
 * Requires: `key` is NULL or has `key_len` readable bytes; `out` is NULL or writable.
 */
int net_claim(net_handle_t handle,
              const void *key,
              size_t key_len,
              size_t len,
              struct net_claim_t *out);

/**
 * Publishes the event of a claim: `len` bytes, as they were claimed, which have to be UTF-8. Its time is that of this
 * call. The claim has ended with success and with every error but `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT`
 * and `NET_ERR_FORKED`; nothing was published after an error. `out` may be NULL.
 *
 * Threads: the one that made the claim. Ownership: the place goes back to the library, and `claim->data` becomes NULL;
 * `out` is written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an open claim of
 * this thread: ended before, of another thread, or never made), `NET_ERR_INVALID_UTF8`, `NET_ERR_SHUTTING_DOWN`,
 * `NET_ERR_PANIC`, `NET_ERR_FORKED`.
 *
 * Requires: `claim` is NULL or leads to a claim; `out` is NULL or writable; nobody writes into the claim's place any more.
 */
int net_commit(struct net_claim_t *claim,
               struct net_receipt_t *out);

/**
 * Gives a claim up: nothing is published. NULL, and what is not an open claim of the calling thread, does no harm.
 *
 * Threads: the one that made the claim; from another it does nothing. Ownership: the place goes back to the library,
 * and `claim->data` becomes NULL. Errors: none; `net_last_error` says why nothing was done.
 *
 * Requires: `claim` is NULL or leads to a claim; nobody writes into the claim's place any more.
 */
void net_abort(struct net_claim_t *claim);

/**
 * Opens a way into the bus that belongs to no thread.
 *
 * Threads: any. Ownership: `*out` is the caller's until `net_producer_close`, also when the bus is shut down before;
 * written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT`, `NET_ERR_INGESTION_FAILED`
 * (65,536 producers are open), `NET_ERR_SHUTTING_DOWN`, and those of any handle.
 *
 * Requires: `out` is NULL or writable.
 */
int net_producer_open(net_handle_t handle,
                      struct net_producer_t **out);

/**
 * Publishes one event, which has to be UTF-8, and waits for room for `timeout_ms` milliseconds from 0: as long as the
 * bus is full, and not shorter than `push_wait_us`. Key, bytes and `out` are those of `net_ingest_keyed`.
 *
 * Threads: any, one at a time: a call while another thread is inside is refused. Ownership: the bytes are copied; `out`
 * is written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an open producer, one in
 * use, a negative `timeout_ms`, a length above `PTRDIFF_MAX`), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_INVALID_UTF8`,
 * `NET_ERR_TOO_LARGE`, `NET_ERR_INGESTION_FAILED` (no room in time: not accepted), `NET_ERR_SHUTTING_DOWN`,
 * `NET_ERR_PANIC` and `NET_ERR_FORKED`.
 *
 * Requires: `key` is NULL or has `key_len` readable bytes; `bytes` is NULL or has `len`; `out` is NULL or writable.
 */
int net_producer_ingest(struct net_producer_t *producer,
                        const void *key,
                        size_t key_len,
                        const char *bytes,
                        size_t len,
                        int timeout_ms,
                        struct net_receipt_t *out);

/**
 * Closes a producer. What it has published is stored; its lanes are given back.
 *
 * Threads: any; waits for a call that is inside the producer. Ownership: the producer ends here, also after a shutdown
 * of its bus. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not a producer, or closed before),
 * `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_FORKED`.
 */
int net_producer_close(struct net_producer_t *producer);

/**
 * Reads up to `limit` events of all shards, `limit` being at least 1, from `cursor` on; NULL reads from the oldest
 * event that is still there. A poll examines a bounded number of events, and may return none although `has_more` is 1.
 *
 * Threads: any, at the same time too. Ownership: `*out` is written on success only and given back with
 * `net_free_poll_result`. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (a `limit` of 0),
 * `NET_ERR_POLL_FAILED` (a cursor that is not one of this store, or not UTF-8; or no shard answered),
 * `NET_ERR_SHUTTING_DOWN`, and those of any handle. After an error nothing was lost: the same cursor reads the same
 * events again.
 *
 * Requires: `cursor` is NULL or NUL-terminated; `out` is NULL or writable.
 */
int net_poll_ex(net_handle_t handle,
                size_t limit,
                const char *cursor,
                struct net_poll_result_t *out);

/**
 * Gives a poll result back and sets it to zero, so that giving the same struct back again does no harm; neither does
 * NULL, nor a struct whose counts, flags or events the caller changed. A copy of a struct that was given back does no
 * harm until the library lends its address again.
 *
 * Threads: any. Ownership: the events and the cursor of the result end here. Errors: none.
 *
 * Requires: `result` is NULL or readable and writable.
 */
void net_free_poll_result(struct net_poll_result_t *result);

/**
 * Polls with a request in JSON and answers with JSON, NUL-terminated; returns its bytes without the NUL.
 *
 * The request is an object with `limit` (100), `cursor`, `ordering` (`"none"` or `"insertion_ts"`), `filter` and
 * `shards`, each of which may be left out or null. The answer has `events`, `next_id`, `has_more`, `count` and
 * `parse_errors`, and where it applies `skipped` and `failed_shards`. Events appear with their own bytes; those
 * that are not JSON appear as strings and count in `parse_errors`, together with stored records that could not be
 * read. In either order, what a log holds from before a change of `num_shards` comes first.
 *
 * Threads: any, at the same time too. Ownership: the request is copied; `out` stays the caller's. Errors:
 * `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (a `len` above `PTRDIFF_MAX`, a shard that is not there),
 * `NET_ERR_BUFFER_TOO_SMALL` (below 256 bytes nothing is done; otherwise the buffer holds an answer without
 * events, with the request's cursor as `next_id`, with `"buffer_too_small":true` and with the bytes it takes in
 * `required`, or an empty string where not even that fits), `NET_ERR_INVALID_UTF8`, `NET_ERR_INVALID_JSON` (an
 * unknown key, a wrong type), `NET_ERR_POLL_FAILED`, `NET_ERR_INT_OVERFLOW`, `NET_ERR_SHUTTING_DOWN`, and those of
 * any handle. After an error nothing was lost.
 *
 * Requires: `request_json` is NULL or NUL-terminated; `out` is NULL or has `len` writable bytes.
 */
int net_poll(net_handle_t handle,
             const char *request_json,
             char *out,
             size_t len);

/**
 * Subscribes. The request is an object with `from` (`"now"`, which is the default, `"start"`, or a cursor of a poll or
 * a subscription), `filter` and `shards`, as in `net_poll`. From now on means: every event that is stored after this
 * call has returned.
 *
 * Every shard pushes what it has stored into a lane to the subscriber, of twice `lane_bytes`. A subscriber that does
 * not keep up stalls nobody: the shard goes on from the store when there is room again, and what retention has removed
 * by then is counted. Each event costs its shard one copy a subscriber.
 *
 * Threads: any. Ownership: `*out` is the caller's until `net_unsubscribe`, also when the bus is shut down before;
 * written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (a shard that is not there),
 * `NET_ERR_INVALID_UTF8`, `NET_ERR_INVALID_JSON` (an unknown key, a wrong type), `NET_ERR_POLL_FAILED` (a cursor that is
 * not one of this store; 65,536 subscriptions are open; half of `lanes_bytes_max` or the process's descriptors are used
 * up; a shard does not answer), `NET_ERR_SHUTTING_DOWN`, and those of any handle.
 *
 * Requires: `request_json` is NULL or NUL-terminated; `out` is NULL or writable.
 */
int net_subscribe(net_handle_t handle,
                  const char *request_json,
                  struct net_subscription_t **out);

/**
 * Waits for events, writes up to `max` of them to `events`, and returns how many; 0 when none came within `timeout_ms`
 * milliseconds. 0 milliseconds look once; negative ones wait for ever. The events of one call are of one shard, in its
 * order. A call that waits looks for `spin_us` and then sleeps. With a filter a look ends after 1,024 events that are not
 * wanted, so 0 may be returned although there are more; the descriptor stays readable then. A `max` above `INT_MAX` is
 * taken for it.
 *
 * Threads: any, one at a time: a call while another thread is inside is refused. Ownership: the events and their bytes
 * are read-only, and stay until the next `net_next` or `net_unsubscribe` of this subscription, also when the bus is
 * shut down meanwhile. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an open subscription, one in
 * use or unsubscribed meanwhile, a `max` of 0), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_SHUTTING_DOWN` (the bus is shut
 * down, and everything its shards had pushed was given but for what waits for events from before a change of `num_shards`), `NET_ERR_PANIC` and `NET_ERR_FORKED`.
 *
 * Requires: `events` is NULL or has room for `max` entries.
 */
int net_next(struct net_subscription_t *subscription,
             struct net_event_t *events,
             size_t max,
             int timeout_ms);

/**
 * A descriptor that is readable when there may be events, for `epoll` and its like. It is readable from the start, and
 * until `net_next` has returned 0, which makes it unreadable until a shard pushes again. So an event loop calls
 * `net_next` with a timeout of 0 once for every time the descriptor is reported, and misses nothing; with edge
 * triggering it calls until the answer is 0. It stays readable when the bus has ended. Only to be waited for: the
 * library alone reads and closes it. It is to be taken out of an `epoll` before `net_unsubscribe`, because it closes only
 * when every shard has let go of it.
 *
 * ```c
 * int epoll = epoll_create1(EPOLL_CLOEXEC);
 * struct epoll_event wanted = { .events = EPOLLIN, .data.ptr = subscription };
 * epoll_ctl(epoll, EPOLL_CTL_ADD, net_subscription_fd(subscription), &wanted);
 * for (;;) {
 *     struct epoll_event ready;
 *     if (epoll_wait(epoll, &ready, 1, -1) != 1) continue;
 *     net_event_t events[256];
 *     int count = net_next(ready.data.ptr, events, 256, 0);
 *     if (count < 0) break;                       // NET_ERR_SHUTTING_DOWN: everything was given
 *     for (int i = 0; i < count; i++) handle(&events[i]);
 * }
 * epoll_ctl(epoll, EPOLL_CTL_DEL, net_subscription_fd(subscription), NULL);
 * net_unsubscribe(subscription);
 * ```
 *
 * Threads: as `net_next`. Ownership: the library's, closed after `net_unsubscribe`. Errors: `NET_ERR_NULL_POINTER`,
 * `NET_ERR_INVALID_ARGUMENT`, `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_FORKED`.
 */
int net_subscription_fd(struct net_subscription_t *subscription);

/**
 * Writes the subscription's position as a cursor, NUL-terminated, and returns its bytes without the NUL: it is behind
 * every event that `net_next` has given or the filter has rejected, and good for `net_subscribe`, `net_poll` and
 * `net_poll_ex`. `*skipped`, if it is not NULL, becomes the number of events that retention had removed before this
 * subscriber got them, since the last call of this function that succeeded with it.
 *
 * Threads: as `net_next`; also after a shutdown. Ownership: `out` and `skipped` are written on success only. Errors:
 * `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT`, `NET_ERR_BUFFER_TOO_SMALL`, `NET_ERR_MISMATCHED_HANDLES`,
 * `NET_ERR_FORKED`.
 *
 * Requires: `out` is NULL or has `len` writable bytes; `skipped` is NULL or writable.
 */
int net_subscription_cursor(struct net_subscription_t *subscription,
                            char *out,
                            size_t len,
                            uint64_t *skipped);

/**
 * Ends a subscription. A `net_next` that another thread is waiting in returns `NET_ERR_INVALID_ARGUMENT`.
 *
 * Threads: any; waits for a call that is inside the subscription. Ownership: the subscription, its descriptor and the
 * events it has given end here, also after a shutdown of its bus. Errors: `NET_ERR_NULL_POINTER`,
 * `NET_ERR_INVALID_ARGUMENT` (not a subscription, or ended before), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_FORKED`.
 */
int net_unsubscribe(struct net_subscription_t *subscription);

/**
 * Writes the bus's statistics as one JSON object, NUL-terminated, and returns its bytes without the NUL.
 *
 * In the object and for each shard in it: events `ingested` = `stored` + `dropped` + `pending_events`, `dropped` split by reason.
 * What was `refused` was never accepted; what was `delivered` was made readable to subscribers, counted for each.
 * `pending_events_max` and `pending_bytes_max` are high-water marks. `batch_events` and `submit_latency_ns` have `p50`, `p99` and
 * `max` of the `batches` acknowledged; a percentile is at most double of what it was, `max` is exact, and a store that
 * acknowledges within the shard's round takes 0 ns. `adapter` is `up`, `retrying`, `connecting` or `down`, for the bus the
 * worst of them; `adapter_counts` is what a store counts of its own. A shard's `last_error` is what its store has refused with last, or why it lost or could not make its connection; `null` if neither ever was. `cores_shared`
 * says that there are more shards than CPUs, so that none spins; `stalls` counts shards that stood still and were woken;
 * `lanes_bytes` is the memory of the threads' ways in. `subscriptions` are numbered in the order in which they were opened; `lag_events`
 * is what a subscriber has not given back yet of what its shards have stored. `build` says what the library is. A reader
 * passes over keys that it does not know. The object takes some 1 KiB, 0.5 KiB for each
 * shard, and 50 bytes for each shard of a subscription.
 *
 * Threads: any. Ownership: `out` stays the caller's, and is written on success only. Errors: `NET_ERR_NULL_POINTER`,
 * `NET_ERR_INVALID_ARGUMENT`, `NET_ERR_BUFFER_TOO_SMALL` (`net_last_error` says the bytes it takes),
 * `NET_ERR_SHUTTING_DOWN`, and those of any handle.
 *
 * Requires: `out` is NULL or has `len` writable bytes.
 */
int net_stats(net_handle_t handle,
              char *out,
              size_t len);

/**
 * Writes the bus's three main counters.
 *
 * Threads: any. Ownership: `*out` is written on success only. Errors: `NET_ERR_NULL_POINTER`,
 * `NET_ERR_SHUTTING_DOWN`, and those of any handle.
 *
 * Requires: `out` is NULL or writable.
 */
int net_stats_ex(net_handle_t handle, struct net_stats_t *out);

/**
 * Writes the bus's statistics as Prometheus text, NUL-terminated, and returns its bytes without the NUL.
 *
 * The format is `OpenMetrics` 1.0 (`application/openmetrics-text`), every name begins with `libnet_` and ends with its unit.
 * `libnet_ingested_events_total` and its like are of the bus, `libnet_shard_ingested_events_total{shard="0"}` and its like of each
 * shard: a sum over the second is the first. What `net_stats` says of an adapter's last error is in no metric. The text takes
 * some 10 KiB, 4 KiB for each shard, and 100 bytes for each shard of a subscription.
 *
 * Threads: any. Ownership: `out` stays the caller's, and is written on success only. Errors: `NET_ERR_NULL_POINTER`,
 * `NET_ERR_INVALID_ARGUMENT`, `NET_ERR_BUFFER_TOO_SMALL` (`net_last_error` says the bytes it takes),
 * `NET_ERR_SHUTTING_DOWN`, and those of any handle.
 *
 * Requires: `out` is NULL or has `len` writable bytes.
 */
int net_metrics(net_handle_t handle,
                char *out,
                size_t len);

/**
 * Makes an X25519 key pair (RFC 7748): `{"public_key":hex64,"secret_key":hex64}`.
 *
 * Threads: any. Ownership: the caller's, until `net_free_string`. Errors: NULL, with the detail in `net_last_error`,
 * when the system gives no random bytes and in a forked child of a process that started a bus.
 */
char *net_generate_keypair(void);

/**
 * Frees a string that this library gave to the caller. NULL and an address where nothing of the library's lies do no
 * harm; neither does a string that was freed before, until the library lends its address again.
 *
 * Threads: any. Ownership: the string ends here. Errors: none; does nothing in a forked child.
 */
void net_free_string(char *string);

/**
 * Makes a filter that remembers `capacity` identities; 0 means 4,096. Memory is taken as identities arrive.
 *
 * Threads: any, also the same filter from several. Ownership: the caller's, until `net_redis_dedup_free`. Errors:
 * never NULL; in a forked child of a process that started a bus the filter is one that every function refuses.
 */
struct net_redis_dedup_t *net_redis_dedup_new(size_t capacity);

/**
 * Frees a filter. NULL and a filter that was freed before do no harm.
 *
 * Threads: any, also while others use the filter: their calls end as if it were still there, and the last of them
 * frees its memory. Ownership: the filter ends here. Errors: none; does nothing in a forked child.
 */
void net_redis_dedup_free(struct net_redis_dedup_t *filter);

/**
 * Whether `dedup_id` was seen: 1 if it was, 0 if not, and from now on it is. Either way it is the most recent.
 *
 * Threads: any. Ownership: the text is copied. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_UTF8`,
 * `NET_ERR_INVALID_ARGUMENT` (not a filter, or one that was freed), `NET_ERR_MISMATCHED_HANDLES` (a bus),
 * `NET_ERR_FORKED` (in a forked child of a process that started a bus).
 *
 * Requires: `dedup_id` is NULL or NUL-terminated.
 */
int net_redis_dedup_is_duplicate(struct net_redis_dedup_t *filter,
                                 const char *dedup_id);

/**
 * Number of identities remembered, 0 for what is not a filter.
 *
 * Threads: any. Ownership: the filter stays the caller's. Errors: 0, with the detail in `net_last_error`.
 */
size_t net_redis_dedup_len(struct net_redis_dedup_t *filter);

/**
 * Number of identities it can remember, 0 for what is not a filter.
 *
 * Threads: any. Ownership: the filter stays the caller's. Errors: 0, with the detail in `net_last_error`.
 */
size_t net_redis_dedup_capacity(struct net_redis_dedup_t *filter);

/**
 * 1 if it remembers nothing, 0 if it does; 1 for what is not a filter.
 *
 * Threads: any. Ownership: the filter stays the caller's. Errors: 1, with the detail in `net_last_error`.
 */
int net_redis_dedup_is_empty(struct net_redis_dedup_t *filter);

/**
 * Forgets everything. NULL and a filter that was freed do no harm.
 *
 * Threads: any. Ownership: the filter stays the caller's. Errors: none; does nothing in a forked child.
 */
void net_redis_dedup_clear(struct net_redis_dedup_t *filter);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* NET_H */
