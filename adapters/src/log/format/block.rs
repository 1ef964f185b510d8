//! A block: what one write brings, a header and the records of one batch, in whole pages of its own.

use engine::batch::Batch;
use engine::event::Sequence;

use super::record::{self, Records, record_bytes};
use super::{checksum, pages, put_u32, put_u64, u32_at, u64_at};

/// Before the records.
pub(in crate::log) const BLOCK_HEADER_BYTES: usize = 64;

/// What a block says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct BlockHeader {
    /// Bytes of the whole block: pages.
    pub(in crate::log) bytes: u32,
    /// Bytes of the records.
    pub(in crate::log) records_bytes: u32,
    /// Sequence of its first event, or where it has none, of the next one.
    pub(in crate::log) first: Sequence,
    /// Events in it, with sequences one after the other. None where the log was closed.
    pub(in crate::log) count: u32,
    /// One past the last event that was submitted before: where `first` is above it, sequences jump.
    pub(in crate::log) previous_end: Sequence,
    /// Everything below this was durable when the block was written.
    pub(in crate::log) durable_end: Sequence,
    /// Insertion time of its last event.
    pub(in crate::log) newest_ns: u64,
}

impl BlockHeader {
    /// One past its last event.
    pub(in crate::log) fn end(&self) -> Sequence {
        self.first.advanced_by(u64::from(self.count))
    }

    /// Whether the log was closed here, with nothing after it.
    pub(in crate::log) fn is_closing(&self) -> bool {
        self.count == 0
    }

    fn encode(&self, salt: u64, out: &mut [u8]) {
        put_u32(out, 8, MAGIC);
        put_u32(out, 12, self.bytes);
        put_u32(out, 16, self.records_bytes);
        put_u32(out, 20, self.count);
        put_u64(out, 24, self.first.0);
        put_u64(out, 32, self.previous_end.0);
        put_u64(out, 40, self.durable_end.0);
        put_u64(out, 48, self.newest_ns);
        put_u64(out, 56, 0);
        let sum = checksum(&out[8..BLOCK_HEADER_BYTES], salt);
        put_u64(out, 0, sum);
    }

    /// The header at the beginning of `bytes`, which must not hold the whole block.
    pub(in crate::log) fn decode(bytes: &[u8], salt: u64) -> Option<BlockHeader> {
        let header = bytes.get(..BLOCK_HEADER_BYTES)?;
        if u32_at(header, 8)? != MAGIC || checksum(&header[8..], salt) != u64_at(header, 0)? {
            return None;
        }
        let block = BlockHeader {
            bytes: u32_at(header, 12)?,
            records_bytes: u32_at(header, 16)?,
            count: u32_at(header, 20)?,
            first: Sequence(u64_at(header, 24)?),
            previous_end: Sequence(u64_at(header, 32)?),
            durable_end: Sequence(u64_at(header, 40)?),
            newest_ns: u64_at(header, 48)?,
        };
        let is_large = block.bytes > BLOCK_BYTES_MAX;
        let fits =
            !is_large && pages(BLOCK_HEADER_BYTES + block.records_bytes as usize) == block.bytes as usize;
        let has_room = engine::planted!("35-a-count-is-believed")
            || block.count as usize <= block.records_bytes as usize / record_bytes(0);
        (fits && has_room && block.previous_end <= block.first).then_some(block)
    }

    /// The records behind the header. `bytes` begins with the block and may end before it does.
    pub(in crate::log) fn records<'a>(&self, bytes: &'a [u8], salt: u64) -> Records<'a> {
        let end = (BLOCK_HEADER_BYTES + self.records_bytes as usize).min(bytes.len());
        Records::new(bytes.get(BLOCK_HEADER_BYTES..end).unwrap_or_default(), self.first, self.end(), salt)
    }
}

/// A block to be written: the events of a batch from one of them on, or none.
#[derive(Clone, Copy, Debug)]
pub(in crate::log) struct Draft {
    pub(in crate::log) header: BlockHeader,
    index: usize,
}

impl Draft {
    /// Of the events of `batch` from `index` on.
    pub(in crate::log) fn of(
        batch: &Batch,
        index: usize,
        previous_end: Sequence,
        durable_end: Sequence,
    ) -> Draft {
        let last = batch.event(batch.len() - 1);
        let lengths = (index..batch.len()).map(|index| record_bytes(batch.event(index).payload.len()));
        let header = Draft::header(lengths.sum(), batch.sequence(index), previous_end, durable_end);
        let count = (batch.len() - index) as u32;
        Draft { header: BlockHeader { count, newest_ns: last.timestamp_ns, ..header }, index }
    }

    /// The one that ends a log which is closed, and would go on with `next`.
    pub(in crate::log) fn closing(next: Sequence) -> Draft {
        Draft { header: Draft::header(0, next, next, next), index: 0 }
    }

    fn header(records: usize, first: Sequence, previous_end: Sequence, durable_end: Sequence) -> BlockHeader {
        let bytes = u32::try_from(pages(BLOCK_HEADER_BYTES + records)).expect("a batch stays below 4 GiB");
        let records_bytes = records as u32;
        BlockHeader { bytes, records_bytes, first, count: 0, previous_end, durable_end, newest_ns: 0 }
    }

    /// Bytes to write.
    pub(in crate::log) fn bytes(&self) -> usize {
        self.header.bytes as usize
    }

    /// Writes the block into `out`, which is as long as it is. `batch` is the one it was made of.
    pub(in crate::log) fn encode(&self, batch: Option<&Batch>, salt: u64, out: &mut [u8]) {
        self.header.encode(salt, out);
        let mut at = BLOCK_HEADER_BYTES;
        if let Some(batch) = batch {
            for index in self.index..batch.len() {
                at += record::encode(&batch.event(index), salt, &mut out[at..]);
            }
        }
        out[at..].fill(0);
    }
}

/// No batch is larger: the largest event has 64 MiB.
const BLOCK_BYTES_MAX: u32 = 256 << 20;
const MAGIC: u32 = u32::from_le_bytes(*b"blk1");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_says_what_cannot_be_is_none() {
        let good = BlockHeader {
            count: 3,
            ..Draft::header(3 * record_bytes(8), Sequence(7), Sequence(7), Sequence(1))
        };
        let decoded = |header: BlockHeader| {
            let mut bytes = [0; BLOCK_HEADER_BYTES];
            header.encode(5, &mut bytes);
            BlockHeader::decode(&bytes, 5)
        };
        assert_eq!(decoded(good), Some(good));
        for bad in [
            BlockHeader { count: u32::MAX, ..good },
            BlockHeader { count: 4, ..good },
            BlockHeader { records_bytes: good.bytes + 1, ..good },
            BlockHeader { bytes: BLOCK_BYTES_MAX + 1, ..good },
            BlockHeader { previous_end: Sequence(8), ..good },
        ] {
            assert_eq!(decoded(bad), None, "{bad:?}");
        }
    }
}
