//! The check: ratios to the floors of the same run that no machine's speed and no neighbour's noise explains away.
//!
//! A way through the bus is measured in turns with its floor, and the best of each counts, since noise only ever slows
//! down. There are more rounds as long as a bound is not held.

use crate::figures::BATCH_EVENTS;
use crate::floor;
use crate::latency::{self, CONTROL_PERIOD_NS, EVENT_BYTES, Idle};
use crate::throughput::{self, Publication};

/// What is held, and how.
struct Bound {
    name: &'static str,
    /// Speed of the bus and of the floor, in the same unit, of which more is better.
    round: fn() -> [f64; 2],
    /// The least share of the floor's speed, in hundredths.
    least_percent: f64,
}

/// What came of one bound.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What was measured.
    pub name: &'static str,
    /// Share of the floor's speed, in hundredths.
    pub percent: f64,
    /// The least that passes.
    pub least_percent: f64,
}

impl Verdict {
    /// Whether the bound is held.
    pub fn is_held(&self) -> bool {
        self.percent >= self.least_percent
    }
}

/// Measures all bounds, one after the other.
pub fn run() -> impl Iterator<Item = Verdict> {
    BOUNDS.iter().map(|bound| {
        let mut best = [0.0f64; 2];
        let mut percent = 0.0;
        for round in 1..=ROUNDS_MAX {
            let measured = (bound.round)();
            best = [best[0].max(measured[0]), best[1].max(measured[1])];
            percent = 100.0 * best[0] / best[1];
            if round >= ROUNDS_MIN && percent >= bound.least_percent {
                break;
            }
        }
        Verdict { name: bound.name, percent, least_percent: bound.least_percent }
    })
}

fn single() -> [f64; 2] {
    let publication = Publication::of(EVENT_BYTES, EVENTS, 1);
    [publication.measured(), publication.floor()]
}

fn batched() -> [f64; 2] {
    let publication = Publication::of(EVENT_BYTES, EVENTS, BATCH_EVENTS);
    [publication.measured(), publication.floor()]
}

fn call() -> [f64; 2] {
    let ingest = latency::ingest_call(EVENTS / 4);
    [ingest.call.p50_ns, ingest.floor.p50_ns].map(per_second)
}

fn poll() -> [f64; 2] {
    [throughput::poll(EVENTS / 2), floor::copy(EVENTS / 2)]
}

fn push() -> [f64; 2] {
    [throughput::push(EVENTS / 2), floor::copy(EVENTS / 2)]
}

fn spinning() -> [f64; 2] {
    [latency::there_and_back(Idle::Spin, 100_000).p50_ns, floor::ping_pong(100_000).summary("").p50_ns]
        .map(per_second)
}

fn parked() -> [f64; 2] {
    [
        latency::there_and_back(Idle::Park, 1_000).p50_ns,
        floor::wake(1_000, CONTROL_PERIOD_NS).summary("").p50_ns,
    ]
    .map(per_second)
}

/// How often a second, one after the other.
fn per_second(duration_ns: u64) -> f64 {
    1e9 / duration_ns as f64
}

/// Each about half of what the bus does where the shard has a core of its own; a lock, an allocation or a system call per
/// event, or a sleep where there was none, falls far below.
const BOUNDS: [Bound; 7] = [
    Bound { name: "net_ingest_raw, until stored", round: single, least_percent: 25.0 },
    Bound { name: "net_ingest_raw_batch of 64, until stored", round: batched, least_percent: 20.0 },
    Bound { name: "net_ingest_raw, one call, p50", round: call, least_percent: 25.0 },
    Bound { name: "net_poll_ex, limit 1,000, spinning", round: poll, least_percent: 5.0 },
    Bound { name: "net_next, 1,024 a call, spinning", round: push, least_percent: 10.0 },
    Bound { name: "net_ingest_raw → net_next, spinning, p50", round: spinning, least_percent: 5.0 },
    Bound { name: "net_ingest_raw → net_next, parked, p50", round: parked, least_percent: 20.0 },
];

const EVENTS: usize = 1_000_000;
const ROUNDS_MIN: usize = 3;
const ROUNDS_MAX: usize = 12;
