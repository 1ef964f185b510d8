//! Files: appending, reading by range, syncing and closing.

use std::ffi::{c_char, c_int};
use std::ptr;

use adapters::named::NamedFile;

use super::abi::{net_redex_file_t, net_redex_records_t, net_redex_tail_t};
use super::{enter, key_of, records, refused, tail};
use crate::guard::{self, absent_or_present, length, present};
use crate::handle::Kind;
use crate::slot::{Refusal, Table};
use crate::status::Failure;

/// Appends an event, any bytes up to 16 MiB, and returns when it is stored. `*seq`, if it is not NULL, becomes its place in the
/// file: from 0, rising, by one from event to event but for those that the store refused and after a crash. Whether it is
/// durable then is what the file's `fsync` says.
///
/// Events that are appended meanwhile by other threads are stored together. While 64 MiB of the file wait to be stored, the call
/// waits for room, up to 5 s. A store that refuses for now is tried again for 5 s; one that does not answer is given up after 5 s.
/// A call that has waited in vain, here and below, has in its detail what the store of the file has said last of what it could not
/// do, if it has stored nothing since: that the disk is full, say.
///
/// Threads: any, at the same time too; events of one thread keep their order. Ownership: the bytes are copied; `seq` is written
/// on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an open handle, or a length above
/// `PTRDIFF_MAX`), `NET_ERR_TOO_LARGE`, `NET_ERR_INGESTION_FAILED` (no room: nothing was appended, try again),
/// `NET_ERR_TIMEOUT` (it may or may not be appended), `NET_ERR_REDEX` (the store refused, nothing was appended; or the file is
/// closed or its redex freed), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
///
/// # Safety
/// `bytes` is NULL or has `len` readable bytes; `seq` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_redex_file_append(
    file: *mut net_redex_file_t,
    bytes: *const c_char,
    len: usize,
    seq: *mut u64,
) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        let file = enter(&FILES, Kind::RedexFile, "file", file)?;
        present("bytes", bytes)?;
        absent_or_present("seq", seq)?;
        length("len", len)?;
        // SAFETY: not NULL, of a possible length, and readable by the caller's contract.
        let place = file.append(unsafe { guard::bytes(bytes, len) })?;
        if !seq.is_null() {
            // SAFETY: not NULL, aligned, and writable by the caller's contract.
            unsafe { seq.write(place) };
        }
        Ok(0)
    })
}

/// Reads the events from `start` on and before `end` as JSON, `[{"seq":n,"ts":n,"payload":"<base64>"}]`, and returns how many
/// there are: those that are there, since retention may have removed some. `ts` is in nanoseconds since the Unix epoch; base64
/// is that of RFC 4648 with padding. `*len`, if it is not NULL, becomes the bytes of the text without its NUL.
///
/// One call gives at most 1,048,576 events, and ends with the event that makes their records, of 24 bytes more than the
/// payload, 64 MiB. A range that was cut short is read on behind its last `seq`.
///
/// Threads: any, at the same time too. Ownership: `*json` is the caller's until `net_free_string`; both are written on success
/// only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an open handle, or `start` is above `end`),
/// `NET_ERR_REDEX` (the store refused; or the file is closed or its redex freed), `NET_ERR_TIMEOUT` (after 30 s),
/// `NET_ERR_INGESTION_FAILED` (1,024 reads are under way), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
///
/// # Safety
/// `json` and `len` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_redex_file_read_range(
    file: *mut net_redex_file_t,
    start: u64,
    end: u64,
    json: *mut *mut c_char,
    len: *mut usize,
) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        let file = enter(&FILES, Kind::RedexFile, "file", file)?;
        present("json", json)?;
        absent_or_present("len", len)?;
        let found = file.read(start, end)?;
        // SAFETY: both were looked at above, and are writable by the caller's contract.
        unsafe { records::give_json(&found, json, len) }
    })
}

/// `net_redex_file_read_range` without JSON: the events and their bytes in one block of memory.
///
/// Threads: any, at the same time too. Ownership: `*out` is written on success only and given back with
/// `net_redex_records_free`. Errors: as `net_redex_file_read_range`.
///
/// # Safety
/// `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_redex_file_read_raw(
    file: *mut net_redex_file_t,
    start: u64,
    end: u64,
    out: *mut net_redex_records_t,
) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        let file = enter(&FILES, Kind::RedexFile, "file", file)?;
        present("out", out)?;
        let found = file.read(start, end)?;
        let count = c_int::try_from(found.len()).map_err(|_| Failure::IntOverflow(found.len()))?;
        // SAFETY: not NULL, aligned, and writable by the caller's contract.
        unsafe { out.write(records::lend(&found)) };
        Ok(count)
    })
}

/// Waits until every event whose append has returned is durable, as far as the store can make it so. A file in memory has nothing
/// to sync, and answers at once.
///
/// Threads: any. Ownership: none. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an open handle),
/// `NET_ERR_REDEX` (the sync failed; or the file is closed or its redex freed), `NET_ERR_TIMEOUT` (after 30 s),
/// `NET_ERR_INGESTION_FAILED` (1,024 syncs are under way), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn net_redex_file_sync(file: *mut net_redex_file_t) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        enter(&FILES, Kind::RedexFile, "file", file)?.sync()?;
        Ok(0)
    })
}

/// Writes the number of events that are there now: stored, and not removed by retention.
///
/// Threads: any. Ownership: `len` is written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not
/// an open handle), `NET_ERR_REDEX` (the file is closed or its redex freed), `NET_ERR_TIMEOUT` (after 30 s),
/// `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
///
/// # Safety
/// `len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_redex_file_len(file: *mut net_redex_file_t, len: *mut u64) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        let file = enter(&FILES, Kind::RedexFile, "file", file)?;
        present("len", len)?;
        let count = file.count()?;
        // SAFETY: not NULL, aligned, and writable by the caller's contract.
        unsafe { len.write(count) };
        Ok(0)
    })
}

/// Makes a cursor that gives every event from `from_seq` on, once and in order, those that are there and those that come. A
/// place that is not reached yet is waited for; one that retention has removed becomes the oldest that is there.
///
/// Threads: any; as many cursors on a file as one likes. Ownership: `*cursor` is the caller's until `net_redex_tail_free`, also
/// when the file is closed before; written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an
/// open handle; 65,536 cursors are open), `NET_ERR_REDEX` (the file is closed or its redex freed),
/// `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_FORKED`.
///
/// # Safety
/// `cursor` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_redex_file_tail(
    file: *mut net_redex_file_t,
    from_seq: u64,
    cursor: *mut *mut net_redex_tail_t,
) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        let file = enter(&FILES, Kind::RedexFile, "file", file)?;
        present("cursor", cursor)?;
        let handle = tail::open(file.tail(from_seq)?)?;
        // SAFETY: not NULL, aligned, and writable by the caller's contract.
        unsafe { cursor.write(handle) };
        Ok(0)
    })
}

/// Closes a handle: its tails end and every later call on it is refused. With the last handle on it the file is closed: what was
/// appended is stored and synced, or given up after 5 s. A handle that is closed already is closed.
///
/// Threads: any, also while others use the handle: what they have begun to append is stored or refused. Ownership: the handle stays the
/// caller's until `net_redex_file_free`. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not a handle, or freed),
/// `NET_ERR_REDEX` (the last sync failed; it is closed nevertheless), `NET_ERR_TIMEOUT` (given up; it is closed nevertheless),
/// `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn net_redex_file_close(file: *mut net_redex_file_t) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        enter(&FILES, Kind::RedexFile, "file", file)?.close()?;
        Ok(0)
    })
}

/// Closes a handle that is not closed, and frees it. NULL and a handle that was freed before do no harm and answer 0.
///
/// Threads: any; waits for calls that are inside the handle. Ownership: the handle ends here. Errors: as `net_redex_file_close`,
/// the handle is freed nevertheless; `NET_ERR_INVALID_ARGUMENT` for what was never one.
#[unsafe(no_mangle)]
pub extern "C" fn net_redex_file_free(file: *mut net_redex_file_t) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        if file.is_null() {
            return Ok(0);
        }
        match FILES.close(key_of(Kind::RedexFile, "file", file)?) {
            Err(Refusal::Closed) => Ok(0),
            Err(refusal) => Err(refused(refusal)),
            Ok(closing) => {
                let closed = closing.close();
                drop(closing);
                closed?;
                Ok(0)
            }
        }
    })
}

/// Gives a file its handle.
pub(super) fn open(file: NamedFile) -> Result<*mut net_redex_file_t, Failure> {
    let key = FILES.insert(file).map_err(|_| Failure::RedexHandlesExhausted)?;
    Ok(ptr::without_provenance_mut(Kind::RedexFile.tag_key(key)))
}

#[cfg(not(loom))]
static FILES: Table<NamedFile> = Table::new();
#[cfg(loom)]
static FILES: std::sync::LazyLock<Table<NamedFile>> = std::sync::LazyLock::new(Table::new);
