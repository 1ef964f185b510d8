//! What can go wrong with named files, and what to do about it.

use std::fmt;
use std::sync::Arc;

use engine::adapter::AdapterError;
use engine::config::ConfigError;
use engine::worker::WorkerError;

use super::name::{Name, NameError};
use super::{APPEND_WAIT, EVENT_BYTES_MAX, FILES_MAX};

/// Why a redex did not open. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made. For the operator.
    #[error("the directory cannot be made: {0}")]
    Directory(std::io::Error),
    /// The directory cannot be locked: another redex has it. For the operator.
    #[error("{0}")]
    Lock(AdapterError),
    /// Its thread did not start.
    #[error("{0}")]
    Worker(#[from] WorkerError),
}

/// Why a call on a redex, a file or a tail failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedexError {
    /// Not the name of a file. Final.
    #[error("{0}")]
    Name(#[from] NameError),
    /// The configuration was refused. For the operator.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The file is open with another configuration. Final while it is.
    #[error("the file is open with another configuration")]
    Conflict,
    /// Too many files are open. Retry when some are closed.
    #[error("{FILES_MAX} files are open")]
    FilesExhausted,
    /// The file's store refused.
    #[error("{0}")]
    Store(#[from] AdapterError),
    /// The handle was closed. Final.
    #[error("the file is closed")]
    Closed,
    /// The redex was ended. Final.
    #[error("the redex is freed")]
    Ended,
    /// The event is larger than any may be. Final.
    #[error("an event of {bytes} bytes; the largest has {EVENT_BYTES_MAX}")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
    },
    /// A range ends before it starts. Final.
    #[error("the range ends before it starts: {start} to {end}")]
    Range {
        /// Its first sequence.
        start: u64,
        /// One past its last.
        end: u64,
    },
    /// Too much waits to be done, and this was not begun. Retry.
    #[error("no room within {wait_s} s: nothing was done{0}", wait_s = APPEND_WAIT.as_secs())]
    Busy(Trouble),
    /// It did not end in time. Its outcome is unknown.
    #[error("it did not end in time; its outcome is unknown{0}")]
    Late(Trouble),
    /// The thread of the redex has panicked. Final.
    #[error("the redex has failed inside")]
    Failed,
}

/// What the store of a file has said last of what it could not do, where it has stored nothing since. It tells who waits in vain
/// why, a full disk say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble(Option<Arc<str>>);

impl Trouble {
    /// What the store of the file `name` says.
    pub(crate) fn of(name: &Name, said: &AdapterError) -> Trouble {
        let (AdapterError::Transient(said) | AdapterError::Final(said)) = said;
        Trouble(Some(format!("{name}: {said}").into()))
    }

    /// Whether the store has said anything.
    pub fn is_known(&self) -> bool {
        self.0.is_some()
    }
}

/// The end of a sentence; nothing where nothing is known.
impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_deref().map_or(Ok(()), |said| write!(formatter, "; the store has said last: {said}"))
    }
}
