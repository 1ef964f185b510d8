//! A producer: one thread that publishes, times its calls and counts what became of them.
//!
//! An event that the bus refuses for now is published again until it is accepted, so that what a producer published is
//! without gaps. A bus that refuses for ten seconds is given up.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use quanta::Clock;

use crate::bus::{Batch, Bus, BusError, Receipt};
use crate::config::{EVENT_OVERHEAD_BYTES, Limit, Plan, Work};
use crate::gate::{Allowance, Gate};
use crate::input::Input;
use crate::lines::Receipts;
use crate::pace::{Pacer, Schedule};
use crate::payload::Payloads;

/// What the producers of a run share.
pub(crate) struct Stage<'run> {
    pub(crate) plan: &'run Plan,
    pub(crate) bus: &'run Bus,
    pub(crate) clock: &'run Clock,
    pub(crate) gate: &'run Gate,
    pub(crate) allowance: Allowance,
    pub(crate) start: &'run Barrier,
    /// One entry a producer.
    pub(crate) tallies: &'run [Tally],
    pub(crate) receipts: &'run [Receipts],
}

/// What a producer has done so far, for others to see. Written by its producer now and then, and before it waits or ends.
/// On cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Tally {
    accepted: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What became of one producer's events.
pub(crate) struct Published {
    /// Nanoseconds of each accepted call.
    pub(crate) latency: Histogram<u64>,
    pub(crate) accepted: u64,
    pub(crate) bytes: u64,
    /// Calls that the bus refused for now.
    pub(crate) refused: u64,
    /// Time from the common start, the waits for the reader left out.
    pub(crate) active: Duration,
    /// Time spent waiting for the reader.
    pub(crate) held: Duration,
    /// Lines that the bus can never accept: their numbers, and why.
    pub(crate) invalid: Vec<(u64, String)>,
    /// Why it ended early.
    pub(crate) failure: Option<BusError>,
}

/// Runs producer number `producer` to its end.
pub(crate) fn run(stage: &Stage<'_>, producer: u16) -> Published {
    let mut publisher = Publisher::new(stage, producer);
    stage.start.wait();
    publisher.begin();
    let result = match &stage.plan.work {
        Work::Synthetic { size, batch: 1, limit } => publisher.singles(*size, *limit),
        Work::Synthetic { size, batch, limit } => publisher.batches(*size, *batch, *limit),
        Work::Lines(input) => publisher.lines(input),
    };
    publisher.end(result.err())
}

/// A histogram for durations of up to a minute, exact to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_NS_MAX, 3).expect("valid bounds")
}

struct Publisher<'run> {
    stage: &'run Stage<'run>,
    producer: u16,
    key: [u8; 2],
    pacer: Option<Pacer>,
    start: u64,
    since_catch_up: Allowance,
    tallied: u64,
    published: Published,
}

impl<'run> Publisher<'run> {
    fn new(stage: &'run Stage<'run>, producer: u16) -> Publisher<'run> {
        let published = Published {
            latency: histogram(),
            accepted: 0,
            bytes: 0,
            refused: 0,
            active: Duration::ZERO,
            held: Duration::ZERO,
            invalid: Vec::new(),
            failure: None,
        };
        let since_catch_up = Allowance { events: 0, bytes: 0 };
        let key = producer.to_le_bytes();
        Publisher { stage, producer, key, pacer: None, start: 0, since_catch_up, tallied: 0, published }
    }

    fn begin(&mut self) {
        self.start = self.stage.clock.raw();
        let (plan, start) = (self.stage.plan, self.start);
        let batch = if let Work::Synthetic { batch, .. } = plan.work { batch } else { 1 };
        self.pacer = plan
            .rate
            .map(|rate| Pacer::new(Schedule::new(rate, self.producer, plan.producers, batch), start));
    }

    fn end(mut self, failure: Option<BusError>) -> Published {
        self.published.active = self.elapsed().saturating_sub(self.published.held);
        self.published.failure = failure;
        self.tally();
        self.stage.gate.finish();
        self.published
    }

    /// Made-up events, one a call.
    fn singles(&mut self, size: usize, limit: Limit) -> Result<(), BusError> {
        let mut row = Payloads::new(self.producer, size, row_len(size));
        let mut left = Left::new(limit, self.stage.plan.producers, self.producer);
        loop {
            for index in 0..row.len() {
                if !left.take(1, index == 0, self) {
                    return Ok(());
                }
                self.publish(row.event(index))?;
            }
            row.advance();
        }
    }

    /// Made-up events, many a call.
    fn batches(&mut self, size: usize, batch: usize, limit: Limit) -> Result<(), BusError> {
        let mut row = Payloads::new(self.producer, size, batch);
        let mut left = Left::new(limit, self.stage.plan.producers, self.producer);
        loop {
            let count = left.at_most(batch);
            if count == 0 || !left.take(count as u64, true, self) {
                return Ok(());
            }
            self.publish_batch(&Batch::of((0..count).map(|index| row.event(index))), size)?;
            row.advance();
        }
    }

    /// Every line whose turn it is: of `n` producers each takes every `n`th.
    fn lines(&mut self, input: &Input) -> Result<(), BusError> {
        let producers = usize::from(self.stage.plan.producers);
        let mut gathered = Vec::new();
        let mut result = Ok(());
        for index in (usize::from(self.producer)..input.lines().len()).step_by(producers) {
            if self.is_spent() {
                self.stage.receipts[usize::from(self.producer)].append(&mut gathered);
                self.hold();
            }
            match self.publish(input.event(index)) {
                Ok(receipt) => gathered.push((receipt, index)),
                Err(error) if error.is_invalid_event() => {
                    self.published.invalid.push((input.lines()[index].number, error.meaning().to_owned()));
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.stage.receipts[usize::from(self.producer)].append(&mut gathered);
        result
    }

    /// Publishes one event, and records how long the accepted call took.
    #[inline]
    fn publish(&mut self, event: &[u8]) -> Result<Receipt, BusError> {
        if self.is_spent() {
            self.hold();
        }
        let due = self.wait_until_due();
        let mut patience = Patience::default();
        loop {
            let start = self.stage.clock.raw();
            match self.stage.bus.ingest_keyed(&self.key, event) {
                Ok(receipt) => {
                    self.record(due, start, 1, event.len());
                    return Ok(receipt);
                }
                Err(error) if error.is_refusal() => {
                    self.published.refused += 1;
                    patience.wait(error)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Publishes a batch to its last event, and records how long each call took that accepted something.
    fn publish_batch(&mut self, batch: &Batch<'_>, size: usize) -> Result<(), BusError> {
        if self.is_spent() {
            self.hold();
        }
        let due = self.wait_until_due();
        let mut patience = Patience::default();
        let mut done = 0;
        while done < batch.len() {
            let start = self.stage.clock.raw();
            match self.stage.bus.ingest_batch(batch, done) {
                Ok(accepted) => {
                    self.record(due, start, accepted as u64, accepted * size);
                    done += accepted;
                    patience = Patience::default();
                }
                Err(error) if error.is_refusal() => {
                    self.published.refused += 1;
                    patience.wait(error)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for the moment the next call is due; that moment after the start, in the open loop.
    #[inline]
    fn wait_until_due(&mut self) -> Option<u64> {
        self.pacer.as_mut().map(|pacer| pacer.wait(self.stage.clock))
    }

    /// Records an accepted call that started at the raw clock value `start`, or that was due `due` after the start.
    #[inline]
    fn record(&mut self, due: Option<u64>, start: u64, events: u64, bytes: usize) {
        let clock = self.stage.clock;
        let end = clock.raw();
        let nanos = match due {
            Some(due) => clock.delta_as_nanos(self.start, end).saturating_sub(due),
            None => clock.delta_as_nanos(start, end),
        };
        self.published.latency.saturating_record(nanos);
        self.published.accepted += events;
        self.published.bytes += bytes as u64;
        self.since_catch_up.events += events;
        self.since_catch_up.bytes += bytes as u64 + events * EVENT_OVERHEAD_BYTES;
        if self.published.accepted - self.tallied >= TALLY_EVENTS {
            self.tally();
        }
    }

    /// Whether the reader must catch up first.
    #[inline]
    fn is_spent(&self) -> bool {
        self.since_catch_up.events >= self.stage.allowance.events
            || self.since_catch_up.bytes >= self.stage.allowance.bytes
    }

    #[cold]
    fn hold(&mut self) {
        self.tally();
        let held = self.stage.gate.hold();
        self.published.held += held;
        if let Some(pacer) = &mut self.pacer {
            pacer.shift(held);
        }
        self.since_catch_up = Allowance { events: 0, bytes: 0 };
    }

    fn tally(&mut self) {
        let tally = &self.stage.tallies[usize::from(self.producer)];
        tally.accepted.store(self.published.accepted, Ordering::Relaxed);
        tally.bytes.store(self.published.bytes, Ordering::Relaxed);
        self.tallied = self.published.accepted;
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.stage.clock.delta_as_nanos(self.start, self.stage.clock.raw()))
    }
}

/// What is left of a synthetic run for one producer.
enum Left {
    Events(u64),
    Until(Duration),
}

impl Left {
    fn new(limit: Limit, producers: u16, producer: u16) -> Left {
        let producers = u64::from(producers);
        match limit {
            Limit::Events(events) => {
                Left::Events(events / producers + u64::from(u64::from(producer) < events % producers))
            }
            Limit::Duration(duration) => Left::Until(duration),
        }
    }

    /// How many of `count` events are left to publish, time not considered.
    fn at_most(&self, count: usize) -> usize {
        match self {
            Left::Events(events) => count.min(usize::try_from(*events).unwrap_or(usize::MAX)),
            Left::Until(_) => count,
        }
    }

    /// Takes `count` events; false when the run is over. The closed loop looks at the clock only where `look` says so.
    #[inline]
    fn take(&mut self, count: u64, look: bool, publisher: &Publisher<'_>) -> bool {
        match self {
            Left::Events(events) => {
                let enough = *events >= count;
                *events = events.saturating_sub(count);
                enough
            }
            Left::Until(duration) => {
                let whole = *duration + publisher.published.held;
                match &publisher.pacer {
                    Some(pacer) => Duration::from_nanos(pacer.due_ns()) < whole,
                    None => !look || publisher.elapsed() < whole,
                }
            }
        }
    }
}

/// How a producer waits while the bus is too busy: it spins, then yields, then sleeps, at most ten seconds in a row.
#[derive(Default)]
struct Patience {
    refusals: u32,
    since: Option<Instant>,
}

impl Patience {
    fn wait(&mut self, error: BusError) -> Result<(), BusError> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            return Err(error);
        }
        self.pause();
        Ok(())
    }

    fn pause(&mut self) {
        self.refusals += 1;
        match self.refusals {
            0..=10 => std::hint::spin_loop(),
            11..=100 => thread::yield_now(),
            _ => thread::sleep(Duration::from_micros(50)),
        }
    }
}

/// How many events are kept ready: they stay in the first-level cache.
fn row_len(size: usize) -> usize {
    (ROW_BYTES / size).clamp(1, 64)
}

const ROW_BYTES: usize = 16 << 10;
const TALLY_EVENTS: u64 = 256;
const LATENCY_NS_MAX: u64 = 60_000_000_000;
const PATIENCE: Duration = Duration::from_secs(10);
