//! The source: one shard's lane, on the subscriber's side. It reads a run of records and picks the events from it, which
//! stay in the lane until they are given back.

use crate::consume::filter::{Filter, FilterScratch};
use crate::event::{Event, Sequence, ShardId};
use crate::lane::record::{FLAG_MARK, Header};
use crate::lane::{LaneConsumer, Run};

/// One shard's lane.
pub(crate) struct Source {
    pub(crate) shard: ShardId,
    lane: LaneConsumer,
    /// Sequence of the next record; not known before the first mark where the subscription begins with the oldest event.
    next: Option<Sequence>,
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
        Source { shard, lane, next: None, lengths: Vec::new(), picked: Vec::new(), block: None }
    }

    /// The shard has said that the subscriber gets what follows `last`.
    pub(crate) fn begin_after(&mut self, last: Sequence) {
        self.next = Some(last.advanced_by(1));
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
        if !self.lane.poll() {
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
