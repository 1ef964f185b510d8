//! The sparse index of a segment: where some of its blocks are. It has a file of its own, and is made anew from the segment
//! where that is missing or bad.

use engine::event::Sequence;

use super::{checksum, put_u64, u64_at};

/// Where the blocks of a segment are, about one in [`STRIDE_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::log) struct Index {
    /// Ascending: a block's first sequence, and where it begins.
    entries: Vec<(Sequence, u64)>,
    /// One past the last event.
    pub(in crate::log) end: Sequence,
    /// Where the last block ends.
    pub(in crate::log) length: u64,
}

impl Index {
    /// Notes a block, if the last one that was noted is far enough away. `end` is one past its last event.
    pub(in crate::log) fn note(&mut self, first: Sequence, end: Sequence, at: u64, bytes: u64) {
        if self.entries.last().is_none_or(|&(_, last)| at >= last + STRIDE_BYTES) {
            self.entries.push((first, at));
        }
        self.end = end;
        self.length = at + bytes;
    }

    /// Where to begin to read for `sequence`: no block before that one has it.
    pub(in crate::log) fn seek(&self, sequence: Sequence) -> Option<u64> {
        let after = self.entries.partition_point(|&(first, _)| first <= sequence);
        self.entries.get(after.saturating_sub(1)).map(|&(_, at)| at)
    }

    /// The file of a segment with this `salt`.
    pub(in crate::log) fn encode(&self, salt: u64) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES + ENTRY_BYTES * self.entries.len()];
        bytes[8..16].copy_from_slice(MAGIC);
        put_u64(&mut bytes, 16, self.end.0);
        put_u64(&mut bytes, 24, self.length);
        for (at, &(first, offset)) in (HEADER_BYTES..).step_by(ENTRY_BYTES).zip(&self.entries) {
            put_u64(&mut bytes, at, first.0);
            put_u64(&mut bytes, at + 8, offset);
        }
        let sum = checksum(&bytes[8..], salt);
        put_u64(&mut bytes, 0, sum);
        bytes
    }

    /// What a file says, if it is whole and this segment's.
    pub(in crate::log) fn decode(bytes: &[u8], salt: u64) -> Option<Index> {
        if bytes.get(8..16)? != MAGIC || checksum(&bytes[8..], salt) != u64_at(bytes, 0)? {
            return None;
        }
        let (entries, rest) = bytes.get(HEADER_BYTES..)?.as_chunks::<ENTRY_BYTES>();
        let entry = |entry: &[u8; ENTRY_BYTES]| Some((Sequence(u64_at(entry, 0)?), u64_at(entry, 8)?));
        let entries = entries.iter().map(entry).collect::<Option<Vec<_>>>()?;
        let (end, length) = (Sequence(u64_at(bytes, 16)?), u64_at(bytes, 24)?);
        let is_sound = rest.is_empty() && entries.iter().all(|&(first, at)| first < end && at < length);
        is_sound.then_some(Index { entries, end, length })
    }
}

const MAGIC: &[u8; 8] = b"libnetix";
const HEADER_BYTES: usize = 32;
const ENTRY_BYTES: usize = 16;
/// What lies between two entries at least. A reader starts that far before what it looks for, at most.
const STRIDE_BYTES: u64 = 64 << 10;
