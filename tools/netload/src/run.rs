//! One run: start the bus, publish and read at the same time or by turns, then ask the bus for its account.

use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, Sender};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use quanta::Clock;

use crate::bus::{Bus, BusError};
use crate::config::{Plan, Refusal, Work};
use crate::gate::{Allowance, Gate};
use crate::interrupt::Interrupt;
use crate::lines::{Lines, Receipts};
use crate::live;
use crate::outcome::Outcome;
use crate::panics::caught;
use crate::peer;
use crate::processor;
use crate::producer;
use crate::reader::{self, Read};
use crate::receive::{self, Received, Source};
use crate::record::{Recorder, Second, histogram};
use crate::sequences::{Order, Sequences};
use crate::series::Series;
use crate::stage::{Published, Stage, Tally};
use crate::subscription::Subscription;
use crate::values::Mode;
use crate::verify::Verify;

/// Runs the plan to its end, or until it is interrupted, and leaves no keys behind on a server.
pub(crate) fn run(plan: &Plan, interrupt: &Interrupt) -> Result<Outcome, Refusal> {
    let mut outcome = run_bus(plan, interrupt)?;
    outcome.clear(plan);
    Ok(outcome)
}

fn run_bus(plan: &Plan, interrupt: &Interrupt) -> Result<Outcome, Refusal> {
    let began_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let bus = Bus::start(&plan.config)?;
    if plan.goes_elsewhere() {
        peer::wait(&bus, interrupt)?;
    }
    let shards = bus.shard_count();
    let receipts: Vec<Receipts> = (0..plan.producers).map(|_| Receipts::default()).collect();
    let mut verifier = verifier(plan, shards, &receipts);
    let clock = Clock::new();
    let clock_ns = clock_cost_ns(&clock);
    let (processor_before, begin) = (processor::of_process(), Instant::now());
    let all = publish_and_read(plan, &bus, &clock, interrupt, &receipts, verifier.as_deref_mut())?;
    let whole = begin.elapsed();
    let process_processor = processor::of_process().saturating_sub(processor_before);
    let published = all.published;
    let accepted: Vec<u64> = published.iter().map(|producer| producer.accepted).collect();
    let sum = |of: fn(&Published) -> u64| published.iter().map(of).sum();
    let longest = |of: fn(&Published) -> Duration| published.iter().map(of).max().unwrap_or_default();
    let (series, response) = all.series.finish();
    let mut outcome = Outcome {
        began_s,
        shards,
        takes_turns: plan.takes_turns(shards),
        clock_ns,
        service: histogram(),
        response,
        lag: histogram(),
        series,
        accepted: accepted.iter().sum(),
        measured: sum(|producer| producer.measured),
        measured_bytes: sum(|producer| producer.measured_bytes),
        skipped: sum(|producer| producer.skipped),
        refused: sum(|producer| producer.refused),
        active: longest(|producer| producer.active),
        kept: None,
        share_in_calls: share_in_calls(&published),
        held: longest(|producer| producer.held),
        whole,
        producers_processor: published.iter().map(|producer| producer.processor).sum(),
        process_processor,
        invalid: Vec::new(),
        findings: verifier.map(|verifier| verifier.findings(&accepted)),
        read: all.read,
        statistics: None,
        failures: Vec::new(),
        interrupted: interrupt.has_come(),
    };
    outcome.kept = plan.pace.and_then(|_| outcome.part_kept(plan));
    outcome.collect(published, all.service);
    outcome.close(bus);
    Ok(outcome)
}

fn verifier<'run>(
    plan: &'run Plan,
    shards: u16,
    receipts: &'run [Receipts],
) -> Option<Box<dyn Verify + 'run>> {
    plan.reads_back().then(|| -> Box<dyn Verify + 'run> {
        match &plan.work {
            Work::Synthetic { sizes, batch, .. } => {
                let order = if *batch > 1 { Order::PerShard } else { Order::PerKey };
                Box::new(Sequences::new(plan.producers, shards, *sizes, order, plan.keys.clone()))
            }
            Work::Lines { input, .. } => Box::new(Lines::new(input, receipts)),
        }
    })
}

/// What all threads of a run bring.
struct All {
    published: Vec<Published>,
    read: Read,
    /// What a receiver measured.
    service: Option<Histogram<u64>>,
    series: Series,
}

/// Runs the producers and whoever reads, each on a thread, and meanwhile shows how it goes.
fn publish_and_read(
    plan: &Plan,
    bus: &Bus,
    clock: &Clock,
    interrupt: &Interrupt,
    receipts: &[Receipts],
    verifier: Option<&mut (dyn Verify + '_)>,
) -> Result<All, Refusal> {
    let shards = bus.shard_count();
    let gate = Gate::new(usize::from(plan.producers));
    let tallies: Vec<Tally> = (0..plan.producers).map(|_| Tally::default()).collect();
    let line_up = Barrier::new(usize::from(plan.producers));
    // An open loop that is received while it publishes waits for nobody.
    let is_held = plan.reads_back() && (!plan.measures_delivery() || plan.pace.is_none());
    let stage = Stage {
        plan,
        bus,
        clock,
        interrupt,
        gate: &gate,
        allowance: if is_held { plan.allowance(shards) } else { Allowance::UNBOUNDED },
        line_up: &line_up,
        start: OnceLock::new(),
        tallies: &tallies,
        receipts,
        read_back: AtomicU64::new(0),
    };
    let source = match plan.mode {
        Mode::Subscribe if plan.reads_back() => Source::Subscription(Subscription::open(bus, plan.wait)?),
        _ if plan.reads_back() && plan.has_past() => {
            Source::Poll { bus, cursor: Some(Subscription::open(bus, plan.wait)?.cursor()?) }
        }
        _ => Source::Poll { bus, cursor: None },
    };
    let (seconds, all_seconds) = mpsc::channel();
    let mut series = Series::new();
    thread::scope(|scope| {
        let spawn = |name: String| thread::Builder::new().name(name);
        let reader = verifier.map(|verifier| {
            let (seconds, stage) = (seconds.clone(), &stage);
            let body = move || read(stage, source, verifier, seconds);
            spawn("load-reader".to_owned()).spawn_scoped(scope, body).expect("a thread starts")
        });
        let producers: Vec<_> = (0..plan.producers)
            .map(|producer| {
                let (seconds, stage) = (seconds.clone(), &stage);
                let body = move || {
                    let recorder = recorder(plan, seconds.clone());
                    producer::run(stage, producer, Some(recorder).filter(|_| !plan.measures_delivery()))
                };
                spawn(format!("load-{producer}")).spawn_scoped(scope, body).expect("a thread starts")
            })
            .collect();
        drop(seconds);
        live::follow(&all_seconds, &stage, &mut series);
        let published =
            producers.into_iter().map(|producer| producer.join().expect("producers do not panic")).collect();
        let received = reader.map(|reader| reader.join().expect("the reader does not panic"));
        let (read, service) = received.map_or_else(Default::default, |all| (all.read, all.service));
        Ok(All { published, read, service, series })
    })
}

/// Reads while the producers publish and measures it, or in turns with them. After a panic no producer waits for it.
fn read(
    stage: &Stage<'_>,
    source: Source<'_>,
    verifier: &mut dyn Verify,
    seconds: Sender<Second>,
) -> Received {
    let takes_turns = stage.plan.takes_turns(stage.bus.shard_count());
    let received = caught(|| -> Result<Received, BusError> {
        if stage.plan.measures_delivery() {
            return Ok(receive::run(source, stage, verifier, recorder(stage.plan, seconds)));
        }
        drop(seconds);
        let read =
            reader::run(stage.bus, stage.gate, takes_turns, source.cursor(), verifier, &stage.read_back);
        Ok(Received { read, service: None })
    });
    received.unwrap_or_else(|failure| {
        stage.gate.open();
        Received { read: Read { failure: Some(failure), ..Read::default() }, service: None }
    })
}

fn recorder(plan: &Plan, seconds: Sender<Second>) -> Recorder {
    Recorder::new(plan.warmup.as_nanos() as u64, plan.pace.is_some(), seconds)
}

fn share_in_calls(published: &[Published]) -> f64 {
    let in_calls: f64 = published.iter().map(|producer| producer.in_calls_ns as f64).sum();
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
    use crate::bus::Event;
    use crate::config::tests::plan;
    use crate::sizes::{SizeRange, Sizes};
    use crate::verify::Findings;

    fn outcome(options: &[&str]) -> Outcome {
        run(&plan(options).expect("valid options"), &Interrupt::default()).expect("the bus starts")
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
        // With this seed, the first event of so low a rate is due after the run's end.
        let late = ["--rate", "1", "--arrival", "poisson", "--duration", "1ms", "--warmup", "0s"];
        let outcome = outcome(&[&late[..], &["--shards", "1"]].concat());
        assert_eq!((outcome.accepted, outcome.failures.len()), (0, 0));
        assert!(!outcome.is_clean());
    }

    #[test]
    fn an_event_of_more_than_a_mebibyte_is_published_and_comes_back() {
        let outcome = outcome(&["--events", "3", "--size", "3000000", "--shards", "1"]);
        assert!(outcome.is_clean(), "{:?} {:?}", outcome.findings, outcome.failures);
        assert_eq!(outcome.accepted, 3);
    }

    #[test]
    fn the_bytes_of_a_range_are_those_of_its_events_one_by_one_and_in_batches() {
        for options in [
            &["--mode", "ingest"][..],
            &["--mode", "poll", "--batch", "7"],
            &["--mode", "subscribe"],
            &["--mode", "subscribe", "--batch", "60"],
        ] {
            let range = ["--events", "1000", "--producers", "2", "--size", "64..900", "--seed", "5"];
            let plan = plan(&[&range[..], &["--shards", "1"], options].concat()).expect("valid options");
            let Work::Synthetic { sizes, .. } = plan.work else { unreachable!("the events are made up") };
            let outcome = run(&plan, &Interrupt::default()).expect("the bus starts");
            assert!(outcome.is_clean(), "{options:?}: {:?} {:?}", outcome.findings, outcome.failures);
            let of = |producer| (0..500).map(move |number| sizes.of(producer, number) as u64).sum::<u64>();
            assert_eq!((outcome.accepted, outcome.measured_bytes), (1_000, of(0) + of(1)), "{options:?}");
        }
    }

    #[test]
    fn producers_that_panic_end_the_run_as_a_failure() {
        for mode in ["ingest", "poll", "subscribe"] {
            let mut plan =
                plan(&["--mode", mode, "--producers", "2", "--shards", "1"]).expect("valid options");
            let Work::Synthetic { sizes, .. } = &mut plan.work else {
                unreachable!("the events are made up")
            };
            // The command line takes none so small: there is no such event to make.
            *sizes = Sizes::new(SizeRange { min: 5, max: 5 }, 1);
            let outcome = run(&plan, &Interrupt::default()).expect("the bus starts");
            let failures = [0, 1].map(|index| format!("producer {index}: it panicked: 5 bytes are too few"));
            assert_eq!((outcome.failures.as_slice(), outcome.is_clean()), (&failures[..], false), "{mode}");
        }
    }

    #[test]
    fn a_reader_that_panics_leaves_no_producer_waiting() {
        struct Panics;
        impl Verify for Panics {
            fn event(&mut self, _: &Event<'_>) -> bool {
                panic!("as a test wants it");
            }

            fn findings(&self, _: &[u64]) -> Findings {
                Findings::default()
            }
        }
        for mode in ["poll", "subscribe"] {
            let small = r#"{"num_shards":1,"memory":{"retention_events":100}}"#;
            let plan = plan(&["--mode", mode, "--events", "1000", "--config", small]).expect("valid options");
            let bus = Bus::start(&plan.config).expect("the bus starts");
            let (clock, interrupt) = (Clock::new(), Interrupt::default());
            let all = publish_and_read(&plan, &bus, &clock, &interrupt, &[], Some(&mut Panics));
            let Ok(all) = all else { panic!("it was not refused") };
            assert_eq!(all.read.failure.as_deref(), Some("it panicked: as a test wants it"), "{mode}");
            assert_eq!(all.published[0].accepted, 1_000, "{mode}");
            bus.shutdown().expect("it stops");
        }
    }
}
