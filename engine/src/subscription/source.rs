//! The source: one shard's lane, on the subscriber's side. It reads a run of records and picks the events from it, which
//! stay in the lane until they are given back.

use crate::consume::filter::{Filter, FilterScratch};
use crate::event::{Event, Sequence, ShardId};
use crate::lane::record::{FLAG_MARK, Header};
use crate::lane::{LaneConsumer, Run};
use crate::layouts::Layouts;
use crate::port::Joined;

/// One shard's lane.
pub(crate) struct Source {
    pub(crate) shard: ShardId,
    lane: LaneConsumer,
    /// Sequence of the next record; not known before the first mark where the subscription begins with the oldest event.
    next: Option<Sequence>,
    /// One past the last sequence that was settled when the subscription began.
    settled: Sequence,
    /// From this sequence on its events wait for those of other shards.
    held_from: Sequence,
    lengths: Vec<u32>,
    picked: Vec<Picked>,
    /// The event that came as a block: its body has no place in the lane.
    block: Option<(Header, Box<[u8]>)>,
}

/// An event of the run that was read last.
struct Picked {
    sequence: Sequence,
    /// Where its record starts in the run.
    at: usize,
}

/// What a subscription wants, and the memory it takes to tell.
pub(crate) type Wanted = Option<(Filter, FilterScratch)>;

impl Source {
    pub(crate) fn new(shard: ShardId, lane: LaneConsumer) -> Source {
        Source {
            shard,
            lane,
            next: None,
            settled: Sequence::FIRST,
            held_from: Layouts::NO_END,
            lengths: Vec::new(),
            picked: Vec::new(),
            block: None,
        }
    }

    /// The shard has said where the subscriber begins.
    pub(crate) fn begin(&mut self, joined: Joined) {
        self.next = joined.last.map(|last| last.advanced_by(1));
        self.settled = joined.settled;
    }

    /// The layout of the next record, or an earlier one where that is not known yet.
    pub(crate) fn layout(&self, layouts: &Layouts) -> usize {
        match self.next {
            // Whatever was to be read of earlier ones was there when the subscription began.
            Some(next) if next >= self.settled => layouts.present(),
            next => layouts.of(self.shard, next.unwrap_or(Sequence(0))),
        }
    }

    /// Reads nothing at or above this sequence from now on.
    pub(crate) fn hold_from(&mut self, sequence: Sequence) {
        self.held_from = sequence;
    }

    /// The last sequence that was read; `None` when that is not known yet.
    pub(crate) fn position(&self) -> Option<Sequence> {
        self.next.map(|next| Sequence(next.0 - 1))
    }

    /// Whether the shard has ended this lane.
    pub(crate) fn is_gone(&self) -> bool {
        self.lane.is_gone()
    }

    /// Reads the next run, of up to `records_max` records, and picks the events that are wanted. Events that retention
    /// removed are added to `skipped`. Returns how many records the run had; 0 is none.
    pub(crate) fn read(&mut self, records_max: usize, wanted: &mut Wanted, skipped: &mut u64) -> usize {
        let records_max = self.admitted(records_max);
        if records_max == 0 || !self.lane.poll() {
            return 0;
        }
        let mut is_wanted = |header: Header, body: &[u8]| match wanted {
            Some((filter, scratch)) => filter.matches(header.split(body).0, scratch),
            None => true,
        };
        match self.lane.next_run(records_max, usize::MAX, &mut self.lengths) {
            None => 0,
            Some(Run::Boxed(header, block)) => {
                let sequence = advance(&mut self.next);
                if is_wanted(header, &block) {
                    self.picked.push(Picked { sequence, at: 0 });
                    self.block = Some((header, block));
                }
                1
            }
            Some(Run::Records(run)) => {
                let mut at = 0;
                for &bytes in &self.lengths {
                    let header = Header::of(&run[at..]);
                    if header.flags & FLAG_MARK != 0 {
                        self.next = Some(Sequence(header.timestamp_ns));
                        *skipped += header.hash;
                    } else {
                        let sequence = advance(&mut self.next);
                        if is_wanted(header, header.body(&run[at..])) {
                            self.picked.push(Picked { sequence, at });
                        }
                    }
                    at += bytes as usize;
                }
                self.lengths.len()
            }
        }
    }

    /// How many of `records_max` records may be read now.
    fn admitted(&mut self, records_max: usize) -> usize {
        if self.held_from == Layouts::NO_END {
            return records_max;
        }
        let left = self.next.map_or(1, |next| self.held_from.0.saturating_sub(next.0));
        // What follows a mark has other sequences.
        self.lane.until_mark(records_max.min(usize::try_from(left).unwrap_or(usize::MAX)))
    }

    /// How many events were picked.
    pub(crate) fn picked_count(&self) -> usize {
        self.picked.len()
    }

    /// An event that was picked.
    pub(crate) fn event(&self, index: usize) -> Event<'_> {
        let Picked { sequence, at } = self.picked[index];
        let (header, body) = if let Some((header, block)) = &self.block {
            (*header, &block[..])
        } else {
            let record = &self.lane.last_run()[at..];
            let header = Header::of(record);
            (header, header.body(record))
        };
        header.event(sequence, body)
    }

    /// Gives the memory of what was read back to the shard.
    pub(crate) fn give_back(&mut self) {
        self.picked.clear();
        self.lengths.clear();
        self.block = None;
        self.lane.release();
    }

    /// Whether the shard is to be rung, because it waits for the room that was given back.
    pub(crate) fn owes_a_ring(&self) -> bool {
        self.lane.owes_a_ring()
    }
}

/// The sequence of the record that is being read.
fn advance(next: &mut Option<Sequence>) -> Sequence {
    let sequence = next.expect("the first record is a mark where the beginning is not known");
    *next = Some(sequence.advanced_by(1));
    sequence
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lane::{LaneBudget, LaneProducer, lane};

    fn push(lane: &mut LaneProducer, events: usize) {
        let header = Header { body_bytes: 1, flags: 0, timestamp_ns: 0, hash: 0 };
        (0..events).for_each(|_| lane.push(header, b"a").expect("there is room"));
    }

    fn mark(lane: &mut LaneProducer, next: u64) {
        let header = Header { body_bytes: 0, flags: FLAG_MARK, timestamp_ns: next, hash: 3 };
        lane.push(header, &[]).expect("there is room");
    }

    /// Everything that may be read now, as sequences.
    fn read(source: &mut Source, skipped: &mut u64) -> Vec<u64> {
        let mut sequences = Vec::new();
        while source.read(100, &mut None, skipped) > 0 {
            sequences.extend((0..source.picked_count()).map(|index| source.event(index).sequence.0));
            source.give_back();
        }
        sequences
    }

    #[test]
    fn what_is_held_back_stays_in_the_lane_although_a_mark_leads_there() {
        let (mut producer, consumer) = lane(4096, &Arc::new(LaneBudget::new(1 << 20))).expect("room");
        let mut source = Source::new(ShardId(0), consumer);
        let mut skipped = 0;
        mark(&mut producer, 1);
        push(&mut producer, 5);
        mark(&mut producer, 10);
        push(&mut producer, 2);
        producer.publish();
        for (held_from, expected) in
            [(1, vec![]), (4, vec![1, 2, 3]), (7, vec![4, 5]), (11, vec![10]), (u64::MAX, vec![11])]
        {
            source.hold_from(Sequence(held_from));
            assert_eq!(read(&mut source, &mut skipped), expected, "held from {held_from}");
        }
        assert_eq!(skipped, 6, "of both marks");
    }

    #[test]
    fn who_has_read_what_was_there_at_the_beginning_has_read_every_earlier_layout() {
        let (_producer, consumer) = lane(4096, &Arc::new(LaneBudget::new(1 << 20))).expect("room");
        let mut source = Source::new(ShardId(0), consumer);
        let layouts = Layouts::new(&[vec![Sequence(20)]]);
        for (last, settled, layout) in [(None, 30, 0), (Some(18), 30, 0), (Some(19), 30, 1), (Some(8), 9, 1)]
        {
            source.begin(Joined { last: last.map(Sequence), settled: Sequence(settled) });
            assert_eq!(source.layout(&layouts), layout, "{last:?} of {settled}");
        }
    }
}
