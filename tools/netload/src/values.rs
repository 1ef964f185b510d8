//! The values of options: how they are written, and what they mean.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;

use crate::udp_target::{self, UdpTarget};

/// How events come back, and with it what a latency ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Not at all: latency ends with the publishing call.
    Ingest,
    /// A subscriber is given them: latency ends when it has them.
    Subscribe,
    /// They are polled: in an open loop latency ends when the poll has returned them. In a closed loop it ends with the
    /// publishing call, and the reader takes turns with the producers where there are too few CPUs for both.
    Poll,
}

/// The ways out that are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ways {
    /// A subscriber is given the events.
    Subscribe,
    /// They are polled.
    Poll,
    /// One after the other.
    Both,
}

/// Events a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// A closed loop.
    Max,
    /// An open loop.
    PerSecond(NonZeroU64),
}

/// Where a bus stores events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// In the process, or where the configuration says.
    Inproc,
    /// On the Redis server with this URL.
    Redis(String),
    /// In the log that is in this directory, or is made there.
    Log(PathBuf),
    /// In another process, which it reaches so.
    Udp(UdpTarget),
}

impl Mode {
    /// The word of the option.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Mode::Ingest => "ingest",
            Mode::Subscribe => "subscribe",
            Mode::Poll => "poll",
        }
    }
}

impl Ways {
    /// Each of them.
    pub(crate) fn modes(self) -> &'static [Mode] {
        match self {
            Ways::Subscribe => &[Mode::Subscribe],
            Ways::Poll => &[Mode::Poll],
            Ways::Both => &[Mode::Subscribe, Mode::Poll],
        }
    }
}

impl Rate {
    /// The rate of an open loop.
    pub(crate) fn per_second(self) -> Option<NonZeroU64> {
        match self {
            Rate::Max => None,
            Rate::PerSecond(rate) => Some(rate),
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        if text == "max" { Ok(Rate::Max) } else { parse_rate(text).map(Rate::PerSecond) }
    }
}

/// A count of events a second, such as 250000, 250k or 1.5M.
pub(crate) fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1e3),
        None => text.strip_suffix('M').map_or((text, 1.0), |digits| (digits, 1e6)),
    };
    let rate = digits.parse::<f64>().ok().map(|number| number * unit).filter(|rate| *rate <= RATE_MAX);
    let whole = rate.and_then(|rate| NonZeroU64::new((rate.max(0.0) as i64).unsigned_abs()));
    whole.ok_or_else(|| "expected events a second, such as 250000, 250k or 1.5M, up to 1000M".to_owned())
}

/// A number of routing keys.
pub(crate) fn parse_keys(text: &str) -> Result<NonZeroU32, String> {
    let keys = text.parse().ok().filter(|keys: &NonZeroU32| keys.get() <= KEYS_MAX);
    keys.ok_or_else(|| format!("expected a number from 1 to {KEYS_MAX}"))
}

/// A target, or what to say of one that is not there yet.
pub(crate) fn parse_target(text: &str) -> Result<Target, String> {
    match text {
        "inproc" => Ok(Target::Inproc),
        _ if ["redis://", "rediss://", "redis+unix://"].iter().any(|scheme| text.starts_with(scheme)) => {
            Ok(Target::Redis(text.to_owned()))
        }
        _ if text.starts_with(udp_target::SCHEME) => text.parse().map(Target::Udp),
        "log:" => Err("log: names no directory, as in log:DIR".to_owned()),
        _ if text.starts_with("nats://") => Err(format!("libnet cannot store there yet; {TARGETS}")),
        _ => match text.strip_prefix("log:") {
            Some(directory) => Ok(Target::Log(directory.into())),
            None => Err(TARGETS.to_owned()),
        },
    }
}

/// Whole seconds, or a time with its unit.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let time = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string())?,
    };
    if time > TIME_MAX {
        return Err(format!("longer than {} days", TIME_MAX.as_secs() / 86_400));
    }
    Ok(time)
}

/// How long a run measures: a time that is not 0.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_time(text)?;
    if duration.is_zero() { Err("a run of no time measures nothing".to_owned()) } else { Ok(duration) }
}

const TARGETS: &str = "expected inproc, redis://, rediss://, redis+unix://, log:DIR or udp://";
/// Longer than any run, and far from what a clock of nanoseconds can hold.
const TIME_MAX: Duration = Duration::from_hours(100 * 24);

const RATE_MAX: f64 = 1e9;
const KEYS_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_no_run_lasts_is_refused() {
        assert_eq!(parse_time("100d"), Ok(Duration::from_hours(2_400)));
        for too_long in ["101d", "18446744073709", "18446744073709551615"] {
            assert!(parse_time(too_long).is_err(), "{too_long}");
        }
    }

    #[test]
    fn a_run_lasts_longer_than_nothing() {
        assert_eq!(parse_duration("1ns"), Ok(Duration::from_nanos(1)));
        for nothing in ["0", "0s", "0ms", "0h 0m"] {
            assert_eq!(parse_time(nothing), Ok(Duration::ZERO), "{nothing}");
            assert!(parse_duration(nothing).is_err(), "{nothing}");
        }
    }

    #[test]
    fn a_rate_may_have_a_unit() {
        for (text, rate) in [("250000", 250_000), ("250k", 250_000), ("1.5M", 1_500_000)] {
            assert_eq!(parse_rate(text).map(NonZeroU64::get), Ok(rate));
        }
    }
}
