//! Appending, exactly once: what of a batch the stream has, what is to be said next, and what to make of an answer or of none.
//!
//! A transaction is stored whole or not at all, and its events carry their sequences, so the stream itself says how far it
//! has got: after an unknown outcome its newest entry of this shard is looked up, and what follows it is sent. While the server
//! executes one transaction it gathers the next already, and is told to execute that only when the one before is stored. Knows
//! no connection.

mod flight;

use engine::adapter::AdapterError;
use engine::batch::Batch;
use engine::event::Sequence;

use self::flight::{Flight, Replication, Step};
use super::entry::{Entry, decimal};
use super::refusal::Refusal;
use super::reply::{Reply, Token};

/// One shard's way into its stream.
pub(super) struct Append {
    nonce: u64,
    shard: u16,
    /// Replicas that must have a batch before it is stored.
    replicas: u64,
    mark: Mark,
    /// The last sequence of this shard's that the stream is known to have; 0 before the first.
    stored: Sequence,
    /// The last that the shard was told of: what is behind it can be sent again.
    settled: Sequence,
    /// The newest that the stream was last seen to have: behind `settled` where the server has lost some.
    newest: Sequence,
    /// Whether a batch was ever submitted: what the stream had before that was settled in an earlier life.
    has_begun: bool,
    /// Whether something was written over this connection: to one that has written nothing a server says of replicas what it likes.
    has_written: bool,
    flight: Option<Flight>,
    pub(super) counts: Counts,
}

/// What happened that should not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Events that the server had confirmed and has no more: a failover to a replica that lacked them. Counted by their sequences,
    /// those that were refused in between among them.
    pub(super) lost_by_server: u64,
    /// Events that were sent again although they may be there already.
    pub(super) maybe_twice: u64,
    /// Transactions refused because the server's memory was full.
    pub(super) refused_for_memory: u64,
}

/// Whether it is known how far the stream has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// To be looked up.
    Unknown,
    /// The entries before this position are looked at next; `None` is the end.
    Sought {
        before: Option<Sequence>,
    },
    Known,
}

/// Events of a batch, from an index on.
#[derive(Clone, Copy)]
pub(super) struct Transaction<'a> {
    pub(super) batch: &'a Batch,
    pub(super) index: usize,
    pub(super) count: usize,
}

/// What is to be said to the server next.
pub(super) enum Next<'a> {
    /// Nothing before it answers.
    Nothing,
    /// A transaction, which it is to gather and not to execute yet.
    Gather(Transaction<'a>),
    /// Execute what was gathered.
    Execute,
    /// Forget what was gathered.
    Discard,
    /// One event, which needs no transaction.
    Alone(Transaction<'a>),
    /// How many replicas have what is stored? Behind something that is written, if it `must_write`.
    AskReplicas { must_write: bool },
    /// Nothing: all of the batch is stored.
    Stored(Batch),
    /// Nothing: what is not stored of the batch comes back.
    Refused(Batch, AdapterError),
}

/// The server's answer makes no sense, and the outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl Append {
    /// For a producer identity that is new, or that the stream may know from an earlier life. A batch is stored when `replicas`
    /// replicas have it, too.
    pub(super) fn new(nonce: u64, shard: u16, is_new: bool, replicas: u64) -> Append {
        let mark = if is_new { Mark::Known } else { Mark::Unknown };
        Append {
            nonce,
            shard,
            replicas,
            mark,
            stored: Sequence(0),
            settled: Sequence(0),
            newest: Sequence(0),
            has_begun: false,
            has_written: false,
            flight: None,
            counts: Counts::default(),
        }
    }

    /// Whether a batch may be submitted, as far as this side is concerned.
    pub(super) fn is_ready(&self) -> bool {
        self.mark == Mark::Known && self.flight.is_none()
    }

    /// Whether it is known how far the stream has got.
    pub(super) fn is_marked(&self) -> bool {
        self.mark == Mark::Known
    }

    /// The first sequence that the stream does not have.
    pub(super) fn resume(&self) -> Sequence {
        self.stored.advanced_by(1)
    }

    /// Takes a batch.
    pub(super) fn submit(&mut self, batch: Batch) {
        self.has_begun = true;
        self.flight = Some(Flight::new(batch, self.stored));
    }

    /// Whether a batch was submitted that is not settled.
    pub(super) fn is_busy(&self) -> bool {
        self.flight.is_some()
    }

    /// Whether the server gathers commands, and would gather any other too.
    pub(super) fn is_gathering(&self) -> bool {
        self.flight.as_ref().is_some_and(Flight::is_gathering)
    }

    /// Gives back what is not stored of the batch, as far as that is known. The connection has gone before.
    pub(super) fn cancel(&mut self) -> Option<Batch> {
        self.flight.take().map(|flight| self.rest(flight))
    }

    /// The connection has gone, and with it the answer to what was sent over it. Whether there was any: it may be executed yet.
    pub(super) fn lose_connection(&mut self) -> bool {
        self.has_written = false;
        let was_executing = self.flight.as_mut().is_some_and(Flight::lose_connection);
        if was_executing || self.mark != Mark::Known || self.stored.0 > 0 {
            self.mark = Mark::Unknown;
        }
        was_executing
    }

    /// Another node has the stream, and says so in place of an answer: nothing of what was sent is executed.
    pub(super) fn hear_elsewhere(&mut self) {
        if let Some(flight) = &mut self.flight {
            flight.hear_elsewhere();
        }
    }

    /// Whether the stream's end is to be read from now on, to find the mark.
    pub(super) fn seeks(&mut self) -> bool {
        let is_unknown = self.mark == Mark::Unknown;
        if is_unknown {
            self.mark = Mark::Sought { before: None };
        }
        is_unknown
    }

    /// Takes entries from the stream's end, the newest first, as they were asked for. Before which position more is to be read;
    /// `None` when the mark is known, or the server cannot tell it now. `is_sure`: nothing that was sent before can still be executed.
    pub(super) fn hear_end(&mut self, reply: &Reply, is_sure: bool) -> Option<Sequence> {
        let Mark::Sought { before } = self.mark else { return None };
        let Some(entries) = Entry::all(reply) else {
            let is_final = matches!(reply.first(), Token::Error(line) if !Refusal::of(line).is_transient());
            if is_final && self.has_begun {
                // A key of another type, say: whoever appends is told.
                self.found(None, false);
            }
            return None;
        };
        if entries.is_empty() && before.is_none() {
            // Trimming leaves something.
            self.lost_behind(Sequence(0));
        }
        let mut oldest = before;
        for entry in entries {
            oldest = Some(entry.position);
            let ours = entry.dedup_id().filter(|id| id.nonce == self.nonce && id.shard == self.shard);
            let ours = ours.filter(|_| !engine::planted!("25-what-was-executed-is-not-looked-for"));
            if let Some(id) = ours {
                self.found(Some(id.sequence()), is_sure);
                return None;
            }
        }
        // Each answer is about what is older, or it is the last.
        if oldest.is_some_and(|oldest| before.is_none_or(|before| oldest < before)) {
            self.mark = Mark::Sought { before: oldest };
            return oldest;
        }
        self.found(None, is_sure);
        None
    }

    /// The newest of this shard's events in the stream; `None` when there is none, or none any more.
    fn found(&mut self, newest: Option<Sequence>, is_sure: bool) {
        self.mark = Mark::Known;
        let is_uncertain = newest.is_none() && self.newest.0 > 0 || !is_sure;
        if let Some(newest) = newest {
            self.lost_behind(newest);
            self.newest = newest;
        }
        self.stored = self.settled.max(newest.unwrap_or_default());
        if !self.has_begun {
            self.settled = self.stored;
        }
        if let Some(flight) = &mut self.flight {
            flight.next = flight.batch.index_after(self.stored);
            if is_uncertain {
                self.counts.maybe_twice += (flight.batch.len() - flight.next) as u64;
            }
        }
    }

    /// The stream has nothing of this shard's behind this any more: what the shard was told of is lost.
    fn lost_behind(&mut self, newest: Sequence) {
        self.counts.lost_by_server += self.newest.min(self.settled).0.saturating_sub(newest.0);
        self.newest = self.newest.min(newest);
    }

    /// What is to be said next, in transactions of at most `events_max` events, and while one is executed only if it `goes_ahead`.
    /// Once it is given it counts as said.
    pub(super) fn next(&mut self, events_max: usize, goes_ahead: bool) -> Next<'_> {
        let is_known = self.mark == Mark::Known;
        let Some(flight) = self.flight.as_mut().filter(|_| is_known) else { return Next::Nothing };
        let (index, count, is_alone) = match flight.step(events_max, goes_ahead) {
            Step::Nothing => return Next::Nothing,
            Step::Execute => return Next::Execute,
            Step::Discard => return Next::Discard,
            Step::Over => return self.settle(),
            Step::Gather { index, count } => (index, count, false),
            Step::Alone { index } => (index, 1, true),
        };
        let Some(Flight { batch, .. }) = &self.flight else { return Next::Nothing };
        let transaction = Transaction { batch, index, count };
        if is_alone { Next::Alone(transaction) } else { Next::Gather(transaction) }
    }

    /// Ends the batch, of which no more is to be sent, when the replicas have what is stored of it.
    fn settle(&mut self) -> Next<'_> {
        let Some(mut flight) = self.flight.take() else { return Next::Nothing };
        let is_wanted = self.replicas > 0 && flight.next > 0;
        let refusal = match (&flight.replication, flight.refusal.take()) {
            (Replication::Unknown | Replication::Asked, refusal) if is_wanted => {
                let is_asked = matches!(flight.replication, Replication::Asked);
                (flight.replication, flight.refusal) = (Replication::Asked, refusal);
                self.flight = Some(flight);
                let must_write = !self.has_written;
                return if is_asked { Next::Nothing } else { Next::AskReplicas { must_write } };
            }
            // The events are stored, and stay the shard's until the replicas can be asked.
            (Replication::Refused(Refusal { code, detail }), _) => {
                let error = AdapterError::Transient(format!("asking for replicas: {code} {detail}"));
                return Next::Refused(self.rest(flight), error);
            }
            (_, refusal) => refusal,
        };
        self.settled = self.settled.max(self.stored);
        match refusal {
            None => Next::Stored(flight.batch),
            Some(refusal) => Next::Refused(self.rest(flight), refusal.error()),
        }
    }

    /// The server's answer to a command while it gathers a transaction.
    pub(super) fn hear_gathered(&mut self, reply: &Reply) {
        if let Some(flight) = &mut self.flight {
            flight.hear_gathered(reply);
        }
    }

    /// The server's answer to the transaction, or to the one command that it is. Whether something was stored.
    pub(super) fn hear_stored(&mut self, reply: &Reply) -> Result<bool, Broken> {
        let flight = self.flight.as_mut().ok_or(Broken)?;
        let stored = flight.hear_stored(reply)?;
        if stored > 0 {
            self.stored = Sequence(flight.batch.sequence(flight.next).0 - 1);
            self.newest = self.stored;
            self.has_written = true;
        }
        let is_full = flight.refusal.as_ref().is_some_and(|refusal| refusal.code == "OOM");
        self.counts.refused_for_memory += u64::from(is_full);
        Ok(stored > 0)
    }

    /// The server's answer to that it is to forget what it gathered.
    pub(super) fn hear_discarded(&mut self, reply: &Reply) -> Result<(), Broken> {
        self.flight.as_mut().map_or(Ok(()), |flight| flight.hear_discarded(reply))
    }

    /// The server's answer to what was written so that replicas can be asked for.
    pub(super) fn hear_written(&mut self, reply: &Reply) {
        if let Token::Error(line) = reply.first() {
            if let Some(flight) = &mut self.flight {
                flight.not_written = Some(Refusal::of(line));
            }
        } else {
            self.has_written = true;
        }
    }

    /// So many replicas have what is stored of the batch. When they are too few, they are asked for again.
    pub(super) fn hear_replicas(&mut self, reply: &Reply) {
        let replicas = self.replicas;
        let Some(flight) = &mut self.flight else { return };
        flight.replication = match (flight.not_written.take(), reply.first()) {
            (Some(refusal), _) => Replication::Refused(refusal),
            (None, Token::Error(line)) => Replication::Refused(Refusal::of(line)),
            (None, Token::Integer(digits)) if decimal(digits) >= Some(replicas) => Replication::Confirmed,
            _ => Replication::Unknown,
        };
    }

    /// What is not stored of a batch. Where replicas are to have it, and it is not known that they do, that is all of it.
    fn rest(&mut self, mut flight: Flight) -> Batch {
        if self.replicas == 0 || matches!(flight.replication, Replication::Confirmed) {
            flight.batch.evict(flight.next);
            self.settled = self.settled.max(self.stored);
        }
        flight.batch
    }
}

#[cfg(test)]
mod tests;
