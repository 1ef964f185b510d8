//! An open file: its store, what is asked of it, and how it is closed.
//!
//! It is closed when its last handle is, or is gone: what was appended is stored, the store syncs, ends what it has under way
//! with the kernel, and goes. What does not come to an end by the deadline is given up.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use engine::adapter::{Adapter, AdapterError, Closing, Notify, Outcome, ReadRequest};
use engine::clock::Monotonic;
use engine::event::{Sequence, ShardId};

use super::appends::Appends;
use super::board::Board;
use super::config::FileConfig;
use super::error::{RedexError, Trouble};
use super::name::Name;
use super::request::{Answer, Append, Found, Hold, Opening, Wanted};

/// One file with at least one handle, or on its way out.
pub(crate) struct OpenFile {
    pub(crate) name: Name,
    pub(crate) config: FileConfig,
    pub(crate) board: Arc<Board>,
    /// What its handles share.
    hold: Weak<Hold>,
    /// Who wants to open it while it closes.
    pub(crate) reopening: Vec<Opening>,
    store: Box<dyn Adapter>,
    appends: Appends,
    asked: HashMap<u64, Asked>,
    next_ticket: u64,
    leaving: Option<Leaving>,
}

/// What the store owes an answer to.
enum Asked {
    Read(Answer<Found>),
    Sync(Answer<()>),
    /// The sync before the end.
    LastSync,
}

/// A file that is being closed.
struct Leaving {
    deadline: Monotonic,
    answers: Vec<Answer<()>>,
    stage: Stage,
}

enum Stage {
    /// What was appended is being stored.
    Draining,
    Syncing,
    /// The store ends what it has under way.
    Ending(Result<(), RedexError>, Option<Closing>),
    /// Nothing is left to do but to let go of the store.
    Gone(Result<(), RedexError>),
}

impl OpenFile {
    pub(crate) fn new(name: Name, config: FileConfig, store: Box<dyn Adapter>, hold: &Arc<Hold>) -> OpenFile {
        let next = store.resume();
        let board = Arc::new(Board::new(next));
        OpenFile {
            name,
            config,
            appends: Appends::new(next, Arc::clone(&board)),
            board,
            hold: Arc::downgrade(hold),
            reopening: Vec::new(),
            store,
            asked: HashMap::new(),
            next_ticket: 0,
            leaving: None,
        }
    }

    /// One round. How many things were done.
    pub(crate) fn round(&mut self, now: Monotonic, notify: &Notify) -> usize {
        if self.leaving.is_none() && !self.is_held() {
            self.leave(now.after(CLOSE_WAIT), None);
        }
        if self.has_ended() {
            return usize::from(self.leave_on(now, notify));
        }
        let submitted = self.appends.submit(&mut *self.store, now);
        let heard = self.hear(now);
        if let Some(said) = self.store.take_error() {
            self.board.note(Trouble::of(&self.name, &said));
        }
        let timed_out = self.appends.time_out(&mut *self.store, now);
        let left = self.leaving.is_some() && self.leave_on(now, notify);
        heard + usize::from(submitted) + usize::from(timed_out) + usize::from(left)
    }

    /// Takes an event to be stored.
    pub(crate) fn append(&mut self, append: Append) {
        if self.leaving.is_some() {
            append.appender.tell(Err(RedexError::Closed));
        } else {
            self.appends.push(append);
        }
    }

    /// Starts a read.
    pub(crate) fn read(&mut self, wanted: Wanted, answer: Answer<Found>, now: Monotonic) {
        let Some((ticket, answer)) = self.ask(answer) else { return };
        self.asked.insert(ticket, Asked::Read(answer));
        let Wanted { after, events_max, bytes_max } = wanted;
        self.store.read(ticket, ReadRequest { stream: ShardId(0), after, events_max, bytes_max }, now);
    }

    /// Starts a sync of what is stored.
    pub(crate) fn sync(&mut self, answer: Answer<()>, now: Monotonic) {
        let Some((ticket, answer)) = self.ask(answer) else { return };
        self.asked.insert(ticket, Asked::Sync(answer));
        self.store.sync(ticket, now);
    }

    /// How many events it holds.
    pub(crate) fn count(&self) -> Result<u64, RedexError> {
        if self.has_ended() {
            return Err(RedexError::Closed);
        }
        let unknown = || AdapterError::Final("it does not know how many events it holds".to_owned());
        Ok(self.store.held_events().ok_or_else(unknown)?)
    }

    /// Begins to close it, if that has not begun; `answer` hears how its last sync went.
    pub(crate) fn leave(&mut self, deadline: Monotonic, answer: Option<Answer<()>>) {
        self.board.close();
        let leaving =
            self.leaving.get_or_insert(Leaving { deadline, answers: Vec::new(), stage: Stage::Draining });
        leaving.answers.extend(answer);
    }

    /// Whether a handle is left. None comes again once there is none.
    pub(crate) fn is_held(&self) -> bool {
        self.hold.strong_count() > 0
    }

    /// One handle more, if one is left.
    pub(crate) fn share(&self) -> Option<Arc<Hold>> {
        self.hold.upgrade()
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.leaving, Some(Leaving { stage: Stage::Gone(_), .. }))
    }

    /// Lets go of a file that is gone, of its store and so of its directory, and then tells who has closed it. Who wants to open
    /// it again is given back.
    pub(crate) fn let_go(mut self) -> Vec<Opening> {
        let (leaving, reopening) = (self.leaving.take(), mem::take(&mut self.reopening));
        drop(self);
        if let Some(Leaving { answers, stage: Stage::Gone(synced), .. }) = leaving {
            for answer in answers {
                let _ = answer.try_send(synced.clone());
            }
        }
        reopening
    }

    /// What its store has still under way with the kernel.
    pub(crate) fn take_closing(&mut self) -> Option<Closing> {
        match &mut self.leaving {
            Some(Leaving { stage: Stage::Ending(_, closing), .. }) => closing.take(),
            _ => None,
        }
    }

    /// When a round is due although nobody rings.
    pub(crate) fn due(&self, now: Monotonic) -> Option<Monotonic> {
        if self.has_ended() {
            return None;
        }
        let deadline = self.leaving.as_ref().map(|leaving| leaving.deadline);
        [self.store.due(), self.appends.due(&*self.store, now), deadline].into_iter().flatten().min()
    }

    /// Whether the kernel owes its store something.
    pub(crate) fn is_outstanding(&self) -> bool {
        match &self.leaving {
            Some(Leaving { stage: Stage::Ending(_, closing), .. }) => closing.is_some(),
            Some(Leaving { stage: Stage::Gone(_), .. }) => false,
            _ => self.store.outstanding(),
        }
    }

    /// Its worker is about to sleep.
    pub(crate) fn rest(&mut self) {
        if !self.has_ended() {
            self.store.rest();
        }
    }

    /// Whether nothing is asked of the store any more.
    fn has_ended(&self) -> bool {
        matches!(self.leaving, Some(Leaving { stage: Stage::Ending(..) | Stage::Gone(_), .. }))
    }

    /// A ticket for what is to be asked of the store; where it may not be asked, the answer says why.
    fn ask<T>(&mut self, answer: Answer<T>) -> Option<(u64, Answer<T>)> {
        let refused = match &self.leaving {
            Some(_) => RedexError::Closed,
            None if self.asked.len() >= ASKED_MAX => RedexError::Busy(self.board.trouble()),
            None => {
                self.next_ticket += 1;
                return Some((self.next_ticket, answer));
            }
        };
        let _ = answer.try_send(Err(refused));
        None
    }

    /// Hears all news from the store.
    fn hear(&mut self, now: Monotonic) -> usize {
        let mut heard = 0;
        while let Some(outcome) = self.store.outcome(now) {
            heard += 1;
            match outcome {
                Outcome::Stored { first, spent } => self.appends.stored(first, spent),
                Outcome::Refused { batch, error } => self.appends.refused(batch, error, now),
                Outcome::Read { ticket, result } => {
                    if let Some(Asked::Read(answer)) = self.asked.remove(&ticket) {
                        let end: Sequence = self.appends.end();
                        let found = result.map(|block| Found { block, end }).map_err(RedexError::Store);
                        let _ = answer.try_send(found);
                    }
                }
                Outcome::Synced { ticket, result } => self.synced(ticket, result.map_err(RedexError::Store)),
                Outcome::End { .. } => {}
            }
        }
        heard
    }

    fn synced(&mut self, ticket: u64, result: Result<(), RedexError>) {
        match self.asked.remove(&ticket) {
            Some(Asked::Sync(answer)) => drop(answer.try_send(result)),
            Some(Asked::LastSync) => self.end_store(result),
            _ => {}
        }
    }

    /// Goes on closing. Whether something was done.
    fn leave_on(&mut self, now: Monotonic, notify: &Notify) -> bool {
        let Some(leaving) = &mut self.leaving else { return false };
        let is_late = leaving.deadline <= now;
        match &mut leaving.stage {
            Stage::Draining if self.appends.is_empty() => {
                leaving.stage = Stage::Syncing;
                self.next_ticket += 1;
                self.asked.insert(self.next_ticket, Asked::LastSync);
                self.store.sync(self.next_ticket, now);
                true
            }
            Stage::Draining | Stage::Syncing if is_late => {
                self.appends.give_up(&mut *self.store, &RedexError::Closed, now);
                self.end_store(Err(RedexError::Late(self.board.trouble())));
                true
            }
            Stage::Ending(synced, closing) => {
                let waker = Waker::from(Arc::new(Ring(notify.clone())));
                let ended = closing
                    .as_mut()
                    .is_none_or(|closing| closing.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
                if ended {
                    leaving.stage = Stage::Gone(synced.clone());
                }
                ended
            }
            Stage::Draining | Stage::Syncing | Stage::Gone(_) => false,
        }
    }

    /// Nothing is asked of the store any more; who waits for it waits in vain.
    fn end_store(&mut self, synced: Result<(), RedexError>) {
        for (_, asked) in self.asked.drain() {
            match asked {
                Asked::Read(answer) => drop(answer.try_send(Err(RedexError::Closed))),
                Asked::Sync(answer) => drop(answer.try_send(Err(RedexError::Closed))),
                Asked::LastSync => {}
            }
        }
        let closing = self.store.close();
        if let Some(leaving) = &mut self.leaving {
            leaving.stage = Stage::Ending(synced, closing);
        }
    }
}

/// However it goes, those that wait for it hear of it.
impl Drop for OpenFile {
    fn drop(&mut self) {
        self.board.close();
    }
}

/// Wakes the worker when the end of a store goes on.
struct Ring(Notify);

impl Wake for Ring {
    fn wake(self: Arc<Ring>) {
        self.0.ring();
    }
}

/// How long the end of a file may take to store what is left and to sync.
pub(crate) const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// Reads and syncs of one file under way at most.
const ASKED_MAX: usize = 1024;
