//! One shard's store: its connections, and what goes over which.
//!
//! Over one go transactions and reads; over the [listener](Listener)'s, what others append.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;

use engine::adapter::{
    Adapter, AdapterError, AdapterState, Closing, Outcome, ReadRequest, Resident, ShardContext,
};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::counters::AdapterCounts;
use engine::event::{Sequence, ShardId};
use redis::Value;

use super::append::{Append, Counts, Settled};
use super::block::{self, RangeQuery};
use super::command;
use super::config::RedisConfig;
use super::connection::Connection;
use super::entry;
use super::listener::Listener;
use super::session::{Caller, Heard, Session};

/// The store of one shard.
pub(super) struct RedisStore {
    caller: Caller,
    /// Key of the stream that the shard appends to, and the command that does.
    key: String,
    command: command::Append,
    main: Connection<Question>,
    append: Append,
    /// What was asked for while there was no connection.
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
}

/// What a reply over the main connection answers.
#[derive(Clone)]
enum Question {
    /// `MULTI`, or an event that is to be in the transaction.
    Gathered,
    /// The transaction, or the one event that it is.
    Stored,
    /// The stream's end, for the mark.
    Mark,
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
        let append = Append::new(context.nonce, context.shard.0, context.is_new);
        let max_len = config.max_stream_len.map(NonZeroU64::get);
        let command = command::Append::new(&key, max_len, context.nonce, context.shard.0);
        let name = format!("net-{}", context.shard);
        RedisStore {
            caller: Caller { config, name, streams, notify: context.notify },
            key,
            command,
            main: Connection::new(),
            append,
            waiting: VecDeque::new(),
            entry_bytes: ENTRY_BYTES_FIRST,
            listener: Listener::new(),
            news: VecDeque::new(),
            passed_over: 0,
            suspects: Vec::new(),
            nameless: 0,
            is_sure: true,
            kills_denied: 0,
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
                    self.seek_mark();
                    self.ask_what_waits();
                }
                Heard::Reply(question, value) => self.hear(question, &value, now),
                Heard::Ended { reason, is_final } => self.lose_main(&reason, is_final, now),
            }
        }
        self.send_next();
        if let Some(session) = &mut self.main.session {
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

    fn hear(&mut self, question: Question, value: &Value, now: Monotonic) {
        match question {
            Question::Gathered => self.append.hear_queued(value),
            Question::Stored => match self.append.hear_stored(value) {
                Settled::GoesOn => self.main.is_of_use(),
                Settled::Stored(batch) => {
                    self.main.is_of_use();
                    self.news.push_back(Outcome::Stored { first: batch.first(), spent: Some(batch) });
                }
                Settled::Refused(batch, error) => self.news.push_back(Outcome::Refused { batch, error }),
                Settled::Broken => {
                    self.lose_main("the server's answer to a transaction makes no sense", false, now);
                }
            },
            Question::Mark => match self.append.hear_end(value, self.is_sure) {
                Some(before) => self.ask_mark(Some(before)),
                None if self.append.is_marked() => self.is_sure = true,
                None => self.lose_main(&refusal(value).to_string(), false, now),
            },
            Question::Read(ticket, asked) => {
                let (request, query) = &*asked;
                let result = block::block(value, request, query).ok_or_else(|| refusal(value));
                if let Ok(block) = &result {
                    self.main.is_of_use();
                    self.passed_over += block.passed_over;
                    let bytes = block.batch.record_bytes().checked_div(block.batch.len());
                    self.entry_bytes = bytes.unwrap_or(self.entry_bytes);
                }
                self.news.push_back(Outcome::Read { ticket, result });
            }
            Question::End(ticket, stream) => {
                let last = block::last_position(value).ok_or_else(|| refusal(value));
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
                Question::Gathered | Question::Stored | Question::Mark => continue,
            };
            self.news.push_back(wanted.fails(ticket, reason));
        }
        if self.append.lose_connection() {
            match session.client_id() {
                Some(id) => self.suspects.push(id),
                None => self.nameless += 1,
            }
        }
        self.main.fail(now, is_final);
    }

    /// Looks how far the stream has got, if that is not known.
    fn seek_mark(&mut self) {
        if self.append.seeks() {
            self.ask_mark(None);
        }
    }

    fn ask_mark(&mut self, before: Option<Sequence>) {
        let Some(session) = &mut self.main.session else { return };
        // The newest is this shard's, unless somebody else writes too.
        let (end, count) = match before {
            None => ("+".to_owned(), 1),
            Some(before) => (format!("({}", entry::id(before)), MARK_ENTRIES),
        };
        session.ask(Question::Mark, |command| {
            command.arg("XREVRANGE").arg(&self.key).arg(end).arg("-").arg("COUNT").arg(count);
        });
    }

    fn ask_what_waits(&mut self) {
        for (ticket, wanted) in std::mem::take(&mut self.waiting) {
            self.ask(ticket, wanted);
        }
    }

    fn ask(&mut self, ticket: u64, wanted: Wanted) {
        let Some(session) = self.main.open_session() else {
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

    /// Sends the next transaction, if one is due.
    fn send_next(&mut self) {
        let Some(session) = self.main.open_session() else { return };
        let transaction = match self.append.next(self.caller.config.pipeline_size) {
            Ok(None) => return,
            Ok(Some(transaction)) => transaction,
            Err(batch) => {
                self.news.push_back(Outcome::Stored { first: batch.first(), spent: Some(batch) });
                return;
            }
        };
        let is_alone = transaction.count == 1;
        if !is_alone {
            session.say(|command| {
                command.arg("MULTI");
            });
        }
        self.command.begin(transaction.batch.sequence(transaction.index).0);
        for index in 0..transaction.count {
            let event = transaction.batch.event(transaction.index + index);
            self.command.write(session.outgoing(), &event, index);
        }
        if !is_alone {
            session.say(|command| {
                command.arg("EXEC");
            });
            session.expect(Question::Gathered, transaction.count + 1);
        }
        session.expect(Question::Stored, 1);
    }
}

impl Adapter for RedisStore {
    fn resume(&self) -> Sequence {
        self.append.resume()
    }

    fn ready(&self) -> bool {
        self.append.is_ready() && self.main.is_open()
    }

    fn submit(&mut self, batch: Batch, now: Monotonic) {
        self.append.submit(batch);
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
        if !self.append.is_busy() {
            return None;
        }
        self.end_main("no answer in time", false, now);
        self.append.cancel()
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
        let Counts { lost_by_server, maybe_twice, refused_for_memory } = self.append.counts;
        let passed_over = self.passed_over + self.listener.passed_over();
        let reconnects = self.main.losses() + self.listener.losses();
        [lost_by_server, maybe_twice, refused_for_memory, passed_over, self.kills_denied, reconnects]
    }

    fn state(&self) -> AdapterState {
        if self.main.is_refused() {
            AdapterState::Down
        } else if self.main.is_open() && self.append.is_marked() {
            AdapterState::Up
        } else {
            AdapterState::Connecting
        }
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

/// What a server says instead of entries.
fn refusal(value: &Value) -> AdapterError {
    match value {
        Value::ServerError(error) => {
            AdapterError::Transient(format!("{} {}", error.code(), error.details().unwrap_or_default()))
        }
        _ => AdapterError::Transient("the server's answer makes no sense".to_owned()),
    }
}

/// Entries read at once in search of the newest of this shard.
const MARK_ENTRIES: usize = 100;
/// What an entry is thought to have before the first was read.
const ENTRY_BYTES_FIRST: usize = 256;
/// Questions that wait for a connection, or for an answer, at most.
const WAITING_MAX: usize = 1_024;

#[cfg(test)]
mod tests;
