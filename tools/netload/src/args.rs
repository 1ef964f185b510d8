//! The command line.

mod load;
mod log;
mod serve;

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use load::{EventArguments, InputArguments, LoadArguments, VerifyArguments};
pub(crate) use log::{
    CatArguments, LogArguments, LogCommand, LookArguments, PlaceArguments, RepairArguments,
};
pub(crate) use serve::{Reliability, ServeArguments};

use crate::compare::Condition;
use crate::exit::EXIT_STATUSES;
use crate::slo::Slo;
use crate::values::{Mode, Rate, parse_rate};

/// Tells what load libnet holds on this machine.
#[derive(Parser)]
#[command(name = "netload", version, after_help = format!("{EXAMPLES}\n\n{EXIT_STATUSES}"))]
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
    /// Publishes and looks whether everything comes back: once, in order, byte for byte. No latencies.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArguments),
    /// Receives what `run --target udp://…` sends from another process, and verifies it.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArguments),
    /// Makes the keys of two buses that exchange events over UDP.
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen(KeygenArguments),
    /// Looks into the logs of a directory, verifies and repairs them.
    #[command(after_help = log::EXAMPLES)]
    Log(LogArguments),
    /// Puts two saved runs side by side.
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare(CompareArguments),
    /// Shows saved results again: their percentiles as text, and with `--html` everything as one page.
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ReportArguments),
    /// Tells what of this machine keeps libnet from running, or from running at its best, and the cure.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor,
    /// Prints what makes a shell complete this command.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArguments),
    /// Prints the manual page, or writes one for each verb.
    #[command(after_help = MAN_EXAMPLES)]
    Man(ManArguments),
}

impl Arguments {
    /// Reads the command line, and refuses what no single option can see.
    pub(crate) fn read() -> Result<Arguments, clap::Error> {
        Arguments::try_parse().and_then(Arguments::checked)
    }

    fn checked(self) -> Result<Arguments, clap::Error> {
        let refused = |why: &str| Err(Arguments::command().error(ErrorKind::ArgumentConflict, why));
        let Command::Run(RunArguments { load, input, .. }) = &self.command else { return Ok(self) };
        let ends = load.events.is_some() || load.duration.is_some() || load.warmup.is_some();
        match input {
            InputArguments { input: Some(_), .. } if load.mode == Some(Mode::Subscribe) => {
                refused("--input goes with --mode ingest and --mode poll")
            }
            InputArguments { input: Some(_), repeats: false, .. } if ends => {
                refused("with --input, --events, --duration and --warmup need --loop")
            }
            _ => Ok(self),
        }
    }
}

const EXAMPLES: &str = "\
Examples (`netload VERB --help` has more):
  netload doctor
  netload peak --slo 'p99<50us' --mode subscribe
  netload run --rate 200k --duration 30s --json before.json
  netload sweep --rates 100k,500k,1M
  netload verify --producers 4
  netload serve --bind 0.0.0.0:7000 --key-file keys/key.json --psk-file keys/psk
  netload keygen --out keys
  netload log verify DIR
  netload compare before.json after.json --fail-on 'p99>+5%'
  netload report before.json after.json --html both.html
  netload man | man -l -
  netload completions bash > /etc/bash_completion.d/netload";

const RUN_EXAMPLES: &str = "\
Examples:
  netload run                                           as fast as it goes, verified
  netload run --rate 500k --duration 30s                an open loop, honest about delays
  netload run --rate 1M --arrival poisson --mode subscribe --wait fd --json run.json
  netload run --rate 200k --html run.html               with plots to look at
  netload run --target redis://localhost --rate 10k     the same through a Redis server
  netload run --target log:DIR                          the same into a log, which stays: see `netload log --help`
  netload run --target 'udp://HOST:7000?public_key=HEX&psk_file=keys/psk'   to another process, see `netload serve --help`
  netload run --config @bus.json --mode ingest --size 512 --keys 10000 --skew zipf:0.99
  netload run --size 64..1024 --seed 7                  events of every size in between, the same again with the seed
  netload run --input orders.ndjson --key-field customer.id --loop --rate 50k --duration 1m
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

const VERIFY_EXAMPLES: &str = "\
Examples:
  netload verify                                        both ways out, each on a bus of its own
  netload verify --events 50000000 --producers 4 --mode poll
  netload verify --config @bus.json --keys 10000 --skew zipf:0.99
  netload verify --size 64..65536 --batch 50            events of every size in between
  netload verify --target redis://localhost
  netload verify --target log:DIR                       `netload log verify DIR` checks the files afterwards

Exit status 1 when an event was lost, duplicated, out of order or changed.";

const SERVE_EXAMPLES: &str = "\
Examples: the first three in this order
  netload keygen --out keys
  netload serve --bind 0.0.0.0:7000 --key-file keys/key.json --psk-file keys/psk --events 5000000
  netload run --target 'udp://HOST:7000?public_key=HEX&psk_file=keys/psk'   elsewhere, with the key that keygen printed
  netload serve --config @bus.json --idle 2s --size 64..1024 --seed 7       for a run with the same sizes and seed

It receives one run, and knows its events by --size, --keys, --skew, --batch and --seed, which must be those of the run.
Exit status 1 when an event came twice or changed; when one is out of order, unless with `none`; when one is missing, with `full`.";

const KEYGEN_EXAMPLES: &str = "\
Examples:
  netload keygen > key.json                             the responder's keys alone
  netload keygen --out keys                             these and what both sides know, in files of their owner's alone";

const COMPARE_EXAMPLES: &str = "\
Examples:
  netload compare before.json after.json
  netload compare before.json after.json --fail-on 'p99>+5%,throughput<-3%'

Exit status 3 when something it was told to fail on is found.";

const REPORT_EXAMPLES: &str = "\
Examples:
  netload report run.json
  netload report before.json after.json --html both.html
  netload report sweep.json --html sweep.html

The page needs neither network nor scripts. Several results are laid over each other in the same plots.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  netload doctor

Each line is ok, warn or FAIL. Exit status 1 when there is a FAIL: libnet does not run here.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  netload completions bash > /etc/bash_completion.d/netload
  netload completions zsh > \"${fpath[1]}/_netload\"
  netload completions fish > ~/.config/fish/completions/netload.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  netload man | man -l -
  netload man --out /usr/local/share/man/man1";

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Events a second, all producers together, as 250000, 250k or 1.5M: an open loop, each event due at its own moment,
    /// and its latency counts from that moment. `max`: a closed loop, in which each producer publishes its next
    /// event as soon as the last was accepted, so that whoever is slow slows its own load down.
    #[arg(long, value_name = "N|max", default_value = "max")]
    pub(crate) rate: Rate,

    #[command(flatten)]
    pub(crate) load: LoadArguments,

    #[command(flatten)]
    pub(crate) input: InputArguments,

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
    pub(crate) output: DocumentArguments,
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
    pub(crate) output: DocumentArguments,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArguments {
    /// The shell that completes.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Args, Debug)]
pub(crate) struct ManArguments {
    /// Writes one page for the command and one for each verb into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct KeygenArguments {
    /// Writes the responder's keys into `key.json` in this folder, and what both sides know into `psk`. Neither may be
    /// there before. Prints how they are used, and no secret.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
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

#[derive(Args, Debug)]
pub(crate) struct ReportArguments {
    /// Results as `--json` saved them.
    #[arg(value_name = "FILE.json", required = true)]
    pub(crate) results: Vec<PathBuf>,

    /// Saves the plots and tables of all of them as one page.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Where the result of several runs goes besides the terminal.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct DocumentArguments {
    /// Saves the result as JSON (schema `netload/1`, see tools/README.md).
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Saves the result as a page with plots and tables, which needs neither network nor scripts.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Where a result goes besides the terminal.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct OutputArguments {
    #[command(flatten)]
    pub(crate) document: DocumentArguments,

    /// Saves the distribution of the response times, in microseconds, as the HDR histogram tools plot it.
    #[arg(long, value_name = "FILE")]
    pub(crate) hgrm: Option<PathBuf>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::time::Duration;

    /// The options of `netload serve`.
    pub(crate) fn serve(line: &str) -> ServeArguments {
        let words = ["netload", "serve"].into_iter().chain(line.split_whitespace());
        match Arguments::try_parse_from(words).expect(line).command {
            Command::Serve(arguments) => arguments,
            _ => unreachable!("the verb is serve"),
        }
    }

    fn parse(line: &str) -> Result<RunArguments, clap::Error> {
        let words = ["netload", "run"].into_iter().chain(line.split_whitespace());
        Arguments::try_parse_from(words).and_then(Arguments::checked).map(|arguments| {
            match arguments.command {
                Command::Run(run) => run,
                _ => unreachable!("the verb is run"),
            }
        })
    }

    #[test]
    fn every_option_may_be_left_out() {
        let RunArguments { load, rate, .. } = parse("").expect("nothing is required");
        assert_eq!((load.producers, load.made.batch, rate), (1, 1, Rate::Max));
        assert_eq!(load.made.size.to_string(), "100");
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
            "--size 1024..64",
            "--size 64..",
            "--size ..",
            "--batch 0",
            "--keys 0",
            "--skew pareto",
            "--mode push",
            "--events 1 --duration 1s",
            "--duration ten",
            "--duration 0s",
            "--input - --events 5",
            "--input - --batch 2",
            "--input - --keys 9",
            "--input - --size 64..1024",
            "--input - --warmup 1s",
            "--input - --mode subscribe",
            "--loop",
            "--key-field id",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_lines_of_a_file_go_with_every_pace_and_end_when_they_are_told_to() {
        for line in [
            "--input -",
            "--input - --mode ingest --rate 5k",
            "--input - --loop",
            "--input - --loop --duration 1s --warmup 1s --key-field user.id",
            "--input - --loop --events 5 --mode poll",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_target_that_is_still_to_come_says_so() {
        let error = parse("--target nats://localhost").expect_err("not there yet").to_string();
        assert!(error.contains("yet"), "{error}");
    }
}
