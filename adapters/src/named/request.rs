//! What a redex is asked for. Each answer is sent once, to a channel that has room for it.

use std::sync::Arc;

use crossbeam_channel::Sender;
use engine::adapter::{Notify, ReadBlock};
use engine::event::Sequence;

use super::board::{Board, Room};
use super::config::FileConfig;
use super::error::RedexError;
use super::name::Name;

/// Takes the one answer to a request.
pub(crate) type Answer<T> = Sender<Result<T, RedexError>>;

/// Number of an open file. A number is never given to another file of the same redex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileId(pub(crate) u64);

pub(crate) enum Request {
    /// A handle on a file.
    Open(Opening),
    /// One event behind all others.
    Append { file: FileId, append: Append },
    /// Stored events.
    Read { file: FileId, wanted: Wanted, answer: Answer<Found> },
    /// What is stored made durable.
    Sync { file: FileId, answer: Answer<()> },
    /// How many events there are.
    Count { file: FileId, answer: Answer<u64> },
    /// One handle less. Who asks hears how it went.
    Close { file: FileId, hold: Arc<Hold>, answer: Answer<()> },
    /// The end of the redex.
    End { answer: Answer<()> },
}

pub(crate) struct Opening {
    pub(crate) name: Name,
    pub(crate) config: FileConfig,
    pub(crate) answer: Answer<Opened>,
}

/// What a handle is made of.
pub(crate) struct Opened {
    pub(crate) file: FileId,
    pub(crate) board: Arc<Board>,
    pub(crate) hold: Arc<Hold>,
}

/// What keeps a file open: each handle has a share. The file closes when none is left, wherever the last one was dropped: by
/// its owner, or in an answer or a request that nobody has taken.
pub(crate) struct Hold(pub(crate) Notify);

/// The worker looks, and finds no share left.
impl Drop for Hold {
    fn drop(&mut self) {
        self.0.ring();
    }
}

pub(crate) struct Append {
    pub(crate) payload: Box<[u8]>,
    /// Nanoseconds since the Unix epoch.
    pub(crate) timestamp_ns: u64,
    pub(crate) appender: Appender,
}

/// Who waits for an event to be stored, and the room that it takes until then.
pub(crate) struct Appender {
    /// Told the event's sequence.
    pub(crate) answer: Answer<Sequence>,
    pub(crate) room: Room,
}

impl Appender {
    pub(crate) fn tell(self, result: Result<Sequence, RedexError>) {
        drop(self.room);
        // A caller that has gone needs no answer.
        let _ = self.answer.try_send(result);
    }
}

/// Which events a reader wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The last event already seen.
    pub(crate) after: Option<Sequence>,
    pub(crate) events_max: usize,
    pub(crate) bytes_max: usize,
}

/// What a read has found.
pub(crate) struct Found {
    pub(crate) block: ReadBlock,
    /// Only what is before this is known to be stored.
    pub(crate) end: Sequence,
}
