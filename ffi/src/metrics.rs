//! The statistics as Prometheus text, in the `OpenMetrics` format: what the bus counts as a whole, then the same for each shard,
//! then its subscriptions. Nothing is kept between two calls.

use std::ffi::{c_char, c_int};
use std::fmt;

use engine::adapter::AdapterState;
use engine::bus::Stats;
use engine::counters::{CountName, ShardStats};
use engine::histogram::Histogram;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::abi::net_handle_t;
use crate::build::BUILD;
use crate::guard::{self, length, present};
use crate::handle;

/// Writes the bus's statistics as Prometheus text, NUL-terminated, and returns its bytes without the NUL.
///
/// The format is `OpenMetrics` 1.0 (`application/openmetrics-text`), every name begins with `libnet_` and ends with its unit.
/// `libnet_ingested_events_total` and its like are of the bus, `libnet_shard_ingested_events_total{shard="0"}` and its like of each
/// shard: a sum over the second is the first. What `net_stats` says of an adapter's last error is in no metric. The text takes
/// some 10 KiB, 4 KiB for each shard, and 100 bytes for each shard of a subscription.
///
/// Threads: any. Ownership: `out` stays the caller's, and is written on success only. Errors: `NET_ERR_NULL_POINTER`,
/// `NET_ERR_INVALID_ARGUMENT`, `NET_ERR_BUFFER_TOO_SMALL` (`net_last_error` says the bytes it takes),
/// `NET_ERR_SHUTTING_DOWN`, and those of any handle.
///
/// # Safety
/// `out` is NULL or has `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_metrics(handle: net_handle_t, out: *mut c_char, len: usize) -> c_int {
    guard::code(handle, |_| {
        let bus = handle::enter(handle)?;
        present("out", out)?;
        length("len", len)?;
        let text = text_of(bus.stats());
        // SAFETY: not NULL, and `len` bytes are writable by the caller's contract.
        unsafe { guard::put_text(out, len, text.as_bytes()) }
    })
}

fn text_of(stats: Stats) -> String {
    let mut registry = Registry::with_prefix("libnet");
    registry.register_collector(Box::new(Exposition(stats)));
    let mut text = String::new();
    encode(&mut text, &registry).expect("a string takes everything");
    text
}

/// What one call writes.
#[derive(Debug)]
struct Exposition(Stats);

type Labels = Vec<(&'static str, String)>;

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let stats = &self.0;
        let total = stats.total();
        encode_bus(&mut encoder, stats)?;
        encode_level(&mut encoder, "", &[(Labels::new(), &total)], stats.adapter_count_names)?;
        let labels = |shard: usize| vec![("shard", shard.to_string())];
        let shards: Vec<_> =
            stats.shards.iter().enumerate().map(|(shard, stats)| (labels(shard), stats)).collect();
        encode_level(&mut encoder, "shard_", &shards, stats.adapter_count_names)?;
        encode_subscriptions(&mut encoder, stats)
    }
}

/// What there is once for a bus.
fn encode_bus(encoder: &mut DescriptorEncoder, stats: &Stats) -> fmt::Result {
    let build = [
        ("version", BUILD.version),
        ("git", BUILD.git),
        ("profile", BUILD.profile),
        ("target", BUILD.target),
    ];
    encoder.encode_descriptor("build", "The library.", None, MetricType::Info)?.encode_info(&build)?;
    let mut once = |name, unit: Option<&'static str>, help, kind, value| {
        family(encoder, name, unit, help, kind, [(Labels::new(), value)])
    };
    once("shards", None, "Shards of the bus.", MetricType::Gauge, stats.shards.len() as u64)?;
    let shared = u64::from(stats.cores_shared);
    once("cores_shared", None, "Whether shards share CPUs, so that none spins.", MetricType::Gauge, shared)?;
    once("stalls", None, "Shards found standing still, and rung.", MetricType::Counter, stats.stalls)?;
    once("lane_memory", Some("bytes"), "Memory of all lanes.", MetricType::Gauge, stats.lanes_bytes)?;
    let count = |state| stats.shards.iter().filter(|shard| shard.adapter == state).count() as u64;
    let shards = AdapterState::ALL.map(|state| (state_label(state), count(state)));
    let help = "Shards whose adapter is in this state.";
    family(encoder, "adapter_shards", None, help, MetricType::Gauge, shards)
}

/// What there is for the bus and for each shard.
fn encode_level(
    encoder: &mut DescriptorEncoder,
    level: &str,
    rows: &[(Labels, &ShardStats)],
    adapter_count_names: &[CountName],
) -> fmt::Result {
    for term in &TERMS {
        let samples = rows.iter().map(|(labels, stats)| (labels.clone(), (term.of)(stats)));
        family(encoder, &format!("{level}{}", term.name), term.unit, term.help, term.kind, samples)?;
    }
    let dropped = rows.iter().flat_map(|(labels, stats)| {
        stats.dropped.by_reason().map(|(reason, events)| (with(labels, "reason", reason), events))
    });
    let name = format!("{level}dropped");
    family(encoder, &name, Some("events"), "Events given up.", MetricType::Counter, dropped)?;
    for (at, counted) in adapter_count_names.iter().enumerate() {
        let samples = rows.iter().map(|(labels, stats)| (labels.clone(), stats.adapter_counts[at]));
        let name = format!("{level}adapter_{}", counted.name);
        family(encoder, &name, None, counted.meaning, MetricType::Counter, samples)?;
    }
    if !level.is_empty() {
        let states = rows.iter().flat_map(|(labels, stats)| {
            let is_in = |state: AdapterState| {
                (with(labels, "state", state.name()), u64::from(stats.adapter == state))
            };
            AdapterState::ALL.map(is_in)
        });
        let help = "1 for the state that the shard's adapter is in.";
        family(encoder, &format!("{level}adapter_state"), None, help, MetricType::Gauge, states)?;
    }
    let batches: Vec<_> = rows.iter().map(|(labels, stats)| (labels, &stats.batch_events)).collect();
    encode_histograms(encoder, &format!("{level}batch"), &BATCH_EVENTS, &batches)?;
    let latencies: Vec<_> = rows.iter().map(|(labels, stats)| (labels, &stats.submit_latency_ns)).collect();
    encode_histograms(encoder, &format!("{level}submit_latency"), &SUBMIT_LATENCY, &latencies)
}

fn encode_subscriptions(encoder: &mut DescriptorEncoder, stats: &Stats) -> fmt::Result {
    let open = [(Labels::new(), stats.subscriptions.len() as u64)];
    family(encoder, "subscriptions", None, "Open subscriptions.", MetricType::Gauge, open)?;
    let lags = stats.subscriptions.iter().flat_map(|subscription| {
        let number = subscription.number.to_string();
        subscription.lags.iter().map(move |(shard, lag)| {
            (vec![("subscription", number.clone()), ("shard", shard.0.to_string())], *lag)
        })
    });
    let help = "Events of the shard that the subscriber has not given back yet.";
    family(encoder, "subscription_lag", Some("events"), help, MetricType::Gauge, lags)
}

/// One family of counters or gauges.
fn family(
    encoder: &mut DescriptorEncoder,
    name: &str,
    unit: Option<&str>,
    help: &str,
    kind: MetricType,
    samples: impl IntoIterator<Item = (Labels, u64)>,
) -> fmt::Result {
    let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
    for (labels, value) in samples {
        labelled(&mut family, &labels, |sample| match kind {
            MetricType::Counter => sample.encode_counter::<NoLabelSet, _, u64>(&value, None),
            _ => sample.encode_gauge(&value),
        })?;
    }
    Ok(())
}

fn encode_histograms(
    encoder: &mut DescriptorEncoder,
    name: &str,
    scale: &Scale,
    rows: &[(&Labels, &Histogram)],
) -> fmt::Result {
    let unit = Unit::Other(scale.unit.to_owned());
    let mut family = encoder.encode_descriptor(name, scale.help, Some(&unit), MetricType::Histogram)?;
    for (labels, histogram) in rows {
        let mut below = 0;
        let mut buckets: Vec<(f64, u64)> = Vec::new();
        for exponent in scale.exponents.clone().step_by(2) {
            let up_to = histogram.count_up_to(exponent);
            buckets.push(((1_u64 << exponent) as f64 / scale.in_unit, up_to - below));
            below = up_to;
        }
        buckets.push((f64::INFINITY, histogram.count() - below));
        let sum = histogram.sum() as f64 / scale.in_unit;
        labelled(&mut family, labels, |sample| {
            sample.encode_histogram::<NoLabelSet>(sum, histogram.count(), &buckets, None)
        })?;
    }
    Ok(())
}

/// Encodes a sample under `labels`; without any there are no braces.
fn labelled(
    family: &mut MetricEncoder,
    labels: &Labels,
    encode: impl FnOnce(&mut MetricEncoder) -> fmt::Result,
) -> fmt::Result {
    if labels.is_empty() { encode(family) } else { encode(&mut family.encode_family(labels)?) }
}

fn with(labels: &Labels, name: &'static str, value: &str) -> Labels {
    labels.iter().cloned().chain([(name, value.to_owned())]).collect()
}

fn state_label(state: AdapterState) -> Labels {
    with(&Labels::new(), "state", state.name())
}

/// A figure of a shard, and of the sum over all of them.
struct Term {
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    kind: MetricType,
    of: fn(&ShardStats) -> u64,
}

const fn events(name: &'static str, help: &'static str, of: fn(&ShardStats) -> u64) -> Term {
    Term { name, unit: Some("events"), help, kind: MetricType::Counter, of }
}

const fn count(name: &'static str, help: &'static str, of: fn(&ShardStats) -> u64) -> Term {
    Term { name, unit: None, help, kind: MetricType::Counter, of }
}

const fn gauge(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    of: fn(&ShardStats) -> u64,
) -> Term {
    Term { name, unit, help, kind: MetricType::Gauge, of }
}

const TERMS: [Term; 12] = [
    events("ingested", "Events accepted, or dropped on the way in.", |stats| stats.ingested),
    events("stored", "Events that the store has acknowledged.", |stats| stats.stored),
    events("refused", "Events left with their producers for want of room.", |stats| stats.refused),
    events("delivered", "Events made readable to subscribers, counted for each.", |stats| stats.delivered),
    gauge("pending", Some("events"), "Events accepted and not settled.", |stats| stats.pending_events),
    gauge("pending", Some("bytes"), "Bytes of events accepted and not settled.", |stats| stats.pending_bytes),
    gauge("pending_high_water", Some("events"), "Most events that were pending.", |stats| {
        stats.pending_events_max
    }),
    gauge("pending_high_water", Some("bytes"), "Most bytes that were pending.", |stats| {
        stats.pending_bytes_max
    }),
    count("batches", "Batches that the store has acknowledged.", |stats| stats.batches),
    count("batch_retries", "Batches submitted again after a refusal or a timeout.", |stats| stats.retries),
    gauge("lanes", None, "Ways in from producers.", |stats| stats.lanes),
    count("parks", "Times that a shard went to sleep.", |stats| stats.parks),
];

/// How a histogram is shown: a bucket for every second power of two, in a unit.
struct Scale {
    unit: &'static str,
    help: &'static str,
    exponents: std::ops::RangeInclusive<usize>,
    /// How many of what is counted make one of the unit.
    in_unit: f64,
}

const BATCH_EVENTS: Scale = Scale {
    unit: "events",
    help: "Events of each batch that the store has acknowledged.",
    exponents: 0..=20,
    in_unit: 1.0,
};

/// From a microsecond to 17 seconds.
const SUBMIT_LATENCY: Scale = Scale {
    unit: "seconds",
    help: "Time from the submission of a batch to its acknowledgement.",
    exponents: 10..=34,
    in_unit: 1e9,
};
