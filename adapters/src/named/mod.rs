//! Named files: logs of events under names, appended to, read by range and followed by tails.
//!
//! A [`Redex`] is one thread that owns every open file; a file is a name and a store, in memory or a log in a directory.
//! Callers post requests to it and wait. What arrives while a batch is in flight becomes the next one, so many appenders share
//! what storing costs, and each is told its place in the file when its event is stored.
//!
//! What holds:
//! - Appends of one thread keep their order, and an event that was answered is seen by every read and tail that begins later.
//! - A tail loses nothing and repeats nothing: its position moves only past what it has given, and past what retention has
//!   removed.
//! - Bounded: [`FILES_MAX`], [`WAITING_BYTES_MAX`], [`EVENT_BYTES_MAX`], [`READ_BYTES_MAX`], and every wait.
//! - The keeper and its files are synchronous and take `now`; only the engine knows the runtime.

// Modules in the order in which a call passes through them.
mod error;
mod name;
mod config;
mod redex;
mod tail;
mod board;
mod request;
mod keeper;
mod open_file;
mod appends;
mod records;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use config::FileConfig;
pub use error::{OpenError, RedexError, Trouble};
pub use name::{Name, NameError};
pub use records::{Record, Records};
pub use redex::{NamedFile, Redex};
pub use tail::{TAIL_BYTES, TAIL_EVENTS_MAX, Tail, TailCloser};

/// Files of one redex that may be open.
pub const FILES_MAX: usize = 1024;
/// Bytes of the largest event.
pub const EVENT_BYTES_MAX: usize = 16 << 20;
/// Bytes of one file's events that wait to be stored.
pub const WAITING_BYTES_MAX: usize = 64 << 20;
/// Bytes of records that one read gives, about: it ends with the event that reaches them.
pub const READ_BYTES_MAX: usize = 64 << 20;
/// Events that one read gives at most.
pub const READ_EVENTS_MAX: usize = 1 << 20;
/// How long an append waits for room.
pub const APPEND_WAIT: Duration = Duration::from_secs(5);
