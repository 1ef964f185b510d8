//! The C ABI of libnet behind safe types. Besides this file only `subscription` and `processor` have unsafe code.
//!
//! The functions are called exactly as a C program would call them: raw pointers, lengths, codes.

use std::ffi::{CStr, CString, c_char, c_int};
use std::marker::PhantomData;
use std::ptr;

use crate::stats::Statistics;
use net::{net_error_t, net_event_t, net_handle_t, net_poll_result_t, net_receipt_t};

/// A started bus. Every method may be called from any thread.
pub(crate) struct Bus {
    handle: net_handle_t,
}

// SAFETY: the ABI allows every function on a handle from any thread at any time.
unsafe impl Send for Bus {}
// SAFETY: as above.
unsafe impl Sync for Bus {}

/// A call that failed: its code, the code's text, and the detail the bus gives.
#[derive(Debug, thiserror::Error)]
#[error("{function}: {meaning} ({code}){separator}{detail}", separator = if detail.is_empty() { "" } else { ": " })]
pub(crate) struct BusError {
    function: &'static str,
    code: c_int,
    meaning: String,
    detail: String,
}

/// Where and when an event was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) shard: u16,
    /// Nanoseconds since the Unix epoch, strictly increasing per producer.
    pub(crate) timestamp: u64,
}

impl Bus {
    /// Starts a bus; `config` is its JSON.
    pub(crate) fn start(config: &str) -> Result<Bus, BusError> {
        let config = CString::new(config).map_err(|_| BusError {
            function: "net_init_ex",
            code: net_error_t::NET_ERR_INTERIOR_NUL as c_int,
            meaning: "the configuration holds a NUL byte".to_owned(),
            detail: String::new(),
        })?;
        let mut handle: net_handle_t = ptr::null_mut();
        // SAFETY: a NUL-terminated string and a valid place for the handle.
        let code = unsafe { net::net_init_ex(config.as_ptr(), &raw mut handle) };
        checked("net_init_ex", code).map(|_| Bus { handle })
    }

    /// What the C ABI calls the bus by.
    pub(crate) fn handle(&self) -> net_handle_t {
        self.handle
    }

    /// Number of shards.
    pub(crate) fn shard_count(&self) -> u16 {
        net::net_num_shards(self.handle)
    }

    /// Publishes one event under a routing key, or under none.
    #[inline]
    pub(crate) fn ingest_keyed(&self, key: Option<&[u8]>, event: &[u8]) -> Result<Receipt, BusError> {
        let mut receipt = net_receipt_t { shard_id: 0, timestamp: 0 };
        let (key, key_len) = key.map_or((ptr::null(), 0), |key| (key.as_ptr(), key.len()));
        // SAFETY: both pointers are valid for their lengths, no key is NULL and 0, and the receipt is ours.
        let code = unsafe {
            net::net_ingest_keyed(
                self.handle,
                key.cast(),
                key_len,
                event.as_ptr().cast(),
                event.len(),
                &raw mut receipt,
            )
        };
        match code {
            0 => Ok(Receipt { shard: receipt.shard_id, timestamp: receipt.timestamp }),
            code => Err(failure("net_ingest_keyed", code)),
        }
    }

    /// Publishes the events of `batch` from index `first` on; how many were accepted, from there in order,
    /// never none: that is a refusal.
    #[inline]
    pub(crate) fn ingest_batch(&self, batch: &Batch<'_>, first: usize) -> Result<usize, BusError> {
        let (pointers, lengths) = (&batch.pointers[first..], &batch.lengths[first..]);
        // SAFETY: both arrays have `count` entries, and each pointer is valid for its length while `batch` borrows.
        let accepted = unsafe {
            net::net_ingest_raw_batch(self.handle, pointers.as_ptr(), lengths.as_ptr(), pointers.len())
        };
        let accepted = if accepted == 0 { net_error_t::NET_ERR_INGESTION_FAILED as c_int } else { accepted };
        checked("net_ingest_raw_batch", accepted)
    }

    /// Waits until everything accepted so far is stored.
    pub(crate) fn flush(&self) -> Result<(), BusError> {
        checked("net_flush", net::net_flush(self.handle)).map(drop)
    }

    /// Up to `limit` events after `cursor`; `None` starts at the oldest.
    pub(crate) fn poll(&self, limit: usize, cursor: Option<&CStr>) -> Result<Page, BusError> {
        let mut result =
            net_poll_result_t { events: ptr::null_mut(), count: 0, next_id: ptr::null_mut(), has_more: 0 };
        let cursor = cursor.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: the cursor is NULL or NUL-terminated, and the result is ours.
        let code = unsafe { net::net_poll_ex(self.handle, limit, cursor, &raw mut result) };
        checked("net_poll_ex", code).map(|_| Page { result })
    }

    /// The statistics as JSON.
    pub(crate) fn stats(&self) -> Result<String, BusError> {
        self.inquiry().stats()
    }

    /// A way to ask for them that may outlive the bus.
    pub(crate) fn inquiry(&self) -> Inquiry {
        Inquiry { handle: self.handle }
    }

    /// Stores what is left and stops the bus.
    pub(crate) fn shutdown(self) -> Result<(), BusError> {
        checked("net_shutdown", net::net_shutdown(self.handle)).map(drop)
    }
}

/// Asks a bus for its statistics, from any thread. The ABI refuses the handle of a bus that is gone.
pub(crate) struct Inquiry {
    handle: net_handle_t,
}

// SAFETY: as for a bus: the handle is looked up, never dereferenced, on any thread at any time.
unsafe impl Send for Inquiry {}

impl Inquiry {
    /// What the bus answers; none when it does not.
    pub(crate) fn statistics(&self) -> Option<Statistics> {
        self.stats().ok().and_then(|json| Statistics::parse(&json).ok())
    }

    fn stats(&self) -> Result<String, BusError> {
        let mut buffer = vec![0_u8; 4 << 10];
        loop {
            // SAFETY: the buffer is writable for its length.
            let code = unsafe { net::net_stats(self.handle, buffer.as_mut_ptr().cast(), buffer.len()) };
            if code == net_error_t::NET_ERR_BUFFER_TOO_SMALL as c_int && buffer.len() < STATS_BYTES_MAX {
                buffer.resize(buffer.len() * 4, 0);
                continue;
            }
            buffer.truncate(checked("net_stats", code)?);
            return Ok(String::from_utf8_lossy(&buffer).into_owned());
        }
    }
}

impl BusError {
    /// Whether the bus is too busy for the event just now: try it again.
    pub(crate) fn is_refusal(&self) -> bool {
        self.code == net_error_t::NET_ERR_INGESTION_FAILED as c_int
    }

    /// Whether the event itself can never be accepted.
    pub(crate) fn is_invalid_event(&self) -> bool {
        [net_error_t::NET_ERR_INVALID_UTF8, net_error_t::NET_ERR_TOO_LARGE]
            .iter()
            .any(|code| self.code == *code as c_int)
    }

    /// Whether the call ran into its time limit.
    pub(crate) fn is_timeout(&self) -> bool {
        self.code == net_error_t::NET_ERR_TIMEOUT as c_int
    }

    /// A refusal as a busy bus gives it.
    #[cfg(test)]
    pub(crate) fn refusal() -> BusError {
        failure("net_ingest_keyed", net_error_t::NET_ERR_INGESTION_FAILED as c_int)
    }

    /// What the code means, without the detail.
    pub(crate) fn meaning(&self) -> &str {
        &self.meaning
    }
}

/// Pointers and lengths of events that are published in one call.
pub(crate) struct Batch<'events> {
    pointers: Vec<*const c_char>,
    lengths: Vec<usize>,
    events: PhantomData<&'events [u8]>,
}

impl<'events> Batch<'events> {
    /// A batch of these events.
    pub(crate) fn of(events: impl Iterator<Item = &'events [u8]>) -> Batch<'events> {
        let (pointers, lengths) =
            events.map(|event| (event.as_ptr().cast::<c_char>(), event.len())).collect();
        Batch { pointers, lengths, events: PhantomData }
    }

    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Bytes of each event.
    pub(crate) fn lengths(&self) -> &[usize] {
        &self.lengths
    }
}

/// What one poll returned. Freed when it goes out of scope.
pub(crate) struct Page {
    result: net_poll_result_t,
}

/// An event as it came back, borrowed from its page or subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'page> {
    pub(crate) id: &'page [u8],
    pub(crate) bytes: &'page [u8],
    pub(crate) receipt: Receipt,
}

impl<'page> Event<'page> {
    /// What the bus lent: it holds as long as the entry that is borrowed.
    pub(crate) fn of(event: &'page net_event_t) -> Event<'page> {
        Event {
            id: bytes_of(event.id, event.id_len),
            bytes: bytes_of(event.raw, event.raw_len),
            receipt: Receipt { shard: event.shard_id, timestamp: event.insertion_ts },
        }
    }
}

impl Page {
    /// The events, in the order of the poll.
    pub(crate) fn events(&self) -> impl ExactSizeIterator<Item = Event<'_>> {
        let events: &[net_event_t] = if self.result.count == 0 {
            &[]
        } else {
            // SAFETY: a successful poll holds `count` events at `events` until it is freed.
            unsafe { std::slice::from_raw_parts(self.result.events, self.result.count) }
        };
        events.iter().map(Event::of)
    }

    /// Where the next poll goes on.
    pub(crate) fn cursor(&self) -> Option<CString> {
        // SAFETY: `next_id` is NULL or NUL-terminated and belongs to the result.
        (!self.result.next_id.is_null()).then(|| unsafe { CStr::from_ptr(self.result.next_id) }.to_owned())
    }

    /// Whether there is more to examine.
    pub(crate) fn has_more(&self) -> bool {
        self.result.has_more != 0
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the result came from `net_poll_ex`, and nothing borrows from it any more.
        unsafe { net::net_free_poll_result(&raw mut self.result) }
    }
}

fn bytes_of<'page>(start: *const c_char, len: usize) -> &'page [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: called by `Event::of` only, whose entries come from a page or a subscription, which keeps entry and bytes alike.
    unsafe { std::slice::from_raw_parts(start.cast(), len) }
}

/// The library's version.
pub(crate) fn version() -> String {
    // SAFETY: a static NUL-terminated string.
    unsafe { CStr::from_ptr(net::net_version()) }.to_string_lossy().into_owned()
}

/// A count of zero or more, or the failure that a negative code stands for.
pub(crate) fn checked(function: &'static str, code: c_int) -> Result<usize, BusError> {
    usize::try_from(code).map_err(|_| failure(function, code))
}

#[cold]
fn failure(function: &'static str, code: c_int) -> BusError {
    let [meaning, detail] = [net::net_strerror(code), net::net_last_error()].map(|text| {
        // SAFETY: both are static or this thread's own, NUL-terminated, and copied before the next call.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    });
    BusError { function, code, meaning, detail }
}

const STATS_BYTES_MAX: usize = 64 << 20;
