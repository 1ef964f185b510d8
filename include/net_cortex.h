/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/**
 * @file net_cortex.h
 * libnet: named files, which are logs of events under names, in a directory or in memory.
 *
 * Generated from the library's source by `cargo xtask header`; do not edit.
 *
 * What holds for every function of net.h holds here, with these differences:
 *
 * - A redex, a file's handle and a cursor that were freed are NET_ERR_INVALID_ARGUMENT; freeing them again is harmless.
 * - They may be freed in any order: what belongs to a redex that is gone is refused, and is still to be freed.
 * - NET_ERR_REDEX says that a name, a configuration, a store or the state of a file refused; net_last_error() has why.
 * - A call posts a request to the redex's thread and waits on its own thread; every wait has a limit, which is said there.
 */

#ifndef NET_CORTEX_H
#define NET_CORTEX_H

#include <stddef.h>
#include <stdint.h>
#include "net.h"

/**
 * A handle on a named file. Opaque: a number that is looked up, never dereferenced.
 */
typedef struct net_redex_file_t net_redex_file_t;

/**
 * Named files in a directory or in memory. Opaque: a number that is looked up, never dereferenced.
 */
typedef struct net_redex_t net_redex_t;

/**
 * A cursor that follows a named file. Opaque: a number that is looked up, never dereferenced.
 */
typedef struct net_redex_tail_t net_redex_tail_t;

/**
 * An event of a named file. Read-only; the payload is not NUL-terminated and belongs to the result.
 */
typedef struct net_redex_record_t {
    /**
     * Its place in the file, from 0.
     */
    uint64_t seq;
    /**
     * When it was appended, nanoseconds since the Unix epoch; rises from event to event while the file is open.
     */
    uint64_t ts;
    /**
     * Its bytes as they were appended.
     */
    const char *payload;
    /**
     * Bytes of `payload`.
     */
    size_t len;
} net_redex_record_t;

/**
 * The answer of `net_redex_file_read_raw`. One block of memory, given back with `net_redex_records_free`.
 */
typedef struct net_redex_records_t {
    /**
     * The events in order; NULL if there is none.
     */
    struct net_redex_record_t *records;
    /**
     * Number of events.
     */
    size_t count;
} net_redex_records_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Opens the named files in a directory, which is made where it is missing and locked: a second redex on it is refused, in
 * this process and in others. NULL keeps every file in memory, and they end with the redex.
 *
 * Makes a thread, `net-redex`, and its executor's blocking helper, both with every signal blocked. Opening a persistent file
 * reads the end of its log on that thread.
 *
 * Threads: any. Ownership: the caller's until `net_redex_free`; the text is copied. Errors: NULL, with the detail in
 * `net_last_error`: text that is not UTF-8, a directory that cannot be made or is in use, `io_uring` that cannot be
 * used, 65,536 that are open, and in a forked child of a process that started a bus or a redex.
 *
 * Requires: `dir` is NULL or NUL-terminated.
 */
struct net_redex_t *net_redex_new(const char *dir);

/**
 * Ends a redex: what was appended is stored and synced, its tails end, and calls that wait on its files are answered or told
 * that the redex is freed. What is not stored after 5 s is given up; with a store that hangs it takes 25 s, and as long as the
 * calls inside take. NULL and a redex that was freed before do no harm and answer 0.
 *
 * Threads: any, also while others use the redex. Of several callers all return only when it has ended. Ownership: the redex
 * ends here; handles on its files and tails stay the caller's until they are freed, and are refused until then. Errors:
 * `NET_ERR_TIMEOUT` (a store did not end in time; the redex is freed nevertheless), `NET_ERR_INVALID_ARGUMENT` (was never a
 * redex), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
 */
int net_redex_free(struct net_redex_t *redex);

/**
 * Opens a file by its name, which is made where it is missing, and gives a handle on it. A file that is open already gets
 * one handle more; they see the same events.
 *
 * A name has 1 to 255 bytes of `[a-z0-9._/-]`, in components of at most 249 bytes between slashes. None of them is empty, `.` or
 * `..`, and none before a slash ends in `.redex`. The file `a/b` lies in the directory `a/b.redex`, which is locked while it is
 * open: it is refused where another redex or bus has it.
 *
 * A persistent file is kept in segments of 4 MiB, or an eighth of `retention_max_bytes` where that is less, but at least 1 MiB;
 * one or two are set aside on the disk while it is open. It takes up to 11 descriptors, and up to 45 MiB of memory under load.
 *
 * `config_json` is a JSON object; NULL or an empty string means all defaults, and so does null for a key:
 * - `persistent` (bool): whether the file outlives the redex; default: whether the redex has a directory.
 * - `retention_max_events`, `retention_max_bytes`, `retention_max_age_ms` (numbers above 0): the oldest events beyond are
 *   removed, of a persistent file a segment at a time and never the newest. Default: nothing is removed of a persistent file; one in memory keeps
 *   1,048,576 events and 256 MiB.
 * - `fsync` (`"never"`, `"every_batch"` or `{"interval_ms":n}`): when a persistent file is synced; default: 50 ms after a
 *   write at the latest.
 *
 * Threads: any. Ownership: `*file` is the caller's until `net_redex_file_free`; written on success only. Errors:
 * `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_UTF8`, `NET_ERR_REDEX` (a name or a configuration that is refused, its key's path
 * in the detail; open with another configuration; the store refuses; 1,024 files are open), `NET_ERR_TIMEOUT` (after 30 s),
 * `NET_ERR_INVALID_ARGUMENT` (not an open redex; 65,536 handles are open), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`,
 * `NET_ERR_FORKED`.
 *
 * Requires: `name` and `config_json` are NULL or NUL-terminated; `file` is NULL or writable.
 */
int net_redex_open_file(struct net_redex_t *redex,
                        const char *name,
                        const char *config_json,
                        struct net_redex_file_t **file);

/**
 * Appends an event, any bytes up to 16 MiB, and returns when it is stored. `*seq`, if it is not NULL, becomes its place in the
 * file: from 0, rising, by one from event to event but for those that the store refused and after a crash. Whether it is
 * durable then is what the file's `fsync` says.
 *
 * Events that are appended meanwhile by other threads are stored together. While 64 MiB of the file wait to be stored, the call
 * waits for room, up to 5 s. A store that refuses for now is tried again for 5 s; one that does not answer is given up after 5 s.
 * A call that has waited in vain, here and below, has in its detail what the store of the file has said last of what it could not
 * do, if it has stored nothing since: that the disk is full, say.
 *
 * Threads: any, at the same time too; events of one thread keep their order. Ownership: the bytes are copied; `seq` is written
 * on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an open handle, or a length above
 * `PTRDIFF_MAX`), `NET_ERR_TOO_LARGE`, `NET_ERR_INGESTION_FAILED` (no room: nothing was appended, try again),
 * `NET_ERR_TIMEOUT` (it may or may not be appended), `NET_ERR_REDEX` (the store refused, nothing was appended; or the file is
 * closed or its redex freed), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
 *
 * Requires: `bytes` is NULL or has `len` readable bytes; `seq` is NULL or writable.
 */
int net_redex_file_append(struct net_redex_file_t *file,
                          const char *bytes,
                          size_t len,
                          uint64_t *seq);

/**
 * Reads the events from `start` on and before `end` as JSON, `[{"seq":n,"ts":n,"payload":"<base64>"}]`, and returns how many
 * there are: those that are there, since retention may have removed some. `ts` is in nanoseconds since the Unix epoch; base64
 * is that of RFC 4648 with padding. `*len`, if it is not NULL, becomes the bytes of the text without its NUL.
 *
 * One call gives at most 1,048,576 events, and ends with the event that makes their records, of 24 bytes more than the
 * payload, 64 MiB. A range that was cut short is read on behind its last `seq`.
 *
 * Threads: any, at the same time too. Ownership: `*json` is the caller's until `net_free_string`; both are written on success
 * only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an open handle, or `start` is above `end`),
 * `NET_ERR_REDEX` (the store refused; or the file is closed or its redex freed), `NET_ERR_TIMEOUT` (after 30 s),
 * `NET_ERR_INGESTION_FAILED` (1,024 reads are under way), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
 *
 * Requires: `json` and `len` are NULL or writable.
 */
int net_redex_file_read_range(struct net_redex_file_t *file,
                              uint64_t start,
                              uint64_t end,
                              char **json,
                              size_t *len);

/**
 * `net_redex_file_read_range` without JSON: the events and their bytes in one block of memory.
 *
 * Threads: any, at the same time too. Ownership: `*out` is written on success only and given back with
 * `net_redex_records_free`. Errors: as `net_redex_file_read_range`.
 *
 * Requires: `out` is NULL or writable.
 */
int net_redex_file_read_raw(struct net_redex_file_t *file,
                            uint64_t start,
                            uint64_t end,
                            struct net_redex_records_t *out);

/**
 * Waits until every event whose append has returned is durable, as far as the store can make it so. A file in memory has nothing
 * to sync, and answers at once.
 *
 * Threads: any. Ownership: none. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an open handle),
 * `NET_ERR_REDEX` (the sync failed; or the file is closed or its redex freed), `NET_ERR_TIMEOUT` (after 30 s),
 * `NET_ERR_INGESTION_FAILED` (1,024 syncs are under way), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
 */
int net_redex_file_sync(struct net_redex_file_t *file);

/**
 * Writes the number of events that are there now: stored, and not removed by retention.
 *
 * Threads: any. Ownership: `len` is written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not
 * an open handle), `NET_ERR_REDEX` (the file is closed or its redex freed), `NET_ERR_TIMEOUT` (after 30 s),
 * `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
 *
 * Requires: `len` is NULL or writable.
 */
int net_redex_file_len(struct net_redex_file_t *file,
                       uint64_t *len);

/**
 * Makes a cursor that gives every event from `from_seq` on, once and in order, those that are there and those that come. A
 * place that is not reached yet is waited for; one that retention has removed becomes the oldest that is there.
 *
 * Threads: any; as many cursors on a file as one likes. Ownership: `*cursor` is the caller's until `net_redex_tail_free`, also
 * when the file is closed before; written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an
 * open handle; 65,536 cursors are open), `NET_ERR_REDEX` (the file is closed or its redex freed),
 * `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_FORKED`.
 *
 * Requires: `cursor` is NULL or writable.
 */
int net_redex_file_tail(struct net_redex_file_t *file,
                        uint64_t from_seq,
                        struct net_redex_tail_t **cursor);

/**
 * Closes a handle: its tails end and every later call on it is refused. With the last handle on it the file is closed: what was
 * appended is stored and synced, or given up after 5 s. A handle that is closed already is closed.
 *
 * Threads: any, also while others use the handle: what they have begun to append is stored or refused. Ownership: the handle stays the
 * caller's until `net_redex_file_free`. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not a handle, or freed),
 * `NET_ERR_REDEX` (the last sync failed; it is closed nevertheless), `NET_ERR_TIMEOUT` (given up; it is closed nevertheless),
 * `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
 */
int net_redex_file_close(struct net_redex_file_t *file);

/**
 * Closes a handle that is not closed, and frees it. NULL and a handle that was freed before do no harm and answer 0.
 *
 * Threads: any; waits for calls that are inside the handle. Ownership: the handle ends here. Errors: as `net_redex_file_close`,
 * the handle is freed nevertheless; `NET_ERR_INVALID_ARGUMENT` for what was never one.
 */
int net_redex_file_free(struct net_redex_file_t *file);

/**
 * Gives the answer of `net_redex_file_read_raw` back and sets it to zero, so that giving the same struct back again does no harm;
 * neither does NULL, nor a struct whose count the caller changed. A copy of a struct that was given back does no harm
 * until the library lends its address again.
 *
 * Threads: any. Ownership: the events and their bytes end here. Errors: 0 but for `NET_ERR_INVALID_ARGUMENT` (an address where
 * no such struct can lie); does nothing in a forked child.
 *
 * Requires: `records` is NULL or readable and writable.
 */
int net_redex_records_free(struct net_redex_records_t *records);

/**
 * Waits for events, and gives those that follow as JSON like `net_redex_file_read_range`; returns how many. 0 when none came
 * within `timeout_ms` milliseconds: `*json` is NULL then and `*len` 0. 0 milliseconds look once; negative ones wait for ever.
 * One call gives at most 4,096 events, and ends with the event that makes their records 1 MiB.
 *
 * Threads: any, one at a time: a call while another thread is inside is refused. Ownership: `*json` is the caller's until
 * `net_free_string`; `len` may be NULL; both are written on success only. Errors: `NET_ERR_NULL_POINTER`,
 * `NET_ERR_INVALID_ARGUMENT` (not a cursor, one in use or freed meanwhile), `NET_ERR_SHUTTING_DOWN` (the handle that the
 * cursor is from was closed, or the redex freed: the end), `NET_ERR_REDEX` (the store refused to read: the cursor stands where
 * it stood), `NET_ERR_TIMEOUT` (the store did not read within 30 s: likewise), `NET_ERR_INGESTION_FAILED` (1,024 reads are
 * under way: likewise), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
 *
 * Requires: `json` and `len` are NULL or writable.
 */
int net_redex_tail_next(struct net_redex_tail_t *cursor,
                        int timeout_ms,
                        char **json,
                        size_t *len);

/**
 * Frees a cursor. A `net_redex_tail_next` that another thread waits in returns `NET_ERR_INVALID_ARGUMENT`. NULL and a cursor that
 * was freed before do no harm and answer 0.
 *
 * Threads: any; waits for a call that is inside the cursor. Ownership: the cursor ends here; what it gave stays until it is
 * freed. Errors: `NET_ERR_INVALID_ARGUMENT` (was never a cursor), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_FORKED`.
 */
int net_redex_tail_free(struct net_redex_tail_t *cursor);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* NET_CORTEX_H */
