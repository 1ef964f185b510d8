//! What came of a run, and how the process ends after it.

use std::fmt::Display;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::bus::Bus;
use crate::config::{Limit, Plan};
use crate::exit::ExitStatus;
use crate::reader::Read;
use crate::record::histogram;
use crate::series::Point;
use crate::stage::Published;
use crate::stats::Statistics;
use crate::verify::Findings;

/// What happened.
pub(crate) struct Outcome {
    /// When it began, in seconds since the Unix epoch.
    pub(crate) began_s: u64,
    pub(crate) shards: u16,
    pub(crate) takes_turns: bool,
    /// What reading the clock twice takes, in nanoseconds: part of every latency.
    pub(crate) clock_ns: u64,
    /// From the moment an event was due. In a closed loop the same as `service`.
    pub(crate) response: Histogram<u64>,
    /// From the moment the call began.
    pub(crate) service: Histogram<u64>,
    /// How late calls were; empty in a closed loop.
    pub(crate) lag: Histogram<u64>,
    pub(crate) series: Vec<Point>,
    /// Events that were accepted, the warm-up included.
    pub(crate) accepted: u64,
    /// Those after the warm-up, and their bytes.
    pub(crate) measured: u64,
    pub(crate) measured_bytes: u64,
    /// Events that were never published because a producer was too far behind.
    pub(crate) skipped: u64,
    pub(crate) refused: u64,
    /// The longest any producer published after the warm-up, its waits for the reader left out.
    pub(crate) active: Duration,
    /// In an open loop: the part of its load that was published in its time, 0 to 1.
    pub(crate) kept: Option<f64>,
    /// How much of the producers' time passed inside calls, 0 to 1; the rest is the producers' own work.
    pub(crate) share_in_calls: f64,
    /// The longest any producer waited for the reader.
    pub(crate) held: Duration,
    /// From the first thread's start to the last one's end.
    pub(crate) whole: Duration,
    /// Processor time of the producers' threads, and of the whole process during the run.
    pub(crate) producers_processor: Duration,
    pub(crate) process_processor: Duration,
    pub(crate) invalid: Vec<(u64, String)>,
    /// `None` where nothing comes back.
    pub(crate) findings: Option<Findings>,
    pub(crate) read: Read,
    /// `None` when the bus did not tell.
    pub(crate) statistics: Option<Statistics>,
    /// What went wrong besides what verification found.
    pub(crate) failures: Vec<String>,
    pub(crate) interrupted: bool,
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

    /// Whether the bus did what no load excuses: gave events twice, in another order or changed, or miscounted.
    pub(crate) fn is_wrong(&self) -> bool {
        let is_wrong =
            |findings: &Findings| findings.duplicated + findings.out_of_order + findings.foreign > 0;
        self.findings.as_ref().is_some_and(is_wrong)
            || self.statistics.as_ref().is_some_and(|statistics| !statistics.is_balanced())
    }

    /// Whether an open loop kept its rate.
    pub(crate) fn kept_rate(&self) -> bool {
        self.kept.is_none_or(|kept| kept >= KEPT_MIN)
    }

    /// Events a second after the warm-up.
    pub(crate) fn rate(&self) -> f64 {
        let seconds = self.active.as_secs_f64();
        if seconds > 0.0 { self.measured as f64 / seconds } else { 0.0 }
    }

    /// Bytes a second after the warm-up.
    pub(crate) fn bytes_rate(&self) -> f64 {
        let seconds = self.active.as_secs_f64();
        if seconds > 0.0 { self.measured_bytes as f64 / seconds } else { 0.0 }
    }

    /// How the process ends after this run.
    pub(crate) fn exit_status(&self) -> ExitStatus {
        match self {
            Outcome { interrupted: true, .. } => ExitStatus::Interrupted,
            outcome if !outcome.is_clean() => ExitStatus::Failed,
            outcome if !outcome.kept_rate() => ExitStatus::BelowRate,
            _ => ExitStatus::Success,
        }
    }
}

impl Outcome {
    /// The part of an open loop's events that was published, times how well it kept to its time. `None` when it was
    /// interrupted before any was due.
    pub(crate) fn part_kept(&self, plan: &Plan) -> Option<f64> {
        let due = self.measured + self.skipped;
        if self.interrupted && due == 0 {
            return None;
        }
        let published = self.measured as f64 / due.max(1) as f64;
        Some(match plan.work.limit() {
            Some(Limit::Duration(duration)) if !self.interrupted => {
                let slower = duration.as_secs_f64() / self.active.as_secs_f64().max(f64::MIN_POSITIVE);
                published * slower.min(1.0)
            }
            _ => published,
        })
    }

    /// `service` is what the receiver measured, if it did.
    pub(crate) fn collect(&mut self, published: Vec<Published>, service: Option<Histogram<u64>>) {
        let mut paced = service;
        for (index, producer) in published.into_iter().enumerate() {
            self.lag.add(&producer.lag).expect("the same bounds");
            if let Some(service) = producer.service {
                paced.get_or_insert_with(histogram).add(&service).expect("the same bounds");
            }
            self.invalid.extend(producer.invalid);
            self.note(&format!("producer {index}"), producer.failure);
        }
        self.service = paced.unwrap_or_else(|| self.response.clone());
        self.invalid.sort_unstable();
        let failure = self.read.failure.take();
        self.note("reading", failure);
    }

    /// Asks the bus for its account, after a flush so that it is settled, and stops it.
    pub(crate) fn close(&mut self, bus: Bus) {
        self.note("before the account", bus.flush().err());
        match bus.stats().map(|json| Statistics::parse(&json)) {
            Ok(Ok(statistics)) => self.statistics = Some(statistics),
            Ok(Err(error)) => self.note("statistics", Some(error)),
            Err(error) => self.note("statistics", Some(error)),
        }
        self.note("shutdown", bus.shutdown().err());
    }

    /// Deletes what the run has stored on a server for itself alone.
    pub(crate) fn clear(&mut self, plan: &Plan) {
        if let Some(scratch) = &plan.scratch {
            // Numbers there follow the server's clock, so that those that are missing mean nothing.
            self.read.id_gaps = 0;
            let what = format!("the keys {}:* are still there", scratch.prefix());
            self.note(&what, scratch.delete(self.shards).err());
        }
    }

    fn note(&mut self, what: &str, failure: Option<impl Display>) {
        self.failures.extend(failure.map(|failure| format!("{what}: {failure}")));
    }
}

/// An open loop that kept less of its load is not the load that was asked for.
pub(crate) const KEPT_MIN: f64 = 0.99;
