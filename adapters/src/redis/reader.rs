//! The reader of a stream that its shard does not append to, in a cluster: the stream may be at another node, so it has a
//! connection of its own, which is made when somebody wants something.

use std::collections::VecDeque;

use engine::adapter::Outcome;
use engine::clock::Monotonic;
use engine::event::ShardId;

use super::connection::Connection;
use super::link::Link;
use super::reads::{Question, Reads, Wanted};
use super::session::{Caller, Heard, Session};

/// One stream's reader.
pub(super) struct Reader {
    pub(super) stream: ShardId,
    connection: Connection<Question>,
    reads: Reads,
}

impl Reader {
    pub(super) fn new(stream: ShardId, caller: &Caller) -> Reader {
        let slot = caller.config.slot(&caller.config.stream_key(stream.0));
        Reader { stream, connection: Connection::new(slot), reads: Reads::new() }
    }

    /// Asks for this, or keeps it until there is a session.
    pub(super) fn ask(&mut self, asked: (u64, Wanted), caller: &Caller, news: &mut VecDeque<Outcome>) {
        self.reads.ask(asked, self.connection.open_session(), &caller.config, news);
    }

    /// Moves on whatever can be.
    pub(super) fn step(&mut self, caller: &mut Caller, news: &mut VecDeque<Outcome>, now: Monotonic) {
        if self.connection.session.is_none() && !self.reads.is_waiting() {
            self.connection.reap();
            return;
        }
        self.connection.step(caller, &[], now);
        while let Some(heard) = self.connection.hear(caller, now) {
            match heard {
                Heard::Open => {
                    if let Some(session) = self.connection.open_session() {
                        self.reads.ask_what_waits(session, &caller.config, news);
                    }
                }
                Heard::Reply(question, reply) => {
                    if self.reads.hear(question, &reply, news) {
                        self.connection.is_of_use();
                    }
                }
                Heard::Redirected(question, redirect) => {
                    let unanswered = self.connection.session.as_mut().map(Session::unanswered);
                    let asked = question.into_iter().chain(unanswered.into_iter().flatten());
                    asked.for_each(|question| self.reads.ask_again(question));
                    self.connection.redirect(redirect, now);
                }
                Heard::Ended { reason, is_final } => {
                    let unanswered = self.connection.session.as_mut().map(Session::unanswered);
                    unanswered
                        .into_iter()
                        .flatten()
                        .for_each(|question| self.reads.lose(question, &reason, news));
                    self.reads.fail(&reason, news);
                    self.connection.fail(now, is_final);
                }
            }
        }
        self.connection.flush();
    }

    /// Whoever waits is told that nothing comes now.
    pub(super) fn fail(&mut self, reason: &str, news: &mut VecDeque<Outcome>) {
        self.reads.fail(reason, news);
    }

    /// When there is something to do although nothing comes.
    pub(super) fn due(&self, caller: &Caller) -> Option<Monotonic> {
        let is_idle = self.connection.session.is_none() && !self.reads.is_waiting();
        if is_idle { None } else { self.connection.due(caller) }
    }

    /// Whether the kernel is asked for anything.
    pub(super) fn is_outstanding(&self) -> bool {
        self.connection.is_outstanding()
    }

    /// Entries read that were no events.
    pub(super) fn passed_over(&self) -> u64 {
        self.reads.passed_over()
    }

    /// How many sessions have ended.
    pub(super) fn losses(&self) -> u64 {
        self.connection.losses()
    }

    /// Ends it, and gives what the kernel has to let go of.
    pub(super) fn close(&mut self) -> Vec<Link> {
        self.connection.close()
    }
}
