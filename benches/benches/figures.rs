//! The figures of the README: each beside its target and beside the floor measured in the same run.
//!
//! `cargo bench -p libnet-benches --bench figures` prints one table. Rates are medians of [`ROUNDS`] rounds; the latency
//! of the ingest call is timed call by call with the time-stamp counter, whose own cost is in it and is printed.
//! Under `cargo test` it only shows that it runs.

#![allow(clippy::print_stdout, reason = "a report for a person")]

use std::time::Instant;

use hdrhistogram::Histogram;
use libnet_benches::{Bus, Floor, batch_of, event, on_first_core};

fn main() {
    // `cargo bench` says so; anything else runs the short form.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let events = if measured { 4_000_000 } else { 10_000 };
    let payload = event(EVENT_BYTES);
    let with_bus = |work: &(dyn Fn(Bus) -> f64 + Sync)| {
        let bus = Bus::start(CONFIG);
        let rate = on_first_core(|| work(bus));
        bus.stop();
        rate
    };
    let floor = median(|| on_first_core(|| floor(&payload, events)));
    let single = median(|| with_bus(&|bus| ingest(bus, &payload, events, 1)));
    let batched = median(|| with_bus(&|bus| ingest(bus, &payload, events, 64)));
    let polled = median(|| with_bus(&|bus| poll(bus, &payload, events.min(1_000_000))));
    let bus = Bus::start(CONFIG);
    let latency = on_first_core(|| latency(bus, &payload, events));
    bus.stop();
    let clock_ns = clock_cost_ns();

    println!("{EVENT_BYTES}-byte events, 1 shard, 1 producer, memory store\n");
    println!("| figure | measured | target | of the floor |");
    println!("|---|---|---|---|");
    let million = |rate: f64| format!("{:.1} M/s", rate / 1e6);
    let of_floor = |rate: f64| format!("{:.0} %", 100.0 * rate / floor);
    println!("| floor: check, hash, stamp, copy in one loop | {} | | 100 % |", million(floor));
    println!("| net_ingest_raw, until stored | {} | 15 M/s | {} |", million(single), of_floor(single));
    println!(
        "| net_ingest_raw_batch of 64, until stored | {} | 20 M/s | {} |",
        million(batched),
        of_floor(batched)
    );
    println!("| net_poll_ex, limit 1,000 | {} | 5 M/s | |", million(polled));
    for (name, quantile, target) in
        [("p50", 0.5, "60 ns"), ("p99", 0.99, ""), ("p99.9", 0.999, ""), ("p99.99", 0.9999, "")]
    {
        println!("| net_ingest_raw call, {name} | {} ns | {target} | |", latency.value_at_quantile(quantile));
    }
    println!("\nThe latencies include one reading of the clock, {clock_ns:.0} ns.");
}

/// Median rate, in events a second.
fn median(mut round: impl FnMut() -> f64) -> f64 {
    let mut rates: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    rates.sort_by(f64::total_cmp);
    rates[ROUNDS / 2]
}

fn rate(events: usize, start: Instant) -> f64 {
    events as f64 / start.elapsed().as_secs_f64()
}

fn floor(payload: &[u8], events: usize) -> f64 {
    let mut floor = Floor::new();
    let start = Instant::now();
    let valid = (0..events).filter(|_| floor.ingest(payload)).count();
    assert_eq!(valid, events);
    rate(events, start)
}

fn ingest(bus: Bus, payload: &[u8], events: usize, batch: usize) -> f64 {
    let (pointers, lengths) = batch_of(payload, batch);
    warm_up(bus, payload, events);
    let start = Instant::now();
    let mut left = events;
    while left > 0 {
        let count = left.min(batch);
        left -= if batch == 1 {
            usize::from(bus.ingest(payload))
        } else {
            bus.ingest_batch(&pointers[..count], &lengths[..count])
        };
    }
    bus.flush();
    rate(events, start)
}

fn poll(bus: Bus, payload: &[u8], events: usize) -> f64 {
    while (0..events).filter(|_| bus.ingest(payload)).count() < events {}
    bus.flush();
    let (mut cursor, mut read) = (None, 0);
    let start = Instant::now();
    while read < events {
        let (count, next) = bus.poll(1_000, cursor.as_deref());
        assert!(count > 0, "the store holds {events} events");
        (cursor, read) = (next, read + count);
    }
    rate(read, start)
}

fn latency(bus: Bus, payload: &[u8], events: usize) -> Histogram<u64> {
    warm_up(bus, payload, events);
    let clock = quanta::Clock::new();
    let mut histogram = Histogram::new(3).expect("three digits");
    let mut before = clock.raw();
    for _ in 0..events {
        bus.ingest(payload);
        let after = clock.raw();
        histogram.record(clock.delta_as_nanos(before, after)).expect("it resizes");
        // The histogram's own cost is not the call's.
        before = clock.raw();
    }
    histogram
}

fn clock_cost_ns() -> f64 {
    let clock = quanta::Clock::new();
    let readings = 100_000;
    let start = Instant::now();
    for _ in 0..readings {
        std::hint::black_box(clock.raw());
    }
    start.elapsed().as_nanos() as f64 / f64::from(readings)
}

/// Fills the store up to its retention where as much is measured, so that what is measured goes on for ever.
fn warm_up(bus: Bus, payload: &[u8], events: usize) {
    let accepted = (0..events.min(1_200_000)).filter(|_| bus.ingest(payload)).count();
    assert!(accepted > 0, "the bus takes events");
    bus.flush();
}

const CONFIG: &str = r#"{"num_shards":1,"backpressure_mode":"FailProducer","push_wait_us":10000000}"#;
const EVENT_BYTES: usize = 100;
const ROUNDS: usize = 5;
