//! Publishing: the functions that a service calls millions of times a second.
//!
//! What they share: any thread may call them at any time, and each thread has its own way in. Bytes are copied before
//! the call returns. When a shard is full the outcome follows `backpressure_mode`; a shard that is merely busy is
//! waited for up to `push_wait_us`. A thread's events to a shard on which it has a claim open are refused with
//! `NET_ERR_INVALID_ARGUMENT`.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::slice;

use engine::event::EventFlags;
use engine::producer::{Producer, PublishError};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::abi::{net_error_t, net_handle_t, net_receipt_t};
use crate::guard::{self, absent_or_present, length, present, text};
use crate::status::Failure;
use crate::thread::Thread;

/// Publishes one event, which has to be one JSON document. Its bytes are kept as they are.
///
/// Threads: any. Ownership: the bytes are copied. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (a
/// length above `PTRDIFF_MAX`, or the thread has a claim open on the event's shard), `NET_ERR_INVALID_UTF8`,
/// `NET_ERR_INVALID_JSON`, `NET_ERR_TOO_LARGE`, `NET_ERR_INGESTION_FAILED` (no room: not accepted, try again),
/// `NET_ERR_SHUTTING_DOWN`, and those of any handle.
///
/// # Safety
/// `json` is NULL or has `len` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_ingest(handle: net_handle_t, json: *const c_char, len: usize) -> c_int {
    publish(handle, |_, producer| {
        present("json", json)?;
        event_length(len, producer)?;
        // SAFETY: not NULL, of a possible length, and readable by the caller's contract.
        let json = text("json", unsafe { guard::bytes(json, len) })?;
        serde_json::from_str::<IgnoredAny>(json)?;
        producer.publish(None, json.as_bytes(), EventFlags::JSON)?;
        Ok(0)
    })
}

/// Publishes one event, which has to be UTF-8 and is not looked at otherwise.
///
/// Threads: any. Ownership: the bytes are copied. Errors: as `net_ingest`, without `NET_ERR_INVALID_JSON`.
///
/// # Safety
/// `bytes` is NULL or has `len` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_ingest_raw(handle: net_handle_t, bytes: *const c_char, len: usize) -> c_int {
    publish(handle, |_, producer| {
        present("bytes", bytes)?;
        event_length(len, producer)?;
        // SAFETY: not NULL, of a possible length, and readable by the caller's contract.
        let bytes = unsafe { guard::bytes(bytes, len) };
        text("bytes", bytes)?;
        producer.publish(None, bytes, EventFlags::NONE)?;
        Ok(0)
    })
}

/// `net_ingest_raw` that says where the event went and when. `out` may be NULL.
///
/// Threads: any. Ownership: the bytes are copied; `out` is written on success only. Errors: as `net_ingest_raw`.
///
/// # Safety
/// `bytes` is NULL or has `len` readable bytes; `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_ingest_raw_ex(
    handle: net_handle_t,
    bytes: *const c_char,
    len: usize,
    out: *mut net_receipt_t,
) -> c_int {
    // SAFETY: the caller's contract covers these arguments; there is no key.
    unsafe { net_ingest_keyed(handle, ptr::null(), 0, bytes, len, out) }
}

/// `net_ingest_raw_ex` with a routing key: events of one thread with the same key keep their order. The key is up to 1 MiB of any
/// bytes; NULL with a length of 0 means none, and the event's own bytes route it. A Redis store keeps it with the event, as
/// the entry's field `k`, also an empty one; key and event together are then at most `max_event_bytes`. Every other store
/// forgets it. `out` may be NULL.
///
/// Threads: any; what a thread publishes from the destructors of its thread-local data has no order with what it
/// published before. Ownership: the bytes are copied; `out` is written on success only. Errors: as `net_ingest_raw`.
///
/// # Safety
/// `key` is NULL or has `key_len` readable bytes; `bytes` is NULL or has `len`; `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_ingest_keyed(
    handle: net_handle_t,
    key: *const c_void,
    key_len: usize,
    bytes: *const c_char,
    len: usize,
    out: *mut net_receipt_t,
) -> c_int {
    publish(handle, |_, producer| {
        if key_len > 0 {
            present("key", key)?;
        }
        present("bytes", bytes)?;
        absent_or_present("out", out)?;
        key_length(key_len)?;
        event_length(len, producer)?;
        // SAFETY: not NULL, of a possible length, and readable by the caller's contract.
        let key = (!key.is_null()).then(|| unsafe { guard::bytes(key.cast(), key_len) });
        // SAFETY: as above.
        let bytes = unsafe { guard::bytes(bytes, len) };
        text("bytes", bytes)?;
        let receipt = producer.publish(key, bytes, EventFlags::NONE)?;
        if !out.is_null() {
            let receipt = net_receipt_t { shard_id: receipt.shard.0, timestamp: receipt.timestamp_ns };
            // SAFETY: not NULL, aligned, and writable by the caller's contract.
            unsafe { out.write(receipt) };
        }
        Ok(0)
    })
}

/// Publishes the elements of a JSON array, each with its own bytes as they stand in the text, and returns how many
/// were accepted. Text that is not such an array is refused as a whole. The batch ends at its first refused event;
/// a short count is a prefix of the array, and `net_last_error` says what ended it.
///
/// Threads: any. Ownership: the bytes are copied. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_UTF8`,
/// `NET_ERR_INVALID_JSON`, `NET_ERR_INT_OVERFLOW` (more than `INT_MAX` elements), `NET_ERR_TOO_LARGE` (the first
/// element is), `NET_ERR_INVALID_ARGUMENT` (a claim is open on its shard), `NET_ERR_SHUTTING_DOWN`, and those of any
/// handle. After an error nothing was accepted.
///
/// # Safety
/// `json_array` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_ingest_batch(handle: net_handle_t, json_array: *const c_char) -> c_int {
    publish(handle, |thread, producer| {
        present("json_array", json_array)?;
        // SAFETY: not NULL, and NUL-terminated by the caller's contract.
        let json = text("json_array", unsafe { guard::c_bytes(json_array) })?;
        let elements: Vec<&RawValue> = serde_json::from_str(json)?;
        c_int::try_from(elements.len()).map_err(|_| Failure::IntOverflow(elements.len()))?;
        let payloads = elements.iter().map(|element| element.get().as_bytes());
        let (accepted, refused) = producer.publish_batch(payloads, EventFlags::JSON);
        counted(thread, accepted, refused)
    })
}

/// Publishes `count` events as `net_ingest_raw` does, and returns how many were accepted. Entries that are NULL,
/// not UTF-8 or larger than `max_event_bytes` are passed over. The batch ends at the first event that finds no
/// room: neither it nor any after it is accepted. After a short count `net_last_error` says why.
///
/// Threads: any. Ownership: the bytes are copied. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT`,
/// `NET_ERR_INT_OVERFLOW` (`count` above `INT_MAX`), `NET_ERR_SHUTTING_DOWN`, and those of any handle. After an
/// error nothing was accepted.
///
/// # Safety
/// `jsons` and `lens` are NULL or have `count` entries; each entry is NULL or has as many readable bytes as its
/// length says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_ingest_raw_batch(
    handle: net_handle_t,
    jsons: *const *const c_char,
    lens: *const usize,
    count: usize,
) -> c_int {
    // SAFETY: the caller's contract covers these arguments; failures are not asked for.
    unsafe { net_ingest_raw_batch_ex(handle, jsons, lens, count, ptr::null_mut(), ptr::null_mut()) }
}

/// `net_ingest_raw_batch` that names the entries that were not accepted: `failed` gets their indices, ascending, and
/// `failed_len` how many. That includes the event at which the batch ended and all after it. Both may be NULL.
///
/// Threads: any. Ownership: the bytes are copied. `failed` and `failed_len` are also written when the events were
/// walked and none was accepted. Errors: as `net_ingest_raw_batch`.
///
/// # Safety
/// As `net_ingest_raw_batch`; `failed` is NULL or has room for `count` indices, `failed_len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_ingest_raw_batch_ex(
    handle: net_handle_t,
    jsons: *const *const c_char,
    lens: *const usize,
    count: usize,
    failed: *mut usize,
    failed_len: *mut usize,
) -> c_int {
    publish(handle, |thread, producer| {
        present("jsons", jsons)?;
        present("lens", lens)?;
        absent_or_present("failed", failed)?;
        absent_or_present("failed_len", failed_len)?;
        c_int::try_from(count).map_err(|_| Failure::IntOverflow(count))?;
        // SAFETY: not NULL, aligned, of a possible length, and with `count` entries by the caller's contract.
        let (jsons, lens) =
            unsafe { (slice::from_raw_parts(jsons, count), slice::from_raw_parts(lens, count)) };
        let bytes_max = producer.event_bytes_max();
        let mut entries =
            Entries { jsons, lens, bytes_max, next: 0, failed, failed_count: 0, first_failed: None };
        let (accepted, refused) = producer.publish_batch(&mut entries, EventFlags::NONE);
        if let (None, Some(first)) = (&refused, entries.first_failed) {
            thread.fail(&Failure::PassedOver { first, count: entries.failed_count });
        }
        if refused.is_some() {
            // The entry handed out last is the one that was refused.
            (entries.next - 1..count).for_each(|index| entries.fail(index));
        }
        if !failed_len.is_null() {
            // SAFETY: not NULL, aligned, and writable by the caller's contract.
            unsafe { failed_len.write(entries.failed_count) };
        }
        counted(thread, accepted, refused)
    })
}

/// Refuses the length of what is no event, before it is read.
#[inline]
pub(crate) fn event_length(len: usize, producer: &Producer) -> Result<(), Failure> {
    let bytes_max = producer.event_bytes_max();
    if len <= bytes_max || engine::planted!("4-any-length-is-taken") {
        Ok(())
    } else {
        Err(too_long(len, bytes_max))
    }
}

#[cold]
fn too_long(len: usize, bytes_max: usize) -> Failure {
    length("len", len).err().unwrap_or_else(|| PublishError::TooLarge { bytes: len, bytes_max }.into())
}

/// Refuses the length of what is no key, before it is read.
#[inline]
pub(crate) fn key_length(len: usize) -> Result<(), Failure> {
    if len <= KEY_BYTES_MAX { Ok(()) } else { Err(key_too_long(len)) }
}

#[cold]
fn key_too_long(len: usize) -> Failure {
    length("key_len", len).err().unwrap_or(Failure::KeyTooLong(len))
}

/// Runs `body` with this thread's producer for the bus. That the bus has ended is the first thing to say: before
/// `body` looks at what the caller hands over, and when the bus ended meanwhile.
#[inline]
pub(crate) fn publish(
    handle: net_handle_t,
    body: impl FnOnce(&Thread, &mut Producer) -> Result<c_int, Failure>,
) -> c_int {
    let answer = guard::run(handle, |thread| {
        thread.with_producer(handle, |producer| {
            if producer.is_closed() {
                return Err(thread.fail(&Failure::ended(producer)));
            }
            body(thread, producer).map_err(|failure| refuse(thread, producer, failure))
        })
    });
    answer.unwrap_or_else(|code| code as c_int)
}

/// The code of a failure whose detail is kept with the thread; that of the bus's end, if it has ended meanwhile.
#[cold]
fn refuse(thread: &Thread, producer: &Producer, failure: Failure) -> net_error_t {
    thread.fail(&if producer.is_closed() { Failure::ended(producer) } else { failure })
}

/// The answer of a batch: its count, unless nothing was accepted for a reason that is not want of room.
fn counted(thread: &Thread, accepted: usize, refused: Option<PublishError>) -> Result<c_int, Failure> {
    match refused {
        Some(
            error @ (PublishError::TooLarge { .. }
            | PublishError::ShuttingDown
            | PublishError::Failed
            | PublishError::ClaimOpen),
        ) if accepted == 0 => {
            return Err(error.into());
        }
        Some(error) => {
            thread.fail(&error.into());
        }
        None => {}
    }
    c_int::try_from(accepted).map_err(|_| Failure::IntOverflow(accepted))
}

/// The valid entries of a raw batch, in order; the others are named as they are passed.
struct Entries<'a> {
    jsons: &'a [*const c_char],
    lens: &'a [usize],
    bytes_max: usize,
    next: usize,
    /// NULL, or room for an index per entry.
    failed: *mut usize,
    failed_count: usize,
    first_failed: Option<usize>,
}

impl Entries<'_> {
    fn fail(&mut self, index: usize) {
        if !self.failed.is_null() {
            // SAFETY: every index is named at most once, so that this stays below the count there is room for.
            unsafe { self.failed.add(self.failed_count).write(index) };
        }
        self.failed_count += 1;
        self.first_failed.get_or_insert(index);
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let index = self.next;
            let (&json, &len) = (self.jsons.get(index)?, self.lens.get(index)?);
            self.next += 1;
            if !json.is_null() && len <= self.bytes_max {
                // SAFETY: not NULL, as short as an event, and readable by the contract of the export.
                let bytes = unsafe { guard::bytes(json, len) };
                if text("jsons", bytes).is_ok() {
                    return Some(bytes);
                }
            }
            self.fail(index);
        }
    }
}

/// Longest key: one by mistake is a code and no fault.
const KEY_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{net_init, net_shutdown};

    #[test]
    fn a_length_that_no_event_has_is_refused_before_a_byte_is_read() {
        // SAFETY: the text is NUL-terminated.
        let bus = unsafe { net_init(c"{\"num_shards\":1}".as_ptr()) };
        for (len, code) in [(usize::MAX, -12), (isize::MAX as usize, -20), ((1 << 20) + 1, -20)] {
            // SAFETY: refused before it is read.
            let codes = unsafe {
                [
                    net_ingest(bus, c"x".as_ptr(), len),
                    net_ingest_raw(bus, c"x".as_ptr(), len),
                    net_ingest_keyed(bus, ptr::null(), 0, c"x".as_ptr(), len, ptr::null_mut()),
                ]
            };
            assert_eq!(codes, [code; 3], "{len}");
        }
        assert_eq!(net_shutdown(bus), 0);
    }
}
