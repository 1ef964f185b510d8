//! The keeper: the duty of the thread `net-redex`. It owns every open file and does what the mailbox asks for.
//!
//! A round takes requests, lets every file submit and hear, and forgets those that are gone. It takes `now`, knows no
//! runtime, and never waits; only opening a persistent file reads its log, on this thread.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::adapter::{Adapter, AdapterError, Closing, Notify};
use engine::clock::Monotonic;
use engine::duty::{Duty, Round};
use engine::worker::Inbox;

use super::FILES_MAX;
use super::config::FileConfig;
use super::error::{RedexError, Trouble};
use super::name::Name;
use super::open_file::{CLOSE_WAIT, OpenFile};
use super::request::{Answer, FileId, Hold, Opened, Opening, Request};
use crate::log::{self, Lock};
use crate::memory;

/// Where the stores of files come from.
pub(crate) trait Shelf: 'static {
    /// Opens the store of a file.
    fn open(
        &mut self,
        name: &Name,
        config: &FileConfig,
        notify: Notify,
    ) -> Result<Box<dyn Adapter>, AdapterError>;
}

/// A locked directory, or memory alone.
pub(crate) struct Stores {
    pub(crate) directory: Option<(PathBuf, Lock)>,
}

/// Every open file of a redex.
pub(crate) struct Keeper<S> {
    inbox: Inbox<Request>,
    shelf: S,
    files: BTreeMap<FileId, OpenFile>,
    names: HashMap<Name, FileId>,
    opened_count: u64,
    ending: Option<Ending>,
}

/// The end of the redex.
struct Ending {
    deadline: Monotonic,
    answers: Vec<Answer<()>>,
}

impl<S: Shelf> Keeper<S> {
    pub(crate) fn new(inbox: Inbox<Request>, shelf: S) -> Keeper<S> {
        Keeper { inbox, shelf, files: BTreeMap::new(), names: HashMap::new(), opened_count: 0, ending: None }
    }

    fn receive(&mut self, now: Monotonic) -> usize {
        if !self.inbox.open() {
            return 0;
        }
        for received in 0..ROUND_REQUESTS_MAX {
            match self.inbox.take() {
                Some(request) => self.answer(request, now),
                // A ring without mail is a store's, which is asked for outcomes below.
                None => return received + 1,
            }
        }
        self.inbox.keep_open();
        ROUND_REQUESTS_MAX
    }

    fn answer(&mut self, request: Request, now: Monotonic) {
        match request {
            Request::Open(opening) => self.open(opening),
            Request::Append { file, append } => match self.files.get_mut(&file) {
                Some(file) => file.append(append),
                None => append.appender.tell(Err(self.gone())),
            },
            Request::Read { file, wanted, answer } => {
                if let Some((file, answer)) = self.find(file, answer) {
                    file.read(wanted, answer, now);
                }
            }
            Request::Sync { file, answer } => {
                if let Some((file, answer)) = self.find(file, answer) {
                    file.sync(answer, now);
                }
            }
            Request::Count { file, answer } => {
                if let Some((file, answer)) = self.find(file, answer) {
                    let _ = answer.try_send(file.count());
                }
            }
            Request::Close { file, hold, answer } => {
                drop(hold);
                if let Some((file, answer)) = self.find(file, answer) {
                    if file.is_held() {
                        let _ = answer.try_send(Ok(()));
                    } else {
                        file.leave(now.after(CLOSE_WAIT), Some(answer));
                    }
                }
            }
            Request::End { answer } => {
                let deadline = now.after(CLOSE_WAIT);
                let ending = self.ending.get_or_insert(Ending { deadline, answers: Vec::new() });
                ending.answers.push(answer);
                let deadline = ending.deadline;
                for file in self.files.values_mut() {
                    file.leave(deadline, None);
                    for opening in file.reopening.drain(..) {
                        let _ = opening.answer.try_send(Err(RedexError::Ended));
                    }
                }
            }
        }
    }

    fn open(&mut self, opening: Opening) {
        let Opening { name, config, answer } = opening;
        let opened = match self.names.get(&name).copied() {
            _ if self.ending.is_some() => Err(RedexError::Ended),
            Some(id) => {
                let file = self.files.get_mut(&id).expect("a name leads to a file");
                let Some(hold) = file.share() else {
                    // It closes first.
                    file.reopening.push(Opening { name, config, answer });
                    return;
                };
                if file.config == config {
                    Ok(Opened { file: id, board: file.board.clone(), hold })
                } else {
                    Err(RedexError::Conflict)
                }
            }
            None if self.files.len() >= FILES_MAX => Err(RedexError::FilesExhausted),
            None => self.open_store(name, config),
        };
        // The handle of a caller that has gone goes with the answer.
        let _ = answer.try_send(opened);
    }

    fn open_store(&mut self, name: Name, config: FileConfig) -> Result<Opened, RedexError> {
        let store = self.shelf.open(&name, &config, self.inbox.notify())?;
        self.opened_count += 1;
        let id = FileId(self.opened_count);
        let hold = Arc::new(Hold(self.inbox.notify()));
        let file = OpenFile::new(name.clone(), config, store, &hold);
        let board = file.board.clone();
        self.names.insert(name, id);
        self.files.insert(id, file);
        Ok(Opened { file: id, board, hold })
    }

    fn find<T>(&mut self, id: FileId, answer: Answer<T>) -> Option<(&mut OpenFile, Answer<T>)> {
        if !self.files.contains_key(&id) {
            let _ = answer.try_send(Err(self.gone()));
        }
        self.files.get_mut(&id).map(|file| (file, answer))
    }

    /// Why a file is not there.
    fn gone(&self) -> RedexError {
        if self.ending.is_some() { RedexError::Ended } else { RedexError::Closed }
    }

    /// Forgets the files that are gone, and opens those anew that somebody waits for.
    fn forget(&mut self) {
        while let Some(id) = self.files.iter().find(|(_, file)| file.is_gone()).map(|(&id, _)| id) {
            let file = self.files.remove(&id).expect("it was found just now");
            self.names.remove(&file.name);
            for opening in file.let_go() {
                self.open(opening);
            }
        }
    }

    /// Whether the redex has come to its end, with everything stored or at its deadline.
    fn finish(&mut self, now: Monotonic) -> bool {
        let Some(ending) = &mut self.ending else { return false };
        let is_late = ending.deadline.after(END_GRACE) <= now;
        if !self.files.is_empty() && !is_late {
            return false;
        }
        let result = if self.files.is_empty() {
            Ok(())
        } else {
            let mut troubles = self.files.values().map(|file| file.board.trouble());
            Err(RedexError::Late(troubles.find(Trouble::is_known).unwrap_or_default()))
        };
        for answer in ending.answers.drain(..) {
            let _ = answer.try_send(result.clone());
        }
        true
    }
}

impl<S: Shelf> Duty for Keeper<S> {
    fn round(&mut self, now: Monotonic) -> Round {
        let received = self.receive(now);
        let notify = self.inbox.notify();
        let done: usize = self.files.values_mut().map(|file| file.round(now, &notify)).sum();
        self.forget();
        let work = received + done;
        Round { work, submitted: work > 0, finished: self.finish(now) }
    }

    fn has_work(&self) -> bool {
        self.inbox.has_mail()
    }

    fn due(&self) -> Option<Monotonic> {
        let files = self.files.values().filter_map(|file| file.due(Monotonic(0)));
        let ending = self.ending.as_ref().map(|ending| ending.deadline.after(END_GRACE));
        files.chain(ending).min()
    }

    fn is_outstanding(&self) -> bool {
        self.files.values().any(OpenFile::is_outstanding)
    }

    fn spin_budget(&self) -> Duration {
        if self.inbox.may_spin() { SPIN } else { Duration::ZERO }
    }

    fn rest(&mut self, _: Monotonic) {
        self.files.values_mut().for_each(OpenFile::rest);
    }

    /// The directory stays locked until every store has ended.
    fn end(mut self) -> Option<Closing> {
        let closings: Vec<Closing> = self.files.values_mut().filter_map(OpenFile::take_closing).collect();
        if closings.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            for closing in closings {
                closing.await;
            }
            drop(self);
        }))
    }
}

impl Shelf for Stores {
    fn open(
        &mut self,
        name: &Name,
        config: &FileConfig,
        notify: Notify,
    ) -> Result<Box<dyn Adapter>, AdapterError> {
        let kept = config.retention;
        if let Some((root, _)) = self.directory.as_ref().filter(|_| config.persistent) {
            let segment_bytes = kept.bytes.map_or(SEGMENT_BYTES_MAX, |bytes| {
                (bytes.get() / 8).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
            });
            let options = log::Options { segment_bytes, sync: config.sync, retention: kept };
            return log::open(&name.directory(root), options, notify);
        }
        let default = memory::Retention::default();
        let retention = memory::Retention {
            events: kept.events.and_then(|events| events.try_into().ok()).unwrap_or(default.events),
            bytes: kept.bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or(default.bytes),
        };
        Ok(memory::store(retention, kept.age))
    }
}

/// Requests that one round answers at most.
const ROUND_REQUESTS_MAX: usize = 256;
/// How long it looks for requests before it sleeps, where the process leaves it a CPU.
const SPIN: Duration = Duration::from_micros(50);
/// How much longer than its deadline the end of a redex waits for stores to let go.
const END_GRACE: Duration = Duration::from_millis(500);
/// Size of a log's segments, so that retention by bytes removes an eighth at a time.
const SEGMENT_BYTES_MAX: u64 = 4 << 20;
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
