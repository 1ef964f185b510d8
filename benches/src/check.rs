//! The check: ratios to the floors of the same run that no machine's speed and no neighbour's noise explains away.
//!
//! A rate is that of the best of many short windows, shorter than a slice of a busy CPU, and a time is a median: noise
//! only ever slows down, and what slows every window down is no noise. A way through the bus takes turns with its floor,
//! and there are more rounds as long as a bound is not held.

use std::time::Instant;

use crate::figures::BATCH_EVENTS;
use crate::floor::{self, Floor};
use crate::latency::{self, CONTROL_PERIOD_NS, EVENT_BYTES, Idle};
use crate::subscriber::Subscriber;
use crate::throughput::{rate, with_full_store};
use crate::{Bus, batch_of, event, on_first_core};

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
    let (payload, mut floor) = (event(EVENT_BYTES), Floor::for_events_of(EVENT_BYTES));
    way_in(
        |bus| assert!((0..WINDOW_EVENTS).all(|_| bus.ingest(&payload))),
        || assert!((0..WINDOW_EVENTS).all(|_| floor.ingest(&payload))),
    )
}

fn batched() -> [f64; 2] {
    let (payload, mut floor) = (event(EVENT_BYTES), Floor::for_events_of(EVENT_BYTES));
    let batches = WINDOW_EVENTS / BATCH_EVENTS;
    way_in(
        |bus| {
            let (pointers, lengths) = batch_of(&payload, BATCH_EVENTS);
            assert!((0..batches).all(|_| bus.ingest_batch(&pointers, &lengths) == BATCH_EVENTS));
        },
        || assert!((0..batches).all(|_| floor.ingest_batch(&payload, BATCH_EVENTS))),
    )
}

/// Windows of `publish` until stored, and of `floor`.
fn way_in(publish: impl Fn(Bus) + Sync, mut floor: impl FnMut() + Send) -> [f64; 2] {
    // A small store is full after the first windows.
    let bus = Bus::start(
        r#"{"num_shards":1,"backpressure_mode":"FailProducer","push_wait_us":10000000,"memory":{"retention_events":65536}}"#,
    );
    let rates = on_first_core(|| {
        let stored = best_window(|| {
            publish(bus);
            bus.flush();
            WINDOW_EVENTS
        });
        let bare = best_window(|| {
            floor();
            WINDOW_EVENTS
        });
        [stored, bare]
    });
    bus.stop();
    rates
}

/// Events a second in the fastest of [`WINDOWS`] windows. `window` returns how many events it took.
fn best_window(mut window: impl FnMut() -> usize) -> f64 {
    let rates = (0..WINDOWS).map(|_| {
        let start = Instant::now();
        rate(window(), start)
    });
    rates.fold(0.0, f64::max)
}

fn call() -> [f64; 2] {
    let ingest = latency::ingest_call(250_000);
    [ingest.call.p50_ns, ingest.floor.p50_ns].map(per_second)
}

fn poll() -> [f64; 2] {
    let polled = with_full_store(STORED_EVENTS, |bus| {
        let mut cursor = None;
        best_window(|| {
            let mut read = 0;
            while read < WINDOW_EVENTS {
                let (count, next) = bus.poll(1_000, cursor.as_deref());
                read += count;
                // At the end of the store it begins again.
                cursor = if count == 0 { None } else { next };
            }
            read
        })
    });
    [polled, floor::copy(STORED_EVENTS)]
}

fn push() -> [f64; 2] {
    let pushed = with_full_store(STORED_EVENTS, |bus| {
        let mut subscriber = Subscriber::from_start(bus);
        let mut left = STORED_EVENTS;
        best_window(|| {
            if left < WINDOW_EVENTS {
                subscriber = Subscriber::from_start(bus);
                left = STORED_EVENTS;
            }
            let mut read = 0;
            while read < WINDOW_EVENTS.min(left) {
                read += subscriber.next(0).len();
            }
            left -= read;
            read
        })
    });
    [pushed, floor::copy(STORED_EVENTS)]
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
    Bound { name: "net_ingest_raw, until stored", round: single, least_percent: 30.0 },
    Bound { name: "net_ingest_raw_batch of 64, until stored", round: batched, least_percent: 25.0 },
    Bound { name: "net_ingest_raw, one call, p50", round: call, least_percent: 30.0 },
    Bound { name: "net_poll_ex, limit 1,000, spinning", round: poll, least_percent: 8.0 },
    Bound { name: "net_next, 1,024 a call, spinning", round: push, least_percent: 20.0 },
    Bound { name: "net_ingest_raw → net_next, spinning, p50", round: spinning, least_percent: 8.0 },
    Bound { name: "net_ingest_raw → net_next, parked, p50", round: parked, least_percent: 30.0 },
];

/// Enough of a window that what a lane holds already is little of it, and less than a millisecond or two.
const WINDOW_EVENTS: usize = 200 * BATCH_EVENTS;
const WINDOWS: usize = 50;
/// For reading: too many for the caches.
const STORED_EVENTS: usize = 500_000;
const ROUNDS_MIN: usize = 3;
const ROUNDS_MAX: usize = 12;
