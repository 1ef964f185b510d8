//! What was submitted and is not acknowledged, and the writes under way: several at once, which may end in any order and count in
//! that of their blocks.

use std::collections::VecDeque;
use std::io;

use engine::batch::Batch;
use engine::event::Sequence;

use super::operation::Write;
use crate::retained::Retained;

/// Batches in the order of their submission, and writes in that of their blocks.
#[derive(Debug, Default)]
pub(super) struct Pending {
    batches: VecDeque<Submitted>,
    writes: VecDeque<Writing>,
}

#[derive(Debug)]
struct Submitted {
    batch: Batch,
    progress: Progress,
}

/// How far a batch has got. None is further than one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Writing,
    Written,
}

#[derive(Debug)]
struct Writing {
    write: Write,
    /// Whether it writes again what memory has.
    is_again: bool,
    result: Option<io::Result<usize>>,
}

/// A write that has ended, as has every one before it.
pub(super) struct Ended {
    pub(super) write: Write,
    pub(super) is_again: bool,
    pub(super) result: io::Result<usize>,
}

impl Pending {
    /// Whether it takes another batch.
    pub(super) fn has_place(&self) -> bool {
        self.batches.len() < SUBMITTED_MAX
    }

    /// Takes a batch in.
    pub(super) fn push(&mut self, batch: Batch) {
        assert!(self.has_place(), "no more batches come than may be in flight");
        self.batches.push_back(Submitted { batch, progress: Progress::Waiting });
    }

    /// One past the last event that was submitted; `stored` where nothing was.
    pub(super) fn end(&self, stored: Sequence) -> Sequence {
        self.batches.back().map_or(stored, |last| last.batch.end())
    }

    /// One past the last event of those that are written, if there are any.
    pub(super) fn written_end(&self) -> Option<Sequence> {
        self.written().last().map(|written| written.batch.end())
    }

    /// The first batch that is not written nor being written, and one past the last event before it; `stored` where it is the first.
    pub(super) fn waiting(&self, stored: Sequence) -> Option<(&Batch, Sequence)> {
        let at = self.batches.iter().position(|submitted| submitted.progress == Progress::Waiting)?;
        let previous = at.checked_sub(1).map_or(stored, |previous| self.batches[previous].batch.end());
        Some((&self.batches[at].batch, previous))
    }

    /// Whether nothing is being written.
    pub(super) fn is_quiet(&self) -> bool {
        self.writes.is_empty()
    }

    /// Whether something is being written to another segment than `number`.
    pub(super) fn writes_elsewhere(&self, number: Option<u64>) -> bool {
        self.writes.iter().any(|writing| Some(writing.write.number) != number)
    }

    /// A write begins: of the first batch that waits, or again of what memory has.
    pub(super) fn begin(&mut self, write: Write, is_again: bool) {
        if !is_again {
            let waiting = self.batches.iter_mut().find(|it| it.progress == Progress::Waiting);
            waiting.expect("a batch waits").progress = Progress::Writing;
        }
        self.writes.push_back(Writing { write, is_again, result: None });
    }

    /// The batch that a write is made of.
    pub(super) fn source<'a>(&'a self, write: &Write, recent: &'a Retained) -> Option<&'a Batch> {
        let first = write.draft.header.first;
        let submitted = self.batches.iter().find(|submitted| submitted.batch.first() == first);
        submitted.map(|it| &it.batch).or_else(|| recent.following(first).map(|(batch, _)| batch))
    }

    /// A write has ended. Its turn comes when every one before it has.
    pub(super) fn end_write(&mut self, number: u64, at: u64, result: io::Result<usize>) {
        let is_it = |writing: &&mut Writing| (writing.write.number, writing.write.at) == (number, at);
        if let Some(writing) = self.writes.iter_mut().find(is_it) {
            writing.result = Some(result);
        }
    }

    /// The next write whose turn has come.
    pub(super) fn take_ended(&mut self) -> Option<Ended> {
        let Writing { write, is_again, result } =
            self.writes.pop_front_if(|writing| writing.result.is_some())?;
        Some(Ended { write, is_again, result: result? })
    }

    /// A block is written: the first of those being written.
    pub(super) fn note_written(&mut self) {
        let first = self.batches.iter_mut().find(|submitted| submitted.progress != Progress::Written);
        if let Some(submitted) = first {
            submitted.progress = Progress::Written;
        }
    }

    /// The oldest batch, if it is written and ends at or before `limit`.
    pub(super) fn take_written(&mut self, limit: Sequence) -> Option<Batch> {
        let is_it = |first: &mut Submitted| first.progress == Progress::Written && first.batch.end() <= limit;
        self.batches.pop_front_if(is_it).map(|submitted| submitted.batch)
    }

    /// What was written and is not acknowledged has to be written again; what is being written is not to count.
    pub(super) fn start_again(&mut self) {
        self.batches.iter_mut().for_each(|submitted| submitted.progress = Progress::Waiting);
    }

    /// Gives the only batch back, if nothing of it is on its way to the disk.
    pub(super) fn cancel(&mut self) -> Option<Batch> {
        let is_alone = self.batches.len() == 1 && self.writes.iter().all(|writing| writing.is_again);
        let is_it = |first: &mut Submitted| is_alone && first.progress == Progress::Waiting;
        self.batches.pop_front_if(is_it).map(|submitted| submitted.batch)
    }

    /// Whether nothing of what was submitted has got to the disk.
    pub(super) fn is_untouched(&self) -> bool {
        self.writes.is_empty() && self.written().next().is_none()
    }

    fn written(&self) -> impl Iterator<Item = &Submitted> {
        self.batches.iter().take_while(|submitted| submitted.progress == Progress::Written)
    }
}

/// Batches that may be submitted and not acknowledged, so that the disk has work while the shard hears of one and puts the next
/// together.
pub(super) const SUBMITTED_MAX: usize = 2;
