//! A redex and its files as their callers have them: every call runs on its caller's thread, posts a request and waits.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;
use engine::event::Sequence;
use engine::worker::{self, Mailbox, Unanswered, Worker, mailbox};

use super::board::Board;
use super::config::FileConfig;
use super::error::{OpenError, RedexError, Trouble};
use super::keeper::{Keeper, Stores};
use super::name::Name;
use super::open_file::CLOSE_WAIT;
use super::records::Records;
use super::request::{Append, Appender, FileId, Found, Hold, Opened, Opening, Request, Wanted};
use super::tail::Tail;
use super::{APPEND_WAIT, EVENT_BYTES_MAX, READ_BYTES_MAX, READ_EVENTS_MAX};
use crate::log;

/// Named files in a directory or in memory. Every method may be called from any thread at any time.
pub struct Redex {
    line: Line,
    has_directory: bool,
    worker: Mutex<Option<Worker>>,
}

/// A handle on a file. Every method may be called from any thread at any time. Dropping one closes it without waiting.
pub struct NamedFile {
    access: Access,
    /// Until it is closed.
    hold: Mutex<Option<Arc<Hold>>>,
}

/// The way to the worker.
#[derive(Clone)]
pub(crate) struct Line {
    mailbox: Mailbox<Request>,
    /// How long a call waits for a place in the mailbox, and how long for its answer.
    answer_wait: Duration,
    ended: Arc<AtomicBool>,
}

/// The way to one file by one handle.
#[derive(Clone)]
pub(crate) struct Access {
    line: Line,
    file: FileId,
    pub(crate) board: Arc<Board>,
    closed: Arc<AtomicBool>,
}

impl Redex {
    /// Opens the files in a directory, which is made where it is missing and locked against every other redex; without one
    /// every file is in memory.
    ///
    /// Makes a thread, `net-redex`, and its executor's blocking helper.
    pub fn open(directory: Option<&Path>) -> Result<Redex, OpenError> {
        let directory = match directory {
            None => None,
            Some(path) => {
                if path.as_os_str().is_empty() {
                    return Err(OpenError::Directory(std::io::ErrorKind::InvalidInput.into()));
                }
                // The process may change its directory.
                let path = std::path::absolute(path).map_err(OpenError::Directory)?;
                let lock = log::lock(&path).map_err(OpenError::Lock)?;
                Some((path, lock))
            }
        };
        let has_directory = directory.is_some();
        let (mailbox, inbox) = mailbox(MAILBOX_REQUESTS_MAX);
        let worker =
            worker::start("net-redex", inbox, move |inbox| Keeper::new(inbox, Stores { directory }))?;
        let line = Line::new(mailbox, ANSWER_WAIT);
        Ok(Redex { line, has_directory, worker: Mutex::new(Some(worker)) })
    }

    /// Opens a file, which is made where it is missing. `config` is a JSON text, see [`FileConfig`]. A file that is open
    /// already gets one handle more.
    pub fn open_file(&self, name: &str, config: &str) -> Result<NamedFile, RedexError> {
        let name = Name::parse(name)?;
        let config = FileConfig::parse(config, self.has_directory)?;
        let opened = self.line.ask(|answer| Request::Open(Opening { name, config, answer }))?;
        Ok(NamedFile::new(self.line.clone(), opened))
    }

    /// Ends every file: what was appended is stored and synced, or given up after 5 s. Whoever waits for one is told.
    pub fn end(&self) -> Result<(), RedexError> {
        let Some(worker) = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        self.line.ended.store(true, Ordering::Release);
        let ended = self.line.ask_within(CLOSE_WAIT * 2, |answer| Request::End { answer });
        // Nobody else has ended it: its thread has.
        let ended = ended.map_err(|refused| match refused {
            RedexError::Ended => RedexError::Failed,
            refused => refused,
        });
        // A thread that hangs in a store keeps its lock.
        if worker.join(JOIN_WAIT) { ended } else { ended.and(Err(RedexError::Late(Trouble::default()))) }
    }
}

impl Drop for Redex {
    fn drop(&mut self) {
        // Whoever wants to know how it went calls `end` first.
        let _ = self.end();
    }
}

impl NamedFile {
    pub(crate) fn new(line: Line, opened: Opened) -> NamedFile {
        let Opened { file, board, hold } = opened;
        let access = Access { line, file, board, closed: Arc::default() };
        NamedFile { access, hold: Mutex::new(Some(hold)) }
    }

    /// Appends an event and waits until it is stored. Returns its place in the file, from 0. While as much as
    /// [`WAITING_BYTES_MAX`](super::WAITING_BYTES_MAX) waits to be stored it waits for room first.
    pub fn append(&self, payload: &[u8]) -> Result<u64, RedexError> {
        let Access { line, file, board, .. } = &self.access;
        if payload.len() > EVENT_BYTES_MAX {
            return Err(RedexError::TooLarge { bytes: payload.len() });
        }
        let room = board
            .take_room(payload.len() + EVENT_OVERHEAD_BYTES, APPEND_WAIT, || self.access.is_over())
            .map_err(|refused| self.access.explain(refused))?;
        let (payload, timestamp_ns) = (payload.into(), unix_ns());
        let sequence = line.ask(|answer| {
            let appender = Appender { answer, room };
            Request::Append { file: *file, append: Append { payload, timestamp_ns, appender } }
        });
        sequence.map(|sequence| sequence.0 - 1).map_err(|refused| self.access.explain(refused))
    }

    /// The events from `start` on and before `end` that are there, at most [`READ_EVENTS_MAX`] of them and about
    /// [`READ_BYTES_MAX`] bytes.
    pub fn read(&self, start: u64, end: u64) -> Result<Records, RedexError> {
        self.access.check()?;
        if start > end {
            return Err(RedexError::Range { start, end });
        }
        let mut records = Records::default();
        let mut bytes_left = READ_BYTES_MAX;
        let mut next = Some(start);
        while let Some(from) = next.filter(|&from| from < end) {
            let events_left = READ_EVENTS_MAX - records.len();
            if events_left == 0 || bytes_left == 0 {
                break;
            }
            let events_max = events_left.min(usize::try_from(end - from).unwrap_or(usize::MAX));
            let found = self.access.find(from, events_max, bytes_left.min(READ_PART_BYTES))?;
            bytes_left = bytes_left.saturating_sub(found.block.batch.record_bytes());
            next = records.take(found, from, end);
        }
        Ok(records)
    }

    /// Waits until everything that was stored before is durable, as far as the store can make it so.
    pub fn sync(&self) -> Result<(), RedexError> {
        self.access.ask(|file, answer| Request::Sync { file, answer })
    }

    /// How many events there are now: stored, and not removed by retention.
    pub fn count(&self) -> Result<u64, RedexError> {
        self.access.ask(|file, answer| Request::Count { file, answer })
    }

    /// A cursor that gives every event from `from` on, once and in order.
    pub fn tail(&self, from: u64) -> Result<Tail, RedexError> {
        self.access.check()?;
        Ok(Tail::new(self.access.clone(), from))
    }

    /// Closes this handle: its tails end, and with the last handle the file is synced and let go. A handle that is closed
    /// stays so.
    pub fn close(&self) -> Result<(), RedexError> {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(hold) = hold else { return Ok(()) };
        self.access.end();
        let file = self.access.file;
        match self.access.line.ask(|answer| Request::Close { file, hold, answer }) {
            // With its redex it was closed already.
            Err(RedexError::Ended | RedexError::Closed) => Ok(()),
            // It closes all the same, since its hold is gone: only how that goes is not heard.
            Err(RedexError::Busy(_)) => Err(RedexError::Late(self.access.board.trouble())),
            result => result.map_err(|refused| self.access.explain(refused)),
        }
    }
}

impl Drop for NamedFile {
    fn drop(&mut self) {
        // With its hold the file closes.
        self.access.end();
    }
}

impl Line {
    pub(crate) fn new(mailbox: Mailbox<Request>, answer_wait: Duration) -> Line {
        Line { mailbox, answer_wait, ended: Arc::default() }
    }

    fn ask<T>(
        &self,
        request: impl FnOnce(Sender<Result<T, RedexError>>) -> Request,
    ) -> Result<T, RedexError> {
        self.ask_within(self.answer_wait, request)
    }

    fn ask_within<T>(
        &self,
        within: Duration,
        request: impl FnOnce(Sender<Result<T, RedexError>>) -> Request,
    ) -> Result<T, RedexError> {
        match self.mailbox.ask(within, request) {
            Ok(answer) => answer,
            Err(Unanswered::Full) => Err(RedexError::Busy(Trouble::default())),
            Err(Unanswered::Late) => Err(RedexError::Late(Trouble::default())),
            Err(Unanswered::Gone) if self.ended.load(Ordering::Acquire) => Err(RedexError::Ended),
            Err(Unanswered::Gone) => Err(RedexError::Failed),
        }
    }
}

impl Access {
    /// Whether the handle is closed or its redex ended.
    pub(crate) fn is_over(&self) -> bool {
        self.check().is_err()
    }

    pub(crate) fn check(&self) -> Result<(), RedexError> {
        if self.line.ended.load(Ordering::Acquire) {
            Err(RedexError::Ended)
        } else if self.closed.load(Ordering::Acquire) {
            Err(RedexError::Closed)
        } else {
            Ok(())
        }
    }

    /// Reads from `from` on.
    pub(crate) fn find(&self, from: u64, events_max: usize, bytes_max: usize) -> Result<Found, RedexError> {
        // The last event already seen is the one before, whose sequence is `from` because sequences count from 1.
        let after = (from > 0).then_some(Sequence(from));
        let wanted = Wanted { after, events_max, bytes_max };
        self.ask(|file, answer| Request::Read { file, wanted, answer })
    }

    fn ask<T>(
        &self,
        request: impl FnOnce(FileId, Sender<Result<T, RedexError>>) -> Request,
    ) -> Result<T, RedexError> {
        self.check()?;
        let answered = self.line.ask(|answer| request(self.file, answer));
        answered.map_err(|refused| self.explain(refused))
    }

    /// Refuses every later call by this handle, and ends its tails.
    fn end(&self) {
        self.closed.store(true, Ordering::Release);
        self.board.ring();
    }

    /// A file that was closed with its redex, or because its thread has panicked, says so; and one that did not answer in time, what
    /// its store has said last.
    fn explain(&self, refused: RedexError) -> RedexError {
        match refused {
            RedexError::Late(trouble) if !trouble.is_known() => RedexError::Late(self.board.trouble()),
            RedexError::Closed => self.check().err().unwrap_or(RedexError::Failed),
            refused => refused,
        }
    }
}

fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

const _: () =
    assert!(ANSWER_WAIT.as_secs() > 2 * APPEND_WAIT.as_secs(), "an attempt ends before its caller goes");

/// How long a call waits for its answer.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// How long the end of the thread is waited for once it has said that it ends.
const JOIN_WAIT: Duration = Duration::from_secs(5);
/// Requests that wait for the worker at most; who comes then waits for a place.
const MAILBOX_REQUESTS_MAX: usize = 1024;
/// What an event that waits takes besides its payload, about.
const EVENT_OVERHEAD_BYTES: usize = 128;
/// Bytes of records that one request brings, so that no reader keeps the worker for long.
const READ_PART_BYTES: usize = 4 << 20;
