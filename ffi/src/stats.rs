//! Statistics: what became of the events, for the bus and for each shard.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int};

use engine::bus::Stats;
use engine::counters::{CountName, ShardStats, SubscriptionStats};
use engine::event::ShardId;
use engine::histogram::Histogram;
use serde::Serialize;

use crate::abi::{net_handle_t, net_stats_t};
use crate::build::{BUILD, Build};
use crate::guard::{self, length, present};
use crate::handle;
use crate::status::Failure;

/// Writes the bus's statistics as one JSON object, NUL-terminated, and returns its bytes without the NUL.
///
/// In the object and for each shard in it: events `ingested` = `stored` + `dropped` + `pending_events`, `dropped` split by reason.
/// What was `refused` was never accepted; what was `delivered` was made readable to subscribers, counted for each.
/// `pending_events_max` and `pending_bytes_max` are high-water marks. `batch_events` and `submit_latency_ns` have `p50`, `p99` and
/// `max` of the `batches` acknowledged; a percentile is at most double of what it was, `max` is exact, and a store that
/// acknowledges within the shard's round takes 0 ns. `adapter` is `up`, `retrying`, `connecting` or `down`, for the bus the
/// worst of them; `adapter_counts` is what a store counts of its own. A shard's `last_error` is what its store has refused with last, or why it lost or could not make its connection; `null` if neither ever was. `cores_shared`
/// says that there are more shards than CPUs, so that none spins; `stalls` counts shards that stood still and were woken;
/// `lanes_bytes` is the memory of the threads' ways in. `subscriptions` are numbered in the order in which they were opened; `lag_events`
/// is what a subscriber has not given back yet of what its shards have stored. `build` says what the library is. A reader
/// passes over keys that it does not know. The object takes some 1 KiB, 0.5 KiB for each
/// shard, and 50 bytes for each shard of a subscription.
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
        let stats = bus.stats();
        let json = serde_json::to_vec(&Document::of(&stats))?;
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
            events_dropped: total.dropped.total(),
            batches_dispatched: total.batches,
        };
        // SAFETY: not NULL, aligned, and writable by the caller's contract.
        unsafe { out.write(stats) };
        Ok::<_, Failure>(0)
    })
}

/// The object that `net_stats` writes. Its first six keys are those that existing programs read.
#[derive(Serialize)]
struct Document<'a> {
    /// Events accepted, or dropped on the way in; the same as `ingested`.
    events_ingested: u64,
    /// Events given up, for whatever reason.
    events_dropped: u64,
    /// Batches that the store has acknowledged; the same as `batches`.
    batches_dispatched: u64,
    /// The same as `events_ingested`.
    shard_events_ingested: u64,
    /// The same as `events_dropped`.
    shard_events_dropped: u64,
    /// The same as `batches_dispatched`.
    shard_batches_dispatched: u64,
    /// Shards of the bus.
    num_shards: usize,
    /// Whether there are more shards than CPUs, so that none spins.
    cores_shared: bool,
    /// Shards found standing still, and woken.
    stalls: u64,
    /// Bytes of memory of all lanes.
    lanes_bytes: u64,
    /// Of all shards together:
    #[serde(flatten)]
    total: Counters,
    /// For each shard:
    shards: Vec<Shard<'a>>,
    /// For each open subscription:
    subscriptions: Vec<Subscription>,
    /// What the library is:
    build: Build,
}

#[derive(Serialize)]
struct Shard<'a> {
    /// Its number.
    #[serde(rename = "shard")]
    number: usize,
    /// What it has counted: every key of the bus from `ingested` to `adapter_counts`.
    #[serde(flatten)]
    counters: Counters,
    /// What its store has refused with last, or why it lost or could not make its connection; null if neither ever was.
    last_error: Option<&'a str>,
}

#[derive(Serialize)]
struct Subscription {
    /// Its number: they are numbered in the order in which they were opened.
    #[serde(rename = "subscription")]
    number: u64,
    /// Events that its shards have stored and the subscriber has not given back yet.
    lag_events: u64,
    /// For each of its shards:
    shards: Vec<Lag>,
}

#[derive(Serialize)]
struct Lag {
    /// The shard.
    shard: u16,
    /// Events of it that the subscriber has not given back yet.
    lag_events: u64,
}

#[derive(Serialize)]
struct Counters {
    /// Events accepted, or dropped on the way in: `stored` + `dropped` + `pending_events`, in every snapshot.
    ingested: u64,
    /// Events that the store has acknowledged.
    stored: u64,
    /// Events given up, by reason:
    dropped: Reasons,
    /// Events accepted and not settled.
    pending_events: u64,
    /// Bytes of them.
    pending_bytes: u64,
    /// Events left with their producers for want of room: never accepted.
    refused: u64,
    /// Batches that the store has acknowledged.
    batches: u64,
    /// Events made readable to subscribers, counted for each.
    delivered: u64,
    /// Most events that were pending; of a bus the sum of its shards' mosts.
    pending_events_max: u64,
    /// Most bytes that were pending; likewise.
    pending_bytes_max: u64,
    /// Events of each batch that the store has acknowledged:
    batch_events: Percentiles,
    /// Nanoseconds from the submission of a batch to its acknowledgement; 0 of a store that acknowledges in the same round:
    submit_latency_ns: Percentiles,
    /// Batches submitted again after a refusal or a timeout.
    retries: u64,
    /// Ways in from producers that are open now.
    lanes: u64,
    /// Times that a shard went to sleep.
    parks: u64,
    /// How the store stands to its backend: `up`, `retrying`, `connecting` or `down`; of a bus the worst.
    adapter: &'static str,
    /// What the store counts of its own, see below:
    adapter_counts: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Percentiles {
    /// Half were at most this; at most double of what it was.
    p50: u64,
    /// 99 of 100 were at most this; at most double of what it was.
    p99: u64,
    /// The most, exactly.
    max: u64,
}

#[derive(Serialize)]
struct Reasons {
    /// Oldest events evicted by `DropOldest`, or by `Sample`.
    oldest: u64,
    /// New events refused by `DropNewest`.
    newest: u64,
    /// Events that `Sample` did not admit.
    sampled: u64,
    /// Events that the store refused for good, or as often as `adapter_batch_retries` allows.
    adapter: u64,
    /// Events that a shutdown could not store in its time.
    shutdown: u64,
}

impl Document<'_> {
    fn of(stats: &Stats) -> Document<'_> {
        let total = stats.total();
        let dropped = total.dropped.total();
        let shards = stats.shards.iter().zip(&stats.last_errors).enumerate();
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
            total: Counters::of(&total, stats.adapter_count_names),
            shards: shards
                .map(|(number, (counted, last_error))| Shard {
                    number,
                    counters: Counters::of(counted, stats.adapter_count_names),
                    last_error: last_error.as_deref(),
                })
                .collect(),
            subscriptions: stats.subscriptions.iter().map(Subscription::of).collect(),
            build: BUILD,
        }
    }
}

impl Subscription {
    fn of(stats: &SubscriptionStats) -> Subscription {
        let lag = |&(shard, lag_events): &(ShardId, u64)| Lag { shard: shard.0, lag_events };
        Subscription {
            number: stats.number,
            lag_events: stats.lag_events(),
            shards: stats.lags.iter().map(lag).collect(),
        }
    }
}

impl Counters {
    fn of(shard: &ShardStats, adapter_count_names: &[CountName]) -> Counters {
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
            delivered: shard.delivered,
            pending_events_max: shard.pending_events_max,
            pending_bytes_max: shard.pending_bytes_max,
            batch_events: Percentiles::of(&shard.batch_events),
            submit_latency_ns: Percentiles::of(&shard.submit_latency_ns),
            retries: shard.retries,
            lanes: shard.lanes,
            parks: shard.parks,
            adapter: shard.adapter.name(),
            adapter_counts: adapter_count_names
                .iter()
                .map(|count| count.name)
                .zip(shard.adapter_counts)
                .collect(),
        }
    }
}

impl Percentiles {
    fn of(histogram: &Histogram) -> Percentiles {
        Percentiles { p50: histogram.percentile(50), p99: histogram.percentile(99), max: histogram.max() }
    }
}
