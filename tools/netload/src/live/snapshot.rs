//! What is known of a run at one moment.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::asker::Asker;
use crate::config::Limit;
use crate::series::Point;
use crate::stage::{Stage, Tally};
use crate::stats::Statistics;

/// What is shown of a run.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) elapsed: Duration,
    pub(crate) goal: Goal,
    pub(crate) published: u64,
    /// Since the look before.
    pub(crate) events_per_s: f64,
    pub(crate) bytes_per_s: f64,
    /// The newest second that was measured; none before the end of the warm-up.
    pub(crate) response: Option<Point>,
    /// `None` where nothing is read back.
    pub(crate) read_back: Option<u64>,
    /// How late calls were at most since the look before; `None` in a closed loop.
    pub(crate) late_ns: Option<u64>,
    /// `None` before the bus has answered.
    pub(crate) bus: Option<BusSnapshot>,
    /// For how many looks the bus has not answered.
    pub(crate) unanswered: u64,
}

/// When the run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Time(Duration),
    Events(u64),
    /// When the lines are through.
    Lines,
}

/// What the bus says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct BusSnapshot {
    pub(crate) depths: Vec<Depth>,
    /// The most bytes that any shard has had pending.
    pub(crate) depth_bytes_max: u64,
    pub(crate) dropped: BTreeMap<String, u64>,
    pub(crate) refused: u64,
}

/// What waits in a shard to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depth {
    pub(crate) shard: u16,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

/// Looks at a run now and then.
pub(crate) struct Observer<'run> {
    stage: &'run Stage<'run>,
    asker: Asker<Statistics>,
    before: Before,
}

/// What the look before has found.
#[derive(Default)]
struct Before {
    elapsed: Duration,
    events: u64,
    bytes: u64,
}

impl<'run> Observer<'run> {
    pub(crate) fn new(stage: &'run Stage<'run>, asker: Asker<Statistics>) -> Observer<'run> {
        Observer { stage, asker, before: Before::default() }
    }

    /// What there is, so long after the start.
    pub(crate) fn look(&mut self, elapsed: Duration, response: Option<Point>) -> Snapshot {
        let Stage { plan, tallies, read_back, .. } = self.stage;
        let events: u64 = tallies.iter().map(Tally::accepted).sum();
        let bytes: u64 = tallies.iter().map(Tally::bytes).sum();
        let late_ns = tallies.iter().map(Tally::take_late_ns).max();
        let seconds = elapsed.saturating_sub(self.before.elapsed).as_secs_f64().max(f64::MIN_POSITIVE);
        let (new_events, new_bytes) = (events - self.before.events, bytes - self.before.bytes);
        self.before = Before { elapsed, events, bytes };
        let (statistics, unanswered) = self.asker.ask();
        Snapshot {
            elapsed,
            goal: match plan.work.limit() {
                Some(Limit::Duration(duration)) => Goal::Time(plan.warmup + duration),
                Some(Limit::Events(events)) => Goal::Events(events),
                None => Goal::Lines,
            },
            published: events,
            events_per_s: new_events as f64 / seconds,
            bytes_per_s: new_bytes as f64 / seconds,
            response,
            read_back: plan.reads_back().then(|| read_back.load(Ordering::Relaxed)),
            late_ns: late_ns.filter(|_| plan.pace.is_some()),
            bus: statistics.map(BusSnapshot::of),
            unanswered,
        }
    }
}

impl BusSnapshot {
    fn of(statistics: &Statistics) -> BusSnapshot {
        let total = statistics.total();
        let shards = statistics.shards.iter();
        let depth = |shard: &crate::stats::ShardAccount| Depth {
            shard: shard.shard,
            events: shard.pending,
            bytes: shard.pending_bytes,
        };
        BusSnapshot {
            depths: shards.clone().map(depth).collect(),
            depth_bytes_max: shards.map(|shard| shard.pending_bytes_max).max().unwrap_or(0),
            dropped: total.dropped,
            refused: total.refused,
        }
    }
}
