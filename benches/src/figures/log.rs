//! The figures of the log store.

use super::Effort;
use crate::log::append::append;
use crate::log::reading::Written;
use crate::log::reopening::reopen;
use crate::log::{Durability, call, floor, sqlite};
use crate::percentiles::Percentiles;
use crate::quantity::{Quantity, Target};
use crate::report::Figure;
use crate::throughput::median;

pub(super) fn measure(effort: &Effort, figures: &mut Vec<Figure>, percentiles: &mut Vec<Percentiles>) {
    synced_soon(effort, figures);
    every_batch_synced(effort, figures);
    calls(effort, figures, percentiles);
    reads(effort, figures);
    reopening(effort, figures);
}

fn synced_soon(effort: &Effort, figures: &mut Vec<Figure>) {
    let [mut log, mut dd, mut by_hand, mut sqlite] = [const { Vec::new() }; 4];
    for _ in 0..effort.curve_rounds {
        let appended = append(Durability::Soon, effort.log_events);
        log.push(appended.rate);
        dd.push(floor::dd(appended));
        by_hand.push(floor::by_hand(Durability::Soon, appended));
        let events = effort.log_events / SQLITE_TAKES_FEWER;
        sqlite.push(sqlite::append(Durability::Soon, events, appended.batch_events()));
    }
    let [log, dd, by_hand, sqlite] = [log, dd, by_hand, sqlite].map(median);
    figures.push(rate("log: 256-byte events, synced every 50 ms, until durable", None, log, dd));
    // Of a disk that takes more than one shard can bring, so many events a second are enough.
    let target = f64::min(70.0, 100.0 * ENOUGH_EVENTS_PER_SECOND / dd);
    figures.push(share("log: synced every 50 ms, of what `dd oflag=direct` writes", target, log / dd));
    figures.push(rate(
        "log: synced every 50 ms, beside the same writes and syncs by hand",
        None,
        log,
        by_hand,
    ));
    figures.push(rate("log: synced every 50 ms, beside SQLite with `NORMAL`", None, log, sqlite));
}

fn every_batch_synced(effort: &Effort, figures: &mut Vec<Figure>) {
    let [mut log, mut by_hand, mut sqlite] = [const { Vec::new() }; 3];
    for _ in 0..effort.curve_rounds {
        let appended = append(Durability::EveryBatch, effort.log_synced_events);
        log.push(appended.rate);
        by_hand.push(floor::by_hand(Durability::EveryBatch, appended));
        let events = effort.log_synced_events / SQLITE_TAKES_FEWER;
        sqlite.push(sqlite::append(Durability::EveryBatch, events, appended.batch_events()));
    }
    let [log, by_hand, sqlite] = [log, by_hand, sqlite].map(median);
    figures.push(rate("log: 256-byte events with `every_batch`, until durable", None, log, by_hand));
    let name = "log: `every_batch`, of a write and an `fdatasync` each by hand";
    figures.push(share(name, 100.0 / 1.3, log / by_hand));
    figures.push(rate("log: `every_batch`, beside SQLite with `FULL`", None, log, sqlite));
}

fn calls(effort: &Effort, figures: &mut Vec<Figure>, percentiles: &mut Vec<Percentiles>) {
    let [mut memory, mut log] = [const { Vec::new() }; 2];
    for _ in 0..effort.curve_rounds {
        memory.push(call::with_memory(effort.log_calls));
        log.push(call::with_log(effort.log_calls));
    }
    let [memory, log] = [memory, log].map(call::median_by_p99);
    figures.push(Figure {
        name: "log: net_ingest_raw at 200,000/s, one call, p99, of the memory store's",
        target: Some(Target::AtMost(Quantity::percent(150.0))),
        measured: Quantity::percent(100.0 * log.p99_ns as f64 / memory.p99_ns as f64),
        floor: None,
    });
    percentiles.extend([memory, log]);
}

fn reads(effort: &Effort, figures: &mut Vec<Figure>) {
    let written = Written::of(effort.log_read_events);
    let [mut subscriber, mut poll, mut by_hand] = [const { Vec::new() }; 3];
    for _ in 0..effort.curve_rounds {
        let rates = written.read();
        subscriber.push(rates.subscriber);
        poll.push(rates.poll);
        by_hand.push(rates.by_hand);
    }
    let [subscriber, poll, by_hand] = [subscriber, poll, by_hand].map(median);
    let name = "log: net_next, 1,024 a call, from the page cache, spinning";
    figures.push(rate(name, Some(5e6), subscriber, by_hand));
    let name = "log: net_poll_ex, limit 1,000, from the page cache, spinning";
    figures.push(rate(name, None, poll, by_hand));
}

fn reopening(effort: &Effort, figures: &mut Vec<Figure>) {
    let reopened = reopen(effort.log_reopened_bytes);
    figures.push(Figure {
        name: "log: size of the one that is opened again",
        target: None,
        measured: Quantity::bytes(effort.log_reopened_bytes),
        floor: None,
    });
    for (name, time) in [
        ("log: net_init after its process was killed", reopened.after_kill),
        ("log: net_init after a close", reopened.after_close),
    ] {
        figures.push(Figure {
            name,
            target: Some(Target::AtMost(Quantity::nanoseconds(1_000_000_000))),
            measured: Quantity::nanoseconds(time.as_nanos() as u64),
            floor: None,
        });
    }
}

fn rate(name: &'static str, target: Option<f64>, measured: f64, floor: f64) -> Figure {
    Figure {
        name,
        target: target.map(|target| Target::AtLeast(Quantity::events_per_second(target))),
        measured: Quantity::events_per_second(measured),
        floor: Some(Quantity::events_per_second(floor)),
    }
}

fn share(name: &'static str, target_percent: f64, measured: f64) -> Figure {
    Figure {
        name,
        target: Some(Target::AtLeast(Quantity::percent(target_percent))),
        measured: Quantity::percent(100.0 * measured),
        floor: None,
    }
}

const ENOUGH_EVENTS_PER_SECOND: f64 = 3e6;
/// So that it has about as long.
const SQLITE_TAKES_FEWER: usize = 4;
