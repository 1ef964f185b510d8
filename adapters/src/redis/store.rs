//! One shard's store: its connections, and what goes over which.
//!
//! Over one go transactions and reads; over the [listener](Listener)'s, what others append.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::adapter::{
    Adapter, AdapterError, AdapterState, Closing, Outcome, ReadRequest, Resident, ShardContext,
};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::counters::AdapterCounts;
use engine::event::{Sequence, ShardId};

use super::append::Counts;
use super::block::{self, RangeQuery};
use super::config::RedisConfig;
use super::connection::Connection;
use super::listener::Listener;
use super::reply::Reply;
use super::session::{Caller, Heard, Session};
use super::writer::{Asked, Writer, refusal};

/// The store of one shard.
pub(super) struct RedisStore {
    caller: Caller,
    main: Connection<Question>,
    writer: Writer,
    /// What was asked for while there was no connection, or a transaction being gathered on it.
    waiting: VecDeque<(u64, Wanted)>,
    /// Bytes of an entry, about.
    entry_bytes: usize,
    listener: Listener,
    news: VecDeque<Outcome>,
    /// Entries read that are no events.
    passed_over: u64,
    /// Connections before this one that may execute something yet, by their number at the server, and how many have none.
    suspects: Vec<i64>,
    nameless: u64,
    /// Whether none of them did, since the mark was known last.
    is_sure: bool,
    /// Old connections that the server did not let us kill.
    kills_denied: u64,
    /// Why the main connection ended last.
    error: Option<AdapterError>,
}

/// What a reply over the main connection answers.
#[derive(Clone)]
enum Question {
    Write(Asked),
    Read(u64, Arc<(ReadRequest, RangeQuery)>),
    End(u64, ShardId),
}

enum Wanted {
    Read(ReadRequest),
    End(ShardId),
}

impl RedisStore {
    pub(super) fn new(config: Arc<RedisConfig>, streams: u16, context: ShardContext) -> RedisStore {
        let key = config.stream_key(context.shard.0 % streams);
        let writer = Writer::new(&config, key, context.shard.0, context.nonce, context.is_new);
        let name = format!("net-{}", context.shard);
        RedisStore {
            caller: Caller { config, name, streams, notify: context.notify },
            main: Connection::new(),
            writer,
            waiting: VecDeque::new(),
            entry_bytes: ENTRY_BYTES_FIRST,
            listener: Listener::new(),
            news: VecDeque::new(),
            passed_over: 0,
            suspects: Vec::new(),
            nameless: 0,
            is_sure: true,
            kills_denied: 0,
            error: None,
        }
    }

    /// Moves on whatever can be.
    fn step(&mut self, now: Monotonic) {
        self.step_main(now);
        self.listener.step(&self.caller, &mut self.news, now);
    }

    fn step_main(&mut self, now: Monotonic) {
        self.main.step(&self.caller, &self.suspects, now);
        while let Some(heard) = self.main.session.as_mut().and_then(Session::hear) {
            match heard {
                Heard::Open => {
                    self.main.is_let_in();
                    self.count_suspects();
                    if let Some(session) = &mut self.main.session {
                        self.writer.seek(session);
                    }
                }
                Heard::Reply(question, reply) => self.hear(question, &reply, now),
                Heard::Ended { reason, is_final } => self.lose_main(&reason, is_final, now),
            }
        }
        if self.main.is_open() && !self.writer.append.is_gathering() {
            self.ask_what_waits();
        }
        if let Some(session) = self.main.open_session() {
            if self.writer.say(session, &mut self.news) {
                self.caller.notify.ring();
            }
            session.flush();
        }
    }

    /// A session has begun, and has said which of those before it execute nothing any more.
    fn count_suspects(&mut self) {
        let not_killed = self.main.session.as_ref().map_or(0, Session::not_killed) + self.nameless;
        self.is_sure &= not_killed == 0;
        self.kills_denied += not_killed;
        self.nameless = 0;
        self.suspects.clear();
    }

    fn hear(&mut self, question: Question, reply: &Reply, now: Monotonic) {
        match question {
            Question::Write(asked) => {
                let Some(session) = &mut self.main.session else { return };
                match self.writer.hear(asked, reply, session, self.is_sure) {
                    Ok(is_stored) => {
                        if is_stored {
                            self.main.is_of_use();
                        }
                        self.is_sure |= self.writer.append.is_marked();
                    }
                    Err(reason) => self.lose_main(&reason, false, now),
                }
            }
            Question::Read(ticket, asked) => {
                let (request, query) = &*asked;
                let result = block::block(reply, request, query).ok_or_else(|| refusal(reply));
                if let Ok(block) = &result {
                    self.main.is_of_use();
                    self.passed_over += block.passed_over;
                    self.entry_bytes = block::entry_bytes(reply, block).unwrap_or(self.entry_bytes);
                }
                self.news.push_back(Outcome::Read { ticket, result });
            }
            Question::End(ticket, stream) => {
                let last = block::last_position(reply).ok_or_else(|| refusal(reply));
                let result = last.map(|last| last.advanced_by(1));
                self.news.push_back(Outcome::End { ticket: Some(ticket), stream, result });
            }
        }
    }

    /// The main connection is over, and whoever waits for the next one is told.
    fn lose_main(&mut self, reason: &str, is_final: bool, now: Monotonic) {
        self.end_main(reason, is_final, now);
        for (ticket, wanted) in self.waiting.drain(..) {
            self.news.push_back(wanted.fails(ticket, reason));
        }
    }

    /// Ends the main connection, and tells readers that it answers them no more. The next one kills it at the server before it
    /// looks how far the stream has got.
    fn end_main(&mut self, reason: &str, is_final: bool, now: Monotonic) {
        let Some(session) = &mut self.main.session else { return };
        for question in session.unanswered() {
            let (ticket, wanted) = match question {
                Question::Read(ticket, asked) => (ticket, Wanted::Read(asked.0)),
                Question::End(ticket, stream) => (ticket, Wanted::End(stream)),
                Question::Write(_) => continue,
            };
            self.news.push_back(wanted.fails(ticket, reason));
        }
        if self.writer.append.lose_connection() {
            match session.client_id() {
                Some(id) => self.suspects.push(id),
                None => self.nameless += 1,
            }
        }
        let error = if is_final { AdapterError::Final } else { AdapterError::Transient };
        self.error = Some(error(reason.to_owned()));
        self.main.fail(now, is_final);
    }

    fn ask_what_waits(&mut self) {
        for (ticket, wanted) in std::mem::take(&mut self.waiting) {
            self.ask(ticket, wanted);
        }
    }

    fn ask(&mut self, ticket: u64, wanted: Wanted) {
        // What is asked while the server gathers a transaction would become part of it.
        let session = self.main.open_session().filter(|_| !self.writer.append.is_gathering());
        let Some(session) = session else {
            self.waiting.push_back((ticket, wanted));
            if self.waiting.len() > WAITING_MAX
                && let Some((ticket, wanted)) = self.waiting.pop_front()
            {
                self.news.push_back(wanted.fails(ticket, "too many wait for a connection"));
            }
            return;
        };
        if session.question_count() >= WAITING_MAX {
            self.news.push_back(wanted.fails(ticket, "too many wait for an answer"));
            return;
        }
        match wanted {
            Wanted::Read(request) => {
                let query = RangeQuery::new(&request, self.entry_bytes);
                let asked = Arc::new((request, query));
                let key = self.caller.config.stream_key(request.stream.0);
                session.ask(Question::Read(ticket, Arc::clone(&asked)), |command| {
                    command
                        .arg("XRANGE")
                        .arg(key)
                        .arg(&asked.1.from)
                        .arg("+")
                        .arg("COUNT")
                        .arg(asked.1.count);
                });
            }
            Wanted::End(stream) => {
                let key = self.caller.config.stream_key(stream.0);
                session.ask(Question::End(ticket, stream), |command| {
                    command.arg("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(1);
                });
            }
        }
    }
}

impl Adapter for RedisStore {
    fn resume(&self) -> Sequence {
        self.writer.append.resume()
    }

    fn ready(&self) -> bool {
        self.writer.append.is_ready() && self.main.is_open()
    }

    fn submit(&mut self, batch: Batch, now: Monotonic) {
        self.writer.append.submit(batch);
        self.step_main(now);
    }

    #[inline]
    fn outcome(&mut self, now: Monotonic) -> Option<Outcome> {
        if self.news.is_empty() {
            self.step(now);
        }
        self.news.pop_front()
    }

    fn cancel(&mut self, now: Monotonic) -> Option<Batch> {
        if !self.writer.append.is_busy() {
            return None;
        }
        self.end_main("no answer in time", false, now);
        self.writer.append.cancel()
    }

    fn read(&mut self, ticket: u64, request: ReadRequest, _: Monotonic) {
        self.ask(ticket, Wanted::Read(request));
    }

    fn resident(&self, stream: ShardId, after: Option<Sequence>) -> Resident<'_> {
        self.listener.resident(stream, after)
    }

    fn follow(&mut self, stream: ShardId, wanted: bool, _: Monotonic) {
        self.listener.follow(stream, wanted);
    }

    fn find_end(&mut self, ticket: u64, stream: ShardId, _: Monotonic) {
        self.ask(ticket, Wanted::End(stream));
    }

    fn sync(&mut self, ticket: u64, _: Monotonic) {
        // A server that has answered has stored as durably as it is configured to.
        self.news.push_back(Outcome::Synced { ticket, result: Ok(()) });
    }

    fn due(&self) -> Option<Monotonic> {
        self.main.due().into_iter().chain(self.listener.due()).min()
    }

    fn outstanding(&self) -> bool {
        self.main.is_outstanding() || self.listener.is_outstanding()
    }

    fn counts(&self) -> AdapterCounts {
        let Counts { lost_by_server, maybe_twice, refused_for_memory } = self.writer.append.counts;
        let passed_over = self.passed_over + self.listener.passed_over();
        let reconnects = self.main.losses() + self.listener.losses();
        [lost_by_server, maybe_twice, refused_for_memory, passed_over, self.kills_denied, reconnects]
    }

    fn state(&self) -> AdapterState {
        if self.main.is_refused() {
            AdapterState::Down
        } else if self.main.is_open() && self.writer.append.is_marked() {
            AdapterState::Up
        } else {
            AdapterState::Connecting
        }
    }

    fn take_error(&mut self) -> Option<AdapterError> {
        self.error.take()
    }

    fn close(&mut self) -> Option<Closing> {
        let (main, listener) = (self.main.close(), self.listener.close());
        Some(Box::pin(async move {
            for link in main.into_iter().chain(listener) {
                link.end().await;
            }
        }))
    }
}

impl Wanted {
    /// The outcome of what was wanted in vain.
    fn fails(self, ticket: u64, reason: &str) -> Outcome {
        let error = AdapterError::Transient(reason.to_owned());
        match self {
            Wanted::Read(_) => Outcome::Read { ticket, result: Err(error) },
            Wanted::End(stream) => Outcome::End { ticket: Some(ticket), stream, result: Err(error) },
        }
    }
}

impl From<Asked> for Question {
    fn from(asked: Asked) -> Question {
        Question::Write(asked)
    }
}

/// What an entry is thought to have before the first was read.
const ENTRY_BYTES_FIRST: usize = 256;
/// Questions that wait for a connection, or for an answer, at most.
const WAITING_MAX: usize = 1_024;

#[cfg(test)]
mod tests;
