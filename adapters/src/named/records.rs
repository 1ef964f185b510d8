//! Records: what a read has found, in the memory in which the store has given it.

use engine::batch::Batch;

use super::request::Found;

/// Stored events in order.
#[derive(Clone, Debug, Default)]
pub struct Records {
    parts: Vec<Part>,
    count: usize,
}

/// The first events of a batch, from an index on.
#[derive(Clone, Debug)]
struct Part {
    batch: Batch,
    from: usize,
    until: usize,
}

/// One stored event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the file, from 0. Rises by one from event to event, but for events that were not stored.
    pub seq: u64,
    /// When it was appended, in nanoseconds since the Unix epoch; rises.
    pub timestamp_ns: u64,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl Records {
    /// Number of events.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The events.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.parts.iter().flat_map(|part| {
            (part.from..part.until).map(|index| {
                let event = part.batch.event(index);
                let seq = event.sequence.0 - 1;
                Record { seq, timestamp_ns: event.timestamp_ns, payload: event.payload }
            })
        })
    }

    /// The place of the last one.
    pub(crate) fn last_seq(&self) -> Option<u64> {
        self.parts.last().map(|part| part.batch.sequence(part.until - 1).0 - 1)
    }

    /// Takes the events from `next` on and before `end` out of what was found. Where to read on, if there may be more.
    pub(crate) fn take(&mut self, found: Found, next: u64, end: u64) -> Option<u64> {
        let Found { block, end: stored } = found;
        // Sequences count from 1.
        let end = end.min(stored.0.saturating_sub(1));
        let seqs = block.batch.events().map(|event| event.sequence.0 - 1);
        let (mut from, mut until) = (0, 0);
        for (index, seq) in seqs.enumerate() {
            if seq < next {
                from = index + 1;
            }
            if seq < end {
                until = index + 1;
            }
        }
        if from < until {
            self.count += until - from;
            self.parts.push(Part { batch: block.batch, from, until });
        }
        // One past the last position examined, which the sequence is because seqs count from 0.
        let through = block.through.map_or(next, |through| through.0);
        (block.more && through > next && through < end).then_some(through)
    }
}
