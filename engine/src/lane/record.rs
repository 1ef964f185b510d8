//! The record: how one event lies in a lane and in a batch.
//!
//! A record starts on an 8-byte boundary and is a 24-byte header followed by the payload, padded to 8 bytes:
//! `{payload_bytes: u32, flags: u32, timestamp_ns: u64, hash: u64}`, native byte order. It never leaves the process.

use crate::event::EventFlags;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 24;
/// Every record starts and ends on a multiple of this.
pub(crate) const RECORD_ALIGN: usize = 8;

/// Only the first word of the record is there: the rest of the ring up to its end is unused.
pub(crate) const FLAG_PAD: u32 = 1 << 30;
/// The payload is the address and length of a boxed block.
pub(crate) const FLAG_BOXED: u32 = 1 << 31;

/// A record without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub payload_bytes: u32,
    pub flags: u32,
    pub timestamp_ns: u64,
    pub hash: u64,
}

impl Header {
    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.payload_bytes.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.flags.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.timestamp_ns.to_ne_bytes());
        bytes[16..24].copy_from_slice(&self.hash.to_ne_bytes());
        bytes
    }

    #[inline]
    pub(crate) fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Header {
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let half = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        Header { payload_bytes: half(0), flags: half(4), timestamp_ns: word(8), hash: word(16) }
    }

    /// The header at the start of `record`.
    #[inline]
    pub(crate) fn of(record: &[u8]) -> Header {
        Header::from_bytes(record[..HEADER_BYTES].try_into().expect("a record holds its header"))
    }

    #[inline]
    pub(crate) fn event_flags(self) -> EventFlags {
        EventFlags(self.flags & !(FLAG_PAD | FLAG_BOXED))
    }
}

/// Bytes that a record with a payload of `payload_bytes` takes.
#[inline]
pub(crate) const fn record_bytes(payload_bytes: usize) -> usize {
    HEADER_BYTES + payload_bytes.next_multiple_of(RECORD_ALIGN)
}
