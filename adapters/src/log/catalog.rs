//! The catalog: the segments of one shard's log, what each has, and which may go. Where a sequence is, and what is missing
//! between two, is asked here.

use std::collections::VecDeque;

use engine::event::Sequence;

use super::format::header::Jump;
use super::format::index::Index;
use super::jumps::Jumps;
use super::operation::Write;
use super::options::Retention;

/// The segments with events, ascending.
#[derive(Debug)]
pub(super) struct Catalog {
    segments: VecDeque<Segment>,
    pub(super) jumps: Jumps,
    retention: Retention,
    /// Segments that are to be removed once nobody reads them.
    doomed: Vec<Segment>,
}

/// A segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) salt: u64,
    /// Its first event.
    pub(super) first: Sequence,
    /// One past its last event, as far as it is known; what a newer segment has as well counts there.
    pub(super) end: Sequence,
    pub(super) bytes: u64,
    /// When its last event came, nanoseconds since the Unix epoch.
    pub(super) newest_ns: u64,
    /// `None` until it was loaded.
    pub(super) index: Option<Index>,
    /// Reads under way.
    pub(super) readers: u32,
}

impl Catalog {
    pub(super) fn new(segments: Vec<Segment>, jumps: Jumps, retention: Retention) -> Catalog {
        Catalog { segments: segments.into(), jumps, retention, doomed: Vec::new() }
    }

    /// Takes a segment in that has its first event now. What older ones have from `previous_end` on, up to which events were
    /// submitted before, does not count any more.
    pub(super) fn push(&mut self, segment: Segment, previous_end: Sequence) {
        while let Some(last) = self.segments.back_mut() {
            if last.first < previous_end {
                last.end = last.end.min(previous_end);
                break;
            }
            self.doomed.extend(self.segments.pop_back());
        }
        self.segments.push_back(segment);
    }

    /// Notes where a block was written. The first one of a segment takes it in.
    pub(super) fn note(&mut self, write: &Write) {
        let header = &write.draft.header;
        let bytes = write.draft.bytes() as u64;
        if self.segment(write.number).is_none() {
            let segment = Segment {
                number: write.number,
                salt: write.salt,
                first: header.first,
                end: header.first,
                bytes: write.at,
                newest_ns: 0,
                index: Some(Index::default()),
                readers: 0,
            };
            self.push(segment, header.previous_end);
        }
        let segment = self.segment(write.number).expect("pushed above");
        segment.end = header.end();
        segment.bytes += bytes;
        segment.newest_ns = header.newest_ns;
        if let Some(index) = &mut segment.index {
            index.note(header.first, header.end(), write.at, bytes);
        }
    }

    /// Sequence of the oldest event; `None` where there is none.
    pub(super) fn oldest(&self) -> Option<Sequence> {
        self.segments.front().map(|segment| segment.first)
    }

    /// The segment that has `sequence`, or would have it.
    pub(super) fn place(&mut self, sequence: Sequence) -> Option<&mut Segment> {
        let after = self.segments.partition_point(|segment| segment.first <= sequence);
        self.segments.get_mut(after.checked_sub(1)?)
    }

    /// The segment with the lowest sequences above those of segment `number`.
    pub(super) fn following(&mut self, first: Sequence) -> Option<&mut Segment> {
        let after = self.segments.partition_point(|segment| segment.first <= first);
        self.segments.get_mut(after)
    }

    /// Segment `number`, also one that is to go.
    pub(super) fn segment(&mut self, number: u64) -> Option<&mut Segment> {
        self.segments.iter_mut().rev().chain(&mut self.doomed).find(|segment| segment.number == number)
    }

    /// Notes that sequences jump behind everything before.
    pub(super) fn jump(&mut self, end: Sequence, next: Sequence) {
        self.jumps.note(Jump { end, next });
    }

    /// Where a reader goes on that wants `from`, and how many events it misses that were there. `is_first`: it has seen none yet.
    pub(super) fn begin(&self, from: Sequence, is_first: bool, end: Sequence) -> (Sequence, u64) {
        let mut begin = from;
        let mut missed = 0;
        if let Some(jump) = self.jumps.over(begin) {
            // It has seen events that a crash took, up to its position.
            missed += begin.0 - jump.end.0;
            begin = jump.next;
        }
        let oldest = self.oldest().unwrap_or(end);
        if begin < oldest {
            missed += self.jumps.events_between(begin, oldest);
            begin = oldest;
        }
        (begin, if is_first { 0 } else { missed })
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Whether segments go when they are too old.
    pub(super) fn keeps_by_age(&self) -> bool {
        self.retention.age.is_some()
    }

    /// How many segments there are.
    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Lets the oldest segments go that retention does not keep, all but the last: those without which what is left is as much as it
    /// is to keep, and those whose last event is too old at `wall_ns`. How many.
    pub(super) fn retain(&mut self, wall_ns: u64) -> usize {
        let before = self.segments.len();
        let bytes_min = self.retention.bytes.map_or(u64::MAX, std::num::NonZeroU64::get);
        let events_min = self.retention.events.map_or(u64::MAX, std::num::NonZeroU64::get);
        let age_max =
            self.retention.age.map_or(u64::MAX, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        let (mut bytes, mut events) = (self.bytes(), self.events());
        while let Some(oldest) = self.segments.front() {
            let oldest_events = self.jumps.events_between(oldest.first, oldest.end);
            let left = (bytes - oldest.bytes, events - oldest_events);
            let age = wall_ns.saturating_sub(oldest.newest_ns);
            let goes = left.0 >= bytes_min || left.1 >= events_min || age > age_max;
            if self.segments.len() == 1 || !goes {
                break;
            }
            (bytes, events) = left;
            self.doomed.extend(self.segments.pop_front());
        }
        before - self.segments.len()
    }

    /// Segments that go now, since nobody reads them or one before them: after a crash no newer one is to be missing before an older.
    pub(super) fn take_doomed(&mut self) -> impl Iterator<Item = u64> + '_ {
        self.doomed.sort_unstable_by_key(|segment| segment.number);
        let count = self.doomed.iter().take_while(|segment| segment.readers == 0).count();
        self.doomed.drain(..count).map(|segment| segment.number)
    }

    /// Events of all segments, damaged ones included.
    pub(super) fn events(&self) -> u64 {
        self.segments.iter().map(|segment| self.jumps.events_between(segment.first, segment.end)).sum()
    }
}
