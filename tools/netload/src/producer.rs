//! A producer: one thread that publishes, times its calls and counts what became of them.
//!
//! An event that the bus refuses for now is published again until it is accepted, so that what a producer published is
//! without gaps. Its latency counts from the first attempt. A bus that refuses for ten seconds is given up.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use quanta::Clock;

use crate::bus::{Batch, Bus, BusError, Receipt};
use crate::config::{EVENT_OVERHEAD_BYTES, Limit, Plan, Work};
use crate::gate::{Allowance, Gate};
use crate::input::Input;
use crate::keys::key;
use crate::left::Left;
use crate::lines::Receipts;
use crate::pace::{Pacer, Schedule};
use crate::patience::until_accepted;
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
    /// Nanoseconds from the first attempt of each call until it was accepted.
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
        Publisher { stage, producer, pacer: None, start: 0, since_catch_up, tallied: 0, published }
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
        let mut number = 0;
        loop {
            for index in 0..row.len() {
                if !left.take(1, |duration| self.is_in_time(duration, index == 0)) {
                    return Ok(());
                }
                self.publish(number, row.event(index))?;
                number += 1;
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
            if count == 0 || !left.take(count as u64, |duration| self.is_in_time(duration, true)) {
                return Ok(());
            }
            self.publish_batch(&Batch::of((0..count).map(|index| row.event(index))), size)?;
            row.advance();
        }
    }

    /// Every line whose turn it is: of `n` producers each takes every `n`th.
    fn lines(&mut self, input: &Input) -> Result<(), BusError> {
        let (producer, producers) = (usize::from(self.producer), usize::from(self.stage.plan.producers));
        let mut gathered = Vec::new();
        let mut result = Ok(());
        for (number, index) in (0..).zip((producer..input.lines().len()).step_by(producers)) {
            if self.is_spent() {
                self.stage.receipts[producer].append(&mut gathered);
                self.hold();
            }
            match self.publish(number, input.event(index)) {
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
        self.stage.receipts[producer].append(&mut gathered);
        result
    }

    /// Publishes this producer's event number `number`, and records how long that took.
    #[inline]
    fn publish(&mut self, number: u64, event: &[u8]) -> Result<Receipt, BusError> {
        if self.is_spent() {
            self.hold();
        }
        let due = self.wait_until_due();
        let Stage { bus, clock, .. } = self.stage;
        let key = key(self.producer, number);
        let accepted = until_accepted(clock, &mut self.published.refused, || bus.ingest_keyed(&key, event))?;
        self.record(due, accepted.start, 1, event.len());
        Ok(accepted.value)
    }

    /// Publishes a batch to its last event, and records how long it took each time to have something accepted.
    fn publish_batch(&mut self, batch: &Batch<'_>, size: usize) -> Result<(), BusError> {
        if self.is_spent() {
            self.hold();
        }
        let due = self.wait_until_due();
        let Stage { bus, clock, .. } = self.stage;
        let mut done = 0;
        while done < batch.len() {
            let accepted =
                until_accepted(clock, &mut self.published.refused, || bus.ingest_batch(batch, done))?;
            self.record(due, accepted.start, accepted.value as u64, accepted.value * size);
            done += accepted.value;
        }
        Ok(())
    }

    /// Waits for the moment the next call is due; that moment after the start, in the open loop.
    #[inline]
    fn wait_until_due(&mut self) -> Option<u64> {
        self.pacer.as_mut().map(|pacer| pacer.wait(self.stage.clock))
    }

    /// Records an accepted call whose first attempt started at the raw clock value `start`, or that was due `due` after the start.
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

    /// Whether a run of this length still goes on. The closed loop looks at the clock only where `look` says so.
    #[inline]
    fn is_in_time(&self, duration: Duration, look: bool) -> bool {
        let whole = duration + self.published.held;
        match &self.pacer {
            Some(pacer) => Duration::from_nanos(pacer.due_ns()) < whole,
            None => !look || self.elapsed() < whole,
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

/// How many events are kept ready: they stay in the first-level cache.
fn row_len(size: usize) -> usize {
    (ROW_BYTES / size).clamp(1, 64)
}

const ROW_BYTES: usize = 16 << 10;
const TALLY_EVENTS: u64 = 256;
const LATENCY_NS_MAX: u64 = 60_000_000_000;
