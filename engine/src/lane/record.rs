//! The record: how one event lies in a lane and in a batch.
//!
//! A record starts on an 8-byte boundary and is a 24-byte header followed by the payload, padded to 8 bytes:
//! three words in native byte order: flags in the high half and the payload's bytes in the low half, the insertion time,
//! the hash. It never leaves the process.

use crate::event::EventFlags;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 24;
pub(crate) const HEADER_WORDS: usize = HEADER_BYTES / RECORD_ALIGN;
/// Every record starts and ends on a multiple of this.
pub(crate) const RECORD_ALIGN: usize = 8;

/// Not an event: the sequence of the next one stands in place of the timestamp, and how many retention has removed before it
/// in place of the hash. On its way to a subscriber only.
pub(crate) const FLAG_MARK: u32 = 1 << 29;
/// In the first word of a publication that holds one record. Means nothing once that was read.
pub(crate) const FLAG_ALONE: u32 = 1 << 27;
/// In the first word of every record and pad, which is so never zero.
const FLAG_PRESENT: u32 = 1 << 28;
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
    pub(crate) fn to_words(self) -> [u64; HEADER_WORDS] {
        [join_first_word(self.payload_bytes, self.flags), self.timestamp_ns, self.hash]
    }

    #[inline]
    pub(crate) fn from_words([first, timestamp_ns, hash]: [u64; HEADER_WORDS]) -> Header {
        let (payload_bytes, flags) = split_first_word(first);
        Header { payload_bytes, flags, timestamp_ns, hash }
    }

    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        for (at, word) in bytes.chunks_exact_mut(RECORD_ALIGN).zip(self.to_words()) {
            at.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// The header at the start of `record`.
    #[inline]
    pub(crate) fn of(record: &[u8]) -> Header {
        let words: &[[u8; RECORD_ALIGN]; HEADER_WORDS] =
            record[..HEADER_BYTES].as_chunks().0.try_into().expect("a record holds its header");
        Header::from_words(words.map(u64::from_ne_bytes))
    }

    #[inline]
    pub(crate) fn event_flags(self) -> EventFlags {
        EventFlags(self.flags & !(FLAG_MARK | FLAG_PAD | FLAG_BOXED))
    }
}

/// Payload bytes and flags of a record, from its first word.
#[inline]
pub(crate) const fn split_first_word(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32 & !(FLAG_PRESENT | FLAG_ALONE))
}

/// Whether [`FLAG_ALONE`] is in the first word of a record.
#[inline]
pub(crate) const fn is_alone(word: u64) -> bool {
    (word >> 32) as u32 & FLAG_ALONE != 0
}

/// The first word of a record; never zero.
#[inline]
pub(crate) const fn join_first_word(payload_bytes: u32, flags: u32) -> u64 {
    ((flags | FLAG_PRESENT) as u64) << 32 | payload_bytes as u64
}

/// Bytes that a record with a payload of `payload_bytes` takes.
#[inline]
pub(crate) const fn record_bytes(payload_bytes: usize) -> usize {
    HEADER_BYTES + ((payload_bytes + (RECORD_ALIGN - 1)) & !(RECORD_ALIGN - 1))
}
