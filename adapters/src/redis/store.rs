//! One shard's store: its connections, and what goes over which.
//!
//! Over one go transactions and reads; over the [listener](Listener)'s, what others append. In a cluster that one is for the stream
//! that the shard appends to, and every other stream has a [reader](Reader).

use std::collections::VecDeque;
use std::sync::Arc;

use engine::adapter::{
    Adapter, AdapterError, AdapterState, Closing, Outcome, ReadRequest, Resident, ShardContext,
};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::counters::{AdapterCounts, adapter_counts};
use engine::event::{Sequence, ShardId};

use super::append::Counts;
use super::cluster::{Cluster, Redirect};
use super::config::RedisConfig;
use super::connection::Connection;
use super::listener::Listener;
use super::reader::Reader;
use super::reads::{self, Reads, Wanted};
use super::reply::Reply;
use super::session::{Caller, Heard};
use super::streams::Agreement;
use super::suspects::Suspects;
use super::writer::{Asked, Writer};

/// The store of one shard.
pub(super) struct RedisStore {
    caller: Caller,
    /// The stream that the shard appends to.
    stream: ShardId,
    agreement: Agreement,
    main: Connection<Question>,
    writer: Writer,
    reads: Reads,
    /// Of other streams, where they may be elsewhere.
    readers: Vec<Reader>,
    listeners: Vec<Listener>,
    news: VecDeque<Outcome>,
    /// Connections before this one that may execute something yet.
    suspects: Suspects,
    /// Why the shard was last without a connection to append over.
    error: Option<AdapterError>,
}

/// What a reply over the main connection answers.
#[derive(Clone)]
enum Question {
    Write(Asked),
    Read(reads::Question),
}

impl RedisStore {
    pub(super) fn new(config: Arc<RedisConfig>, streams: u16, context: ShardContext) -> RedisStore {
        let stream = ShardId(context.shard.0 % streams);
        let key = config.stream_key(stream.0);
        let main = Connection::new(config.slot(&key));
        let writer = Writer::new(&config, key, context.shard.0, context.nonce, context.is_new);
        let name = format!("net-{}", context.shard);
        let cluster = Cluster::new(config.server.address.clone());
        let caller = Caller { config, name, streams, cluster, notify: context.notify };
        RedisStore {
            stream,
            agreement: Agreement::new(&caller),
            caller,
            main,
            writer,
            reads: Reads::new(),
            readers: Vec::new(),
            listeners: Vec::new(),
            news: VecDeque::new(),
            suspects: Suspects::new(),
            error: None,
        }
    }

    /// Moves on whatever can be.
    fn step(&mut self, now: Monotonic) {
        if let Err(reason) = self.agreement.step(&mut self.caller, now) {
            self.tell(&reason, self.agreement.is_refused());
            self.reads.fail(&reason, &mut self.news);
            self.readers.iter_mut().for_each(|reader| reader.fail(&reason, &mut self.news));
        }
        if !self.agreement.is_reached() {
            return;
        }
        self.step_main(now);
        for reader in &mut self.readers {
            reader.step(&mut self.caller, &mut self.news, now);
        }
        for listener in &mut self.listeners {
            listener.step(&mut self.caller, &mut self.news, now);
        }
    }

    fn step_main(&mut self, now: Monotonic) {
        self.main.step(&self.caller, &self.suspects.all, now);
        while let Some(heard) = self.main.hear(&mut self.caller, now) {
            match heard {
                Heard::Open => {
                    if let Some(session) = &mut self.main.session {
                        self.suspects.settle(session);
                        self.writer.begin(session);
                    }
                }
                Heard::Reply(question, reply) => self.hear(question, &reply, now),
                Heard::Redirected(question, redirect) => self.redirect_main(question, redirect, now),
                Heard::Ended { reason, is_final } => self.lose_main(&reason, is_final, now),
            }
        }
        if let Some(session) = self.main.open_session() {
            if !self.writer.append.is_gathering() {
                self.reads.ask_what_waits(session, &self.caller.config, &mut self.news);
            }
            self.writer.say(session, &mut self.news);
        }
        self.main.flush();
    }

    fn hear(&mut self, question: Question, reply: &Reply, now: Monotonic) {
        match question {
            Question::Write(asked) => {
                let Some(session) = &mut self.main.session else { return };
                match self.writer.hear(asked, reply, session, self.suspects.is_sure()) {
                    Ok(is_stored) => {
                        if is_stored {
                            self.main.is_of_use();
                        }
                        if self.writer.append.is_marked() {
                            self.suspects.are_counted();
                        }
                    }
                    Err(reason) => self.lose_main(&reason, false, now),
                }
            }
            Question::Read(question) => {
                if self.reads.hear(question, reply, &mut self.news) {
                    self.main.is_of_use();
                }
            }
        }
    }

    /// The main connection is over, and whoever waits for the next one is told.
    fn lose_main(&mut self, reason: &str, is_final: bool, now: Monotonic) {
        self.end_main(reason, is_final, now);
        self.reads.fail(reason, &mut self.news);
    }

    /// Ends the main connection, and tells readers that it answers them no more. The next one kills it at the server before it
    /// looks how far the stream has got.
    fn end_main(&mut self, reason: &str, is_final: bool, now: Monotonic) {
        let Some(session) = &mut self.main.session else { return };
        for question in session.unanswered() {
            if let Question::Read(question) = question {
                self.reads.lose(question, reason, &mut self.news);
            }
        }
        self.tell(reason, is_final);
        self.suspect_main();
        self.main.fail(now, is_final);
    }

    /// Why the shard has no connection to append over, for the statistics.
    fn tell(&mut self, reason: &str, is_final: bool) {
        let error = if is_final { AdapterError::Final } else { AdapterError::Transient };
        self.error = Some(error(reason.to_owned()));
    }

    /// The stream is at another node. Readers are answered from there.
    fn redirect_main(&mut self, question: Option<Question>, redirect: Redirect, now: Monotonic) {
        let Some(session) = &mut self.main.session else { return };
        if let None | Some(Question::Write(Asked::Gathered | Asked::Stored)) = question {
            self.writer.append.hear_elsewhere();
        }
        for question in question.into_iter().chain(session.unanswered()) {
            if let Question::Read(question) = question {
                self.reads.ask_again(question);
            }
        }
        self.suspect_main();
        self.main.redirect(redirect, now);
    }

    /// The main connection is about to end: whether it may execute something yet.
    fn suspect_main(&mut self) {
        if let Some(session) = &self.main.session
            && self.writer.append.lose_connection()
        {
            self.suspects.add(session.identity());
        }
    }

    fn ask(&mut self, ticket: u64, wanted: Wanted) {
        let stream = wanted.stream();
        if !self.caller.config.is_cluster || stream == self.stream {
            // What is asked while the server gathers a transaction would become part of it.
            let session = self.main.open_session().filter(|_| !self.writer.append.is_gathering());
            return self.reads.ask((ticket, wanted), session, &self.caller.config, &mut self.news);
        }
        let place = self.readers.iter().position(|reader| reader.stream == stream).unwrap_or_else(|| {
            self.readers.push(Reader::new(stream, &self.caller));
            self.readers.len() - 1
        });
        self.readers[place].ask((ticket, wanted), &self.caller, &mut self.news);
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
        let listener = self.listeners.iter().find(|listener| listener.has(stream));
        listener.map_or(Resident::Elsewhere, |listener| listener.resident(stream, after))
    }

    fn follow(&mut self, stream: ShardId, wanted: bool, _: Monotonic) {
        let slot = self.caller.config.slot(&self.caller.config.stream_key(stream.0));
        let place = self.listeners.iter().position(|listener| listener.slot() == slot).unwrap_or_else(|| {
            self.listeners.push(Listener::new(slot));
            self.listeners.len() - 1
        });
        self.listeners[place].follow(stream, wanted);
    }

    fn find_end(&mut self, ticket: u64, stream: ShardId, _: Monotonic) {
        self.ask(ticket, Wanted::End(stream));
    }

    fn sync(&mut self, ticket: u64, _: Monotonic) {
        // A server that has answered has stored as durably as it is configured to.
        self.news.push_back(Outcome::Synced { ticket, result: Ok(()) });
    }

    fn due(&self) -> Option<Monotonic> {
        if !self.agreement.is_reached() {
            return self.agreement.due(&self.caller);
        }
        let readers = self.readers.iter().filter_map(|reader| reader.due(&self.caller));
        let listeners = self.listeners.iter().filter_map(|listener| listener.due(&self.caller));
        self.main.due(&self.caller).into_iter().chain(readers).chain(listeners).min()
    }

    fn outstanding(&self) -> bool {
        self.main.is_outstanding()
            || self.agreement.is_outstanding()
            || self.readers.iter().any(Reader::is_outstanding)
            || self.listeners.iter().any(Listener::is_outstanding)
    }

    fn counts(&self) -> AdapterCounts {
        let Counts { lost_by_server, maybe_twice, refused_for_memory } = self.writer.append.counts;
        let (readers, listeners) = (&self.readers, &self.listeners);
        let passed_over = self.reads.passed_over()
            + readers.iter().map(Reader::passed_over).sum::<u64>()
            + listeners.iter().map(Listener::passed_over).sum::<u64>();
        let reconnects = self.main.losses()
            + self.agreement.losses()
            + readers.iter().map(Reader::losses).sum::<u64>()
            + listeners.iter().map(Listener::losses).sum::<u64>();
        let not_killed = self.suspects.not_killed;
        adapter_counts([lost_by_server, maybe_twice, refused_for_memory, passed_over, not_killed, reconnects])
    }

    fn state(&self) -> AdapterState {
        if self.main.is_refused() || self.agreement.is_refused() {
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
        let mut links = self.main.close();
        links.append(&mut self.agreement.close());
        self.readers.iter_mut().for_each(|reader| links.append(&mut reader.close()));
        self.listeners.iter_mut().for_each(|listener| links.append(&mut listener.close()));
        Some(Box::pin(async move {
            for link in links {
                link.end().await;
            }
        }))
    }
}

impl From<Asked> for Question {
    fn from(asked: Asked) -> Question {
        Question::Write(asked)
    }
}

impl From<reads::Question> for Question {
    fn from(question: reads::Question) -> Question {
        Question::Read(question)
    }
}

#[cfg(test)]
mod tests;
