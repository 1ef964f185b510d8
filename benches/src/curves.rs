//! How rates and latencies change with the size of an event, the number of producers and shards, and the load; and why
//! each curve bends.

use serde::Serialize;

use crate::figures::Effort;
use crate::latency::{self, Idle};
use crate::quantity::Quantity;
use crate::throughput::{Publication, median};

/// A small table.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// What changes and what is measured.
    pub title: &'static str,
    /// Names of the columns.
    pub columns: &'static [&'static str],
    /// As many quantities in each as there are columns.
    pub rows: Vec<Vec<Quantity>>,
    /// Where it bends, and why.
    pub why: &'static str,
}

/// Throughput against the size of an event, beside the floor for the same size.
pub fn by_event_size(effort: &Effort) -> Curve {
    let row = |event_bytes: usize| {
        let events = (effort.curve_bytes / event_bytes).clamp(100, effort.events);
        let publication = Publication::of(event_bytes, events, 1);
        let (rate, floor) = beside_floor(publication, effort.curve_rounds);
        vec![
            Quantity::bytes(event_bytes),
            Quantity::events_per_second(rate),
            Quantity::bytes_per_second(rate * event_bytes as f64),
            Quantity::events_per_second(floor),
            Quantity::percent(100.0 * rate / floor),
        ]
    };
    Curve {
        title: "Throughput against event size: `net_ingest_raw` until stored, one producer, one shard",
        columns: &["event", "events", "bytes", "floor", "of the floor"],
        rows: EVENT_SIZES_BYTES.map(row).into(),
        why: WHY_EVENT_SIZE,
    }
}

/// Throughput of several producers together.
pub fn by_producers(effort: &Effort) -> Curve {
    Curve {
        title: "Throughput against producers: `net_ingest_raw` of 100 bytes until stored, one shard, all producers together",
        columns: &["producers", "events", "of one producer", "context switches a thousand events"],
        rows: against_one(effort, PRODUCERS, |producers, one| Publication { producers, ..one }),
        why: WHY_PRODUCERS,
    }
}

/// Throughput of one producer into several shards.
pub fn by_shards(effort: &Effort) -> Curve {
    Curve {
        title: "Throughput against shards: `net_ingest_raw` of 100 bytes until stored, one producer",
        columns: &["shards", "events", "of one shard", "context switches a thousand events"],
        rows: against_one(effort, SHARDS, |shards, one| Publication { shards, ..one }),
        why: WHY_SHARDS,
    }
}

/// Latency from the intended send time to a subscriber, load by load until the bus falls behind.
pub fn by_load(effort: &Effort) -> Curve {
    let (mut rows, mut behind) = (Vec::new(), 0);
    for rate in LOADS {
        let run = latency::subscriber_run(Idle::Spin, rate, effort.load_time);
        let summary = run.latencies.summary("");
        let times = [summary.p50_ns, summary.p99_ns, summary.p999_ns].map(Quantity::nanoseconds);
        let [p50, p99, p999] = times;
        rows.push(vec![
            Quantity::events_per_second(rate as f64),
            Quantity::events_per_second(run.rate),
            p50,
            p99,
            p999,
            Quantity::percent(100.0 * run.late as f64 / summary.samples as f64),
            Quantity::percent(100.0 * run.empty_reads as f64 / run.reads as f64),
        ]);
        // Once may be the machine's fault.
        behind = if run.rate < SATURATED * rate as f64 { behind + 1 } else { 0 };
        if behind == 2 {
            break;
        }
    }
    Curve {
        title: "Latency against offered load: `net_ingest_raw` to `net_next`, spinning, both on one thread",
        columns: &["offered", "received", "p50", "p99", "p99.9", "sent late", "empty reads"],
        rows,
        why: WHY_LOAD,
    }
}

/// Rows of `[count, rate, share of the first row's rate, context switches a thousand events]`. The counts take turns in
/// every round, so that what disturbs one disturbs all.
fn against_one<const ROWS: usize>(
    effort: &Effort,
    counts: [usize; ROWS],
    with: impl Fn(usize, Publication) -> Publication,
) -> Vec<Vec<Quantity>> {
    let one = Publication::of(100, effort.events, 1);
    let mut rounds = counts.map(|_| (Vec::new(), Vec::new()));
    for _ in 0..effort.curve_rounds {
        for (count, (rates, switches)) in counts.into_iter().zip(&mut rounds) {
            let measured = with(count, one).measured_with_switches();
            rates.push(measured.0);
            switches.push(measured.1);
        }
    }
    let points = rounds.map(|(rates, switches)| (median(rates), median(switches)));
    let row = |(count, (rate, switches))| {
        vec![
            Quantity::count(count as u64),
            Quantity::events_per_second(rate),
            Quantity::percent(100.0 * rate / points[0].0),
            Quantity::per_thousand_events(switches),
        ]
    };
    counts.into_iter().zip(points).map(row).collect()
}

/// Median rate and median floor of rounds that take turns.
pub fn beside_floor(publication: Publication, rounds: usize) -> (f64, f64) {
    let (rates, floors) = (0..rounds).map(|_| (publication.measured(), publication.floor())).unzip();
    (median(rates), median(floors))
}

const EVENT_SIZES_BYTES: [usize; 8] = [16, 64, 100, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10];
const PRODUCERS: [usize; 5] = [1, 2, 4, 8, 16];
const SHARDS: [usize; 4] = [1, 2, 4, 8];
const LOADS: [u64; 11] = [
    10_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000, 4_000_000, 6_000_000, 8_000_000, 12_000_000,
    16_000_000,
];
/// Share of the offered load below which the bus is behind.
const SATURATED: f64 = 0.95;

const WHY_EVENT_SIZE: &str = "Of a small event most of the time goes into what every call does (checks of the call, stamp, \
hand-over to the shard), so that the rate hardly falls with its size, and the smallest are farthest from the floor, which does not \
hand over. From some hundred bytes on the bytes decide: each is copied into the lane, from there into a batch, and stays in a store \
of 256 MiB, more than most caches hold, while the floor's bytes stay in the cache; with a store of 1 MiB, or one that discards, events of \
1 KiB to 16 KiB took about 40 % less CPU time where it was tried. An event that with its header exceeds a quarter of its lane \
(64 KiB of 256 KiB) travels as a block by pointer; a lane large enough to take it whole made no difference that could be told from noise.";
const WHY_PRODUCERS: &str = "One shard stores what all bring, so the sum ends at what a shard takes in. Where the shard and the \
producers outnumber the CPUs the shard does not spin any more: it sleeps when its lanes are empty and has to be woken, the \
threads wait for each other's turn on a CPU, and a producer with a full lane waits for the shard's. The last column counts that. \
A lane more is 256 KiB more to go through, and what producers hand over while the shard has no turn is memory more: on two CPUs \
a run of 16 producers was seen to take tens of thousands of page faults, one of a single producer a hundred.";
const WHY_SHARDS: &str = "One producer brings what one thread can, so more shards add nothing here; they add where several producers \
have CPUs of their own. Where the shards and the producer outnumber the CPUs it falls: the producer shares its CPU with a shard, no \
shard spins any more, and each sleeps when its lane is empty and is woken through the kernel, as the last column shows.";
const WHY_LOAD: &str = "Reads that bring nothing are the spare time of the thread that sends and receives. Where the curve bends and \
they have gone towards none, that thread is the limit; where many are left, the shard is, or whatever else runs on its core. Before \
the bend an event waits for the hand-over, and for what the system does to either core meanwhile; close to it more are sent late, in \
one go, and wait for each other. Beyond it the time is the queue's, and grows with the length of the run.";
