//! A record: one event, with its sequence and a checksum of its own. Reading passes over damaged ones and goes on with the
//! next that is whole.

use engine::event::{Event, EventFlags, Sequence};

use super::{checksum, put_u32, put_u64, u32_at, u64_at};

/// Before the payload: checksum, length, flags, sequence, timestamp, hash.
pub(in crate::log) const RECORD_HEADER_BYTES: usize = 40;

/// Bytes of a record with `payload_bytes`, padding included.
pub(in crate::log) const fn record_bytes(payload_bytes: usize) -> usize {
    (RECORD_HEADER_BYTES + payload_bytes).next_multiple_of(ALIGNMENT)
}

/// Writes `event` at the beginning of `out`. Returns the bytes it took, padding included.
#[inline]
pub(super) fn encode(event: &Event<'_>, salt: u64, out: &mut [u8]) -> usize {
    let end = RECORD_HEADER_BYTES + event.payload.len();
    let bytes = record_bytes(event.payload.len());
    let flags = if event.flags.contains(EventFlags::JSON) { FLAG_JSON } else { 0 };
    put_u32(out, 8, event.payload.len() as u32);
    put_u32(out, 12, flags);
    put_u64(out, 16, event.sequence.0);
    put_u64(out, 24, event.timestamp_ns);
    put_u64(out, 32, event.hash);
    out[RECORD_HEADER_BYTES..end].copy_from_slice(event.payload);
    out[end..bytes].fill(0);
    let sum = checksum(&out[8..end], salt);
    put_u64(out, 0, sum);
    bytes
}

/// What stands in a block, record by record.
#[derive(Debug)]
pub(in crate::log) enum Item<'a> {
    /// An event that is whole.
    Event(Event<'a>),
    /// Some events are damaged: as many as sequences are missing before the next one.
    Damaged,
}

/// The records of one block.
pub(in crate::log) struct Records<'a> {
    body: &'a [u8],
    at: usize,
    next: Sequence,
    end: Sequence,
    salt: u64,
}

impl<'a> Records<'a> {
    /// The records in `body`, which has events from `first` up to `end`.
    pub(super) fn new(body: &'a [u8], first: Sequence, end: Sequence, salt: u64) -> Records<'a> {
        Records { body, at: 0, next: first, end, salt }
    }

    /// Goes on with the first event at or above `sequence`. Where records lie is taken from their lengths as long as
    /// sequences agree; nothing is checked that is passed over.
    pub(in crate::log) fn skip_to(&mut self, sequence: Sequence) {
        let sequence = sequence.min(self.end);
        while self.next < sequence {
            let Some(bytes) = self.unchecked() else { break };
            self.at += bytes;
            self.next = self.next.advanced_by(1);
        }
        if self.next < sequence
            && let Some(at) = self.search(sequence)
        {
            // What was passed over may be damaged, and was not asked for.
            (self.at, self.next) = at;
        } else if self.next < sequence {
            self.next = self.end;
        }
    }

    /// Where it goes on, in bytes from the first record.
    pub(in crate::log) fn at(&self) -> usize {
        self.at
    }

    /// Bytes of the record that seems to be here.
    fn unchecked(&self) -> Option<usize> {
        let record = self.body.get(self.at..)?;
        let bytes = record_bytes(u32_at(record, 8)? as usize);
        (u64_at(record, 16)? == self.next.0 && bytes <= record.len()).then_some(bytes)
    }

    /// The record at `at`, if it is whole, and its bytes.
    #[inline]
    fn checked(&self, at: usize) -> Option<(Event<'a>, usize)> {
        let record = self.body.get(at..)?;
        let length = u32_at(record, 8)? as usize;
        let bytes = record_bytes(length);
        if bytes > record.len() {
            return None;
        }
        let end = RECORD_HEADER_BYTES + length;
        if checksum(&record[8..end], self.salt) != u64_at(record, 0)?
            && !engine::planted!("36-checksums-are-not-looked-at")
        {
            return None;
        }
        let flags = if u32_at(record, 12)? & FLAG_JSON == 0 { EventFlags::NONE } else { EventFlags::JSON };
        let event = Event {
            sequence: Sequence(u64_at(record, 16)?),
            timestamp_ns: u64_at(record, 24)?,
            hash: u64_at(record, 32)?,
            flags,
            payload: &record[RECORD_HEADER_BYTES..end],
            key: None,
        };
        Some((event, bytes))
    }

    /// Where the next whole record is that has a sequence from `from` on.
    #[cold]
    fn search(&self, from: Sequence) -> Option<(usize, Sequence)> {
        let mut hashed = 0;
        for at in (self.at..self.body.len()).step_by(ALIGNMENT) {
            let sequence = Sequence(u64_at(self.body, at + 16)?);
            if sequence < from || sequence >= self.end {
                continue;
            }
            if self.checked(at).is_some() {
                return Some((at, sequence));
            }
            hashed += (u32_at(self.body, at + 8)? as usize).min(self.body.len());
            if hashed > SEARCH_BYTES_MAX {
                return None;
            }
        }
        None
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.next >= self.end {
            return None;
        }
        if let Some((event, bytes)) = self.checked(self.at)
            && event.sequence == self.next
        {
            self.at += bytes;
            self.next = self.next.advanced_by(1);
            return Some(Item::Event(event));
        }
        if let Some(found) = self.search(self.next.advanced_by(1)) {
            (self.at, self.next) = found;
        } else {
            self.next = self.end;
        }
        Some(Item::Damaged)
    }
}

const ALIGNMENT: usize = 8;
/// Bytes whose checksum one search computes: a payload may be made to look like many records.
const SEARCH_BYTES_MAX: usize = 64 << 20;
const FLAG_JSON: u32 = 1;
