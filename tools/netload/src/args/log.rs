//! The options of what looks into a log.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(super) const EXAMPLES: &str = "\
Examples:
  netload log ls DIR                                    the segments: numbers, bytes, events
  netload log cat DIR --shard 0 --from 1000 --limit 10
  netload log verify DIR                                every checksum, and whether events are missing
  netload log repair DIR --dry-run                      what a repair would do

DIR is what `dir` of the `log` section names, or a named file's directory. All but `repair` also look into one that is in use.";

const LS_EXAMPLES: &str = "\
Examples:
  netload log ls DIR
  netload log ls DIR --shard 3 --json";

const CAT_EXAMPLES: &str = "\
Examples:
  netload log cat DIR                                   every payload, a line each, shard by shard
  netload log cat DIR --json | jq .sequence             with what the log knows of each
  netload log cat DIR --shard 0 --from 1000 --limit 10

Exit status 1 when damaged events were passed over.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  netload log verify DIR
  netload log verify DIR --json > found.json

Exit status 1 when something is damaged. What a crash has left behind the end of a log is not, and what a bus is writing now neither.";

const REPAIR_EXAMPLES: &str = "\
Examples:
  netload log repair DIR --dry-run                      what it would do
  netload log repair DIR

It says what it will do, and does it: what opening and closing the log would do, and bad indexes are made anew. What is damaged between
good events stays. No good event goes. Exit status 1 when something is damaged still.";

#[derive(Args, Debug)]
pub(crate) struct LogArguments {
    #[command(subcommand)]
    pub(crate) command: LogCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum LogCommand {
    /// Lists the segments.
    #[command(after_help = LS_EXAMPLES)]
    Ls(LookArguments),
    /// Prints the events, a line each.
    #[command(after_help = CAT_EXAMPLES)]
    Cat(CatArguments),
    /// Checks every byte.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(LookArguments),
    /// Repairs what opening the log would repair.
    #[command(after_help = REPAIR_EXAMPLES)]
    Repair(RepairArguments),
}

/// Which logs, and how they are told of.
#[derive(Args, Debug)]
pub(crate) struct LookArguments {
    #[command(flatten)]
    pub(crate) place: PlaceArguments,

    /// Prints a JSON object for each shard, a line each.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which logs.
#[derive(Args, Debug)]
pub(crate) struct PlaceArguments {
    /// The directory of the log.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// This shard alone. Default: all of them.
    #[arg(long, value_name = "N")]
    pub(crate) shard: Option<u16>,
}

#[derive(Args, Debug)]
pub(crate) struct CatArguments {
    #[command(flatten)]
    pub(crate) place: PlaceArguments,

    /// Begins with this sequence, in each shard. Default: the oldest event.
    #[arg(long, value_name = "SEQ")]
    pub(crate) from: Option<u64>,

    /// Ends after so many events, all shards together.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroU64>,

    /// Prints a JSON object for each event: `shard`, `sequence`, `timestamp_ns`, `hash`, and its bytes as `payload`, or as
    /// `base64` where they are no UTF-8.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RepairArguments {
    #[command(flatten)]
    pub(crate) place: PlaceArguments,

    /// Says what it would do, and does nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
