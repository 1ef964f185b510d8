//! What a file can be told: JSON, parsed once, unknown keys and zero limits refused with the key's path.

use std::num::NonZeroU64;
use std::time::Duration;

use engine::config::{ConfigError, parse_section};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::log::{Retention, SyncPolicy};

/// How a file is kept. A second handle on it asks for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// Whether it outlives its redex. Default: whether that has a directory.
    pub persistent: bool,
    /// What is removed. Default: nothing of a persistent file; a file in memory keeps what a memory store does.
    pub retention: Retention,
    /// When a persistent file is synced. Default: 50 ms after a write at the latest.
    pub sync: SyncPolicy,
}

/// What `net_redex_open_file` takes as `config_json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Whether the file outlives its redex.
    ///
    /// Default: whether the redex has a directory.
    persistent: Option<bool>,
    /// The oldest events beyond are removed, of a persistent file a segment at a time and never the newest.
    ///
    /// At least 1. Default: of a persistent file everything is kept, of one in memory 1,048,576.
    retention_max_events: Option<NonZeroU64>,
    /// The same in bytes.
    ///
    /// At least 1. Default: of a persistent file everything is kept, of one in memory 256 MiB.
    retention_max_bytes: Option<NonZeroU64>,
    /// Events that are older are removed, likewise.
    ///
    /// At least 1. Default: everything is kept.
    retention_max_age_ms: Option<NonZeroU64>,
    /// When a persistent file is synced.
    ///
    /// Default: `{"interval_ms":50}`.
    fsync: Option<Fsync>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Fsync {
    /// When the system gets to it.
    Never,
    /// Before an append returns.
    EveryBatch,
    /// At most so long after a write; `n` is at least 1.
    IntervalMs(NonZeroU64),
}

impl FileConfig {
    /// Parses the configuration of a file in a redex that has a directory or not. An empty text is all defaults.
    pub fn parse(json: &str, has_directory: bool) -> Result<FileConfig, ConfigError> {
        let json = if json.trim().is_empty() { "{}" } else { json };
        if json.len() > DOCUMENT_BYTES_MAX {
            return Err(ConfigError::new(".", format!("longer than {DOCUMENT_BYTES_MAX} bytes")));
        }
        let document: Map<String, Value> =
            serde_json::from_str(json).map_err(|error| ConfigError::new(".", error.to_string()))?;
        let document: Document = parse_section("", Value::Object(document))?;
        let persistent = document.persistent.unwrap_or(has_directory);
        if persistent && !has_directory {
            return Err(ConfigError::new("persistent", "the redex has no directory"));
        }
        Ok(FileConfig {
            persistent,
            retention: Retention {
                bytes: document.retention_max_bytes,
                events: document.retention_max_events,
                age: document.retention_max_age_ms.map(|age| Duration::from_millis(age.get())),
            },
            sync: match document.fsync {
                None => SyncPolicy::Interval(SYNC_INTERVAL),
                Some(Fsync::Never) => SyncPolicy::Never,
                Some(Fsync::EveryBatch) => SyncPolicy::EveryBatch,
                Some(Fsync::IntervalMs(interval)) => {
                    SyncPolicy::Interval(Duration::from_millis(interval.get()))
                }
            },
        })
    }
}

const SYNC_INTERVAL: Duration = Duration::from_millis(50);
const DOCUMENT_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_what_the_directory_says() {
        for json in ["", " ", "{}", r#"{"persistent":null,"fsync":null}"#] {
            for has_directory in [false, true] {
                let config = FileConfig::parse(json, has_directory).expect("all defaults");
                assert_eq!(config.persistent, has_directory);
                assert_eq!(config.retention, Retention::default());
                assert_eq!(config.sync, SyncPolicy::Interval(Duration::from_millis(50)));
            }
        }
        assert!(!FileConfig::parse(r#"{"persistent":false}"#, true).expect("allowed").persistent);
    }

    #[test]
    fn every_key_is_heard() {
        let json = r#"{"persistent":true,"retention_max_events":1,"retention_max_bytes":2,"retention_max_age_ms":3,"fsync":"never"}"#;
        let config = FileConfig::parse(json, true).expect("every key");
        let retention = Retention {
            bytes: NonZeroU64::new(2),
            events: NonZeroU64::new(1),
            age: Some(Duration::from_millis(3)),
        };
        assert_eq!(config, FileConfig { persistent: true, retention, sync: SyncPolicy::Never });
        for (fsync, sync) in [
            (r#""every_batch""#, SyncPolicy::EveryBatch),
            (r#"{"interval_ms":7}"#, SyncPolicy::Interval(Duration::from_millis(7))),
        ] {
            let json = format!(r#"{{"fsync":{fsync}}}"#);
            assert_eq!(FileConfig::parse(&json, true).expect("a policy").sync, sync);
        }
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_path() {
        for (json, path) in [
            ("[]", "."),
            ("{", "."),
            (r#"{"retention":1}"#, "retention"),
            (r#"{"persistent":1}"#, "persistent"),
            (r#"{"persistent":true}"#, "persistent"),
            (r#"{"retention_max_events":0}"#, "retention_max_events"),
            (r#"{"retention_max_bytes":-1}"#, "retention_max_bytes"),
            (r#"{"retention_max_age_ms":0}"#, "retention_max_age_ms"),
            (r#"{"fsync":"sometimes"}"#, "fsync"),
            (r#"{"fsync":{"interval_ms":0}}"#, "fsync.interval_ms"),
            (r#"{"fsync":{"interval_ms":1,"x":2}}"#, "fsync"),
        ] {
            let refused = FileConfig::parse(json, false).expect_err(json);
            assert_eq!(refused.path, path, "{json}: {refused}");
        }
    }
}
