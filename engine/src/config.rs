//! Configuration: JSON, parsed once into types that cannot be wrong.
//!
//! Unknown keys, wrong types, zero periods and zero divisors are refused with the path of the key. What belongs to an
//! adapter is handed through as it is, because the engine knows no adapter.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cores;
pub use crate::cores::Cores;

/// Everything the bus itself can be told. [`Config::default`] is what an empty document means.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Number of shards. Default: one fewer than the CPUs that the thread that starts the bus may use, at least 1.
    pub num_shards: NonZeroU16,
    /// Which CPUs the shards are pinned to. Default: [`Cores::Auto`].
    pub cores: Cores,
    /// Events a shard may hold accepted and not yet stored; a power of two, at least 1,024. Default 1,048,576.
    pub ring_buffer_capacity: usize,
    /// The same bound in bytes of records. Default 64 MiB.
    pub buffer_bytes: usize,
    /// Largest event, with its routing key where the store wants keys. 1 byte to 64 MiB; default 1 MiB.
    pub max_event_bytes: usize,
    /// Size of a lane; a power of two, 4 KiB to 1 GiB. Default 256 KiB.
    pub lane_bytes: usize,
    /// Bytes of all lanes of the bus, boxed events included; at least `lane_bytes` and `max_event_bytes` together. Default
    /// 1 GiB.
    pub lanes_bytes_max: u64,
    /// What happens at the bound of a shard's buffer. Default [`Backpressure::DropOldest`].
    pub backpressure: Backpressure,
    /// When a batch is submitted.
    pub batch: BatchLimits,
    /// What a shard without work does. Default [`Idle::Adaptive`].
    pub idle: Idle,
    /// How long an adaptive shard spins before it parks. Default 50 µs.
    pub spin: Duration,
    /// How long a batch may be in flight before its outcome counts as unknown. Default 5 s.
    pub adapter_timeout: Duration,
    /// How often a batch is submitted again before it is dropped; `None`, the default, retries until shutdown. A store that has several in
    /// flight (`log`) keeps each until it is stored, unless it is the only one.
    pub adapter_batch_retries: Option<u32>,
    /// File that keeps the producer identity across restarts. Default: a new identity each start.
    pub producer_nonce_path: Option<PathBuf>,
    /// How long a producer waits for room in a lane of a busy shard; zero never waits. Default 100 ms.
    pub push_wait: Duration,
    /// How long a flush waits. Default 5 s.
    pub flush_timeout: Duration,
    /// How long a shutdown stores what is left. Default 5 s.
    pub shutdown_timeout: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Document::default().into_config(CpuCount::allowed()).expect("the defaults are in range")
    }
}

/// What happens when a shard holds as much unstored data as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Backpressure {
    /// The producer is refused and the event counts as dropped.
    #[serde(alias = "drop_newest")]
    DropNewest,
    /// The oldest event that was never submitted makes room, and counts as dropped.
    #[serde(alias = "drop_oldest")]
    DropOldest,
    /// The producer is refused and keeps the event; it counts as refused.
    #[serde(alias = "fail_producer")]
    FailProducer,
    /// One event in `rate` is admitted, in place of the oldest; the others count as dropped.
    #[serde(alias = "sample")]
    Sample(Sampling),
}

/// How [`Backpressure::Sample`] thins out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// One in how many, at least 1.
    pub rate: NonZeroU32,
}

/// When a batch is submitted: as soon as the adapter takes one, unless `min_size` asks to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Events to wait for. Default 1: never wait. A batch whose records reach about 224 KiB waits for no more.
    pub min_size: usize,
    /// Most events of a batch, 1 to 1,000,000. Default 10,000; at most half of `ring_buffer_capacity` takes effect, and a
    /// batch also ends at about 224 KiB of records.
    pub max_size: usize,
    /// Longest wait for `min_size`. Default 1 ms.
    pub max_delay: Duration,
}

/// What a shard without work does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// Looks again and again: lowest latency, one core busy.
    Spin,
    /// Spins for [`Config::spin`], then parks.
    Adaptive,
    /// Parks at once: least CPU time, tens of microseconds more latency.
    Park,
}

/// The part of a document that configures the store.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterSection {
    /// One of the section names the caller knows.
    pub name: &'static str,
    /// What stands in it.
    pub options: Value,
}

/// Why a document was refused. The message starts with the path of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct ConfigError {
    /// Path of the key, `.` for the document itself.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl ConfigError {
    /// An error at `path`.
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> ConfigError {
        ConfigError { path: path.into(), reason: reason.into() }
    }
}

impl Config {
    /// Parses a JSON document, at most 1 MiB long. `sections` are the names under which an adapter may be configured;
    /// at most one may be there.
    pub fn parse(
        json: &str,
        sections: &[&'static str],
    ) -> Result<(Config, Option<AdapterSection>), ConfigError> {
        if json.len() > DOCUMENT_BYTES_MAX {
            return Err(ConfigError::new(".", format!("longer than {DOCUMENT_BYTES_MAX} bytes")));
        }
        let mut document: Map<String, Value> =
            serde_json::from_str(json).map_err(|error| ConfigError::new(".", error.to_string()))?;
        let mut section: Option<AdapterSection> = None;
        for name in sections {
            let Some(options) = document.remove(*name).filter(|options| !options.is_null()) else { continue };
            if let Some(first) = &section {
                return Err(ConfigError::new(*name, format!("`{}` already names the store", first.name)));
            }
            section = Some(AdapterSection { name, options });
        }
        let document: Document = parse_section("", Value::Object(document))?;
        Ok((document.into_config(CpuCount::allowed())?, section))
    }
}

/// Parses the options of one section into `T`; errors carry the key's path below `section`.
pub fn parse_section<T: serde::de::DeserializeOwned>(
    section: &str,
    options: Value,
) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(options).map_err(|error| {
        let inner = error.path().to_string();
        let path = match (section, inner.as_str()) {
            ("", path) => path.to_owned(),
            (section, ".") => section.to_owned(),
            (section, path) => format!("{section}.{path}"),
        };
        ConfigError::new(path, error.inner().to_string())
    })
}

/// The document as it is written. `null` means the default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    num_shards: Option<NonZeroU16>,
    cores: Option<CoresDocument>,
    ring_buffer_capacity: Option<usize>,
    buffer_bytes: Option<NonZeroUsize>,
    max_event_bytes: Option<usize>,
    lane_bytes: Option<usize>,
    lanes_bytes_max: Option<NonZeroU64>,
    backpressure_mode: Option<Backpressure>,
    batch: Option<BatchDocument>,
    idle: Option<Idle>,
    spin_us: Option<u64>,
    adapter_timeout_ms: Option<NonZeroU64>,
    adapter_batch_retries: Option<u32>,
    producer_nonce_path: Option<PathBuf>,
    push_wait_us: Option<u64>,
    flush_timeout_ms: Option<NonZeroU64>,
    shutdown_timeout_ms: Option<NonZeroU64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected \"auto\" or a list of CPU numbers")]
enum CoresDocument {
    Name(CoresName),
    List(Vec<usize>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CoresName {
    Auto,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchDocument {
    min_size: Option<NonZeroUsize>,
    max_size: Option<NonZeroUsize>,
    max_delay_ms: Option<NonZeroU64>,
    max_delay_us: Option<NonZeroU64>,
}

/// How many CPUs the process may use.
#[derive(Clone, Copy)]
struct CpuCount(usize);

impl CpuCount {
    fn allowed() -> CpuCount {
        CpuCount(cores::allowed_count())
    }
}

impl Document {
    fn into_config(self, cpus: CpuCount) -> Result<Config, ConfigError> {
        let millis = |value: Option<NonZeroU64>, default: u64, path: &str| {
            bounded(path, value.map_or(default, NonZeroU64::get), 1, MILLIS_MAX).map(Duration::from_millis)
        };
        let ring_buffer_capacity = power_of_two(
            "ring_buffer_capacity",
            self.ring_buffer_capacity.unwrap_or(1 << 20),
            1 << 10,
            1 << 30,
        )?;
        let spare = cpus.0.saturating_sub(1).clamp(1, usize::from(u16::MAX)) as u16;
        let lane_bytes = power_of_two("lane_bytes", self.lane_bytes.unwrap_or(256 << 10), 4 << 10, 1 << 30)?;
        let max_event_bytes =
            bounded("max_event_bytes", self.max_event_bytes.unwrap_or(1 << 20), 1, 64 << 20)?;
        let lanes_bytes_max = self.lanes_bytes_max.map_or(1 << 30, NonZeroU64::get);
        // Below, one lane and one large event would not fit.
        bounded("lanes_bytes_max", lanes_bytes_max, (lane_bytes + max_event_bytes) as u64, u64::MAX)?;
        Ok(Config {
            num_shards: self.num_shards.or(NonZeroU16::new(spare)).expect("clamped to at least 1"),
            cores: cores_from(self.cores)?,
            ring_buffer_capacity,
            buffer_bytes: self.buffer_bytes.map_or(64 << 20, NonZeroUsize::get),
            max_event_bytes,
            lane_bytes,
            lanes_bytes_max,
            backpressure: self.backpressure_mode.unwrap_or(Backpressure::DropOldest),
            batch: self.batch.unwrap_or_default().into_limits(ring_buffer_capacity)?,
            idle: self.idle.unwrap_or(Idle::Adaptive),
            spin: Duration::from_micros(bounded("spin_us", self.spin_us.unwrap_or(50), 0, 1_000_000)?),
            adapter_timeout: millis(self.adapter_timeout_ms, 5_000, "adapter_timeout_ms")?,
            adapter_batch_retries: self.adapter_batch_retries,
            producer_nonce_path: self.producer_nonce_path,
            push_wait: Duration::from_micros(bounded(
                "push_wait_us",
                self.push_wait_us.unwrap_or(100_000),
                0,
                60_000_000,
            )?),
            flush_timeout: millis(self.flush_timeout_ms, 5_000, "flush_timeout_ms")?,
            shutdown_timeout: millis(self.shutdown_timeout_ms, 5_000, "shutdown_timeout_ms")?,
        })
    }
}

impl BatchDocument {
    fn into_limits(self, capacity: usize) -> Result<BatchLimits, ConfigError> {
        let max_size = self.max_size.map_or(10_000, NonZeroUsize::get);
        let max_size = bounded("batch.max_size", max_size, 1, 1_000_000)?.min(capacity / 2);
        let min_size = self.min_size.map_or(1, NonZeroUsize::get);
        let max_delay = match (self.max_delay_ms, self.max_delay_us) {
            (Some(_), Some(_)) => {
                return Err(ConfigError::new("batch.max_delay_us", "`max_delay_ms` already says it"));
            }
            (Some(ms), None) => {
                Duration::from_millis(bounded("batch.max_delay_ms", ms.get(), 1, MILLIS_MAX)?)
            }
            (None, us) => {
                let us = us.map_or(1_000, NonZeroU64::get);
                Duration::from_micros(bounded("batch.max_delay_us", us, 1, MILLIS_MAX * 1_000)?)
            }
        };
        Ok(BatchLimits { min_size: bounded("batch.min_size", min_size, 1, max_size)?, max_size, max_delay })
    }
}

fn cores_from(document: Option<CoresDocument>) -> Result<Cores, ConfigError> {
    match document {
        None | Some(CoresDocument::Name(CoresName::Auto)) => Ok(Cores::Auto),
        Some(CoresDocument::List(list)) if list.is_empty() => {
            Err(ConfigError::new("cores", "the list names no CPU"))
        }
        Some(CoresDocument::List(list)) => Ok(Cores::List(list)),
    }
}

fn bounded<T: Copy + PartialOrd + std::fmt::Display>(
    path: &str,
    value: T,
    min: T,
    max: T,
) -> Result<T, ConfigError> {
    if (value < min || value > max) && !crate::planted!("8-any-number-is-taken") {
        return Err(ConfigError::new(path, format!("{value} is not in {min}..={max}")));
    }
    Ok(value)
}

fn power_of_two(path: &str, value: usize, min: usize, max: usize) -> Result<usize, ConfigError> {
    if !value.is_power_of_two() {
        return Err(ConfigError::new(path, format!("{value} is not a power of two")));
    }
    bounded(path, value, min, max)
}

const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// A day; no wait of a bus is longer.
const MILLIS_MAX: u64 = 86_400_000;

#[cfg(test)]
mod tests;
