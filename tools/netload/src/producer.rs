//! A producer: one thread that publishes, times its calls and counts what became of them.
//!
//! An event that the bus refuses for now is published again until it is accepted, so that what a producer published is
//! without gaps. Its latency counts from the first attempt. A bus that refuses for ten seconds is given up. A producer that
//! panics ends as one that failed: nobody waits for it.

use std::time::Duration;

use crate::bus::{Batch, BusError, Receipt};
use crate::config::{EVENT_OVERHEAD_BYTES, Limit, Work};
use crate::gate::Allowance;
use crate::input::{Input, LineKey};
use crate::left::Left;
use crate::pace::Pacer;
use crate::panics::caught;
use crate::patience::until_accepted;
use crate::payload::{Payloads, stamp};
use crate::processor;
use crate::record::{Recorder, histogram};
use crate::sizes::Sizes;
use crate::stage::{Published, Stage};

/// Runs producer number `producer` to its end. A `recorder` is given where a latency ends with the call.
pub(crate) fn run(stage: &Stage<'_>, producer: u16, recorder: Option<Recorder>) -> Published {
    let mut publisher = Publisher::new(stage, producer, recorder);
    let result = caught(|| match &stage.plan.work {
        Work::Synthetic { sizes, batch: 1, limit } => publisher.singles(*sizes, *limit),
        Work::Synthetic { sizes, batch, limit } => publisher.batches(*sizes, *batch, *limit),
        Work::Lines { input, repeat } => publisher.lines(input, *repeat),
    });
    publisher.end(result.err())
}

struct Publisher<'run> {
    stage: &'run Stage<'run>,
    producer: u16,
    pacer: Option<Pacer>,
    recorder: Option<Recorder>,
    /// Raw clock value.
    start: u64,
    warmup_ns: u64,
    skipped_calls_in_warmup: u64,
    /// The end of the last call, or where calls are not timed its begin, in nanoseconds after the start.
    last_ns: u64,
    since_catch_up: Allowance,
    tallied: u64,
    published: Published,
}

/// When a call was due, in nanoseconds after the start, and the raw clock value at which it began.
#[derive(Clone, Copy)]
struct Moment {
    due_ns: u64,
    called: u64,
}

impl<'run> Publisher<'run> {
    /// Lines up with the other producers.
    fn new(stage: &'run Stage<'run>, producer: u16, recorder: Option<Recorder>) -> Publisher<'run> {
        let published = Published {
            service: None,
            lag: histogram(),
            accepted: 0,
            bytes: 0,
            measured: 0,
            measured_bytes: 0,
            skipped: 0,
            refused: 0,
            active: Duration::ZERO,
            in_calls_ns: 0,
            held: Duration::ZERO,
            processor: Duration::ZERO,
            invalid: Vec::new(),
            failure: None,
        };
        stage.line_up.wait();
        Publisher {
            stage,
            producer,
            pacer: stage.plan.pace.map(|load| Pacer::new(load, producer)),
            recorder,
            start: *stage.start.get_or_init(|| stage.clock.raw()),
            warmup_ns: stage.plan.warmup.as_nanos() as u64,
            skipped_calls_in_warmup: 0,
            last_ns: 0,
            since_catch_up: Allowance { events: 0, bytes: 0 },
            tallied: 0,
            published,
        }
    }

    fn end(mut self, failure: Option<String>) -> Published {
        let warmup = self.stage.plan.warmup;
        self.published.active = self.elapsed().saturating_sub(self.published.held).saturating_sub(warmup);
        self.published.failure = failure;
        if let (Some(pacer), Some(load)) = (&self.pacer, self.stage.plan.pace) {
            let calls = pacer.skipped_calls() - self.skipped_calls_in_warmup;
            self.published.skipped = calls * load.batch as u64;
        }
        self.tally();
        self.stage.gate.finish();
        self.published.service = self.recorder.take().and_then(Recorder::finish);
        self.published.processor = processor::of_thread();
        self.published
    }

    /// Made-up events, one a call.
    fn singles(&mut self, sizes: Sizes, limit: Limit) -> Result<(), BusError> {
        let mut row = Payloads::new(self.producer, sizes, row_len(sizes.max()));
        let mut left = Left::new(limit, self.stage.plan.producers, self.producer);
        let is_stamped = self.stage.plan.measures_delivery();
        let mut number = 0;
        loop {
            for index in 0..row.len() {
                if !self.goes_on(&mut left, 1, index == 0) {
                    return Ok(());
                }
                let moment = self.wait_until_due();
                if is_stamped {
                    stamp(row.event_mut(index), moment.due_ns, self.after_start_ns(moment.called));
                }
                self.publish(number, row.event(index), moment)?;
                number += 1;
            }
            row.advance();
        }
    }

    /// Made-up events, many a call.
    fn batches(&mut self, sizes: Sizes, batch: usize, limit: Limit) -> Result<(), BusError> {
        let mut row = Payloads::new(self.producer, sizes, batch);
        let mut left = Left::new(limit, self.stage.plan.producers, self.producer);
        let is_stamped = self.stage.plan.measures_delivery();
        loop {
            let count = left.at_most(batch);
            if count == 0 || !self.goes_on(&mut left, count as u64, true) {
                return Ok(());
            }
            let moment = self.wait_until_due();
            if is_stamped {
                let called_ns = self.after_start_ns(moment.called);
                (0..count).for_each(|index| stamp(row.event_mut(index), moment.due_ns, called_ns));
            }
            let events = Batch::of((0..count).map(|index| row.event(index)));
            self.publish_batch(&events, moment)?;
            row.advance();
        }
    }

    /// Every line whose turn it is, once or up to a limit: of `n` producers each takes every `n`th.
    fn lines(&mut self, input: &Input, repeat: Option<Limit>) -> Result<(), BusError> {
        let (producer, producers) = (usize::from(self.producer), usize::from(self.stage.plan.producers));
        let own = (producer..input.lines().len()).step_by(producers);
        let calls = if repeat.is_some() { usize::MAX } else { own.len() };
        let limit = repeat.unwrap_or(Limit::Events(u64::MAX));
        let mut left = Left::new(limit, self.stage.plan.producers, self.producer);
        let mut gathered = Vec::new();
        let mut result = Ok(());
        for index in own.cycle().take(calls) {
            if self.is_spent() {
                self.stage.receipts[producer].append(&mut gathered);
            }
            if !self.goes_on(&mut left, 1, true) {
                break;
            }
            let moment = self.wait_until_due();
            match self.publish_line(input, index, moment) {
                Ok(receipt) if self.stage.plan.reads_back() => gathered.push((receipt, index)),
                Ok(_) => {}
                Err(error) if error.is_invalid_event() => self.note_invalid(input, index, &error),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.stage.receipts[producer].append(&mut gathered);
        result
    }

    /// A line has the same key each time.
    fn publish_line(&mut self, input: &Input, index: usize, moment: Moment) -> Result<Receipt, BusError> {
        let number = (index / usize::from(self.stage.plan.producers)) as u64;
        match input.key(index) {
            LineKey::Own => self.publish(number, input.event(index), moment),
            LineKey::Field(key, _) => self.publish_under(Some(key), input.event(index), moment),
            LineKey::Missing => self.publish_under(None, input.event(index), moment),
        }
    }

    /// Once for each line: the numbers ascend until they begin again.
    fn note_invalid(&mut self, input: &Input, index: usize, error: &BusError) {
        let number = input.lines()[index].number;
        if self.published.invalid.last().is_none_or(|(last, _)| *last < number) {
            self.published.invalid.push((number, error.meaning().to_owned()));
        }
    }

    /// Publishes this producer's event number `number`, and records how long that took.
    #[inline]
    fn publish(&mut self, number: u64, event: &[u8], moment: Moment) -> Result<Receipt, BusError> {
        let key = self.stage.plan.keys.key(self.producer, number);
        self.publish_under(Some(&key), event, moment)
    }

    #[inline]
    fn publish_under(
        &mut self,
        key: Option<&[u8]>,
        event: &[u8],
        moment: Moment,
    ) -> Result<Receipt, BusError> {
        let bus = self.stage.bus;
        let receipt = until_accepted(&mut self.published.refused, || bus.ingest_keyed(key, event))?;
        self.record(moment, &[event.len()]);
        Ok(receipt)
    }

    /// Publishes a batch to its last event, and records how long it took each time to have something accepted.
    fn publish_batch(&mut self, batch: &Batch<'_>, mut moment: Moment) -> Result<(), BusError> {
        let Stage { bus, clock, plan, .. } = self.stage;
        let mut done = 0;
        while done < batch.len() {
            let accepted = until_accepted(&mut self.published.refused, || bus.ingest_batch(batch, done))?;
            self.record(moment, &batch.lengths()[done..done + accepted]);
            done += accepted;
            if plan.pace.is_none() && done < batch.len() {
                let called = clock.raw();
                moment = Moment { due_ns: self.after_start_ns(called), called };
            }
        }
        Ok(())
    }

    /// Waits for the moment the next call is due: at once in a closed loop.
    #[inline]
    fn wait_until_due(&mut self) -> Moment {
        let Some(pacer) = &mut self.pacer else {
            let called = self.stage.clock.raw();
            return Moment { due_ns: self.after_start_ns(called), called };
        };
        let (due_ns, called) = pacer.wait(self.stage.clock, self.start);
        let late_ns = self.stage.clock.delta_as_nanos(self.start, called).saturating_sub(due_ns);
        self.stage.tallies[usize::from(self.producer)].tell_late(late_ns);
        if due_ns >= self.warmup_ns {
            self.published.lag.saturating_record(late_ns);
        } else {
            self.skipped_calls_in_warmup = pacer.skipped_calls();
        }
        Moment { due_ns, called }
    }

    /// Records an accepted call of events of these lengths.
    #[inline]
    fn record(&mut self, moment: Moment, lengths: &[usize]) {
        let events = lengths.len() as u64;
        self.last_ns = moment.due_ns;
        let is_measured = moment.due_ns >= self.warmup_ns;
        if let Some(recorder) = &mut self.recorder {
            let Stage { clock, .. } = self.stage;
            let (called_ns, end_ns) = (
                clock.delta_as_nanos(self.start, moment.called),
                clock.delta_as_nanos(self.start, clock.raw()),
            );
            self.last_ns = end_ns;
            recorder.record(moment.due_ns, called_ns, end_ns, events);
            if is_measured {
                self.published.in_calls_ns += end_ns - called_ns;
            }
        }
        // Summed up after the clock was read.
        let bytes = lengths.iter().sum::<usize>() as u64;
        self.published.accepted += events;
        self.published.bytes += bytes;
        if is_measured {
            self.published.measured += events;
            self.published.measured_bytes += bytes;
        }
        self.since_catch_up.events += events;
        self.since_catch_up.bytes += bytes + events * EVENT_OVERHEAD_BYTES;
        if self.pacer.is_some() || self.published.accepted - self.tallied >= TALLY_EVENTS {
            self.tally();
        }
    }

    /// Whether `count` more events are to be published, after the reader has caught up where it must. The closed loop
    /// looks at the clock only where `look` says so.
    #[inline]
    fn goes_on(&mut self, left: &mut Left, count: u64, look: bool) -> bool {
        if self.stage.interrupt.has_come() {
            return false;
        }
        let is_warm = self.last_ns >= self.warmup_ns;
        let goes_on = left.take(count, is_warm, |duration| self.is_in_time(duration, look));
        if goes_on && self.is_spent() {
            self.hold();
        }
        goes_on
    }

    /// Whether a run of this length still goes on.
    #[inline]
    fn is_in_time(&self, duration: Duration, look: bool) -> bool {
        let whole = duration + self.stage.plan.warmup + self.published.held;
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
        tally.tell(self.published.accepted, self.published.bytes);
        self.tallied = self.published.accepted;
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.after_start_ns(self.stage.clock.raw()))
    }

    #[inline]
    fn after_start_ns(&self, raw: u64) -> u64 {
        self.stage.clock.delta_as_nanos(self.start, raw)
    }
}

/// How many events are kept ready: they stay in the first-level cache.
fn row_len(size_max: usize) -> usize {
    (ROW_BYTES / size_max).clamp(1, 64)
}

const ROW_BYTES: usize = 16 << 10;
const TALLY_EVENTS: u64 = 256;
