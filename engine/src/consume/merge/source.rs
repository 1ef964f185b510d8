//! One shard's part in a poll: the blocks that were read, and how far they were examined.

use super::{Answer, POLL_BYTES_MAX, SHARD_EVENTS_MAX, SHARD_FETCHES_MAX};
use crate::adapter::ReadBlock;
use crate::consume::PollResponse;
use crate::consume::cursor::Cursor;
use crate::event::{Sequence, ShardId};

/// One shard's part in a poll.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) shard: ShardId,
    /// The last event examined in the blocks that are used up.
    pub(super) position: Option<Sequence>,
    pub(super) state: State,
    /// Events it may still contribute before the rest is dealt out again. Only without an order.
    pub(super) share: usize,
    /// Records fetched in this poll.
    pub(super) events: usize,
    pub(super) fetches: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There may be more to read.
    Unread,
    /// The events of a block from `next` on are not examined; there is at least one.
    Held { block: usize, next: usize },
    /// Nothing is left.
    Ended,
    /// There is more, which this poll will not read.
    Cut,
    /// It failed, did not answer, or answered something that cannot be.
    Failed,
}

impl Source {
    /// Before it was read.
    pub(super) fn new(shard: ShardId, cursor: &Cursor) -> Source {
        let position = cursor.position(shard);
        Source { shard, position, state: State::Unread, share: 0, events: 0, fetches: 0 }
    }

    /// Whether it may still contribute.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.state, State::Unread | State::Held { .. })
    }

    /// Whether its next event, if it has one, is not known.
    pub(super) fn hides_its_head(&self) -> bool {
        matches!(self.state, State::Unread | State::Cut)
            && !crate::planted!("law-9-a-used-up-block-hides-nothing")
    }

    /// Whether the block begins past the position, and goes on where it says that there is more.
    pub(super) fn accepts(&self, block: &ReadBlock) -> bool {
        let begins = block.batch.is_empty() || Some(block.batch.first()) > self.position;
        begins && (!block.more || last_examined(block) > self.position)
    }

    /// Takes what a read brought.
    pub(super) fn hold(&mut self, block: ReadBlock, answer: &mut Answer) {
        let response = &mut answer.response;
        if self.position.is_some() {
            response.skipped = response.skipped.saturating_add(block.skipped);
        }
        response.passed_over = response.passed_over.saturating_add(block.passed_over);
        let records = (block.batch.len() as u64).saturating_add(block.passed_over);
        self.events = self.events.saturating_add(usize::try_from(records).unwrap_or(usize::MAX));
        self.fetches += 1;
        answer.fetched_bytes += block.batch.record_bytes();
        if block.batch.is_empty() {
            self.use_up(&block, answer.fetched_bytes);
        } else {
            if self.position.is_some() || block.passed_over > 0 {
                // What is missing before it was told just now.
                self.position = self.position.max(block.batch.first().0.checked_sub(1).map(Sequence));
            }
            self.state = State::Held { block: response.blocks.len(), next: 0 };
            response.blocks.push((self.shard, block));
        }
    }

    /// The sequence of its next event, or one before it where that was not read yet.
    pub(super) fn next(&self, answer: &Answer) -> Sequence {
        match self.state {
            State::Held { block, next } => answer.response.blocks[block].1.batch.sequence(next),
            _ => self.position.map_or(Sequence(0), |position| position.advanced_by(1)),
        }
    }

    /// Picks its share of what the block it holds has before `end`.
    pub(super) fn take(&mut self, end: Sequence, answer: &mut Answer) {
        let State::Held { block, mut next } = self.state else { return };
        let PollResponse { blocks, picked, .. } = &mut answer.response;
        let (_, held) = &blocks[block];
        let until = held.batch.index_after(Sequence(end.0.saturating_sub(1)));
        if until <= next {
            return;
        }
        let before = picked.len();
        if let Some((filter, scratch)) = &mut answer.filter {
            let enough = before + self.share.min(held.batch.len());
            while next < until && picked.len() < enough {
                if filter.matches(held.batch.event(next).payload, scratch) {
                    picked.push((block as u32, next as u32));
                }
                next += 1;
            }
        } else {
            let end = next + self.share.min(until - next);
            picked.extend((next..end).map(|index| (block as u32, index as u32)));
            next = end;
        }
        let taken = picked.len() - before;
        self.share -= taken;
        answer.wanted -= taken;
        self.move_to(block, next, answer);
    }

    /// Passes over what the filter rejects. The timestamp of the first event that it does not.
    pub(super) fn head(&mut self, answer: &mut Answer) -> Option<u64> {
        let State::Held { block, mut next } = self.state else { return None };
        let batch = &answer.response.blocks[block].1.batch;
        let mut head = None;
        while head.is_none() && next < batch.len() {
            let event = batch.event(next);
            let filter = answer.filter.as_mut();
            if filter.is_none_or(|(filter, scratch)| filter.matches(event.payload, scratch)) {
                head = Some(event.timestamp_ns);
            } else {
                next += 1;
            }
        }
        self.move_to(block, next, answer);
        head
    }

    /// Picks its head.
    pub(super) fn pick(&mut self, answer: &mut Answer) {
        let State::Held { block, next } = self.state else { return };
        answer.response.picked.push((block as u32, next as u32));
        answer.wanted -= 1;
        self.move_to(block, next + 1, answer);
    }

    fn move_to(&mut self, block: usize, next: usize, answer: &Answer) {
        let (_, held) = &answer.response.blocks[block];
        if next < held.batch.len() {
            self.state = State::Held { block, next };
        } else {
            self.use_up(held, answer.fetched_bytes);
        }
    }

    fn use_up(&mut self, block: &ReadBlock, fetched_bytes: usize) {
        self.position = self.position.max(last_examined(block));
        let at_bound = self.events >= SHARD_EVENTS_MAX
            || self.fetches >= SHARD_FETCHES_MAX
            || fetched_bytes >= POLL_BYTES_MAX;
        self.state = match (block.more, at_bound) {
            (false, _) => State::Ended,
            (true, false) => State::Unread,
            (true, true) => State::Cut,
        };
    }

    /// The last event examined.
    pub(super) fn examined(&self, response: &PollResponse) -> Option<Sequence> {
        match self.state {
            State::Held { block, .. } if crate::planted!("20-what-was-fetched-counts-as-read") => {
                last_examined(&response.blocks[block].1)
            }
            State::Held { block, next } if next > 0 => {
                Some(response.blocks[block].1.batch.sequence(next - 1))
            }
            _ => self.position,
        }
    }
}

/// The last position that a whole block covers.
fn last_examined(block: &ReadBlock) -> Option<Sequence> {
    let last = block.batch.len().checked_sub(1).map(|last| block.batch.sequence(last));
    if crate::planted!("21-a-corrupt-run-stalls-its-cursor") { last } else { last.max(block.through) }
}
