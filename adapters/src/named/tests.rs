//! The keeper without its thread: a scripted store or the memory store, requests that the test posts, and rounds at times
//! that it chooses.

mod files;
mod scripted;
mod threads;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use engine::adapter::{Adapter, AdapterError, Closing, Notify, Outcome, ReadBlock, ReadRequest};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::duty::{Duty, Round};
use engine::event::Sequence;
use engine::worker::{Mailbox, mailbox};

use super::board::Board;
use super::config::FileConfig;
use super::error::{RedexError, Trouble};
use super::keeper::{Keeper, Shelf};
use super::name::Name;
use super::redex::{Line, NamedFile};
use super::request::{Append, Appender, FileId, Found, Hold, Opened, Opening, Request, Wanted};
use crate::memory;

/// What the scripted store was asked, and what it shall answer.
#[derive(Default)]
struct Script {
    unready: bool,
    in_flight: Option<Batch>,
    /// First sequence and payloads of every submission.
    submitted: Vec<(u64, Vec<Vec<u8>>)>,
    cancelled: usize,
    reads: Vec<(u64, ReadRequest)>,
    syncs: Vec<u64>,
    news: VecDeque<Outcome>,
    resume: Sequence,
    /// Its end comes when this is 0; each look takes one away.
    closing_looks: Option<usize>,
    closed: bool,
    /// What it says that it could not do.
    error: Option<AdapterError>,
}

struct Scripted(Rc<RefCell<Script>>);

impl Adapter for Scripted {
    fn resume(&self) -> Sequence {
        self.0.borrow().resume
    }
    fn ready(&self) -> bool {
        !self.0.borrow().unready
    }
    fn submit(&mut self, batch: Batch, _: Monotonic) {
        let mut script = self.0.borrow_mut();
        assert!(script.in_flight.is_none(), "one batch is in flight at most");
        let payloads = batch.events().map(|event| event.payload.to_vec()).collect();
        script.submitted.push((batch.first().0, payloads));
        script.in_flight = Some(batch);
    }
    fn outcome(&mut self, _: Monotonic) -> Option<Outcome> {
        self.0.borrow_mut().news.pop_front()
    }
    fn cancel(&mut self, _: Monotonic) -> Option<Batch> {
        let mut script = self.0.borrow_mut();
        script.cancelled += 1;
        script.in_flight.take()
    }
    fn read(&mut self, ticket: u64, request: ReadRequest, _: Monotonic) {
        self.0.borrow_mut().reads.push((ticket, request));
    }
    fn sync(&mut self, ticket: u64, _: Monotonic) {
        self.0.borrow_mut().syncs.push(ticket);
    }
    fn take_error(&mut self) -> Option<AdapterError> {
        self.0.borrow_mut().error.take()
    }
    fn close(&mut self) -> Option<Closing> {
        self.0.borrow_mut().closed = true;
        self.0.borrow().closing_looks?;
        let script = Rc::clone(&self.0);
        Some(Box::pin(std::future::poll_fn(move |_| {
            match script.borrow_mut().closing_looks.as_mut().expect("it was there at the start") {
                0 => std::task::Poll::Ready(()),
                looks => {
                    *looks -= 1;
                    std::task::Poll::Pending
                }
            }
        })))
    }
}

/// Gives out the scripted store, or memory stores.
struct TestShelf {
    script: Option<Rc<RefCell<Script>>>,
    opened: Rc<RefCell<Vec<String>>>,
    refuses: Rc<RefCell<Option<AdapterError>>>,
}

impl Shelf for TestShelf {
    fn open(&mut self, name: &Name, _: &FileConfig, _: Notify) -> Result<Box<dyn Adapter>, AdapterError> {
        if let Some(error) = self.refuses.borrow_mut().take() {
            return Err(error);
        }
        self.opened.borrow_mut().push(name.to_string());
        match &self.script {
            Some(script) => {
                assert_eq!(Rc::strong_count(script), 2, "the store before it is gone");
                Ok(Box::new(Scripted(Rc::clone(script))))
            }
            None => Ok(memory::store(memory::Retention::default(), None)),
        }
    }
}

type Answered<T> = Receiver<Result<T, RedexError>>;

struct Stage {
    mailbox: Mailbox<Request>,
    keeper: Keeper<TestShelf>,
    script: Rc<RefCell<Script>>,
    /// Names of the stores that were opened.
    opened: Rc<RefCell<Vec<String>>>,
    refuses: Rc<RefCell<Option<AdapterError>>>,
    now: Monotonic,
}

impl Stage {
    fn scripted() -> Stage {
        Stage::of(true)
    }

    fn in_memory() -> Stage {
        Stage::of(false)
    }

    fn of(is_scripted: bool) -> Stage {
        let (mailbox, inbox) = mailbox(1024);
        let script = Rc::new(RefCell::new(Script { resume: Sequence(1), ..Script::default() }));
        let (opened, refuses) = (Rc::default(), Rc::default());
        let shelf = TestShelf {
            script: is_scripted.then(|| Rc::clone(&script)),
            opened: Rc::clone(&opened),
            refuses: Rc::clone(&refuses),
        };
        let now = Monotonic(1_000_000_000);
        Stage { mailbox, keeper: Keeper::new(inbox, shelf), script, opened, refuses, now }
    }

    /// Rounds until there is nothing to do.
    fn settle(&mut self) -> Round {
        loop {
            let round = self.keeper.round(self.now);
            if round.work == 0 || round.finished {
                return round;
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.settle();
    }

    fn post<T>(&mut self, request: impl FnOnce(crossbeam_channel::Sender<T>) -> Request) -> Receiver<T> {
        let (answer, answers) = bounded(1);
        assert!(self.mailbox.post(request(answer)).is_ok(), "there is room");
        answers
    }

    fn try_open(&mut self, name: &str, config: &str) -> Answered<Opened> {
        let name = Name::parse(name).expect("a name");
        let config = FileConfig::parse(config, true).expect("a configuration");
        let opened = self.post(|answer| Request::Open(Opening { name, config, answer }));
        self.settle();
        opened
    }

    fn open(&mut self, name: &str) -> Opened {
        self.try_open(name, "").try_recv().expect("answered").expect("opened")
    }

    /// Posts an append, without a round.
    fn append(&mut self, file: &Opened, payload: &[u8]) -> Answered<Sequence> {
        self.append_to(file.file, &file.board, payload)
    }

    fn append_to(&mut self, file: FileId, board: &Arc<Board>, payload: &[u8]) -> Answered<Sequence> {
        let room = board.take_room(payload.len(), Duration::ZERO, || false).expect("there is room");
        let payload = payload.into();
        self.post(|answer| {
            let append = Append { payload, timestamp_ns: 7, appender: Appender { answer, room } };
            Request::Append { file, append }
        })
    }

    fn read(&mut self, file: FileId, after: Option<u64>) -> Answered<Found> {
        let wanted = Wanted { after: after.map(Sequence), events_max: 100, bytes_max: usize::MAX };
        let found = self.post(|answer| Request::Read { file, wanted, answer });
        self.settle();
        found
    }

    fn close(&mut self, file: FileId, hold: Arc<Hold>) -> Answered<()> {
        let closed = self.post(|answer| Request::Close { file, hold, answer });
        self.settle();
        closed
    }

    /// Posts an append, and has it submitted where nothing is in flight.
    fn submit(&mut self, file: &Opened, payload: &[u8]) -> Answered<Sequence> {
        let answer = self.append(file, payload);
        self.settle();
        answer
    }

    /// A handle as its callers have it, which nobody answers within a millisecond.
    fn handle(&self, opened: Opened) -> NamedFile {
        NamedFile::new(Line::new(self.mailbox.clone(), Duration::from_millis(1)), opened)
    }

    /// The store acknowledges the batch in flight.
    fn store(&mut self) {
        let batch = self.in_flight();
        self.hear(Outcome::Stored { first: batch.first(), spent: Some(batch) });
    }

    /// The store refuses the batch in flight, but for `stored` events at its front.
    fn refuse(&mut self, stored: usize, error: AdapterError) {
        let mut batch = self.in_flight();
        batch.evict(stored);
        self.hear(Outcome::Refused { batch, error });
    }

    fn in_flight(&self) -> Batch {
        self.script.borrow_mut().in_flight.take().expect("a batch is in flight")
    }

    /// The store answers the last read.
    fn find(&mut self, result: Result<ReadBlock, AdapterError>) {
        let ticket = self.script.borrow().reads.last().expect("it was asked to read").0;
        self.hear(Outcome::Read { ticket, result });
    }

    /// The store answers the last sync.
    fn sync(&mut self, result: Result<(), AdapterError>) {
        let ticket = *self.script.borrow().syncs.last().expect("it was asked to sync");
        self.hear(Outcome::Synced { ticket, result });
    }

    fn hear(&mut self, news: Outcome) {
        self.script.borrow_mut().news.push_back(news);
        self.settle();
    }

    /// The store says what it could not do.
    fn complain(&mut self, what: &str) {
        self.script.borrow_mut().error = Some(AdapterError::Transient(what.to_owned()));
        self.settle();
    }

    fn submitted(&self) -> Vec<(u64, Vec<Vec<u8>>)> {
        self.script.borrow().submitted.clone()
    }
}

fn stored_as(answers: &Answered<Sequence>) -> Option<u64> {
    answers.try_recv().ok().map(|answer| answer.expect("stored").0)
}

fn refused_with<T>(answers: &Answered<T>) -> RedexError {
    match answers.try_recv().expect("answered") {
        Ok(_) => panic!("it was done"),
        Err(error) => error,
    }
}

fn transient() -> AdapterError {
    AdapterError::Transient("on purpose".to_owned())
}

/// Nothing came in time, and the store has said nothing.
fn late() -> RedexError {
    RedexError::Late(Trouble::default())
}

fn is_over(board: &Arc<Board>) -> bool {
    board.take_room(0, Duration::ZERO, || false).is_err()
}
