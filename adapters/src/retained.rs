//! Batches that a store keeps in memory, in order: readable from any position until they are evicted.
//!
//! A batch that is nearly full is kept as it is; a small one is copied behind the last, so that a trickle of events does not
//! leave memory full of holes.

use std::collections::VecDeque;

use engine::adapter::ReadRequest;
use engine::batch::Batch;
use engine::event::Sequence;

/// Batches in order.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    segments: VecDeque<Batch>,
    events: usize,
    bytes: usize,
    spare: Option<Batch>,
}

impl Retained {
    /// Number of events.
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    /// Bytes of their records.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sequence of the oldest event; `None` where there is none.
    pub(crate) fn first(&self) -> Option<Sequence> {
        self.segments.front().map(Batch::first)
    }

    /// Sequence one past the newest event; `None` where there is none.
    pub(crate) fn end(&self) -> Option<Sequence> {
        self.segments.back().map(Batch::end)
    }

    /// Takes a batch in. Returns memory that may be reused.
    pub(crate) fn append(&mut self, batch: Batch) -> Option<Batch> {
        self.events += batch.len();
        self.bytes += batch.record_bytes();
        let is_worth_it = batch.record_bytes() >= SEGMENT_BYTES / 8;
        if is_worth_it && batch.record_bytes() >= batch.capacity_bytes() / 4 * 3 {
            self.segments.push_back(batch);
            self.spare.take()
        } else {
            self.copy_behind(&batch);
            Some(batch)
        }
    }

    fn copy_behind(&mut self, batch: &Batch) {
        let fits = |last: &Batch| {
            last.end() == batch.first() && last.tail_bytes() + batch.record_bytes() <= last.capacity_bytes()
        };
        if !self.segments.back().is_some_and(fits) {
            let mut segment = self.spare.take().unwrap_or_else(|| Batch::with_capacity(SEGMENT_BYTES, 0));
            segment.number_from(batch.first());
            self.segments.push_back(segment);
        }
        let last = self.segments.back_mut().expect("pushed above");
        last.extend_from(batch, 0, usize::MAX, usize::MAX);
    }

    /// Evicts up to `count` of the oldest events, all of one batch.
    pub(crate) fn evict(&mut self, count: usize) {
        let Some(first) = self.segments.front_mut() else { return };
        let (events, bytes) = first.evict(count);
        self.events -= events;
        self.bytes -= bytes;
        if first.is_empty() {
            let mut empty = self.segments.pop_front().expect("there is a first");
            if empty.capacity_bytes() <= 2 * SEGMENT_BYTES {
                empty.clear();
                self.spare = Some(empty);
            }
        }
    }

    /// Bytes of memory behind all batches.
    #[cfg(test)]
    pub(crate) fn capacity_bytes(&self) -> usize {
        self.segments.iter().map(Batch::capacity_bytes).sum()
    }

    /// The oldest batch.
    pub(crate) fn oldest(&self) -> Option<&Batch> {
        self.segments.front()
    }

    /// The batch with the first event at or above `from`, and its index there.
    pub(crate) fn following(&self, from: Sequence) -> Option<(&Batch, usize)> {
        let following = self.segments.partition_point(|segment| segment.end() <= from);
        let batch = self.segments.get(following)?;
        Some((batch, from.0.saturating_sub(batch.first().0) as usize))
    }

    /// A copy of what follows `from`, within the limits of `request`, and up to a jump in the sequences.
    pub(crate) fn copy(&self, from: Sequence, request: &ReadRequest) -> Batch {
        let mut batch = Batch::default();
        batch.number_from(from);
        let mut index = self.segments.partition_point(|segment| segment.end() <= from);
        while let Some(segment) = self.segments.get(index) {
            let (events_left, bytes_left) =
                (request.events_max - batch.len(), request.bytes_max.saturating_sub(batch.record_bytes()));
            if segment.first() > batch.end() && !batch.is_empty() || events_left == 0 || bytes_left == 0 {
                break;
            }
            if batch.is_empty() {
                batch.number_from(segment.first().max(from));
                batch.reserve(
                    request.bytes_max.min(segment.record_bytes()),
                    request.events_max.min(segment.len()),
                );
            }
            let skip = batch.end().0.saturating_sub(segment.first().0) as usize;
            let taken = batch.extend_from(segment, skip, events_left, bytes_left);
            if skip + taken < segment.len() {
                break;
            }
            index += 1;
        }
        batch
    }
}

/// Memory of a segment that small batches are gathered in.
pub(crate) const SEGMENT_BYTES: usize = 256 << 10;
