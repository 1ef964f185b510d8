//! The command line.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::compare::Condition;
use crate::exit::EXIT_STATUSES;
use crate::keys::Zipf;
use crate::pace::Arrival;
use crate::slo::Slo;
use crate::subscription::Wait;
use crate::values::{Mode, Rate, Target, parse_keys, parse_rate, parse_target, parse_time};

/// Tells what load libnet holds on this machine.
#[derive(Parser)]
#[command(name = "netload", version, after_help = EXIT_STATUSES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Publishes events, measures them, reads them back and verifies them.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArguments),
    /// Latency against load: a run for each rate.
    #[command(after_help = SWEEP_EXAMPLES)]
    Sweep(SweepArguments),
    /// Finds the highest rate that holds a bound on latency, by bisection in which no single run decides.
    #[command(after_help = PEAK_EXAMPLES)]
    Peak(PeakArguments),
    /// Puts two saved runs side by side.
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare(CompareArguments),
    /// Tells what of this machine keeps libnet from running, or from running at its best, and the cure.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor,
}

const RUN_EXAMPLES: &str = "\
Examples:
  netload run                                           as fast as it goes, verified
  netload run --rate 500k --duration 30s                an open loop, honest about delays
  netload run --rate 1M --arrival poisson --mode subscribe --wait fd --json run.json
  netload run --config @bus.json --mode ingest --size 512 --keys 10000 --skew zipf:0.99
  journalctl -o json | netload run --input -

The exit statuses are those of `netload --help`.";

const SWEEP_EXAMPLES: &str = "\
Examples:
  netload sweep --rates 100k,500k,1M
  netload sweep --rates 10k,20k,40k,80k --mode subscribe --wait fd --duration 10s --json sweep.json";

const PEAK_EXAMPLES: &str = "\
Examples:
  netload peak --slo 'p99<50us'
  netload peak --slo 'p50<5us,p99.9<1ms' --mode subscribe --from 10k --to 5M --json peak.json";

const COMPARE_EXAMPLES: &str = "\
Examples:
  netload compare before.json after.json
  netload compare before.json after.json --fail-on 'p99>+5%,throughput<-3%'

Exit status 3 when something it was told to fail on is found.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  netload doctor

Each line is ok, warn or FAIL. Exit status 1 when there is a FAIL: libnet does not run here.";

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Events a second, all producers together, as 250000, 250k or 1.5M: an open loop, each event due at its own moment,
    /// and its latency counts from that moment. `max`: a closed loop, in which each producer publishes its next
    /// event as soon as the last was accepted, so that whoever is slow slows its own load down.
    #[arg(long, value_name = "N|max", default_value = "max")]
    pub(crate) rate: Rate,

    #[command(flatten)]
    pub(crate) load: LoadArguments,

    /// Publishes the lines of this file (`-`: standard input), each as one event, instead of made-up events.
    #[arg(long, value_name = "FILE.ndjson|-",
        conflicts_with_all = ["events", "duration", "warmup", "size", "batch", "keys", "skew", "mode"])]
    pub(crate) input: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Args, Debug)]
pub(crate) struct SweepArguments {
    /// The rates of the runs, in events a second: open loops.
    #[arg(long, value_name = "N,…", required = true, value_delimiter = ',', value_parser = parse_rate)]
    pub(crate) rates: Vec<NonZeroU64>,

    #[command(flatten)]
    pub(crate) load: LoadArguments,

    #[command(flatten)]
    pub(crate) output: JsonArguments,
}

#[derive(Args, Debug)]
pub(crate) struct PeakArguments {
    /// What the response times must hold, such as `p99<50us`; several bounds are separated by commas.
    #[arg(long, value_name = "BOUND")]
    pub(crate) slo: Slo,

    /// The rate to begin with.
    #[arg(long, value_name = "N", default_value = "1k", value_parser = parse_rate)]
    pub(crate) from: NonZeroU64,

    /// The highest rate to try.
    #[arg(long, value_name = "N", default_value = "10M", value_parser = parse_rate)]
    pub(crate) to: NonZeroU64,

    #[command(flatten)]
    pub(crate) load: LoadArguments,

    #[command(flatten)]
    pub(crate) output: JsonArguments,
}

#[derive(Args, Debug)]
pub(crate) struct CompareArguments {
    /// The run to compare with, as `--json` saved it.
    #[arg(value_name = "A.json")]
    pub(crate) before: PathBuf,

    /// The run to judge.
    #[arg(value_name = "B.json")]
    pub(crate) after: PathBuf,

    /// Changes from A to B that are a regression: of a percentile of the response times (p99), of the service times
    /// (service-p99), of max, or of throughput.
    #[arg(long, value_name = "CHANGE,…", value_delimiter = ',')]
    pub(crate) fail_on: Vec<Condition>,
}

/// Where the result of several runs goes besides the terminal.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct JsonArguments {
    /// Saves the result as JSON (schema `netload/1`, see tools/README.md).
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl From<JsonArguments> for OutputArguments {
    fn from(arguments: JsonArguments) -> OutputArguments {
        OutputArguments { json: arguments.json, hgrm: None }
    }
}

/// Where a result goes besides the terminal.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct OutputArguments {
    /// Saves the result as JSON (schema `netload/1`, see tools/README.md).
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Saves the distribution of the response times, in microseconds, as the HDR histogram tools plot it.
    #[arg(long, value_name = "FILE")]
    pub(crate) hgrm: Option<PathBuf>,
}

/// What is published, and how it comes back.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadArguments {
    /// How events come back: not at all, pushed to a subscriber, or by polls.
    #[arg(long, value_enum, default_value = "poll")]
    pub(crate) mode: Mode,

    /// How the subscriber of `--mode subscribe` waits.
    #[arg(long, value_enum, default_value = "spin")]
    pub(crate) wait: Wait,

    /// Threads that publish.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) producers: u16,

    /// Shards of the bus. Default: what the configuration says, else one fewer than the CPUs, at least 1.
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<NonZeroU16>,

    /// Events to measure, all producers together; in an open loop, as many as are due in that time, in whole batches.
    /// Default 5,000,000; in an open loop, what 5 s take.
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    pub(crate) events: Option<NonZeroU64>,

    /// How long to measure: seconds, or a time with its unit such as 500ms.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) duration: Option<Duration>,

    /// How long to publish before measuring begins. Default: none in a closed loop, 1s in an open one.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) warmup: Option<Duration>,

    /// How the moments of an open loop are spread.
    #[arg(long, value_enum, default_value = "const")]
    pub(crate) arrival: Arrival,

    /// Seed of everything random.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// How far an open loop may fall behind: events that are later than that are skipped and counted.
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_time)]
    pub(crate) max_backlog: Duration,

    /// Bytes of an event.
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(64..=64 << 20))]
    pub(crate) size: u32,

    /// Routing keys of each producer.
    #[arg(long, value_name = "N", default_value = "64", value_parser = parse_keys)]
    pub(crate) keys: NonZeroU32,

    /// Draws keys at random, some more often than others, instead of taking them in turn.
    #[arg(long, value_name = "zipf:EXPONENT")]
    pub(crate) skew: Option<Zipf>,

    /// Events a call. Above 1 they carry no routing key, and order is verified per producer and shard.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) batch: u32,

    /// Configuration of the bus: a JSON object, or the file that holds it.
    #[arg(long, value_name = "JSON|@FILE")]
    pub(crate) config: Option<String>,

    /// Where the bus stores events: `inproc` is its own memory.
    #[arg(long, default_value = "inproc", value_parser = parse_target)]
    pub(crate) target: Target,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<RunArguments, clap::Error> {
        let words = ["netload", "run"].into_iter().chain(line.split_whitespace());
        Arguments::try_parse_from(words).map(|arguments| match arguments.command {
            Command::Run(run) => run,
            _ => unreachable!("the verb is run"),
        })
    }

    #[test]
    fn every_option_may_be_left_out() {
        let RunArguments { load, rate, .. } = parse("").expect("nothing is required");
        assert_eq!((load.producers, load.size, load.batch, rate), (1, 100, 1, Rate::Max));
    }

    #[test]
    fn a_duration_without_a_unit_is_in_seconds() {
        let duration = |line| parse(line).expect("valid").load.duration;
        assert_eq!(duration("--duration 2"), Some(Duration::from_secs(2)));
        assert_eq!(duration("--duration 20ms"), Some(Duration::from_millis(20)));
    }

    #[test]
    fn what_contradicts_or_is_out_of_range_is_refused() {
        for line in [
            "--producers 0",
            "--shards 0",
            "--rate 0",
            "--rate fast",
            "--rate -5k",
            "--rate 2000M",
            "--size 63",
            "--batch 0",
            "--keys 0",
            "--skew pareto",
            "--mode push",
            "--events 1 --duration 1s",
            "--duration ten",
            "--input - --events 5",
            "--input - --batch 2",
            "--input - --mode ingest",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_target_that_is_still_to_come_says_so() {
        for target in ["redis://localhost", "udp://localhost:1", "log:data"] {
            let error = parse(&format!("--target {target}")).expect_err("not there yet").to_string();
            assert!(error.contains("yet"), "{error}");
        }
    }
}
