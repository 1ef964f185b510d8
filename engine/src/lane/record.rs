//! The record: how one event lies in a lane and in a batch.
//!
//! A record starts on an 8-byte boundary and is a 24-byte header followed by the body, padded to 8 bytes. The header is
//! three words in native byte order: flags in the high half and the body's bytes in the low half, the insertion time,
//! the hash. The body is the payload, and behind it, where the event takes its routing key along, the key and the key's length in
//! 4 bytes: last, so that the payload begins where it would without. A record never leaves the process.

use crate::event::{Event, EventFlags, Sequence};

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 24;
pub(crate) const HEADER_WORDS: usize = HEADER_BYTES / RECORD_ALIGN;
/// The length of a key, behind it.
pub(crate) const KEY_LENGTH_BYTES: usize = 4;
/// Every record starts and ends on a multiple of this.
pub(crate) const RECORD_ALIGN: usize = 8;

/// Not an event: the sequence of the next one stands in place of the timestamp, and how many retention has removed before it
/// in place of the hash. On its way to a subscriber only.
pub(crate) const FLAG_MARK: u32 = 1 << 29;
/// The body ends with the event's routing key.
pub(crate) const FLAG_KEYED: u32 = 1 << 26;
/// In the first word of a publication that holds one record. Means nothing once that was read.
pub(crate) const FLAG_ALONE: u32 = 1 << 27;
/// In the first word of every record and pad, which is so never zero.
const FLAG_PRESENT: u32 = 1 << 28;
/// Only the first word of the record is there: the rest of the ring up to its end is unused.
pub(crate) const FLAG_PAD: u32 = 1 << 30;
/// The body is the address and length of a boxed block, which holds the event's.
pub(crate) const FLAG_BOXED: u32 = 1 << 31;

/// A record without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub body_bytes: u32,
    pub flags: u32,
    pub timestamp_ns: u64,
    pub hash: u64,
}

impl Header {
    #[inline]
    pub(crate) fn to_words(self) -> [u64; HEADER_WORDS] {
        [join_first_word(self.body_bytes, self.flags), self.timestamp_ns, self.hash]
    }

    #[inline]
    pub(crate) fn from_words([first, timestamp_ns, hash]: [u64; HEADER_WORDS]) -> Header {
        let (body_bytes, flags) = split_first_word(first);
        Header { body_bytes, flags, timestamp_ns, hash }
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

    /// The body of the record that `bytes` begin with, whose header this is.
    #[inline]
    pub(crate) fn body(self, bytes: &[u8]) -> &[u8] {
        &bytes[HEADER_BYTES..HEADER_BYTES + self.body_bytes as usize]
    }

    /// The event with this header and `body`.
    #[inline]
    pub(crate) fn event(self, sequence: Sequence, body: &[u8]) -> Event<'_> {
        let (payload, key) = self.split(body);
        let flags = EventFlags(self.flags & !(FLAG_MARK | FLAG_PAD | FLAG_BOXED | FLAG_KEYED));
        Event { sequence, timestamp_ns: self.timestamp_ns, hash: self.hash, flags, payload, key }
    }

    /// The payload in `body`, and the key that the event takes along.
    #[inline]
    pub(crate) fn split(self, body: &[u8]) -> (&[u8], Option<&[u8]>) {
        if self.flags & FLAG_KEYED == 0 { (body, None) } else { split_key(body) }
    }
}

#[cold]
fn split_key(body: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (body, key_bytes) = body.split_last_chunk().expect("a keyed body ends with its key's length");
    // Who writes past the place of a claim spoils his key, and nobody's shard.
    let payload_bytes = body.len().saturating_sub(u32::from_ne_bytes(*key_bytes) as usize);
    let (payload, key) = body.split_at(payload_bytes);
    (payload, Some(key))
}

/// Bytes that a key takes in a body.
#[inline]
pub(crate) fn key_room(key: Option<&[u8]>) -> usize {
    key.map_or(0, |key| key.len() + KEY_LENGTH_BYTES)
}

/// Writes a key into the end of a body that has [`key_room`] for it behind the payload.
pub(crate) fn write_key(body: &mut [u8], key: &[u8]) {
    let (body, key_bytes) = body.split_last_chunk_mut().expect("there is room for the key");
    *key_bytes = (key.len() as u32).to_ne_bytes();
    let payload_bytes = body.len() - key.len();
    body[payload_bytes..].copy_from_slice(key);
}

/// Body bytes and flags of a record, from its first word.
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
pub(crate) const fn join_first_word(body_bytes: u32, flags: u32) -> u64 {
    ((flags | FLAG_PRESENT) as u64) << 32 | body_bytes as u64
}

/// Bytes that a record with a body of `body_bytes` takes.
#[inline]
pub(crate) const fn record_bytes(body_bytes: usize) -> usize {
    HEADER_BYTES + ((body_bytes + (RECORD_ALIGN - 1)) & !(RECORD_ALIGN - 1))
}
