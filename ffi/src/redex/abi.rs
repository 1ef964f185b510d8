//! The types of `net_cortex.h`, and the proof of their layouts.

#![allow(non_camel_case_types)]

use std::ffi::c_char;
use std::mem::{offset_of, size_of};

/// Named files in a directory or in memory. Opaque: a number that is looked up, never dereferenced.
pub struct net_redex_t {
    _opaque: (),
}

/// A handle on a named file. Opaque: a number that is looked up, never dereferenced.
pub struct net_redex_file_t {
    _opaque: (),
}

/// A cursor that follows a named file. Opaque: a number that is looked up, never dereferenced.
pub struct net_redex_tail_t {
    _opaque: (),
}

/// An event of a named file. Read-only; the payload is not NUL-terminated and belongs to the result.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct net_redex_record_t {
    /// Its place in the file, from 0.
    pub seq: u64,
    /// When it was appended, nanoseconds since the Unix epoch; rises from event to event while the file is open.
    pub ts: u64,
    /// Its bytes as they were appended.
    pub payload: *const c_char,
    /// Bytes of `payload`.
    pub len: usize,
}

/// The answer of `net_redex_file_read_raw`. One block of memory, given back with `net_redex_records_free`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct net_redex_records_t {
    /// The events in order; NULL if there is none.
    pub records: *mut net_redex_record_t,
    /// Number of events.
    pub count: usize,
}

const _: () = {
    assert!(size_of::<net_redex_record_t>() == 32);
    assert!(offset_of!(net_redex_record_t, seq) == 0);
    assert!(offset_of!(net_redex_record_t, ts) == 8);
    assert!(offset_of!(net_redex_record_t, payload) == 16);
    assert!(offset_of!(net_redex_record_t, len) == 24);

    assert!(size_of::<net_redex_records_t>() == 16);
    assert!(offset_of!(net_redex_records_t, records) == 0);
    assert!(offset_of!(net_redex_records_t, count) == 8);
};
