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

#[cfg(test)]
mod tests {
    use super::*;
    use engine::adapter::ReadBlock;
    use engine::event::{EventFlags, Sequence};

    /// What a read finds: the events with these places, and where it is stored up to.
    fn found(seqs: &[u64], stored: u64, more: bool) -> Found {
        let mut batch = Batch::default();
        for &seq in seqs {
            batch.push_at(Sequence(seq + 1), 0, 0, EventFlags::NONE, &seq.to_le_bytes());
        }
        let through = seqs.last().map(|seq| Sequence(seq + 1));
        Found { block: ReadBlock { batch, through, more, ..ReadBlock::default() }, end: Sequence(stored + 1) }
    }

    fn seqs(records: &Records) -> Vec<u64> {
        records
            .iter()
            .inspect(|record| assert_eq!(record.payload, record.seq.to_le_bytes()))
            .map(|record| record.seq)
            .collect()
    }

    #[test]
    fn only_what_was_asked_for_and_is_stored_is_taken() {
        for (stored, next, end, expected) in [
            (10, 0, u64::MAX, vec![3, 4, 7, 8]),
            (10, 4, 8, vec![4, 7]),
            (8, 0, u64::MAX, vec![3, 4, 7]),
            (3, 0, u64::MAX, vec![]),
            (10, 5, 7, vec![]),
        ] {
            let mut records = Records::default();
            assert_eq!(records.take(found(&[3, 4, 7, 8], stored, false), next, end), None);
            assert_eq!(seqs(&records), expected, "{stored} {next} {end}");
            assert_eq!(records.len(), expected.len());
            assert_eq!(records.last_seq(), expected.last().copied());
        }
    }

    #[test]
    fn a_read_goes_on_behind_what_it_has_found_and_not_behind_what_is_not_stored_yet() {
        let mut records = Records::default();
        assert_eq!(records.take(found(&[3, 4], 10, true), 0, 9), Some(5));
        assert_eq!(records.take(found(&[5, 8], 10, true), 5, 9), None, "the range is read");
        assert_eq!(seqs(&records), [3, 4, 5, 8]);
        let mut records = Records::default();
        assert_eq!(records.take(found(&[3, 4], 4, true), 0, 9), None, "4 is in flight");
        assert_eq!(seqs(&records), [3]);
        let mut records = Records::default();
        assert_eq!(records.take(found(&[], 9, true), 4, 9), None, "nothing was examined");
    }
}
