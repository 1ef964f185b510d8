//! One shard's store: its connections, and what goes over which.
//!
//! Over one go transactions and reads, over the other the wait for what others append, while somebody listens. Each is made
//! anew when it ends, after a while that grows.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use engine::adapter::{
    Adapter, AdapterError, AdapterState, Closing, Outcome, ReadRequest, Resident, ShardContext,
};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::counters::AdapterCounts;
use engine::event::{Sequence, ShardId};
use redis::Value;

use super::append::{Append, Counts, Settled};
use super::block::{self, RangeQuery, Tail};
use super::command;
use super::config::RedisConfig;
use super::entry;
use super::session::{Heard, Introduction, Session};

/// The store of one shard.
pub(super) struct RedisStore {
    config: Arc<RedisConfig>,
    context: ShardContext,
    streams: u16,
    /// Key of the stream that the shard appends to, and the command that does.
    key: String,
    command: command::Append,
    main: Connection<Question>,
    append: Append,
    /// What was asked for while there was no connection.
    waiting: VecDeque<(u64, Wanted)>,
    /// Bytes of an entry, about.
    entry_bytes: usize,
    listener: Connection<Listening>,
    tails: Vec<Tail>,
    news: VecDeque<Outcome>,
    /// Entries read that are no events.
    passed_over: u64,
    /// Old connections that the server did not let us kill.
    kills_denied: u64,
    /// Sessions that are over, until the kernel has let go of them.
    ended: VecDeque<Closing>,
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

/// What a reply over the listener's connection answers.
#[derive(Clone)]
enum Listening {
    End(ShardId),
    Grown,
}

enum Wanted {
    Read(ReadRequest),
    End(ShardId),
}

/// A connection that is made anew when it ends.
struct Connection<Q> {
    session: Option<Session<Q>>,
    /// When to try again.
    retry_at: Monotonic,
    failures: u32,
    /// How many sessions have ended.
    losses: u64,
    /// Whether the server has said that trying again is of no use.
    is_refused: bool,
}

impl RedisStore {
    pub(super) fn new(config: Arc<RedisConfig>, streams: u16, context: ShardContext) -> RedisStore {
        let key = config.stream_key(context.shard.0 % streams);
        let append = Append::new(context.nonce, context.shard.0, context.is_new);
        let max_len = config.max_stream_len.map(NonZeroU64::get);
        let command = command::Append::new(&key, max_len, context.nonce, context.shard.0);
        RedisStore {
            config,
            context,
            streams,
            key,
            command,
            main: Connection::new(),
            append,
            waiting: VecDeque::new(),
            entry_bytes: ENTRY_BYTES_FIRST,
            listener: Connection::new(),
            tails: Vec::new(),
            news: VecDeque::new(),
            passed_over: 0,
            kills_denied: 0,
            ended: VecDeque::new(),
        }
    }

    /// Moves on whatever can be.
    fn step(&mut self, now: Monotonic) {
        self.step_main(now);
        self.step_listener(now);
    }

    fn step_main(&mut self, now: Monotonic) {
        if self.main.session.is_none() && self.main.retry_at <= now {
            self.connect_main(None);
        }
        while let Some(heard) = self.main.session.as_mut().and_then(Session::hear) {
            match heard {
                Heard::Open => {
                    self.main.is_open();
                    let is_killed = self.main.session.as_ref().is_some_and(Session::has_killed);
                    self.kills_denied += u64::from(!is_killed);
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

    /// `kill` is a connection of ours that must execute nothing any more.
    fn connect_main(&mut self, kill: Option<i64>) {
        let name = format!("net-{}", self.context.shard);
        let introduction = Introduction { config: &self.config, name, streams: self.streams, kill };
        self.main.session = Some(Session::open(&introduction, self.context.notify.clone()));
    }

    fn hear(&mut self, question: Question, value: &Value, now: Monotonic) {
        match question {
            Question::Gathered => self.append.hear_queued(value),
            Question::Stored => match self.append.hear_stored(value) {
                Settled::GoesOn => {}
                Settled::Stored(batch) => {
                    self.news.push_back(Outcome::Stored { first: batch.first(), spent: Some(batch) });
                }
                Settled::Refused(batch, error) => self.news.push_back(Outcome::Refused { batch, error }),
                Settled::Broken => {
                    self.lose_main("the server's answer to a transaction makes no sense", false, now);
                }
            },
            Question::Mark => {
                let is_sure = self.main.session.as_ref().is_some_and(Session::has_killed);
                if let Some(before) = self.append.hear_end(value, is_sure) {
                    self.ask_mark(Some(before));
                }
            }
            Question::Read(ticket, asked) => {
                let (request, query) = &*asked;
                let result = block::block(value, request, query).ok_or_else(|| refusal(value));
                self.passed_over += result.as_ref().map_or(0, |block| block.passed_over);
                if let Ok(block) = &result
                    && let Some(bytes) = block.batch.record_bytes().checked_div(block.batch.len())
                {
                    self.entry_bytes = bytes;
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

    /// The main connection is over.
    fn lose_main(&mut self, reason: &str, is_final: bool, now: Monotonic) {
        self.replace_main(reason, is_final, now);
        for (ticket, wanted) in self.waiting.drain(..) {
            let error = AdapterError::Transient(reason.to_owned());
            self.news.push_back(match wanted {
                Wanted::Read(_) => Outcome::Read { ticket, result: Err(error) },
                Wanted::End(stream) => Outcome::End { ticket: Some(ticket), stream, result: Err(error) },
            });
        }
    }

    /// Ends the main connection, and tells readers that it answers them no more. The next one kills it at the server before it
    /// looks how far the stream has got.
    fn replace_main(&mut self, reason: &str, is_final: bool, now: Monotonic) {
        let Some(mut session) = self.main.session.take() else { return };
        for question in session.unanswered() {
            let error = AdapterError::Transient(reason.to_owned());
            match question {
                Question::Read(ticket, _) => {
                    self.news.push_back(Outcome::Read { ticket, result: Err(error) });
                }
                Question::End(ticket, stream) => {
                    self.news.push_back(Outcome::End { ticket: Some(ticket), stream, result: Err(error) });
                }
                Question::Gathered | Question::Stored | Question::Mark => {}
            }
        }
        let kill = session.client_id();
        self.ended.push_back(session.end());
        self.ended.truncate(ENDED_MAX);
        self.append.lose_connection();
        self.main.fail(now, is_final);
        if kill.is_some() && !is_final {
            self.connect_main(kill);
        }
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
        let Some(session) = self.main.session.as_mut().filter(|session| session.is_open()) else {
            // A caller that has gone meanwhile is not told, and the oldest have gone first.
            self.waiting.push_back((ticket, wanted));
            if self.waiting.len() > WAITING_MAX {
                self.waiting.pop_front();
            }
            return;
        };
        match wanted {
            Wanted::Read(request) => {
                let query = RangeQuery::new(&request, self.entry_bytes);
                let asked = Arc::new((request, query));
                let key = self.config.stream_key(request.stream.0);
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
                let key = self.config.stream_key(stream.0);
                session.ask(Question::End(ticket, stream), |command| {
                    command.arg("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(1);
                });
            }
        }
    }

    /// Sends the next transaction, if one is due.
    fn send_next(&mut self) {
        let Some(session) = self.main.session.as_mut().filter(|session| session.is_open()) else { return };
        let transaction = match self.append.next(self.config.pipeline_size) {
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

    fn step_listener(&mut self, now: Monotonic) {
        if self.listener.session.is_none() && !self.tails.is_empty() && self.listener.retry_at <= now {
            let name = format!("net-{}", self.context.shard);
            let introduction = Introduction { config: &self.config, name, streams: self.streams, kill: None };
            self.listener.session = Some(Session::open(&introduction, self.context.notify.clone()));
        }
        while let Some(heard) = self.listener.session.as_mut().and_then(Session::hear) {
            match heard {
                Heard::Open => {
                    self.listener.is_open();
                    self.listen();
                }
                Heard::Reply(question, value) => {
                    if self.hear_listener(&question, &value) {
                        self.listen();
                    } else {
                        self.listener.end(&mut self.ended);
                        self.listener.fail(now, false);
                    }
                }
                Heard::Ended { is_final, .. } => {
                    self.listener.end(&mut self.ended);
                    self.listener.fail(now, is_final);
                }
            }
        }
        if let Some(session) = &mut self.listener.session {
            session.flush();
        }
    }

    /// Asks where streams end, and then waits for what follows in any of them.
    fn listen(&mut self) {
        let Some(session) = &mut self.listener.session else { return };
        if session.is_waiting() {
            return;
        }
        let mut is_known = true;
        for tail in self.tails.iter().filter(|tail| tail.end().is_none()) {
            is_known = false;
            let key = self.config.stream_key(tail.stream.0);
            session.ask(Listening::End(tail.stream), |command| {
                command.arg("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(1);
            });
        }
        if !is_known {
            return;
        }
        session.ask(Listening::Grown, |command| {
            command.arg("XREAD").arg("COUNT").arg(LISTEN_ENTRIES).arg("BLOCK").arg(0).arg("STREAMS");
            for tail in &self.tails {
                command.arg(self.config.stream_key(tail.stream.0));
            }
            for tail in &self.tails {
                command.arg(entry::id(tail.end().unwrap_or_default()));
            }
        });
    }

    /// Takes what the listener's connection brings. Whether it makes sense.
    fn hear_listener(&mut self, question: &Listening, value: &Value) -> bool {
        match question {
            Listening::End(stream) => {
                let Some(tail) = self.tails.iter_mut().find(|tail| tail.stream == *stream) else {
                    return true;
                };
                let Some(end) = tail.begin(value) else { return false };
                self.news.push_back(Outcome::End { ticket: None, stream: *stream, result: Ok(end) });
                true
            }
            Listening::Grown => {
                let Value::Array(streams) = value else { return *value == Value::Nil };
                streams.iter().all(|stream| {
                    let Value::Array(pair) = stream else { return false };
                    let [Value::BulkString(key), entries] = pair.as_slice() else { return false };
                    let is_of = |tail: &&mut Tail| self.config.stream_key(tail.stream.0).as_bytes() == key;
                    let Some(tail) = self.tails.iter_mut().find(is_of) else { return false };
                    let Some(end) = tail.take(entries) else { return false };
                    self.news.push_back(Outcome::End { ticket: None, stream: tail.stream, result: Ok(end) });
                    true
                })
            }
        }
    }
}

impl Adapter for RedisStore {
    fn resume(&self) -> Sequence {
        self.append.resume()
    }

    fn ready(&self) -> bool {
        self.append.is_ready() && self.main.session.as_ref().is_some_and(Session::is_open)
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
        let batch = self.append.cancel()?;
        self.append.forget_mark();
        self.replace_main("no answer in time", false, now);
        Some(batch)
    }

    fn read(&mut self, ticket: u64, request: ReadRequest, _: Monotonic) {
        self.ask(ticket, Wanted::Read(request));
    }

    fn resident(&self, stream: ShardId, after: Option<Sequence>) -> Resident<'_> {
        let tail = self.tails.iter().find(|tail| tail.stream == stream);
        tail.map_or(Resident::Elsewhere, |tail| tail.resident(after))
    }

    fn follow(&mut self, stream: ShardId, wanted: bool, _: Monotonic) {
        let is_there = self.tails.iter().any(|tail| tail.stream == stream);
        match (wanted, is_there) {
            (true, false) => self.tails.push(Tail::new(stream)),
            (false, true) => self.tails.retain(|tail| tail.stream != stream),
            _ => return,
        }
        // The one that waits does so for other streams.
        self.listener.end(&mut self.ended);
    }

    fn find_end(&mut self, ticket: u64, stream: ShardId, _: Monotonic) {
        self.ask(ticket, Wanted::End(stream));
    }

    fn sync(&mut self, ticket: u64, _: Monotonic) {
        // A server that has answered has stored as durably as it is configured to.
        self.news.push_back(Outcome::Synced { ticket, result: Ok(()) });
    }

    fn due(&self) -> Option<Monotonic> {
        let main = self.main.session.is_none().then_some(self.main.retry_at);
        let listens = self.listener.session.is_none() && !self.tails.is_empty();
        let listener = listens.then_some(self.listener.retry_at);
        main.into_iter().chain(listener).min()
    }

    fn outstanding(&self) -> bool {
        let main = self.main.session.as_ref().is_some_and(Session::is_waiting);
        main || !self.tails.is_empty()
    }

    fn counts(&self) -> AdapterCounts {
        let Counts { lost_by_server, maybe_twice, refused_for_memory } = self.append.counts;
        let passed_over = self.passed_over + self.tails.iter().map(|tail| tail.passed_over).sum::<u64>();
        let reconnects = self.main.losses + self.listener.losses;
        [lost_by_server, maybe_twice, refused_for_memory, passed_over, self.kills_denied, reconnects]
    }

    fn state(&self) -> AdapterState {
        match &self.main {
            Connection { is_refused: true, .. } => AdapterState::Down,
            Connection { session: Some(session), .. } if session.is_open() && self.append.is_marked() => {
                AdapterState::Up
            }
            _ => AdapterState::Connecting,
        }
    }

    fn close(&mut self) -> Option<Closing> {
        self.main.end(&mut self.ended);
        self.listener.end(&mut self.ended);
        let ended = std::mem::take(&mut self.ended);
        Some(Box::pin(async move {
            for closing in ended {
                closing.await;
            }
        }))
    }
}

impl<Q: Clone> Connection<Q> {
    fn new() -> Connection<Q> {
        Connection { session: None, retry_at: Monotonic(0), failures: 0, losses: 0, is_refused: false }
    }

    fn is_open(&mut self) {
        self.failures = 0;
        self.is_refused = false;
    }

    /// Ends the session, if there is one.
    fn end(&mut self, ended: &mut VecDeque<Closing>) {
        if let Some(session) = self.session.take() {
            ended.push_back(session.end());
            ended.truncate(ENDED_MAX);
        }
    }

    /// The next attempt comes later each time, at a moment of its own, so that shards and buses do not all come at once.
    fn fail(&mut self, now: Monotonic, is_final: bool) {
        self.is_refused = is_final;
        let wait = RETRY_MIN.saturating_mul(1 << self.failures.min(10)).min(RETRY_MAX);
        self.failures += 1;
        self.losses += 1;
        self.retry_at = now.after(wait.mul_f64(fastrand::f64() / 2.0 + 0.5));
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
/// Entries that the listener is given at once.
const LISTEN_ENTRIES: usize = 1_000;
/// What an entry is thought to have before the first was read.
const ENTRY_BYTES_FIRST: usize = 256;
/// Questions that wait for a connection at most.
const WAITING_MAX: usize = 1_024;
/// Sessions that the kernel may still hold when the store closes.
const ENDED_MAX: usize = 64;
const RETRY_MIN: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_secs(1);
