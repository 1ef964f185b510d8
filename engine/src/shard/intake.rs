//! The intake: the lanes of a shard, drained in rounds so that no producer starves another.

use std::num::NonZeroU32;

use super::buffer::{Amount, Buffer, RUN_BYTES_MAX, split_run};
use crate::clock::Monotonic;
use crate::config::Backpressure;
use crate::counters::ShardStats;
use crate::lane::record::record_bytes;
use crate::lane::{LaneConsumer, Run};

/// The lanes of one shard and what came through them.
pub(crate) struct Intake {
    lanes: Vec<(LaneId, LaneConsumer)>,
    first: usize,
    lengths: Vec<u32>,
    next_id: u64,
    backpressure: Backpressure,
    sample_phase: u32,
    congested: bool,
    closed: bool,
    evicted: u64,
    sampled: u64,
    retired: Retired,
}

/// Number of a lane within its shard; never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneId(u64);

/// What lanes that are gone had counted.
#[derive(Clone, Copy, Debug, Default)]
struct Retired {
    pushed: u64,
    dropped: u64,
    refused: u64,
}

impl Intake {
    pub(crate) fn new(backpressure: Backpressure) -> Intake {
        Intake {
            lanes: Vec::new(),
            first: 0,
            lengths: Vec::with_capacity(RUN_EVENTS_MAX),
            next_id: 0,
            backpressure,
            sample_phase: 0,
            congested: false,
            closed: false,
            evicted: 0,
            sampled: 0,
            retired: Retired::default(),
        }
    }

    /// Takes new lanes over.
    pub(crate) fn adopt(&mut self, arrivals: Vec<LaneConsumer>) {
        for lane in arrivals {
            if self.closed {
                lane.close();
            }
            self.lanes.push((LaneId(self.next_id), lane));
            self.next_id += 1;
        }
    }

    /// Drains one run from each lane into the buffer. Returns how many events were read.
    #[inline]
    pub(crate) fn drain(&mut self, buffer: &mut Buffer, now: Monotonic) -> usize {
        self.congested = false;
        let mut drained = 0;
        // Another lane is first in each round, so that none has an advantage when room is short.
        self.first = if self.first + 1 < self.lanes.len() { self.first + 1 } else { 0 };
        for index in (self.first..self.lanes.len()).chain(0..self.first) {
            drained += self.drain_lane(index, buffer, now);
            if self.congested {
                break;
            }
        }
        drained
    }

    #[inline]
    fn drain_lane(&mut self, index: usize, buffer: &mut Buffer, now: Monotonic) -> usize {
        let lane = &mut self.lanes[index].1;
        if !lane.poll() {
            return 0;
        }
        let stops_when_full =
            matches!(self.backpressure, Backpressure::DropNewest | Backpressure::FailProducer);
        let mut limit = Amount { events: RUN_EVENTS_MAX.min(buffer.batch_room()), bytes: RUN_BYTES_MAX };
        let samples = matches!(self.backpressure, Backpressure::Sample(_));
        if stops_when_full && buffer.is_full() {
            self.congested = true;
            return 0;
        }
        if stops_when_full || (samples && !buffer.is_full()) {
            let room = buffer.room();
            limit = Amount { events: limit.events.min(room.events), bytes: limit.bytes.min(room.bytes) };
        }
        let Some(run) = lane.next_run(limit.events, limit.bytes, &mut self.lengths) else { return 0 };
        let incoming = match &run {
            Run::Records(run) => Amount { events: self.lengths.len(), bytes: run.len() },
            Run::Boxed(_, block) => Amount { events: 1, bytes: record_bytes(block.len()) },
        };
        match (self.backpressure, run) {
            (Backpressure::Sample(sampling), run) if buffer.is_full() => {
                let mut sampler = Sampler {
                    rate: sampling.rate,
                    phase: &mut self.sample_phase,
                    sampled: &mut self.sampled,
                };
                let admitted = |header, body: &[u8]| {
                    if sampler.admits() {
                        let bytes = record_bytes(body.len());
                        self.evicted += buffer.make_room(Amount { events: 1, bytes });
                        buffer.append(header, body, now);
                    }
                };
                each_event(run, &self.lengths, admitted);
                self.lengths.clear();
            }
            (_, run) => {
                if !stops_when_full {
                    self.evicted += buffer.make_room(incoming);
                }
                match run {
                    Run::Records(run) => buffer.append_run(run, &mut self.lengths, now),
                    Run::Boxed(header, block) => buffer.append(header, &block, now),
                }
            }
        }
        lane.release();
        incoming.events
    }

    /// Whether draining has stopped because the buffer is full.
    pub(crate) fn is_congested(&self) -> bool {
        self.congested
    }

    /// Whether a round would find something: the last look before the shard sleeps.
    pub(crate) fn has_work(&self) -> bool {
        !self.congested && self.lanes.iter().any(|(_, lane)| !lane.is_empty())
    }

    /// Forgets the lanes whose producers are gone and that were read to their end.
    pub(crate) fn retire(&mut self) {
        let retired = &mut self.retired;
        self.lanes.retain(|(_, lane)| {
            // In this order: a lane that is gone publishes nothing more.
            let ended = lane.is_gone() && lane.is_empty();
            if ended {
                let counts = lane.counts();
                retired.pushed += counts.pushed;
                retired.dropped += counts.dropped;
                retired.refused += counts.refused;
            }
            !ended
        });
    }

    /// For each lane that holds something, the position published by now.
    pub(crate) fn positions(&self) -> Vec<(LaneId, u64)> {
        let published = self.lanes.iter().map(|(id, lane)| (*id, lane.published(), lane.position()));
        published.filter(|&(_, end, position)| position < end).map(|(id, end, _)| (id, end)).collect()
    }

    /// Whether the lane was read up to `position`. One that was forgotten was read to its end.
    pub(crate) fn has_passed(&self, id: LaneId, position: u64) -> bool {
        self.lanes.iter().find(|(lane, _)| *lane == id).is_none_or(|(_, lane)| lane.position() >= position)
    }

    /// Refuses publications from now on, on lanes that are there and on those that still arrive. Publications under
    /// way end on their own; a heavy fence is due before [`is_finished`](Intake::is_finished) may be believed.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        for (_, lane) in &self.lanes {
            lane.close();
        }
    }

    /// Whether no publication is under way. Final after [`close`](Intake::close).
    pub(crate) fn is_quiescent(&self) -> bool {
        self.lanes.iter().all(|(_, lane)| lane.is_quiescent())
    }

    /// Whether no publication is under way and everything was read. Final after [`close`](Intake::close).
    pub(crate) fn is_finished(&self) -> bool {
        self.is_quiescent()
            && (crate::planted!("14-finished-with-lanes-full")
                || self.lanes.iter().all(|(_, lane)| lane.is_empty()))
    }

    /// Reads and drops everything published. Returns how many events.
    pub(crate) fn discard(&mut self) -> u64 {
        let mut discarded = 0;
        for (_, lane) in &mut self.lanes {
            while let Some(run) = lane.next_run(RUN_EVENTS_MAX, RUN_BYTES_MAX, &mut self.lengths) {
                discarded += if matches!(run, Run::Boxed(..)) { 1 } else { self.lengths.len() as u64 };
                self.lengths.clear();
                lane.release();
            }
        }
        discarded
    }

    /// Writes what the lanes have counted into `stats`; what waits in them is added to its pending terms.
    pub(crate) fn count(&self, stats: &mut ShardStats) {
        let Retired { mut pushed, mut dropped, mut refused } = self.retired;
        for (_, lane) in &self.lanes {
            let counts = lane.counts();
            pushed += counts.pushed;
            dropped += counts.dropped;
            refused += counts.refused;
            stats.pending_events += counts.pushed - counts.popped;
            stats.pending_bytes += lane.waiting_bytes();
        }
        stats.ingested = pushed + dropped;
        stats.dropped.newest = dropped;
        stats.dropped.oldest = if crate::planted!("12-evicted-are-not-counted") { 0 } else { self.evicted };
        stats.dropped.sampled = self.sampled;
        stats.refused = refused;
        stats.lanes = self.lanes.len() as u64;
    }
}

/// Decides which events `Sample` admits: the last of every `rate`.
struct Sampler<'a> {
    rate: NonZeroU32,
    phase: &'a mut u32,
    sampled: &'a mut u64,
}

impl Sampler<'_> {
    fn admits(&mut self) -> bool {
        *self.phase += 1;
        let admitted = crate::planted!("15-sample-takes-all") || *self.phase >= self.rate.get();
        if admitted {
            *self.phase = 0;
        } else {
            *self.sampled += u64::from(!crate::planted!("12-sampled-are-not-counted"));
        }
        admitted
    }
}

fn each_event(run: Run<'_>, lengths: &[u32], mut visit: impl FnMut(crate::lane::record::Header, &[u8])) {
    match run {
        Run::Records(run) => split_run(run, lengths).for_each(|(header, body)| visit(header, body)),
        Run::Boxed(header, block) => visit(header, &block),
    }
}

/// Events that are read from a lane at once.
const RUN_EVENTS_MAX: usize = 1024;
