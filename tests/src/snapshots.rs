//! Snapshots of the statistics through the C ABI, in both forms, and what holds in each.

use std::ffi::{CString, c_char, c_int};
use std::ptr;

use net::net_handle_t;
use serde_json::Value;

use crate::openmetrics::Metrics;

/// Law 4 in a snapshot of each form, for the bus and for each shard; and the later snapshot takes nothing back.
pub fn assert_agree(bus: net_handle_t) {
    let json = json_of(bus);
    let of_shards: u64 = json["shards"].as_array().expect("a list").iter().map(json_ingested).sum();
    assert_eq!((json_ingested(&json), json["events_ingested"].as_u64()), (of_shards, Some(of_shards)));
    let (metrics, shards) = (metrics_of(bus), net::net_num_shards(bus));
    let of_shards: f64 =
        (0..shards).map(|shard| text_ingested(&metrics, "shard_", &format!("shard=\"{shard}\""))).sum();
    assert!((text_ingested(&metrics, "", "") - of_shards).abs() < 0.5, "{metrics:?}");
    assert!(of_shards >= json["ingested"].as_f64().expect("a count"), "nothing is taken back");
}

/// What `net_stats` writes.
pub fn json_of(bus: net_handle_t) -> Value {
    serde_json::from_str(&text_of(bus, net::net_stats)).expect("a document")
}

/// What `net_metrics` writes.
pub fn metrics_of(bus: net_handle_t) -> Metrics {
    Metrics::parse(&metrics_text_of(bus))
}

/// The same as text.
pub fn metrics_text_of(bus: net_handle_t) -> String {
    text_of(bus, net::net_metrics)
}

/// A bus that is started through the C ABI.
pub fn start_c(config: &str) -> net_handle_t {
    let (config, mut bus) = (CString::new(config).expect("no NUL"), ptr::null_mut());
    // SAFETY: the configuration is NUL-terminated and the handle ours.
    assert_eq!(unsafe { net::net_init_ex(config.as_ptr(), &raw mut bus) }, 0, "{config:?}");
    bus
}

/// How many events these counters say came in, when they add up.
fn json_ingested(counted: &Value) -> u64 {
    let term = |key: &str| counted[key].as_u64().unwrap_or_else(|| panic!("no {key} in {counted}"));
    let dropped: u64 =
        REASONS.iter().map(|reason| counted["dropped"][reason].as_u64().expect("a count")).sum();
    assert_eq!(term("ingested"), term("stored") + dropped + term("pending_events"), "{counted}");
    assert!(term("pending_events_max") >= term("pending_events"), "{counted}");
    assert!(term("pending_bytes_max") >= term("pending_bytes"), "{counted}");
    term("ingested")
}

/// The same for one level of the Prometheus text; `label` is that of a shard.
fn text_ingested(metrics: &Metrics, level: &str, label: &str) -> f64 {
    let term = |name: &str| metrics.sum(&format!("libnet_{level}{name}"), label);
    let dropped = term("dropped_events_total");
    let accounted = term("stored_events_total") + dropped + term("pending_events");
    assert!((term("ingested_events_total") - accounted).abs() < 0.5, "{level}{label}: {metrics:?}");
    assert!(term("pending_high_water_events") >= term("pending_events"), "{level}{label}: {metrics:?}");
    term("ingested_events_total")
}

fn text_of(bus: net_handle_t, read: Read) -> String {
    let mut text = vec![0_u8; 1 << 16];
    // SAFETY: the buffer is writable for its length.
    let written = unsafe { read(bus, text.as_mut_ptr().cast(), text.len()) };
    text.truncate(usize::try_from(written).expect("it fits"));
    String::from_utf8(text).expect("text")
}

/// `net_stats` or `net_metrics`.
type Read = unsafe extern "C" fn(net_handle_t, *mut c_char, usize) -> c_int;

const REASONS: [&str; 5] = ["oldest", "newest", "sampled", "adapter", "shutdown"];
