//! The log store: a shard's events in segment files on its own disk, through `io_uring`, for polls and subscriptions across restarts.
//!
//! Invariants, with what breaks when they are given up:
//!
//! - **A block is written once, in pages of its own.** Else a torn write would take acknowledged events along.
//! - **A sync that failed is not tried again**: the kernel may have thrown away what it could not write, and would say that all is
//!   well. The segment is closed, and what was not durable is written again from memory into a new one.
//! - **A log never goes on below a sequence that was ever shown.** A segment says before it is used how far its sequences may go,
//!   so that after a crash the next one begins above. Else a reader would miss events that took the place of lost ones.
//! - **Where events are missing, a reader is told**: removed or lost ones are counted as skipped, damaged ones as passed over.
//!
//! From the disk inwards:
//! - `format`: bytes; `disk`, `cached`, `files`: the ways to it that wait, that need not, and that come back;
//! - `scan`, `recovery`, `opening`: what is there; `jumps`, `catalog`: which sequences are where;
//! - `active`, `pending`, `syncs`, `writer`: what is written and synced; `ahead`, `reads`: what is read;
//! - `running`: one shard's, synchronous; `archive`: one that is only read; `store`: the adapter; `inspect`: the tools.
//!
//! `lock`, `identity`, `history` and `folders` belong to the directory. FORMAT.md has every byte.

mod active;
mod ahead;
mod archive;
mod cached;
mod catalog;
mod disk;
mod files;
mod folders;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod history;
mod identity;
pub mod inspect;
mod jumps;
mod lock;

#[cfg(test)]
mod model;
mod opening;
mod operation;
mod options;
mod pending;
mod reads;
mod recovery;
mod running;
mod scan;
#[cfg(test)]
mod simulation;
mod store;
mod syncs;
mod writer;

use std::fs;
use std::io;
use std::num::NonZeroU16;
use std::path::{self, Path, PathBuf};

use engine::adapter::{Adapter, AdapterError, AdapterFactory, Notify, ShardContext, Streams};
use engine::config::{Config, ConfigError};
use engine::counters::CountName;
use engine::event::ShardId;
use engine::layouts::Layouts;
use serde_json::Value;

use active::Identity;
use archive::Archive;
use disk::Folder;
use files::Files;
use folders::{folder_of, shards_there};
use identity::LogIdentity;
pub use lock::Lock;
pub use options::{LogConfig, Options, Retention, SyncDocument, SyncPolicy, segment_bytes_min};
use running::Log;
use store::{COUNT_NAMES, LogStore, wall_ns};

/// The logs of one bus.
pub struct LogStores {
    directory: PathBuf,
    options: Options,
    identity: LogIdentity,
    shards: NonZeroU16,
    /// Shards that the directory has logs of, this bus's among them.
    streams: NonZeroU16,
    boot_id: u128,
    /// Kept for as long as a shard may write.
    _lock: Lock,
}

impl LogStores {
    /// Parses the `log` section of `config`, and locks the directory, which is made where it is missing.
    pub fn new(options: Value, config: &Config) -> Result<LogStores, LogError> {
        let LogConfig { directory, options } = LogConfig::parse(options, config)?;
        LogStores::open(&directory, options, config.num_shards).map_err(LogError::Store)
    }

    fn open(directory: &Path, options: Options, shards: NonZeroU16) -> Result<LogStores, AdapterError> {
        // The process may change its directory.
        let directory = path::absolute(directory).map_err(|error| refusal(directory, &error))?;
        let lock = lock(&directory)?;
        let prepare = || {
            let mut identity = LogIdentity::load_or_make(&directory)?;
            let history = identity.history.of_bus(shards, &directory)?;
            if history != identity.history {
                // Before these shards write.
                identity.history = history;
                identity.save(&directory)?;
            }
            Ok((identity, shards_there(&directory)?))
        };
        let (identity, there) = prepare().map_err(|error| refusal(&directory, &error))?;
        Ok(LogStores {
            streams: NonZeroU16::new(there).map_or(shards, |there| there.max(shards)),
            directory,
            options,
            identity,
            shards,
            boot_id: boot_id(),
            _lock: lock,
        })
    }
}

/// Why there is no log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Its options are wrong. For the operator.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The directory cannot be used, or is in use. For the operator.
    #[error("{0}")]
    Store(AdapterError),
}

impl AdapterFactory for LogStores {
    fn tag(&self) -> &'static str {
        "log"
    }

    fn incarnation(&self) -> u64 {
        self.identity.incarnation
    }

    fn streams(&self) -> Streams {
        if self.streams > self.shards { Streams::Shared(self.streams) } else { Streams::Own }
    }

    fn layouts(&self) -> Layouts {
        self.identity.history.layouts()
    }

    fn producer(&self) -> Option<u64> {
        Some(self.identity.producer)
    }

    fn count_names(&self) -> &'static [CountName] {
        &COUNT_NAMES
    }

    fn open(&self, context: ShardContext) -> Result<Box<dyn Adapter>, AdapterError> {
        let others = (context.shard.0..self.streams.get()).step_by(usize::from(self.shards.get())).skip(1);
        let mut archives = Vec::new();
        for stream in others {
            let path = folder_of(&self.directory, stream);
            let archive = open_archive(&path, ShardId(stream), self.options, &context.notify);
            archives.push(archive.map_err(|error| refusal(&path, &error))?);
        }
        let path = folder_of(&self.directory, context.shard.0);
        let (shard, incarnation) = (u32::from(context.shard.0), self.identity.incarnation);
        let identity = Identity { shard, incarnation, boot_id: self.boot_id };
        let store = open_log(&path, identity, self.options, archives, None, context.notify);
        store.map_err(|error| refusal(&path, &error))
    }
}

/// Opens the log in `directory`, a single one, which is made where it is missing, and locked for as long as it is open. Runs on the
/// thread that uses it, inside its executor.
pub fn open(directory: &Path, options: Options, notify: Notify) -> Result<Box<dyn Adapter>, AdapterError> {
    let lock = lock(directory)?;
    let open = || {
        let incarnation = LogIdentity::load_or_make(directory)?.incarnation;
        let identity = Identity { shard: 0, incarnation, boot_id: boot_id() };
        open_log(directory, identity, options, Vec::new(), Some(lock), notify)
    };
    open().map_err(|error| refusal(directory, &error))
}

/// Locks `directory`, which is made where it is missing, against other processes and the rest of this one.
pub fn lock(directory: &Path) -> Result<Lock, AdapterError> {
    let lock = Folder::new(directory).make().and_then(|()| Lock::take(directory));
    lock.map_err(|error| refusal(directory, &error))
}

fn open_log(
    path: &Path,
    identity: Identity,
    options: Options,
    archives: Vec<Archive>,
    lock: Option<Lock>,
    notify: Notify,
) -> io::Result<Box<dyn Adapter>> {
    let folder = Folder::new(path);
    folder.make()?;
    let log = opening::open(&folder, identity, options, wall_ns())?;
    let files = Files::new(folder, notify);
    Ok(Box::new(LogStore::new(ShardId(identity.shard as u16), log, files, archives, lock)))
}

fn open_archive(path: &Path, stream: ShardId, options: Options, notify: &Notify) -> io::Result<Archive> {
    let folder = Folder::new(path);
    folder.make()?;
    let recovered = recovery::recover(&folder, 0)?;
    let catalog = Log::catalog(options, &recovered);
    Ok(Archive::new(stream, catalog, recovered.end, Files::new(folder, notify.clone())))
}

/// What tells whether the machine was started anew; zero where it does not say.
fn boot_id() -> u128 {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or_default()
}

fn refusal(path: &Path, error: &io::Error) -> AdapterError {
    AdapterError::Final(format!("{}: {error}", path.display()))
}
