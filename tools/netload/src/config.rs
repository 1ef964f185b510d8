//! What one run will do: the events, the pace, and the bus's configuration.
//!
//! Without `--config` the bus refuses rather than drops, takes events as large as the run has them, up to the library's
//! bound, and its store retains the whole run where 1 GiB allows it.
//! With one, only `--shards` and `--target` change it. In both cases producers hold back before retention could remove what
//! the reader has not seen. A Redis server and a log keep everything, and there the bus refuses unless the configuration says otherwise.

mod bus;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{io, thread};

use adapters::log::inspect::InspectError;
pub(crate) use bus::document;
use bus::{Store, configured, fitting};

use crate::args::{InputArguments, LoadArguments};
use crate::bus::BusError;
use crate::gate::Allowance;
use crate::input::Input;
use crate::keys::Keys;
use crate::pace::OpenLoop;
use crate::scratch::Scratch;
use crate::sizes::Sizes;
use crate::subscription::Wait;
use crate::values::{Mode, Target};

/// Everything a run needs to know before it starts.
pub(crate) struct Plan {
    pub(crate) producers: u16,
    pub(crate) work: Work,
    pub(crate) keys: Keys,
    /// `None` is the closed loop.
    pub(crate) pace: Option<OpenLoop>,
    pub(crate) warmup: Duration,
    pub(crate) mode: Mode,
    pub(crate) wait: Wait,
    /// The bus's configuration, as JSON.
    pub(crate) config: String,
    /// CPUs this process may use.
    pub(crate) cpus: usize,
    /// Shows nothing while it runs.
    pub(crate) quiet: bool,
    /// The run's own keys, where it stores on a server.
    pub(crate) scratch: Option<Scratch>,
    store: Store,
}

/// What is published.
pub(crate) enum Work {
    /// Made-up events.
    Synthetic { sizes: Sizes, batch: usize, limit: Limit },
    /// The lines of a file: once, or again and again up to a limit.
    Lines { input: Input, repeat: Option<Limit> },
}

/// When a run ends that does not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// After this many events, all producers together.
    Events(u64),
    /// After this time.
    Duration(Duration),
}

/// Why a run could not begin. The operator mends it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("`{}` cannot be read: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("--config: {0}")]
    ConfigNotJson(serde_json::Error),
    #[error("--config: not a JSON object")]
    ConfigNotObject,
    #[error("--target and the section `{0}` of --config both say where events are stored")]
    TwoStores(&'static str),
    #[error("--target: {0}")]
    Server(adapters::FactoryError),
    #[error(
        "--mode {0}: nothing that goes to another process comes back: --mode ingest, and `netload serve` verifies there"
    )]
    Elsewhere(&'static str),
    #[error("the peer has not answered for {} s{}{}", .0.as_secs(), if .1.is_empty() { "" } else { ": " }, .1)]
    Unreached(Duration, String),
    #[error("--config: there is no section `net` in it")]
    NoNet,
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    #[error("{0} holds no line to publish")]
    EmptyInput(String),
    #[error("`{}` cannot be written: {source}", path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("`{}` is named twice: one would replace the other", .0.display())]
    SameFile(PathBuf),
    #[error("`{}` is no result to read: {why}", path.display())]
    Document { path: PathBuf, why: &'static str },
    #[error("--to {to} is below --from {from}")]
    RatesReversed { from: u64, to: u64 },
    #[error("{0}")]
    Log(#[from] InspectError),
    #[error("`{}` has no log of shard {shard}", directory.display())]
    NoShard { directory: PathBuf, shard: u16 },
    #[error("signals cannot be listened to: {0}")]
    Signals(io::Error),
    #[error("{0}")]
    Bus(#[from] BusError),
}

impl Plan {
    /// Reads the files the arguments name and settles every default. Without a rate the loop is closed.
    pub(crate) fn new(
        load: &LoadArguments,
        rate: Option<NonZeroU64>,
        input: &InputArguments,
    ) -> Result<Plan, Refusal> {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let limit = limit(load, rate);
        let work = match &input.input {
            Some(path) => lines(path, input, limit)?,
            None => Work::Synthetic {
                sizes: Sizes::new(load.made.size, load.made.seed),
                batch: load.made.batch as usize,
                limit,
            },
        };
        let scratch = match &load.bus.target {
            Target::Inproc | Target::Log(_) | Target::Udp(_) => None,
            Target::Redis(url) => Some(Scratch::on(url).map_err(Refusal::Server)?),
        };
        let (config, store) = match &load.bus.config {
            Some(given) => configured(given, load, scratch.as_ref())?,
            None => fitting(&work, load, cpus, scratch.as_ref()),
        };
        let mode = match load.mode {
            Some(mode @ (Mode::Poll | Mode::Subscribe)) if store.is_elsewhere => {
                return Err(Refusal::Elsewhere(mode.word()));
            }
            None if store.is_elsewhere => Mode::Ingest,
            mode => mode.unwrap_or(Mode::Poll),
        };
        if let Some(scratch) = &scratch {
            scratch.look().map_err(Refusal::Server)?;
        }
        // A file that is published once is published whole, and measured.
        let has_limit = work.limit().is_some();
        let producers = work.producers_max().map_or(load.producers, |max| load.producers.min(max));
        let default_warmup = if rate.is_some() && has_limit { OPEN_LOOP_WARMUP } else { Duration::ZERO };
        let pace = rate.map(|rate| OpenLoop {
            rate,
            arrival: load.arrival,
            seed: load.made.seed,
            backlog_max: if has_limit { load.max_backlog } else { Duration::MAX },
            producers,
            batch: load.made.batch as usize,
        });
        Ok(Plan {
            producers,
            work,
            keys: Keys::new(load.made.keys, load.made.skew, load.made.seed),
            pace,
            warmup: load.warmup.unwrap_or(default_warmup),
            mode,
            wait: load.wait,
            config,
            cpus,
            quiet: load.quiet,
            scratch,
            store,
        })
    }

    /// Whether events go to another process, so that none comes back.
    pub(crate) fn goes_elsewhere(&self) -> bool {
        self.store.is_elsewhere
    }

    /// Whether the store may have events of earlier runs, which the reader has to begin behind.
    pub(crate) fn has_past(&self) -> bool {
        self.store.has_past
    }

    /// Whether events come back and are verified.
    pub(crate) fn reads_back(&self) -> bool {
        self.store.readable && self.mode != Mode::Ingest
    }

    /// Whether a latency ends when an event has come back, not with the call that published it.
    pub(crate) fn measures_delivery(&self) -> bool {
        let is_synthetic = matches!(self.work, Work::Synthetic { .. });
        self.reads_back() && is_synthetic && (self.mode == Mode::Subscribe || self.pace.is_some())
    }

    /// Whether the reader waits until no producer publishes: always for lines, whose receipts it needs, and for
    /// synthetic runs where it would take a CPU from a shard or a producer.
    pub(crate) fn takes_turns(&self, shards: u16) -> bool {
        let busy = usize::from(shards) + usize::from(self.producers);
        matches!(self.work, Work::Lines { .. }) || busy >= self.cpus
    }

    /// What each producer may publish before the reader has caught up, so that even with every producer on one shard
    /// what the store retains is never exceeded: by three quarters of it at most, and less where calls are large.
    pub(crate) fn allowance(&self, shards: u16) -> Allowance {
        let producers = u64::from(self.producers);
        let share = |retained: u64| retained / 4 * 3 / producers;
        let shard_bytes = self.store.retention_bytes / u64::from(shards);
        // What was left before a call is exceeded by that call.
        let before_a_call = (shard_bytes / producers).saturating_sub(self.work.call_bytes_max());
        let events_max = match self.work {
            Work::Lines { repeat: Some(_), .. } => RECEIPTS_MAX / producers,
            _ => u64::MAX,
        };
        Allowance {
            events: share(self.store.retention_events).max(1).min(events_max),
            bytes: share(shard_bytes).min(before_a_call).max(1),
        }
    }
}

impl Work {
    /// How many producers have something to do: a line is always the same producer's.
    fn producers_max(&self) -> Option<u16> {
        match self {
            Work::Synthetic { .. } => None,
            Work::Lines { input, .. } => Some(u16::try_from(input.lines().len()).unwrap_or(u16::MAX)),
        }
    }

    /// Bytes of the largest event there may be.
    fn largest(&self) -> usize {
        match self {
            Work::Synthetic { sizes, .. } => sizes.max(),
            Work::Lines { input, .. } => input.longest(),
        }
    }

    /// What the events of one call may take in the store.
    fn call_bytes_max(&self) -> u64 {
        let batch = if let Work::Synthetic { batch, .. } = self { *batch } else { 1 };
        (self.largest() as u64 + EVENT_OVERHEAD_BYTES).saturating_mul(batch as u64)
    }

    /// When it ends, where it does not end by itself.
    pub(crate) fn limit(&self) -> Option<Limit> {
        match self {
            Work::Synthetic { limit, .. } => Some(*limit),
            Work::Lines { repeat, .. } => *repeat,
        }
    }
}

/// What an event costs the store besides its own bytes, rounded up.
pub(crate) const EVENT_OVERHEAD_BYTES: u64 = 64;

fn lines(path: &Path, arguments: &InputArguments, limit: Limit) -> Result<Work, Refusal> {
    let read = Input::read(path).map_err(|source| Refusal::File { path: path.to_owned(), source })?;
    if read.lines().is_empty() {
        return Err(Refusal::EmptyInput(path.display().to_string()));
    }
    let input = match &arguments.key_field {
        Some(field) => read.with_keys(field),
        None => read,
    };
    Ok(Work::Lines { input, repeat: arguments.repeats.then_some(limit) })
}

/// When the run ends that the arguments ask for. An open loop ends by time, so that what it skipped is not made up for.
fn limit(load: &LoadArguments, rate: Option<NonZeroU64>) -> Limit {
    match (load.events, load.duration, rate) {
        (Some(events), _, None) => Limit::Events(events.get()),
        (Some(events), _, Some(rate)) => {
            let nanos = u128::from(events.get()) * 1_000_000_000 / u128::from(rate.get());
            Limit::Duration(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
        }
        (None, Some(duration), _) => Limit::Duration(duration),
        (None, None, Some(_)) => Limit::Duration(OPEN_LOOP_DURATION),
        (None, None, None) => Limit::Events(EVENTS),
    }
}

const EVENTS: u64 = 5_000_000;
const OPEN_LOOP_WARMUP: Duration = Duration::from_secs(1);
const OPEN_LOOP_DURATION: Duration = Duration::from_secs(5);
/// What the verifier of lines that begin again and again keeps at a time: all its memory.
const RECEIPTS_MAX: u64 = 1 << 20;

#[cfg(test)]
pub(crate) mod tests {
    use super::bus::DEFAULT_RETENTION_BYTES;
    use super::*;
    use crate::args::{Arguments, Command};
    use crate::sizes::SizeRange;
    use clap::Parser;
    use serde_json::Value;

    pub(crate) fn plan(options: &[&str]) -> Result<Plan, Refusal> {
        let words = ["netload", "run"].iter().chain(options);
        let arguments = Arguments::try_parse_from(words).expect("valid options");
        let Command::Run(run) = arguments.command else { unreachable!("the verb is run") };
        Plan::new(&run.load, run.rate.per_second(), &run.input)
    }

    #[test]
    fn the_default_run_fits_into_what_the_store_retains() {
        let plan = plan(&[]).expect("the defaults");
        let Work::Synthetic { limit: Limit::Events(events), sizes, .. } = plan.work else {
            panic!("synthetic")
        };
        let shards: Value = serde_json::from_str(&plan.config).expect("valid JSON");
        let shards = shards["num_shards"].as_u64().expect("always said") as u16;
        let allowance = plan.allowance(shards);
        assert!(allowance.events >= events);
        assert!(allowance.bytes >= events * (sizes.max() as u64 + EVENT_OVERHEAD_BYTES));
    }

    #[test]
    fn the_bus_takes_the_largest_event_of_the_run_up_to_the_librarys_bound() {
        let taken = |size: u32| {
            let words = ["netload", "run", "--shards", "1"];
            let arguments = Arguments::try_parse_from(words).expect("valid options");
            let Command::Run(run) = arguments.command else { unreachable!("the verb is run") };
            let input = Input::new("test".to_owned(), vec![b' '; size as usize]);
            let lines = Work::Lines { input, repeat: None };
            let sizes = Sizes::new(SizeRange { min: 64, max: size }, 1);
            let synthetic = Work::Synthetic { sizes, batch: 1, limit: Limit::Events(1) };
            [lines, synthetic].map(|work| {
                let (config, _) = fitting(&work, &run.load, 1, None);
                let config: Value = serde_json::from_str(&config).expect("valid JSON");
                config["max_event_bytes"].as_u64().expect("always said")
            })
        };
        assert_eq!(taken(3 << 20), [3 << 20; 2]);
        assert_eq!(taken((64 << 20) + 1), [64 << 20; 2]);
        assert_eq!(taken(100), [1 << 20; 2]);
    }

    #[test]
    fn the_allowance_of_all_producers_stays_below_one_shards_retention() {
        let plan = plan(&["--producers", "3", "--config", r#"{"memory":{"retention_events":1000}}"#]);
        let allowance = plan.expect("valid").allowance(4);
        assert!(allowance.events * 3 <= 1_000);
        assert!(allowance.bytes * 3 <= DEFAULT_RETENTION_BYTES / 4);
    }

    #[test]
    fn producers_of_a_range_never_exceed_what_one_shard_retains_whatever_is_drawn() {
        for options in [
            &["--size", "64..1024"][..],
            &["--size", "64..1024", "--batch", "10000", "--producers", "4"],
            &["--size", "64..67108864", "--producers", "16"],
            &["--size", "64..67108864", "--producers", "16", "--batch", "10"],
            &["--size", "64..1048576", "--events", "100"],
        ] {
            let plan = plan(&[&["--shards", "3"], options].concat()).expect("valid");
            let per_producer = plan.store.retention_bytes / 3 / u64::from(plan.producers);
            // The call that exceeds the allowance is made, and its events may be the largest.
            assert!(plan.allowance(3).bytes - 1 + plan.work.call_bytes_max() <= per_producer, "{options:?}");
        }
    }

    #[test]
    fn shards_on_the_command_line_win_over_the_configuration() {
        let plan = plan(&["--shards", "2", "--config", r#"{"num_shards":5}"#]).expect("valid");
        assert_eq!(plan.config, r#"{"num_shards":2}"#);
    }

    #[test]
    fn a_configuration_that_is_no_object_is_refused_by_name() {
        assert!(matches!(plan(&["--config", "{"]), Err(Refusal::ConfigNotJson(_))));
        assert!(matches!(plan(&["--config", "no/such/file"]), Err(Refusal::File { .. })));
    }
}
