//! The local log store. Not in this build: it opens nothing.

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use engine::adapter::{Adapter, AdapterError, Notify};

/// How a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Size at which a segment is full.
    pub segment_bytes: u64,
    /// When what was written is synced.
    pub sync: SyncPolicy,
    /// What is removed.
    pub retention: Retention,
}

/// When what was written is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When the system does it by itself, and where a sync is asked for.
    Never,
    /// This long after it was written at the latest.
    Interval(Duration),
    /// Before a batch counts as stored.
    EveryBatch,
}

/// What a log keeps at most; `None` keeps everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Bytes of segments.
    pub bytes: Option<NonZeroU64>,
    /// Events.
    pub events: Option<NonZeroU64>,
    /// Time since an event was stored.
    pub age: Option<Duration>,
}

/// Keeps a directory from others while it lives.
#[derive(Debug)]
pub struct Lock(());

/// Locks a directory against every other log or redex, of this process and of others.
pub fn lock(_directory: &Path) -> Result<Lock, AdapterError> {
    Err(AdapterError::Final("not in this build".to_owned()))
}

/// Opens the log in a directory, which is made where it is missing.
pub fn open(_directory: &Path, _options: Options, _notify: Notify) -> Result<Box<dyn Adapter>, AdapterError> {
    Err(AdapterError::Final("not in this build".to_owned()))
}
