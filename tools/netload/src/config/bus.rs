//! The configuration of the bus that a run loads, and what its store will keep.

use std::fs;

use serde_json::{Map, Value, json};

use super::{EVENT_OVERHEAD_BYTES, Limit, Refusal, Work};
use crate::args::LoadArguments;
use crate::scratch::Scratch;
use crate::values::Target;

/// What the store will keep, as far as the configuration says.
pub(super) struct Store {
    pub(super) readable: bool,
    /// Events go to another process, and none comes back.
    pub(super) is_elsewhere: bool,
    /// It may have events of earlier runs.
    pub(super) has_past: bool,
    pub(super) retention_events: u64,
    pub(super) retention_bytes: u64,
}

impl Store {
    /// One that keeps everything.
    const WHOLE: Store = Store {
        readable: true,
        is_elsewhere: false,
        has_past: false,
        retention_events: u64::MAX,
        retention_bytes: u64::MAX,
    };
    /// One that is in another process.
    const ELSEWHERE: Store = Store { readable: false, is_elsewhere: true, ..Store::WHOLE };
    /// One that keeps everything, and what was there before.
    const LOG: Store = Store { has_past: true, ..Store::WHOLE };

    /// The one with this name.
    fn named(name: &str) -> Store {
        match name {
            "net" => Store::ELSEWHERE,
            "log" => Store::LOG,
            _ => Store::WHOLE,
        }
    }

    /// The log of a configuration. Its retention counts whole pages, of which an event may take one to itself.
    fn log_of(document: &Map<String, Value>) -> Store {
        let option = |name| option_of(document, "log", name);
        Store {
            retention_events: option("retention_events").unwrap_or(u64::MAX),
            retention_bytes: option("retention_bytes").map_or(u64::MAX, |bytes| bytes / EVENT_OVERHEAD_BYTES),
            ..Store::LOG
        }
    }
}

/// The store section that `--target` stands for.
fn section_of(load: &LoadArguments, scratch: Option<&Scratch>) -> Option<(&'static str, Value)> {
    match (&load.bus.target, scratch) {
        (Target::Redis(url), Some(scratch)) => {
            Some(("redis", json!({ "url": url, "prefix": scratch.prefix() })))
        }
        (Target::Udp(target), _) => Some(("net", target.section())),
        (Target::Log(directory), _) => Some(("log", json!({ "dir": directory }))),
        _ => None,
    }
}

/// The document of a `--config`: JSON, or the file that holds it.
pub(crate) fn document(given: &str) -> Result<Map<String, Value>, Refusal> {
    let text = if given.trim_start().starts_with('{') {
        given.to_owned()
    } else {
        let path = given.strip_prefix('@').unwrap_or(given);
        fs::read_to_string(path).map_err(|source| Refusal::File { path: path.into(), source })?
    };
    match serde_json::from_str(&text).map_err(Refusal::ConfigNotJson)? {
        Value::Object(document) => Ok(document),
        _ => Err(Refusal::ConfigNotObject),
    }
}

/// The configuration that the user gave, with `--shards` and `--target` in it, and what it says of the store.
pub(super) fn configured(
    given: &str,
    load: &LoadArguments,
    scratch: Option<&Scratch>,
) -> Result<(String, Store), Refusal> {
    let mut document = document(given)?;
    if let Some(shards) = load.bus.shards {
        document.insert("num_shards".to_owned(), json!(shards));
    }
    if let Some((name, section)) = section_of(load, scratch) {
        if let Some(section) = STORE_SECTIONS.iter().find(|section| document.contains_key(**section)) {
            return Err(Refusal::TwoStores(section));
        }
        document.insert(name.to_owned(), section);
        document.entry("backpressure_mode").or_insert(json!("FailProducer"));
    }
    let stores = [("redis", Store::WHOLE), ("log", Store::log_of(&document)), ("net", Store::ELSEWHERE)];
    for (name, store) in stores {
        if document.get(name).is_some_and(|section| !section.is_null()) {
            return Ok((Value::Object(document).to_string(), store));
        }
    }
    let option = |name| option_of(&document, "memory", name);
    let store = Store {
        readable: document.get("noop").is_none_or(Value::is_null),
        retention_events: option("retention_events").unwrap_or(DEFAULT_RETENTION_EVENTS),
        retention_bytes: option("retention_bytes").unwrap_or(DEFAULT_RETENTION_BYTES),
        ..Store::WHOLE
    };
    Ok((Value::Object(document).to_string(), store))
}

fn option_of(document: &Map<String, Value>, section: &str, name: &str) -> Option<u64> {
    document.get(section)?.get(name)?.as_u64()
}

/// A configuration that fits the run: it refuses instead of dropping, and retains the whole run if that is affordable.
pub(super) fn fitting(
    work: &Work,
    load: &LoadArguments,
    cpus: usize,
    scratch: Option<&Scratch>,
) -> (String, Store) {
    let spare = u64::try_from(cpus.saturating_sub(1).max(1)).unwrap_or(1);
    let shards = load.bus.shards.map_or(spare, |shards| u64::from(shards.get()));
    // No more than this, whatever sizes are drawn.
    let (events, bytes) = match work {
        Work::Lines { input, repeat: None } => (input.lines().len() as u64, input.byte_count()),
        Work::Synthetic { sizes, limit: Limit::Events(events), .. } => {
            (*events, events.saturating_mul(sizes.max() as u64))
        }
        Work::Lines { .. } | Work::Synthetic { .. } => (u64::MAX, u64::MAX),
    };
    let mut config = json!({
        "num_shards": shards,
        "backpressure_mode": "FailProducer",
        "max_event_bytes": work.largest().clamp(DEFAULT_EVENT_BYTES, EVENT_BYTES_MAX),
    });
    if let Some((name, section)) = section_of(load, scratch) {
        config[name] = section;
        // What fills the buffer takes a server, a peer or a disk that is busy with other things a while.
        config["flush_timeout_ms"] = json!(SERVER_TIMEOUT_MS);
        config["shutdown_timeout_ms"] = json!(SERVER_TIMEOUT_MS);
        return (config.to_string(), Store::named(name));
    }
    let run_bytes = bytes.saturating_add(events.saturating_mul(EVENT_OVERHEAD_BYTES));
    let affordable = run_bytes <= AFFORDABLE_BYTES || work.limit().is_none();
    // Retention is shared out over the shards, and one shard may get everything; a quarter more keeps the gate open.
    let retention_bytes = if affordable {
        run_bytes.max(1 << 20) / 2 * 3 * shards
    } else {
        // Even so a call of every producer finds room on one shard.
        let calls = work.call_bytes_max().saturating_mul(u64::from(load.producers));
        AFFORDABLE_BYTES.max(calls.saturating_mul(shards))
    };
    let retention_events = if affordable { (events * 3 / 2).max(1 << 16) } else { 1 << 26 };
    config["memory"] = json!({ "retention_events": retention_events, "retention_bytes": retention_bytes });
    (config.to_string(), Store { retention_events, retention_bytes, ..Store::WHOLE })
}

/// The sections that say where events are stored.
const STORE_SECTIONS: [&str; 6] = ["memory", "log", "redis", "jetstream", "net", "noop"];
/// How long a flush and the shutdown may take on a server.
const SERVER_TIMEOUT_MS: u64 = 60_000;
const AFFORDABLE_BYTES: u64 = 1 << 30;
/// The bus's own default and bound of `max_event_bytes`.
const DEFAULT_EVENT_BYTES: usize = 1 << 20;
const EVENT_BYTES_MAX: usize = 64 << 20;
/// The memory store's own defaults.
const DEFAULT_RETENTION_EVENTS: u64 = 1 << 20;
pub(super) const DEFAULT_RETENTION_BYTES: u64 = 256 << 20;
