//! What the log store costs, beside the same disk used by hand, by `dd` and by `SQLite` in the same run.
//!
//! Every measurement has a folder of its own beside this program, since the system's temporary one is often memory.

pub mod append;
pub mod call;
pub mod floor;
pub mod reading;
pub mod reopening;
pub mod sqlite;

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::syncfs;
use tempfile::TempDir;

use crate::{Bus, event, on_first_core};

/// When what is stored becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Within 50 ms. `SQLite`'s nearest, `NORMAL`, syncs its write-ahead log only for a checkpoint.
    Soon,
    /// Before it counts as stored, batch by batch.
    EveryBatch,
}

impl Durability {
    /// The log's `sync`.
    fn of_log(self) -> &'static str {
        match self {
            Durability::Soon => r#"{"interval_ms":50}"#,
            Durability::EveryBatch => r#""every_batch""#,
        }
    }

    /// `SQLite`'s `synchronous`.
    fn of_sqlite(self) -> &'static str {
        match self {
            Durability::Soon => "NORMAL",
            Durability::EveryBatch => "FULL",
        }
    }
}

/// A bus of one shard that keeps its log in `folder`. `options` are more of the bus's, each with a comma behind.
fn bus(folder: &Path, durability: Durability, options: &str) -> Bus {
    let section = format!(r#""log":{{"dir":"{}","sync":{}}}"#, folder.display(), durability.of_log());
    Bus::start(&format!("{{{OPTIONS}{options}{section}}}"))
}

/// Publishes so many events of `bytes` bytes, and waits until all are durable. One that finds no room comes again after a
/// while, in which the buffer does not run empty.
fn publish(bus: Bus, events: usize, bytes: usize) {
    on_first_core(|| {
        let payload = event(bytes);
        for _ in 0..events {
            while !bus.ingest(&payload) {
                thread::sleep(REFUSED_PAUSE);
            }
        }
        bus.flush();
    });
}

/// A folder on the disk that this program is on, which has nothing left to do of what was measured before. Removed when it is
/// dropped.
fn folder() -> TempDir {
    let program = std::env::current_exe().expect("the system knows this program's file");
    let beside = program.parent().expect("a file is in a folder");
    // What was removed costs too: its space is given back.
    File::open(beside).and_then(|beside| Ok(syncfs(beside)?)).expect("the disk takes it");
    tempfile::Builder::new().prefix("log-bench-").tempdir_in(beside).expect("the build's folder is writable")
}

/// Of every bus here, each with a comma behind.
const OPTIONS: &str =
    r#""num_shards":1,"backpressure_mode":"FailProducer","push_wait_us":10000000,"flush_timeout_ms":600000,"#;
/// The shard's buffer lasts for tens of milliseconds at what a fast disk writes.
const REFUSED_PAUSE: Duration = Duration::from_millis(1);
const EVENT_BYTES: usize = 256;
