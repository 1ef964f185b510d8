//! Tails: cursors that follow a file.

use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use adapters::named::{RedexError, Tail, TailCloser};

use super::abi::net_redex_tail_t;
use super::{enter, key_of, records, refused};
use crate::guard::{self, absent_or_present, present};
use crate::handle::Kind;
use crate::slot::{Refusal, Table};
use crate::status::Failure;

/// Waits for events, and gives those that follow as JSON like `net_redex_file_read_range`; returns how many. 0 when none came
/// within `timeout_ms` milliseconds: `*json` is NULL then and `*len` 0. 0 milliseconds look once; negative ones wait for ever.
/// One call gives at most 4,096 events, and ends with the event that makes their records 1 MiB.
///
/// Threads: any, one at a time: a call while another thread is inside is refused. Ownership: `*json` is the caller's until
/// `net_free_string`; `len` may be NULL; both are written on success only. Errors: `NET_ERR_NULL_POINTER`,
/// `NET_ERR_INVALID_ARGUMENT` (not a cursor, one in use or freed meanwhile), `NET_ERR_SHUTTING_DOWN` (the handle that the
/// cursor is from was closed, or the redex freed: the end), `NET_ERR_REDEX` (the store refused to read: the cursor stands where
/// it stood), `NET_ERR_TIMEOUT` (the store did not read within 30 s: likewise), `NET_ERR_INGESTION_FAILED` (1,024 reads are
/// under way: likewise), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
///
/// # Safety
/// `json` and `len` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_redex_tail_next(
    cursor: *mut net_redex_tail_t,
    timeout_ms: c_int,
    json: *mut *mut c_char,
    len: *mut usize,
) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        let seat = enter(&TAILS, Kind::RedexTail, "cursor", cursor)?;
        let mut tail = seat.tail.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Failure::TailInUse,
            TryLockError::Poisoned(_) => Failure::Poisoned,
        })?;
        present("json", json)?;
        absent_or_present("len", len)?;
        let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        let found = tail.next(timeout).map_err(|error| match error {
            RedexError::Closed if seat.closer.is_closed() => Failure::Freed,
            RedexError::Closed | RedexError::Ended => Failure::TailEnded(error),
            error => error.into(),
        })?;
        if found.is_empty() {
            // SAFETY: both were looked at above, and are writable by the caller's contract.
            unsafe { records::give_nothing(json, len) };
            return Ok(0);
        }
        // SAFETY: as above.
        unsafe { records::give_json(&found, json, len) }
    })
}

/// Frees a cursor. A `net_redex_tail_next` that another thread waits in returns `NET_ERR_INVALID_ARGUMENT`. NULL and a cursor that
/// was freed before do no harm and answer 0.
///
/// Threads: any; waits for a call that is inside the cursor. Ownership: the cursor ends here; what it gave stays until it is
/// freed. Errors: `NET_ERR_INVALID_ARGUMENT` (was never a cursor), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn net_redex_tail_free(cursor: *mut net_redex_tail_t) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        if cursor.is_null() {
            return Ok(0);
        }
        match TAILS.close(key_of(Kind::RedexTail, "cursor", cursor)?) {
            Err(Refusal::Closed) => Ok(0),
            Err(refusal) => Err(refused(refusal)),
            Ok(closing) => {
                closing.closer.close();
                drop(closing);
                Ok(0)
            }
        }
    })
}

/// What a cursor is made of.
struct Seat {
    closer: TailCloser,
    tail: Mutex<Tail>,
}

/// Gives a tail its handle.
pub(super) fn open(tail: Tail) -> Result<*mut net_redex_tail_t, Failure> {
    let seat = Seat { closer: tail.closer(), tail: Mutex::new(tail) };
    let key = TAILS.insert(seat).map_err(|_| Failure::RedexHandlesExhausted)?;
    Ok(ptr::without_provenance_mut(Kind::RedexTail.tag_key(key)))
}

#[cfg(not(loom))]
static TAILS: Table<Seat> = Table::new();
#[cfg(loom)]
static TAILS: std::sync::LazyLock<Table<Seat>> = std::sync::LazyLock::new(Table::new);
