//! One run: start the bus, publish and read at the same time or by turns, then ask the bus for its account.

use std::fmt::Display;
use std::sync::Barrier;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use quanta::Clock;

use crate::bus::Bus;
use crate::config::{Plan, Refusal, Work};
use crate::gate::Gate;
use crate::lines::{Lines, Receipts};
use crate::producer::{self, Published, Stage, Tally};
use crate::progress;
use crate::reader::{self, Read};
use crate::sequences::{Order, Sequences};
use crate::stats::Statistics;
use crate::verify::{Findings, Verify};

/// What happened.
pub(crate) struct Outcome {
    pub(crate) shards: u16,
    pub(crate) takes_turns: bool,
    /// What reading the clock twice takes, in nanoseconds: part of every latency.
    pub(crate) clock_ns: u64,
    /// All producers' calls.
    pub(crate) latency: Histogram<u64>,
    pub(crate) accepted: u64,
    pub(crate) bytes: u64,
    pub(crate) refused: u64,
    /// The longest any producer published, its waits for the reader left out.
    pub(crate) active: Duration,
    /// How much of the producers' time passed inside calls, 0 to 1; the rest is the producers' own work.
    pub(crate) share_in_calls: f64,
    /// The longest any producer waited for the reader.
    pub(crate) held: Duration,
    pub(crate) invalid: Vec<(u64, String)>,
    /// `None` where the store cannot be read.
    pub(crate) findings: Option<Findings>,
    pub(crate) read: Read,
    /// `None` when the bus did not tell.
    pub(crate) statistics: Option<Statistics>,
    /// What went wrong besides what verification found.
    pub(crate) failures: Vec<String>,
}

impl Outcome {
    /// Whether something was published, all of it came back once and in order, and the account balances.
    pub(crate) fn is_clean(&self) -> bool {
        self.accepted > 0
            && self.failures.is_empty()
            && self.invalid.is_empty()
            && self.findings.is_none_or(|findings| findings.is_clean())
            && self.statistics.as_ref().is_some_and(Statistics::is_balanced)
    }
}

/// Runs the plan to its end.
pub(crate) fn run(plan: &Plan) -> Result<Outcome, Refusal> {
    let bus = Bus::start(&plan.config)?;
    let shards = bus.shard_count();
    let receipts: Vec<Receipts> = (0..plan.producers).map(|_| Receipts::default()).collect();
    let mut verifier = verifier(plan, shards, &receipts);
    let clock = Clock::new();
    let clock_ns = clock_cost_ns(&clock);
    let (published, read) = publish_and_read(plan, &bus, &clock, &receipts, verifier.as_deref_mut());
    let accepted: Vec<u64> = published.iter().map(|producer| producer.accepted).collect();
    let mut outcome = Outcome {
        shards,
        takes_turns: plan.takes_turns(shards),
        clock_ns,
        latency: producer::histogram(),
        accepted: accepted.iter().sum(),
        bytes: published.iter().map(|producer| producer.bytes).sum(),
        refused: published.iter().map(|producer| producer.refused).sum(),
        active: published.iter().map(|producer| producer.active).max().unwrap_or_default(),
        share_in_calls: share_in_calls(&published),
        held: published.iter().map(|producer| producer.held).max().unwrap_or_default(),
        invalid: Vec::new(),
        findings: verifier.map(|verifier| verifier.findings(&accepted)),
        read,
        statistics: None,
        failures: Vec::new(),
    };
    outcome.collect(published);
    outcome.close(bus);
    Ok(outcome)
}

impl Outcome {
    fn collect(&mut self, published: Vec<Published>) {
        for (index, producer) in published.into_iter().enumerate() {
            self.latency.add(&producer.latency).expect("the same bounds");
            self.invalid.extend(producer.invalid);
            self.note(&format!("producer {index}"), producer.failure);
        }
        self.invalid.sort_unstable();
        let failure = self.read.failure.take();
        self.note("reading", failure);
    }

    /// Asks the bus for its account, after a flush so that it is settled, and stops it.
    fn close(&mut self, bus: Bus) {
        self.note("before the account", bus.flush().err());
        match bus.stats().map(|json| Statistics::parse(&json)) {
            Ok(Ok(statistics)) => self.statistics = Some(statistics),
            Ok(Err(error)) => self.note("statistics", Some(error)),
            Err(error) => self.note("statistics", Some(error)),
        }
        self.note("shutdown", bus.shutdown().err());
    }

    fn note(&mut self, what: &str, failure: Option<impl Display>) {
        self.failures.extend(failure.map(|failure| format!("{what}: {failure}")));
    }
}

fn verifier<'run>(
    plan: &'run Plan,
    shards: u16,
    receipts: &'run [Receipts],
) -> Option<Box<dyn Verify + 'run>> {
    plan.is_readable().then(|| -> Box<dyn Verify + 'run> {
        match &plan.work {
            Work::Synthetic { size, batch, .. } => {
                let order = if *batch > 1 { Order::PerShard } else { Order::PerKey };
                Box::new(Sequences::new(plan.producers, shards, *size, order))
            }
            Work::Lines(input) => Box::new(Lines::new(input, receipts)),
        }
    })
}

/// Runs the producers and the reader, each on a thread, and meanwhile prints the progress. A bus that cannot be read has
/// no reader, and nobody waits for one.
fn publish_and_read(
    plan: &Plan,
    bus: &Bus,
    clock: &Clock,
    receipts: &[Receipts],
    verifier: Option<&mut (dyn Verify + '_)>,
) -> (Vec<Published>, Read) {
    let shards = bus.shard_count();
    let gate = Gate::new(usize::from(plan.producers));
    let tallies: Vec<Tally> = (0..plan.producers).map(|_| Tally::default()).collect();
    let start = Barrier::new(usize::from(plan.producers));
    let allowance = plan.allowance(shards);
    let stage =
        Stage { plan, bus, clock, gate: &gate, allowance, start: &start, tallies: &tallies, receipts };
    let read_back = AtomicU64::new(0);
    let (running, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let spawn = |name: String| thread::Builder::new().name(name);
        let reader = match verifier {
            None => {
                gate.open();
                None
            }
            Some(verifier) => {
                let (running, gate, read_back) = (running.clone(), &gate, &read_back);
                let body = move || {
                    let _running = running;
                    reader::run(bus, gate, plan.takes_turns(shards), verifier, read_back)
                };
                Some(spawn("load-reader".to_owned()).spawn_scoped(scope, body).expect("a thread starts"))
            }
        };
        let producers: Vec<_> = (0..plan.producers)
            .map(|producer| {
                let (running, stage) = (running.clone(), &stage);
                let body = move || {
                    let _running = running;
                    producer::run(stage, producer)
                };
                spawn(format!("load-{producer}")).spawn_scoped(scope, body).expect("a thread starts")
            })
            .collect();
        drop(running);
        progress::print_until(&ended, &tallies, &read_back);
        let published =
            producers.into_iter().map(|producer| producer.join().expect("producers do not panic")).collect();
        let read = reader.map(|reader| reader.join().expect("the reader does not panic"));
        (published, read.unwrap_or_default())
    })
}

fn share_in_calls(published: &[Published]) -> f64 {
    let in_calls: f64 =
        published.iter().map(|producer| producer.latency.mean() * producer.latency.len() as f64).sum();
    let active: f64 = published.iter().map(|producer| producer.active.as_secs_f64() * 1e9).sum();
    if active > 0.0 { in_calls / active } else { 0.0 }
}

/// The median time between two readings of the clock.
fn clock_cost_ns(clock: &Clock) -> u64 {
    let mut costs: Vec<u64> = (0..CLOCK_READINGS)
        .map(|_| {
            let start = clock.raw();
            clock.delta_as_nanos(start, clock.raw())
        })
        .collect();
    costs.sort_unstable();
    costs[CLOCK_READINGS / 2]
}

const CLOCK_READINGS: usize = 10_001;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::plan;

    fn outcome(options: &[&str]) -> Outcome {
        run(&plan(options).expect("valid options")).expect("the bus starts")
    }

    #[test]
    fn one_producer_loads_every_shard() {
        let outcome = outcome(&["--events", "1000", "--shards", "2"]);
        assert!(outcome.is_clean(), "{:?} {:?}", outcome.findings, outcome.failures);
        let shards = outcome.statistics.expect("the bus tells").shards;
        assert!(shards.len() == 2 && shards.iter().all(|shard| shard.ingested > 0), "{shards:?}");
    }

    #[test]
    fn a_run_that_published_nothing_is_not_clean() {
        let outcome = outcome(&["--duration", "0s", "--shards", "1"]);
        assert_eq!((outcome.accepted, outcome.failures.len()), (0, 0));
        assert!(!outcome.is_clean());
    }

    #[test]
    fn an_event_of_more_than_a_mebibyte_is_published_and_comes_back() {
        let outcome = outcome(&["--events", "3", "--size", "3000000", "--shards", "1"]);
        assert!(outcome.is_clean(), "{:?} {:?}", outcome.findings, outcome.failures);
        assert_eq!(outcome.accepted, 3);
    }
}
