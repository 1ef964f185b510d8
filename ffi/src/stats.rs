//! Statistics: what became of the events, for the bus and for each shard.

use std::ffi::{c_char, c_int};

use engine::bus::Stats;
use engine::counters::{Dropped, ShardStats};
use serde::Serialize;

use crate::abi::{net_handle_t, net_stats_t};
use crate::guard::{self, length, present};
use crate::handle;
use crate::status::Failure;

/// Writes the bus's statistics as one JSON object, NUL-terminated, and returns its bytes without the NUL.
///
/// In the object and for each shard in it: events ingested = stored + dropped + pending, dropped split by reason.
/// What was `refused` was never accepted. `cores_shared` says that there are more shards than CPUs, so that none spins;
/// `stalls` counts shards that stood still and were woken; `lanes_bytes` is the memory of the threads' ways in.
///
/// Threads: any. Ownership: `out` stays the caller's, and is written on success only. Errors: `NET_ERR_NULL_POINTER`,
/// `NET_ERR_INVALID_ARGUMENT`, `NET_ERR_BUFFER_TOO_SMALL` (`net_last_error` says the bytes it takes),
/// `NET_ERR_SHUTTING_DOWN`, and those of any handle.
///
/// # Safety
/// `out` is NULL or has `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_stats(handle: net_handle_t, out: *mut c_char, len: usize) -> c_int {
    guard::code(handle, |_| {
        let bus = handle::enter(handle)?;
        present("out", out)?;
        length("len", len)?;
        let document = Document::of(&bus.stats());
        let json = serde_json::to_vec(&document)?;
        // SAFETY: not NULL, and `len` bytes are writable by the caller's contract.
        unsafe { guard::put_text(out, len, &json) }
    })
}

/// Writes the bus's three main counters.
///
/// Threads: any. Ownership: `*out` is written on success only. Errors: `NET_ERR_NULL_POINTER`,
/// `NET_ERR_SHUTTING_DOWN`, and those of any handle.
///
/// # Safety
/// `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_stats_ex(handle: net_handle_t, out: *mut net_stats_t) -> c_int {
    guard::code(handle, |_| {
        let bus = handle::enter(handle)?;
        present("out", out)?;
        let total = bus.stats().total();
        let stats = net_stats_t {
            events_ingested: total.ingested,
            events_dropped: sum(&total.dropped),
            batches_dispatched: total.batches,
        };
        // SAFETY: not NULL, aligned, and writable by the caller's contract.
        unsafe { out.write(stats) };
        Ok::<_, Failure>(0)
    })
}

/// The object that `net_stats` writes. Its first six keys are those that existing programs read.
#[derive(Serialize)]
struct Document {
    events_ingested: u64,
    events_dropped: u64,
    batches_dispatched: u64,
    shard_events_ingested: u64,
    shard_events_dropped: u64,
    shard_batches_dispatched: u64,
    num_shards: usize,
    cores_shared: bool,
    stalls: u64,
    lanes_bytes: u64,
    #[serde(flatten)]
    total: Counters,
    shards: Vec<Shard>,
}

#[derive(Serialize)]
struct Shard {
    shard: usize,
    #[serde(flatten)]
    counters: Counters,
}

#[derive(Serialize)]
struct Counters {
    ingested: u64,
    stored: u64,
    dropped: Reasons,
    pending_events: u64,
    pending_bytes: u64,
    refused: u64,
    batches: u64,
}

#[derive(Serialize)]
struct Reasons {
    oldest: u64,
    newest: u64,
    sampled: u64,
    adapter: u64,
    shutdown: u64,
}

impl Document {
    fn of(stats: &Stats) -> Document {
        let total = stats.total();
        let dropped = sum(&total.dropped);
        let shards = stats.shards.iter().map(Counters::of).enumerate();
        Document {
            events_ingested: total.ingested,
            events_dropped: dropped,
            batches_dispatched: total.batches,
            shard_events_ingested: total.ingested,
            shard_events_dropped: dropped,
            shard_batches_dispatched: total.batches,
            num_shards: stats.shards.len(),
            cores_shared: stats.cores_shared,
            stalls: stats.stalls,
            lanes_bytes: stats.lanes_bytes,
            total: Counters::of(&total),
            shards: shards.map(|(shard, counters)| Shard { shard, counters }).collect(),
        }
    }
}

impl Counters {
    fn of(shard: &ShardStats) -> Counters {
        let dropped = Reasons {
            oldest: shard.dropped.oldest,
            newest: shard.dropped.newest,
            sampled: shard.dropped.sampled,
            adapter: shard.dropped.adapter,
            shutdown: shard.dropped.shutdown,
        };
        Counters {
            ingested: shard.ingested,
            stored: shard.stored,
            dropped,
            pending_events: shard.pending_events,
            pending_bytes: shard.pending_bytes,
            refused: shard.refused,
            batches: shard.batches,
        }
    }
}

fn sum(dropped: &Dropped) -> u64 {
    dropped.oldest + dropped.newest + dropped.sampled + dropped.adapter + dropped.shutdown
}
