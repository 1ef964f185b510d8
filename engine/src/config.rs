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
    /// Looks for `spin_us`, then parks.
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

/// The document as it is written. `null` means the default. The second paragraph of a key is what it takes and its default: from
/// here `include/CONFIGURATION.md` is generated.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Shards: threads that order, batch and store. More than CPUs is allowed, and such shards never spin.
    ///
    /// 1 to 65,535. Default: the CPUs that the thread that starts the bus may use, less one, at least 1.
    num_shards: Option<NonZeroU16>,
    /// Where the shards are pinned.
    ///
    /// `"auto"`, or a list of CPU numbers. Default: `"auto"`, from the last allowed CPU down.
    cores: Option<CoresDocument>,
    /// Events that a shard holds accepted and not yet stored.
    ///
    /// A power of two, 1,024 to 1,073,741,824. Default: 1,048,576.
    ring_buffer_capacity: Option<usize>,
    /// The same bound in bytes of records.
    ///
    /// At least 1. Default: 64 MiB.
    buffer_bytes: Option<NonZeroUsize>,
    /// Largest event; with a `redis` section its routing key counts too.
    ///
    /// 1 to 64 MiB. Default: 1 MiB.
    max_event_bytes: Option<usize>,
    /// Memory of the lane from one thread to one shard.
    ///
    /// A power of two, 4 KiB to 1 GiB. Default: 256 KiB.
    lane_bytes: Option<usize>,
    /// Memory of all lanes. A subscription takes twice `lane_bytes` for each of its shards, and is refused where less than half
    /// would be left; one that begins before a change of `num_shards` counts `max_event_bytes` besides for each.
    ///
    /// At least `lane_bytes` and `max_event_bytes` together. Default: 1 GiB.
    lanes_bytes_max: Option<NonZeroU64>,
    /// What happens when a shard's buffer is full.
    ///
    /// Default: `"DropOldest"`.
    backpressure_mode: Option<Backpressure>,
    /// When a batch is submitted.
    ///
    /// An object, see below. Default: `{}`.
    batch: Option<BatchDocument>,
    /// What a shard without work does.
    ///
    /// Default: `"adaptive"`.
    idle: Option<Idle>,
    /// How long an adaptive shard, and a `net_next` that waits, look before they sleep, in microseconds.
    ///
    /// 0 to 1,000,000. Default: 50.
    spin_us: Option<u64>,
    /// When the outcome of a batch counts as unknown, and how long a poll waits for a shard.
    ///
    /// 1 to 86,400,000. Default: 5,000.
    adapter_timeout_ms: Option<NonZeroU64>,
    /// How often a refused batch is submitted again before it is dropped. A log gives none up while another is behind it.
    ///
    /// 0 to 4,294,967,295. Default: until the shutdown.
    adapter_batch_retries: Option<u32>,
    /// File that keeps the producer's identity across restarts.
    ///
    /// A path. Default: a new identity each start.
    producer_nonce_path: Option<PathBuf>,
    /// How long a producer waits for room in the lane of a busy shard, in microseconds.
    ///
    /// 0 to 60,000,000. Default: 100,000.
    push_wait_us: Option<u64>,
    /// How long a flush waits.
    ///
    /// 1 to 86,400,000. Default: 5,000.
    flush_timeout_ms: Option<NonZeroU64>,
    /// How long a shutdown stores what is left.
    ///
    /// 1 to 86,400,000. Default: 5,000.
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

/// A batch is submitted as soon as the store takes one, unless `min_size` asks to wait.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchDocument {
    /// Events that a batch waits for, at most `max_delay` and not past 224 KiB.
    ///
    /// 1 to `max_size`. Default: 1, so that it never waits.
    min_size: Option<NonZeroUsize>,
    /// Most events of a batch; at most half of `ring_buffer_capacity` takes effect, and a batch also ends at about 224 KiB.
    ///
    /// 1 to 1,000,000. Default: 10,000.
    max_size: Option<NonZeroUsize>,
    /// Longest wait for `min_size`, in milliseconds.
    ///
    /// 1 to 86,400,000. Default: 1.
    max_delay_ms: Option<NonZeroU64>,
    /// The same in microseconds; not together with `max_delay_ms`.
    ///
    /// 1 to 86,400,000,000. Default: 1,000.
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
