//! The listener: a connection of its own that waits for what others append, while somebody listens. In a cluster a node waits for
//! streams of one slot only, so there each has a listener.

use std::collections::VecDeque;

use engine::adapter::{Outcome, Resident};
use engine::clock::Monotonic;
use engine::event::{Sequence, ShardId};

use super::block::Tail;
use super::connection::{BLOCK_MAX, Connection};
use super::entry::{self, Entry};
use super::link::Link;
use super::portion::Portion;
use super::reply::{Reply, Token};
use super::session::{Caller, Heard};

/// What one shard hears of streams that grow.
pub(super) struct Listener {
    connection: Connection<Question>,
    tails: Vec<Tail>,
    portion: Portion,
    /// Entries of streams that nobody listens to any more that were no events.
    passed_over: u64,
}

/// What a reply answers.
#[derive(Clone)]
enum Question {
    End(ShardId),
    Grown,
}

impl Listener {
    /// For streams in this slot of a cluster, or at the one server.
    pub(super) fn new(slot: Option<u16>) -> Listener {
        Listener {
            connection: Connection::new(slot),
            tails: Vec::new(),
            portion: Portion::new(),
            passed_over: 0,
        }
    }

    /// Slot of the streams.
    pub(super) fn slot(&self) -> Option<u16> {
        self.connection.slot()
    }

    /// Whether it listens to a stream.
    pub(super) fn has(&self, stream: ShardId) -> bool {
        self.tails.iter().any(|tail| tail.stream == stream)
    }

    /// Begins or ends to listen to a stream.
    pub(super) fn follow(&mut self, stream: ShardId, wanted: bool) {
        let place = self.tails.iter().position(|tail| tail.stream == stream);
        match (wanted, place) {
            (true, None) => self.tails.push(Tail::new(stream)),
            (false, Some(place)) => self.passed_over += self.tails.swap_remove(place).passed_over,
            _ => return,
        }
        // The session waits for other streams.
        self.connection.end();
    }

    /// Moves on whatever can be, and tells where streams end.
    pub(super) fn step(&mut self, caller: &mut Caller, news: &mut VecDeque<Outcome>, now: Monotonic) {
        if self.tails.is_empty() {
            self.connection.reap();
            return;
        }
        self.connection.step(caller, &[], now);
        while let Some(heard) = self.connection.hear(caller, now) {
            match heard {
                Heard::Open => self.listen(caller),
                Heard::Reply(question, reply) => {
                    if self.hear(&question, &reply, caller, news) {
                        self.connection.is_of_use();
                        self.listen(caller);
                    } else {
                        self.portion.is_lost();
                        self.connection.fail(now, false);
                    }
                }
                Heard::Redirected(_, redirect) => self.connection.redirect(redirect, now),
                Heard::Ended { is_final, .. } => {
                    self.portion.is_lost();
                    self.connection.fail(now, is_final);
                }
            }
        }
        self.connection.flush();
    }

    /// What follows a position, where it was heard.
    pub(super) fn resident(&self, stream: ShardId, after: Option<Sequence>) -> Resident<'_> {
        let tail = self.tails.iter().find(|tail| tail.stream == stream);
        tail.map_or(Resident::Elsewhere, |tail| tail.resident(after))
    }

    /// When there is something to do although nothing comes.
    pub(super) fn due(&self, caller: &Caller) -> Option<Monotonic> {
        self.connection.due(caller).filter(|_| !self.tails.is_empty())
    }

    /// Whether the kernel is asked for anything.
    pub(super) fn is_outstanding(&self) -> bool {
        self.connection.is_outstanding()
    }

    /// Entries that were no events.
    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over + self.tails.iter().map(|tail| tail.passed_over).sum::<u64>()
    }

    /// How many sessions have ended.
    pub(super) fn losses(&self) -> u64 {
        self.connection.losses()
    }

    /// Ends it, and gives what the kernel has to let go of.
    pub(super) fn close(&mut self) -> Vec<Link> {
        self.connection.close()
    }

    /// Asks where streams end, and then waits for what follows in any of them.
    fn listen(&mut self, caller: &Caller) {
        let Some(session) = self.connection.open_session() else { return };
        if session.is_waiting() {
            return;
        }
        let mut is_known = true;
        for tail in self.tails.iter().filter(|tail| tail.end().is_none()) {
            is_known = false;
            let key = caller.config.stream_key(tail.stream.0);
            session.ask(Question::End(tail.stream), |command| {
                command.arg("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(1);
            });
        }
        if !is_known {
            return;
        }
        session.ask(Question::Grown, |command| {
            let block_ms = if caller.config.is_cluster { BLOCK_MAX.as_millis() as u64 } else { 0 };
            let entries = self.portion.entries(LISTEN_BYTES / self.tails.len());
            command.arg("XREAD").arg("COUNT").arg(entries).arg("BLOCK").arg(block_ms).arg("STREAMS");
            for tail in &self.tails {
                command.arg(caller.config.stream_key(tail.stream.0));
            }
            for tail in &self.tails {
                command.arg(entry::id(tail.end().unwrap_or_default()));
            }
        });
    }

    /// Takes what the connection brings. Whether it makes sense.
    fn hear(
        &mut self,
        question: &Question,
        reply: &Reply,
        caller: &Caller,
        news: &mut VecDeque<Outcome>,
    ) -> bool {
        match question {
            Question::End(stream) => {
                let Some(tail) = self.tails.iter_mut().find(|tail| tail.stream == *stream) else {
                    return true;
                };
                let Some(end) = tail.begin(reply) else { return false };
                news.push_back(Outcome::End { ticket: None, stream: *stream, result: Ok(end) });
                true
            }
            // Without a cluster it waits without an end, so that nothing is no answer.
            Question::Grown if reply.first() == Token::Nil => caller.config.is_cluster,
            Question::Grown => self.hear_grown(reply, caller, news).is_some(),
        }
    }

    /// Takes what streams have grown by; `None` when it makes no sense.
    fn hear_grown(&mut self, reply: &Reply, caller: &Caller, news: &mut VecDeque<Outcome>) -> Option<()> {
        let mut tokens = reply.tokens();
        let (mut total, mut most) = (0, 0);
        for _ in 0..tokens.array()? {
            let (2, key) = (tokens.array()?, tokens.bulk()?) else { return None };
            let is_of = |tail: &&mut Tail| caller.config.stream_key(tail.stream.0).as_bytes() == key;
            let tail = self.tails.iter_mut().find(is_of)?;
            let entries = Entry::list(&mut tokens)?;
            (total, most) = (total + entries.len(), most.max(entries.len()));
            let end = tail.take(entries);
            news.push_back(Outcome::End { ticket: None, stream: tail.stream, result: Ok(end) });
        }
        self.portion.has_come(most, reply.len() / total.max(1));
        Some(())
    }
}

/// Bytes that the listener is given at once, about.
const LISTEN_BYTES: usize = 256 << 10;
