//! The types of the header, and the proof that their layouts are the ones existing programs were compiled against.

#![allow(non_camel_case_types, clippy::upper_case_acronyms)]

use std::ffi::{c_char, c_int, c_void};
use std::mem::{offset_of, size_of};

/// Version of this interface: the number in the SONAME. It changes only if an existing symbol or layout would change.
pub const NET_ABI_VERSION: u32 = 100;

/// A bus. Opaque: a number that is looked up, never dereferenced, and never given out twice.
pub type net_handle_t = *mut c_void;

/// What a producer is told about an accepted event.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct net_receipt_t {
    /// The shard that orders the event.
    pub shard_id: u16,
    /// Insertion time, nanoseconds since the Unix epoch, strictly increasing per thread.
    pub timestamp: u64,
}

/// An event as it was stored. Read-only; the strings are not NUL-terminated and belong to the result.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct net_event_t {
    /// Identity within its shard; with the memory store a decimal sequence number.
    pub id: *const c_char,
    /// Bytes of `id`.
    pub id_len: usize,
    /// The bytes as they were published.
    pub raw: *const c_char,
    /// Bytes of `raw`.
    pub raw_len: usize,
    /// Insertion time, nanoseconds since the Unix epoch.
    pub insertion_ts: u64,
    /// The shard that ordered the event.
    pub shard_id: u16,
}

/// The answer of `net_poll_ex`. One block of memory, given back with `net_free_poll_result`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct net_poll_result_t {
    /// The events in order; NULL if there is none.
    pub events: *mut net_event_t,
    /// Number of events.
    pub count: usize,
    /// Cursor to poll with next, NUL-terminated; NULL if nothing was ever examined and none was given.
    pub next_id: *mut c_char,
    /// 1 if there may be more events to examine, 0 if not.
    pub has_more: c_int,
}

/// The bus's counters.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct net_stats_t {
    /// Events accepted.
    pub events_ingested: u64,
    /// Events dropped, for whatever reason.
    pub events_dropped: u64,
    /// Batches handed to the store.
    pub batches_dispatched: u64,
}

/// A filter that remembers identities it has seen. Opaque.
pub struct net_redis_dedup_t {
    _opaque: (),
}

/// An event's place in the bus, to be written by the thread that claimed it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct net_claim_t {
    /// Where to write; NULL once the claim has ended.
    pub data: *mut c_void,
    /// Bytes to write: all of them belong to the event.
    pub len: usize,
    /// The claim's identity.
    pub reserved: [u64; 4],
}

/// A way into a bus that belongs to no thread. Opaque: a number that is looked up, never dereferenced.
pub struct net_producer_t {
    _opaque: (),
}

/// A cursor that the shards push into. Opaque: a number that is looked up, never dereferenced.
pub struct net_subscription_t {
    _opaque: (),
}

/// What the functions return: zero or a count, or one of these. A code is never renumbered.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum net_error_t {
    /// It worked.
    NET_SUCCESS = 0,
    /// A pointer that must not be NULL is. Final.
    NET_ERR_NULL_POINTER = -1,
    /// Text is not UTF-8. Final.
    NET_ERR_INVALID_UTF8 = -2,
    /// Text is not the JSON that is asked for. Final.
    NET_ERR_INVALID_JSON = -3,
    /// The bus could not be started. See `net_last_error`.
    NET_ERR_INIT_FAILED = -4,
    /// The event was not accepted: no room. Retry.
    NET_ERR_INGESTION_FAILED = -5,
    /// The poll has no answer: a cursor that is not this bus's (final), or no shard answered (retry).
    NET_ERR_POLL_FAILED = -6,
    /// The output does not fit. Retry with a larger buffer.
    NET_ERR_BUFFER_TOO_SMALL = -7,
    /// The bus is shut down, or about to be. Final.
    NET_ERR_SHUTTING_DOWN = -8,
    /// A count does not fit into an `int`. Final.
    NET_ERR_INT_OVERFLOW = -9,
    /// The handle is of another kind of object. Final.
    NET_ERR_MISMATCHED_HANDLES = -10,
    /// Text has a NUL in it. Final.
    NET_ERR_INTERIOR_NUL = -11,
    /// An argument is out of its range, or a handle was never given out. Final.
    NET_ERR_INVALID_ARGUMENT = -12,
    /// It did not end in time; its outcome is unknown or partial. Retry.
    NET_ERR_TIMEOUT = -13,
    /// Not part of this build. Final.
    NET_ERR_UNSUPPORTED = -14,
    /// The process is a fork of the one that started the bus. Final.
    NET_ERR_FORKED = -15,
    /// The library failed inside; the handle only takes a shutdown now. Final.
    NET_ERR_PANIC = -16,
    /// `io_uring` cannot be used. Operator: `net_last_error` has the cause and the cure.
    NET_ERR_NO_IO_URING = -17,
    /// The configuration was refused. Operator: `net_last_error` starts with the key's path.
    NET_ERR_INVALID_CONFIG = -18,
    /// The store refused. Operator: see `net_last_error`.
    NET_ERR_ADAPTER = -19,
    /// The event is larger than `max_event_bytes`, or its key than 1 MiB. Final.
    NET_ERR_TOO_LARGE = -20,
    /// Something else. See `net_last_error`.
    NET_ERR_UNKNOWN = -99,
    /// A named file, its name, its configuration or its store was refused. See `net_last_error`.
    NET_ERR_REDEX = -103,
}

const _: () = {
    assert!(size_of::<net_handle_t>() == 8);

    assert!(size_of::<net_receipt_t>() == 16);
    assert!(offset_of!(net_receipt_t, shard_id) == 0);
    assert!(offset_of!(net_receipt_t, timestamp) == 8);

    assert!(size_of::<net_event_t>() == 48);
    assert!(offset_of!(net_event_t, id) == 0);
    assert!(offset_of!(net_event_t, id_len) == 8);
    assert!(offset_of!(net_event_t, raw) == 16);
    assert!(offset_of!(net_event_t, raw_len) == 24);
    assert!(offset_of!(net_event_t, insertion_ts) == 32);
    assert!(offset_of!(net_event_t, shard_id) == 40);

    assert!(size_of::<net_poll_result_t>() == 32);
    assert!(offset_of!(net_poll_result_t, events) == 0);
    assert!(offset_of!(net_poll_result_t, count) == 8);
    assert!(offset_of!(net_poll_result_t, next_id) == 16);
    assert!(offset_of!(net_poll_result_t, has_more) == 24);

    assert!(size_of::<net_stats_t>() == 24);
    assert!(size_of::<net_claim_t>() == 48);
    assert!(offset_of!(net_claim_t, data) == 0);
    assert!(offset_of!(net_claim_t, len) == 8);
    assert!(offset_of!(net_claim_t, reserved) == 16);

    assert!(size_of::<net_error_t>() == size_of::<c_int>());
};
