//! The options of the receiving side: where it answers, with which keys, and what is sent to it.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::EventArguments;
use crate::values::parse_duration;

#[derive(Args, Debug)]
pub(crate) struct ServeArguments {
    /// Where it answers.
    #[arg(long, value_name = "IP:PORT", conflicts_with = "config", required_unless_present = "config")]
    pub(crate) bind: Option<SocketAddr>,

    /// Its keys, as `netload keygen` writes them.
    #[arg(long, value_name = "FILE", conflicts_with = "config", required_unless_present = "config")]
    pub(crate) key_file: Option<PathBuf>,

    /// What both sides know, as `netload keygen` writes it.
    #[arg(long, value_name = "FILE", conflicts_with = "config", required_unless_present = "config")]
    pub(crate) psk_file: Option<PathBuf>,

    /// What becomes of lost packets. Both sides have to say the same.
    #[arg(long, value_enum, default_value = "full", conflicts_with = "config")]
    pub(crate) reliability: Reliability,

    /// Shards of the bus. Default: what the configuration says, else one fewer than the CPUs, at least 1.
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<NonZeroU16>,

    /// Configuration of the bus, with a `net` section, in place of these: a JSON object, or the file that holds it.
    #[arg(long, value_name = "JSON|@FILE")]
    pub(crate) config: Option<String>,

    /// Ends after so many events.
    #[arg(long, value_name = "N")]
    pub(crate) events: Option<NonZeroU64>,

    /// Ends after this time: seconds, or a time with its unit such as 500ms.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,

    /// Ends when something has come and then nothing more for so long.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) idle: Option<Duration>,

    /// Counts what comes, whatever it is, and verifies nothing: for lines of a file, and for more than one run.
    #[arg(long)]
    pub(crate) count_only: bool,

    #[command(flatten)]
    pub(crate) made: EventArguments,

    /// Shows nothing while it runs.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// What becomes of lost packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reliability {
    /// They are lost.
    None,
    /// They are asked for for a while.
    Light,
    /// They are sent until they have arrived.
    Full,
}

impl ServeArguments {
    /// Whether the events have routing keys, by which their order can be verified.
    pub(crate) fn has_keys(&self) -> bool {
        self.made.batch == 1
    }
}

impl Reliability {
    /// The word of the option and of the configuration.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Reliability::None => "none",
            Reliability::Light => "light",
            Reliability::Full => "full",
        }
    }

    /// The one with this word.
    pub(crate) fn of(word: &str) -> Option<Reliability> {
        [Reliability::None, Reliability::Light, Reliability::Full].into_iter().find(|one| one.word() == word)
    }
}
