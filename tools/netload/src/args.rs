//! The command line.

use std::num::{NonZeroU16, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Load generator for libnet.
#[derive(Parser)]
#[command(name = "netload", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Publishes events, reads them back and verifies them.
    ///
    /// Exit status: 0 when every accepted event came back once and in order, 1 when not, 2 when it could not begin.
    Run(RunArguments),
}

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Threads that publish. Each publishes under 64 routing keys of its own, in turn.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) producers: u16,

    /// Shards of the bus. Default: what the configuration says, else one fewer than the CPUs, at least 1.
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<NonZeroU16>,

    /// Events to publish, all producers together. Default 5,000,000; with --rate, what 5 s take.
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    pub(crate) events: Option<NonZeroU64>,

    /// How long to publish: seconds, or a time with its unit such as 500ms.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) duration: Option<Duration>,

    /// Open loop: events a second, all producers together, each due at its own moment; latency counts from that moment.
    /// Without it the loop is closed: each producer publishes its next event as soon as the last was accepted.
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) rate: Option<NonZeroU64>,

    /// Bytes of an event.
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(31..=64 << 20))]
    pub(crate) size: u32,

    /// Events a call. Above 1 they carry no routing key, and order is verified per producer and shard.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) batch: u32,

    /// Configuration of the bus: a JSON object, or the file that holds it.
    #[arg(long, value_name = "FILE|JSON")]
    pub(crate) config: Option<String>,

    /// Publishes the lines of this file (`-`: standard input), each as one event, instead of made-up events.
    #[arg(long, value_name = "FILE.ndjson|-", conflicts_with_all = ["events", "duration", "size", "batch"])]
    pub(crate) input: Option<PathBuf>,
}

fn parse_time(text: &str) -> Result<Duration, humantime::DurationError> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<RunArguments, clap::Error> {
        let words = ["netload", "run"].into_iter().chain(line.split_whitespace());
        Arguments::try_parse_from(words).map(|Arguments { command: Command::Run(run) }| run)
    }

    #[test]
    fn every_option_may_be_left_out() {
        let run = parse("").expect("nothing is required");
        assert_eq!((run.producers, run.size, run.batch), (1, 100, 1));
    }

    #[test]
    fn a_duration_without_a_unit_is_in_seconds() {
        assert_eq!(parse("--duration 2").expect("valid").duration, Some(Duration::from_secs(2)));
        assert_eq!(parse("--duration 20ms").expect("valid").duration, Some(Duration::from_millis(20)));
    }

    #[test]
    fn what_contradicts_or_is_out_of_range_is_refused() {
        for line in [
            "--producers 0",
            "--shards 0",
            "--rate 0",
            "--size 30",
            "--batch 0",
            "--events 1 --duration 1s",
            "--duration ten",
            "--input - --events 5",
            "--input - --batch 2",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
