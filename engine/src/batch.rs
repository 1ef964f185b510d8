//! The batch: consecutive events of one shard in one piece of memory, the unit an adapter stores and a reader gets.
//!
//! Events lie one behind the other as lane records, with the offset of each in an index. A batch is append-only at
//! its end; from its front events may be evicted, which is how `DropOldest` makes room without moving bytes. Sequences
//! count up by one, but where a store has numbered the events itself there may be jumps.

use crate::event::{Event, EventFlags, Sequence};
use crate::lane::record::{HEADER_BYTES, Header, record_bytes};

/// Consecutive events of one shard. Moving one moves a pointer: a larger value, written field by field and moved as vectors a
/// moment later, waits for the store buffer, and on a shard that means for another core.
#[derive(Clone, Debug, Default)]
pub struct Batch(Box<Content>);

#[derive(Clone, Debug, Default)]
struct Content {
    first: Sequence,
    bytes: Vec<u8>,
    starts: Vec<u32>,
    evicted: usize,
    /// Events whose sequence is not one more than that of the event before: index in `starts`, and sequence.
    jumps: Vec<(u32, Sequence)>,
}

impl Batch {
    /// An empty batch whose memory already fits `bytes` of records and `events` events.
    pub fn with_capacity(bytes: usize, events: usize) -> Batch {
        Batch(Box::new(Content {
            bytes: Vec::with_capacity(bytes),
            starts: Vec::with_capacity(events),
            ..Content::default()
        }))
    }

    /// Number of events.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.starts.len() - self.0.evicted
    }

    /// Whether there is no event in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the records that are still there, headers and padding included.
    pub fn record_bytes(&self) -> usize {
        self.0.bytes.len() - self.front()
    }

    /// Bytes that the records take in memory, those of evicted events included.
    pub fn tail_bytes(&self) -> usize {
        self.0.bytes.len()
    }

    /// Events in its index, evicted ones included.
    pub fn tail_events(&self) -> usize {
        self.0.starts.len()
    }

    /// Makes room for `bytes` of records and `events` events more.
    pub fn reserve(&mut self, bytes: usize, events: usize) {
        self.0.bytes.reserve(bytes);
        self.0.starts.reserve(events);
    }

    /// Bytes of memory behind the records.
    pub fn capacity_bytes(&self) -> usize {
        self.0.bytes.capacity()
    }

    /// Sequence of the first event; meaningful once the batch was numbered.
    pub fn first(&self) -> Sequence {
        self.0.first
    }

    /// Sequence one past the last event.
    pub fn end(&self) -> Sequence {
        self.sequence(self.len())
    }

    /// Sequence of the event at `index`; for one past the last, the one that would follow.
    #[inline]
    pub fn sequence(&self, index: usize) -> Sequence {
        if self.0.jumps.is_empty() {
            self.0.first.advanced_by(index as u64)
        } else {
            self.sequence_after_jumps(index)
        }
    }

    #[cold]
    fn sequence_after_jumps(&self, index: usize) -> Sequence {
        // One past the last follows the last, whatever would come next.
        let jumps_before = self.0.jumps.partition_point(|&(at, _)| at as usize <= index);
        match jumps_before.checked_sub(1).map(|last| self.0.jumps[last]) {
            Some((at, sequence)) => sequence.advanced_by((index - at as usize) as u64),
            None => self.0.first.advanced_by(index as u64),
        }
    }

    /// How many events from `index` on have sequences without a jump between them.
    pub(crate) fn run_len(&self, index: usize) -> usize {
        let jumps_before = self.0.jumps.partition_point(|&(at, _)| at as usize <= index);
        self.0.jumps.get(jumps_before).map_or(self.len(), |&(at, _)| at as usize) - index
    }

    /// The index of the first event behind `position`.
    pub fn index_after(&self, position: Sequence) -> usize {
        if self.0.jumps.is_empty() {
            let index = position.0.saturating_add(1).saturating_sub(self.0.first.0);
            return usize::try_from(index).unwrap_or(usize::MAX).min(self.len());
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.sequence(middle) > position {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// Gives the events their sequences, starting at `first`.
    pub fn number_from(&mut self, first: Sequence) {
        self.0.first = first;
    }

    /// The event at `index`, counted from the first that is still there.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Batch::len).
    #[inline]
    pub fn event(&self, index: usize) -> Event<'_> {
        let (header, body) = self.record(index);
        header.event(self.sequence(index), body)
    }

    /// Header and body of the event at `index`.
    #[inline]
    pub(crate) fn record(&self, index: usize) -> (Header, &[u8]) {
        let record = &self.0.bytes[self.0.starts[self.0.evicted + index] as usize..];
        let header = Header::of(record);
        (header, header.body(record))
    }

    /// The events in order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = Event<'_>> {
        (0..self.len()).map(|index| self.event(index))
    }

    /// The records of the events from `index` on, up to the next jump, that take at most `bytes_max` bytes, and how many
    /// they are.
    pub(crate) fn records(&self, index: usize, bytes_max: usize) -> (&[u8], usize) {
        let from = self.0.evicted + index;
        let until = if self.0.jumps.is_empty() { self.0.starts.len() } else { from + self.run_len(index) };
        let starts = &self.0.starts[from..until];
        let Some(&begin) = starts.first() else { return (&[], 0) };
        let begin = begin as usize;
        let end = self.0.starts.get(until).map_or(self.0.bytes.len(), |&start| start as usize);
        if end - begin <= bytes_max {
            return (&self.0.bytes[begin..end], starts.len());
        }
        // The record at a start within the limit ends past it, so the one before is the last that fits.
        let count = starts.partition_point(|&start| start as usize - begin <= bytes_max) - 1;
        (&self.0.bytes[begin..starts[count] as usize], count)
    }

    /// Appends one event under a sequence of its own, above that of the event before.
    pub fn push_at(
        &mut self,
        sequence: Sequence,
        timestamp_ns: u64,
        hash: u64,
        flags: EventFlags,
        payload: &[u8],
    ) {
        if self.is_empty() {
            self.0.first = sequence;
        } else if self.end() != sequence {
            debug_assert!(
                self.end() < sequence && self.0.evicted == 0,
                "sequences rise, and nothing is evicted"
            );
            self.0.jumps.push((self.0.starts.len() as u32, sequence));
        }
        self.push(timestamp_ns, hash, flags, payload);
    }

    /// Appends one event.
    pub fn push(&mut self, timestamp_ns: u64, hash: u64, flags: EventFlags, payload: &[u8]) {
        self.push_record(Header { body_bytes: 0, flags: flags.0, timestamp_ns, hash }, payload);
    }

    /// Appends one event that is a record's. The length is not taken from `header`.
    pub(crate) fn push_record(&mut self, header: Header, body: &[u8]) {
        let body_bytes = u32::try_from(body.len()).expect("max_event_bytes is below 4 GiB");
        let header = Header { body_bytes, ..header };
        self.0.starts.push(self.next_start());
        self.0.bytes.extend_from_slice(&header.to_bytes());
        self.0.bytes.extend_from_slice(body);
        let padding = record_bytes(body.len()) - HEADER_BYTES - body.len();
        self.0.bytes.extend_from_slice(&[0; 7][..padding]);
    }

    /// Appends the first events of `other` from its `index` on, at most `events_max` of them, and stops before the
    /// copied records would exceed `bytes_max` (one event is always copied). Returns how many were appended.
    pub fn extend_from(&mut self, other: &Batch, index: usize, events_max: usize, bytes_max: usize) -> usize {
        let from = other.0.evicted + index;
        let begin = other.0.starts[from] as usize;
        let events_max = events_max.min(other.0.starts.len() - from);
        let end_of = |count: usize| {
            other.0.starts.get(from + count).map_or(other.0.bytes.len(), |&start| start as usize)
        };
        let candidates = &other.0.starts[from..from + events_max];
        let count = if end_of(events_max) - begin <= bytes_max {
            events_max
        } else {
            // The record at a start within the limit ends past it.
            (candidates.partition_point(|&start| start as usize - begin <= bytes_max) - 1).max(1)
        };
        let end = end_of(count);
        let base = self.next_start().wrapping_sub(begin as u32);
        self.0.starts.extend(candidates[..count].iter().map(|start| start.wrapping_add(base)));
        self.0.bytes.extend_from_slice(&other.0.bytes[begin..end]);
        count
    }

    /// Appends a run of records; `lengths` holds the bytes of each, in order, and is emptied.
    pub(crate) fn append_run(&mut self, run: &[u8], lengths: &mut Vec<u32>) {
        let mut start = self.next_start();
        self.0.starts.extend(lengths.drain(..).map(|bytes| {
            let this = start;
            start += bytes;
            this
        }));
        self.0.bytes.extend_from_slice(run);
        debug_assert_eq!(start as usize, self.0.bytes.len(), "the lengths add up to the run");
    }

    /// Drops up to `count` events from the front. Returns how many, and the bytes their records took.
    pub fn evict(&mut self, count: usize) -> (usize, usize) {
        let before = self.record_bytes();
        let evicted = count.min(self.len());
        self.0.evicted += evicted;
        self.0.first = self.0.first.advanced_by(evicted as u64);
        (evicted, before - self.record_bytes())
    }

    /// Drops every event and keeps the memory.
    pub fn clear(&mut self) {
        self.0.bytes.clear();
        self.0.starts.clear();
        self.0.jumps.clear();
        self.0.evicted = 0;
    }

    fn front(&self) -> usize {
        self.0.starts.get(self.0.evicted).map_or(self.0.bytes.len(), |&start| start as usize)
    }

    #[inline]
    fn next_start(&self) -> u32 {
        u32::try_from(self.0.bytes.len()).expect("a batch stays below 4 GiB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(payloads: &[&[u8]]) -> Batch {
        let mut batch = Batch::default();
        for (at, payload) in payloads.iter().enumerate() {
            batch.push(at as u64, at as u64, EventFlags::NONE, payload);
        }
        batch.number_from(Sequence(10));
        batch
    }

    #[test]
    fn events_come_back_as_they_went_in() {
        let batch = batch(&[b"", b"a", b"12345678", b"123456789"]);
        let payloads: Vec<_> = batch.events().map(|event| event.payload.to_vec()).collect();
        assert_eq!(payloads, [&b""[..], b"a", b"12345678", b"123456789"]);
        assert_eq!(batch.event(3).sequence, Sequence(13));
        assert_eq!(batch.end(), Sequence(14));
    }

    #[test]
    fn eviction_keeps_the_sequences_of_what_stays() {
        let mut batch = batch(&[b"a", b"bb", b"ccc"]);
        assert_eq!(batch.evict(2), (2, 64));
        assert_eq!(batch.event(0).payload, b"ccc");
        assert_eq!(batch.event(0).sequence, Sequence(12));
        assert_eq!(batch.evict(5), (1, 32));
        assert_eq!(batch.record_bytes(), 0);
    }

    #[test]
    fn records_are_taken_whole() {
        let mut batch = batch(&[b"a", b"123456789", b"c"]);
        for (bytes_max, bytes, count) in
            [(0, 0, 0), (31, 0, 0), (32, 32, 1), (71, 32, 1), (72, 72, 2), (104, 104, 3)]
        {
            let (records, taken) = batch.records(0, bytes_max);
            assert_eq!((records.len(), taken), (bytes, count), "{bytes_max}");
        }
        assert_eq!(batch.records(1, 1_000).1, 2);
        batch.evict(1);
        assert_eq!((batch.records(0, 40).0.len(), batch.records(0, 40).1), (40, 1));
        assert_eq!(batch.records(2, 1_000), (&[][..], 0));
    }

    #[test]
    fn a_copy_stops_at_its_limits_but_takes_one() {
        let source = batch(&[b"a", b"b", b"c"]);
        let mut copy = Batch::default();
        assert_eq!(copy.extend_from(&source, 1, 10, 1), 1);
        assert_eq!(copy.extend_from(&source, 2, 10, usize::MAX), 1);
        assert_eq!(copy.extend_from(&source, 0, 2, usize::MAX), 2);
        let payloads: Vec<_> = copy.events().map(|event| event.payload[0]).collect();
        assert_eq!(payloads, *b"bcab");
    }
}
