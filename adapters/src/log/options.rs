//! How a log is kept: the `log` section of a configuration, parsed into what cannot be wrong.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use engine::config::{Config, ConfigError, parse_section};
use serde::Deserialize;
use serde_json::Value;

use super::format::header::HEADER_BYTES;
use super::format::pages;
use super::format::record::record_bytes;

/// How one log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Length of a segment, at most 1 GiB, and at least 524 KiB and what the largest event takes. Default 64 MiB.
    pub segment_bytes: u64,
    /// When what is stored becomes durable. Default: within 50 ms.
    pub sync: SyncPolicy,
    /// What it keeps. Default: everything.
    pub retention: Retention,
}

/// When what is stored becomes durable. A flush makes it durable in any case, and so does the end of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When the system gets to it.
    Never,
    /// At most this long after it was stored. 1 ms to an hour.
    Interval(Duration),
    /// Before it counts as stored.
    EveryBatch,
}

/// What a log keeps, whole segments at a time, and always the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The oldest segment goes when the others have this many bytes. Of a bus: all its shards together, each its part.
    pub bytes: Option<NonZeroU64>,
    /// The oldest segment goes when the others have this many events, of each shard.
    pub events: Option<NonZeroU64>,
    /// A segment goes when its last event is older than this.
    pub age: Option<Duration>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            sync: SyncPolicy::Interval(Duration::from_millis(50)),
            retention: Retention::default(),
        }
    }
}

/// The `log` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Where the logs of all shards are.
    pub(super) directory: PathBuf,
    pub(super) options: Options,
}

/// The store in segment files on this machine's disk.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Directory of the log, made where it is missing. One bus at a time.
    ///
    /// A path.
    dir: PathBuf,
    /// Length of a segment, which is set aside before it is needed.
    ///
    /// From 524 KiB and `max_event_bytes` together to 1 GiB. Default: 64 MiB.
    segment_bytes: Option<u64>,
    /// When what is stored becomes durable; a flush makes it durable in any case, and so does the end of a segment.
    ///
    /// Default: `{"interval_ms":50}`.
    sync: Option<SyncDocument>,
    /// The oldest segment goes when the others of the bus have so many bytes.
    ///
    /// At least 1. Default: everything is kept.
    retention_bytes: Option<NonZeroU64>,
    /// The oldest segment goes when the others of its shard have so many events.
    ///
    /// At least 1. Default: everything is kept.
    retention_events: Option<NonZeroU64>,
    /// A segment goes when its last event is older.
    ///
    /// At least 1. Default: everything is kept.
    retention_age_ms: Option<NonZeroU64>,
}

/// A policy as it is written: `"never"`, `"every_batch"` or `{"interval_ms": n}`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncDocument {
    /// When the system gets to it.
    Never,
    /// Before it counts as stored.
    EveryBatch,
    /// At most so long after it was stored; `n` is 1 to 3,600,000.
    IntervalMs(NonZeroU64),
}

impl SyncDocument {
    /// The policy; `path` is the key's.
    pub fn policy(self, path: &str) -> Result<SyncPolicy, ConfigError> {
        match self {
            SyncDocument::Never => Ok(SyncPolicy::Never),
            SyncDocument::EveryBatch => Ok(SyncPolicy::EveryBatch),
            SyncDocument::IntervalMs(ms) if ms.get() <= INTERVAL_MS_MAX => {
                Ok(SyncPolicy::Interval(Duration::from_millis(ms.get())))
            }
            SyncDocument::IntervalMs(ms) => Err(ConfigError::new(
                format!("{path}.interval_ms"),
                format!("{ms} is not in 1..={INTERVAL_MS_MAX}"),
            )),
        }
    }
}

impl LogConfig {
    /// Parses the `log` section of a bus.
    pub fn parse(options: Value, config: &Config) -> Result<LogConfig, ConfigError> {
        let document: Document = parse_section("log", options)?;
        let default = Options::default();
        if document.dir.as_os_str().is_empty() {
            return Err(ConfigError::new("log.dir", "names no directory"));
        }
        let segment_bytes = document.segment_bytes.unwrap_or(default.segment_bytes);
        let bytes_min = segment_bytes_min(config.max_event_bytes);
        if !(bytes_min..=SEGMENT_BYTES_MAX).contains(&segment_bytes) {
            let reason = format!("{segment_bytes} is not in {bytes_min}..={SEGMENT_BYTES_MAX}");
            return Err(ConfigError::new("log.segment_bytes", reason));
        }
        let shards = u64::from(config.num_shards.get());
        let part = |bytes: NonZeroU64| NonZeroU64::new(bytes.get() / shards).unwrap_or(NonZeroU64::MIN);
        Ok(LogConfig {
            directory: document.dir,
            options: Options {
                segment_bytes: segment_bytes - segment_bytes % pages(1) as u64,
                sync: document.sync.map_or(Ok(default.sync), |sync| sync.policy("log.sync"))?,
                retention: Retention {
                    bytes: document.retention_bytes.map(part),
                    events: document.retention_events,
                    age: document.retention_age_ms.map(|ms| Duration::from_millis(ms.get())),
                },
            },
        })
    }
}

/// What a segment has to hold: a batch of many small events and one of the largest.
pub fn segment_bytes_min(max_event_bytes: usize) -> u64 {
    (HEADER_BYTES + pages(BATCH_BYTES_MAX + record_bytes(max_event_bytes))) as u64
}

/// What a batch takes that ends at about 224 KiB of records, if all of them are as small as can be, without its last event.
const BATCH_BYTES_MAX: usize = 512 << 10;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
const INTERVAL_MS_MAX: u64 = 3_600_000;
