//! What was read from segments and may be wanted next: whole blocks, verified once, for whoever goes on from there. A reader that
//! follows the log gets most of its events from here, without another read and without another checksum.

use engine::adapter::ReadRequest;
use engine::batch::Batch;
use engine::event::Sequence;

use super::format::block::BlockHeader;
use super::format::record::Item;
use super::jumps::Jumps;
use crate::retained::Retained;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Runs of events without a gap, one for each of the last readers; the one that grew last comes last.
    runs: Vec<Retained>,
    /// Memory for the next block.
    spare: Option<Batch>,
}

impl Ahead {
    /// The batch with the event at `position`, and its index there.
    pub(super) fn find(&self, position: Sequence) -> Option<(&Batch, usize)> {
        self.run(position)?.following(position)
    }

    /// A copy of what follows `position`, within the limits of `request`; nothing where the event at `position` is not here.
    pub(super) fn copy(&self, position: Sequence, request: &ReadRequest) -> Batch {
        self.run(position).map(|run| run.copy(position, request)).unwrap_or_default()
    }

    /// Whether a reader at `position` has come to the end of a run.
    pub(super) fn ends_at(&self, position: Sequence) -> bool {
        self.runs.iter().any(|run| run.end() == Some(position))
    }

    /// Takes a block in that follows what was read before, or begins a new run.
    pub(super) fn add(&mut self, batch: Batch) {
        if self.run(batch.first()).is_some() || batch.record_bytes() > RUN_BYTES_MAX {
            return;
        }
        let going_on = self.runs.iter().position(|run| run.end() == Some(batch.first()));
        let mut run = going_on.map(|at| self.runs.remove(at)).unwrap_or_default();
        self.spare = run.append(batch).or(self.spare.take());
        while run.bytes() > RUN_BYTES_MAX {
            run.evict(usize::MAX);
        }
        self.runs.push(run);
        while self.runs.iter().map(Retained::bytes).sum::<usize>() > BYTES_MAX {
            self.runs.remove(0);
        }
    }

    /// Takes in the blocks at the beginning of `bytes` that follow what was read before: a job that has what it wants has read them
    /// too. The segment has no event at or above `end`.
    pub(super) fn run_on(&mut self, mut bytes: &[u8], salt: u64, end: Sequence, jumps: &Jumps) {
        while let Some(block) = BlockHeader::decode(bytes, salt) {
            let follows = self.ends_at(block.first) && block.end() <= end.min(jumps.until(block.first));
            let length = block.bytes as usize;
            if block.is_closing() || !follows || length > bytes.len() {
                return;
            }
            let Some(batch) = self.whole(&block, bytes, salt) else { return };
            self.add(batch);
            bytes = &bytes[length..];
        }
    }

    /// The events of a block, if each of them is whole. `bytes` begins with it.
    pub(super) fn whole(&mut self, block: &BlockHeader, bytes: &[u8], salt: u64) -> Option<Batch> {
        let capacity = || Batch::with_capacity(block.records_bytes as usize, block.count as usize);
        let mut batch = self.spare.take().unwrap_or_else(capacity);
        batch.clear();
        batch.number_from(block.first);
        for item in block.records(bytes, salt) {
            let Item::Event(event) = item else { return None };
            batch.push(event.timestamp_ns, event.hash, event.flags, event.payload);
        }
        (batch.len() == block.count as usize).then_some(batch)
    }

    fn run(&self, position: Sequence) -> Option<&Retained> {
        let holds = |run: &&Retained| {
            run.first().is_some_and(|first| first <= position) && run.end().is_some_and(|end| position < end)
        };
        self.runs.iter().find(holds)
    }
}

/// Bytes of records of all runs. What one read brings is a sixteenth of it: so many readers may follow the log side by side without
/// reading anything twice.
const BYTES_MAX: usize = 5 << 20;
/// Bytes of records of one of them. A block that is larger is read again by whoever wants it.
const RUN_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use engine::event::{EventFlags, ShardId};

    use super::*;

    fn batch(sequences: std::ops::Range<u64>, bytes: usize) -> Batch {
        let mut batch = Batch::default();
        batch.number_from(Sequence(sequences.start));
        sequences.for_each(|_| batch.push(1, 2, EventFlags::NONE, &vec![b'a'; bytes]));
        batch
    }

    fn request() -> ReadRequest {
        ReadRequest { stream: ShardId(0), after: None, events_max: 1_000, bytes_max: usize::MAX }
    }

    #[test]
    fn a_run_is_found_from_its_first_event_to_its_last() {
        let mut ahead = Ahead::default();
        ahead.add(batch(10..20, 8));
        ahead.add(batch(20..25, 8));
        for (position, found) in [(9, None), (10, Some(10)), (19, Some(19)), (24, Some(24)), (25, None)] {
            let event = ahead.find(Sequence(position)).map(|(batch, index)| batch.sequence(index).0);
            assert_eq!(event, found, "{position}");
        }
        assert_eq!(ahead.copy(Sequence(12), &request()).len(), 13);
        assert!(ahead.copy(Sequence(9), &request()).is_empty());
        assert!(ahead.ends_at(Sequence(25)) && !ahead.ends_at(Sequence(20)));
    }

    #[test]
    fn readers_side_by_side_have_runs_of_their_own_and_the_one_that_grew_longest_ago_goes() {
        let mut ahead = Ahead::default();
        for first in (100..600).step_by(100) {
            ahead.add(batch(first..first + 10, RUN_BYTES_MAX / 11));
        }
        ahead.add(batch(110..111, 8));
        ahead.add(batch(600..610, RUN_BYTES_MAX / 11));
        let found = [105, 110, 205, 305, 505, 605].map(|position| ahead.find(Sequence(position)).is_some());
        assert_eq!(found, [true, true, false, true, true, true]);
    }

    #[test]
    fn a_run_is_bounded_and_a_block_that_is_larger_is_not_kept() {
        let mut ahead = Ahead::default();
        ahead.add(batch(1..2, RUN_BYTES_MAX));
        assert!(ahead.find(Sequence(1)).is_none());
        (2..10).for_each(|first| ahead.add(batch(first..first + 1, RUN_BYTES_MAX / 3)));
        let found = [1, 7, 8, 9].map(|position| ahead.find(Sequence(position)).is_some());
        assert_eq!(found, [false, false, true, true]);
    }
}
