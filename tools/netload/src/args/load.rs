//! The options of what is published, how it comes back, and on which bus.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::keys::Zipf;
use crate::pace::Arrival;
use crate::sizes::SizeRange;
use crate::subscription::Wait;
use crate::values::{Mode, Target, Ways, parse_duration, parse_keys, parse_target, parse_time};

/// What is published when, and how it comes back.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadArguments {
    /// How events come back: not at all, pushed to a subscriber, or by polls. Default: poll; where they go to another
    /// process, ingest, which is all that there is.
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,

    /// How the subscriber of `--mode subscribe` waits.
    #[arg(long, value_enum, default_value = "spin")]
    pub(crate) wait: Wait,

    /// Threads that publish.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) producers: u16,

    /// Events to measure, all producers together; in an open loop, as many as are due in that time, in whole batches.
    /// Default 5,000,000; in an open loop, what 5 s take.
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    pub(crate) events: Option<NonZeroU64>,

    /// How long to measure: seconds, or a time with its unit such as 500ms.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,

    /// How long to publish before measuring begins. Default: none in a closed loop, 1s in an open one.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) warmup: Option<Duration>,

    /// How the moments of an open loop are spread.
    #[arg(long, value_enum, default_value = "const")]
    pub(crate) arrival: Arrival,

    /// How far an open loop may fall behind: events that are later than that are skipped and counted.
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_time)]
    pub(crate) max_backlog: Duration,

    #[command(flatten)]
    pub(crate) made: EventArguments,

    #[command(flatten)]
    pub(crate) bus: BusArguments,

    /// Shows nothing while it runs.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// What verification publishes, in a closed loop, and how it comes back.
#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    /// The ways out to verify, one after the other, each on a bus of its own.
    #[arg(long, value_enum, default_value = "both")]
    pub(crate) mode: Ways,

    /// How the subscriber waits.
    #[arg(long, value_enum, default_value = "block")]
    pub(crate) wait: Wait,

    /// Threads that publish.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) producers: u16,

    /// Events to publish, all producers together.
    #[arg(long, value_name = "N", default_value = "1000000")]
    pub(crate) events: NonZeroU64,

    #[command(flatten)]
    pub(crate) made: EventArguments,

    #[command(flatten)]
    pub(crate) bus: BusArguments,

    /// Shows nothing while it runs.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// What made-up events are like.
#[derive(Args, Clone, Debug)]
pub(crate) struct EventArguments {
    /// Bytes of an event, from 64 to 64 MiB; or a range such as 64..1024, both ends included, of which each event has a
    /// size drawn with the seed, all equally often.
    #[arg(long, value_name = "BYTES|MIN..MAX", default_value = "100")]
    pub(crate) size: SizeRange,

    /// Routing keys of each producer.
    #[arg(long, value_name = "N", default_value = "64", value_parser = parse_keys)]
    pub(crate) keys: NonZeroU32,

    /// Draws keys at random, some more often than others, instead of taking them in turn.
    #[arg(long, value_name = "zipf:EXPONENT")]
    pub(crate) skew: Option<Zipf>,

    /// Events a call. Above 1 they carry no routing key, and order is verified per producer and shard.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) batch: u32,

    /// Seed of everything random.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// The bus that is loaded.
#[derive(Args, Clone, Debug)]
pub(crate) struct BusArguments {
    /// Shards of the bus. Default: what the configuration says, else one fewer than the CPUs, at least 1.
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<NonZeroU16>,

    /// Configuration of the bus: a JSON object, or the file that holds it.
    #[arg(long, value_name = "JSON|@FILE")]
    pub(crate) config: Option<String>,

    /// Where the bus stores events: `inproc` is its own memory, or what the configuration says; `redis://HOST:PORT`,
    /// `rediss://HOST:PORT` (TLS, trusting whom the system trusts, or who is in the file that `SSL_CERT_FILE` names) and
    /// `redis+unix:///PATH` are a Redis server, on which the run has keys of its own and deletes them at its end;
    /// `log:DIR` is a log in a directory, which stays and which further runs append to;
    /// `udp://HOST:PORT?public_key=HEX&psk_file=PATH` is another process, encrypted, in which `netload serve` receives and
    /// verifies. More keys of the `net` section may follow, such as `&reliability=none`.
    #[arg(long, value_name = "inproc|redis://…|log:DIR|udp://…", default_value = "inproc", value_parser = parse_target)]
    pub(crate) target: Target,
}

/// Lines of a file in place of made-up events.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct InputArguments {
    /// Publishes the lines of this file (`-`: standard input), each as one event, instead of made-up events: once, or
    /// with `--loop` again and again. Goes with `--mode ingest` and `poll`; a latency ends with the publishing call.
    #[arg(long, value_name = "FILE.ndjson|-", conflicts_with_all = ["size", "batch", "keys", "skew"])]
    pub(crate) input: Option<PathBuf>,

    /// Begins the file again at its end, until `--events` or `--duration` is over.
    #[arg(long = "loop", requires = "input")]
    pub(crate) repeats: bool,

    /// Where a line has its routing key: names from the outside in, such as `user.id`. The value there is a string, a
    /// number, true or false. A line without one is published without a key, counted and said.
    #[arg(long, value_name = "NAME.NAME…", requires = "input")]
    pub(crate) key_field: Option<String>,
}

impl VerifyArguments {
    /// The load of one way out.
    pub(crate) fn load(&self, mode: Mode) -> LoadArguments {
        LoadArguments {
            mode: Some(mode),
            wait: self.wait,
            producers: self.producers,
            events: Some(self.events),
            duration: None,
            warmup: None,
            arrival: Arrival::Const,
            max_backlog: Duration::ZERO,
            made: self.made.clone(),
            bus: self.bus.clone(),
            quiet: self.quiet,
        }
    }
}
