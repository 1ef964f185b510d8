//! Appending, exactly once: what of a batch the stream has, what is to be sent, and what to make of an answer or of none.
//!
//! A transaction is stored whole or not at all, and its events carry their sequences, so the stream itself says how far it
//! has got: after an unknown outcome its newest entry of this shard is looked up, and what follows it is sent. Knows no
//! connection.

use engine::adapter::AdapterError;
use engine::batch::Batch;
use engine::event::Sequence;
use redis::{ServerError, Value};

use super::entry::Entry;

/// One shard's way into its stream.
pub(super) struct Append {
    nonce: u64,
    shard: u16,
    mark: Mark,
    /// The last sequence of this shard's that the stream is known to have; 0 before the first.
    stored: Sequence,
    /// The newest that the stream was last seen to have: behind `stored` where the server has lost some.
    newest: Sequence,
    flight: Option<Flight>,
    pub(super) counts: Counts,
}

/// What happened that should not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Events that the server had confirmed and has no more: a failover to a replica that lacked them.
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

/// A batch that is being stored.
struct Flight {
    batch: Batch,
    /// Index of the first event that is not stored yet, and how many from there were sent.
    next: usize,
    sent: usize,
    /// What the server said to a command of the transaction.
    refusal: Option<Refusal>,
    /// Whether it executed a command that it was to gather.
    is_torn: bool,
}

/// What is to be sent: events of a batch, from an index on.
pub(super) struct Transaction<'a> {
    pub(super) batch: &'a Batch,
    pub(super) index: usize,
    pub(super) count: usize,
}

/// A code, and what else the server said.
#[derive(Clone)]
struct Refusal(String, String);

/// What became of a transaction.
#[derive(Debug)]
pub(super) enum Settled {
    /// Nothing yet: there is more to send.
    GoesOn,
    /// The whole batch is stored.
    Stored(Batch),
    /// What is not stored of the batch comes back.
    Refused(Batch, AdapterError),
    /// The answer makes no sense, and the outcome is unknown.
    Broken,
}

impl Append {
    /// For a producer identity that is new, or that the stream may know from an earlier life.
    pub(super) fn new(nonce: u64, shard: u16, is_new: bool) -> Append {
        let mark = if is_new { Mark::Known } else { Mark::Unknown };
        Append {
            nonce,
            shard,
            mark,
            stored: Sequence(0),
            newest: Sequence(0),
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
        self.flight = Some(Flight { batch, next: 0, sent: 0, refusal: None, is_torn: false });
    }

    /// Whether a batch was submitted that is not settled.
    pub(super) fn is_busy(&self) -> bool {
        self.flight.is_some()
    }

    /// Gives back what is not stored of the batch, as far as that is known. The connection has gone before.
    pub(super) fn cancel(&mut self) -> Option<Batch> {
        self.flight.take().map(Flight::rest)
    }

    /// The connection has gone, and with it the answer to what was sent over it. Whether there was any: it may be executed yet.
    pub(super) fn lose_connection(&mut self) -> bool {
        let was_sent = self.flight.as_mut().is_some_and(|flight| std::mem::take(&mut flight.sent) > 0);
        if was_sent || self.mark != Mark::Known || self.stored.0 > 0 {
            self.mark = Mark::Unknown;
        }
        was_sent
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
    pub(super) fn hear_end(&mut self, reply: &Value, is_sure: bool) -> Option<Sequence> {
        let Mark::Sought { before } = self.mark else { return None };
        let Some(entries) = Entry::all(reply) else {
            if matches!(reply, Value::ServerError(error) if !is_transient(error.code())) {
                // A key of another type, say: whoever appends is told.
                self.found(None, false);
            }
            return None;
        };
        let mut oldest = before;
        for entry in entries {
            oldest = Some(entry.position);
            let ours = entry.dedup_id().filter(|id| id.nonce == self.nonce && id.shard == self.shard);
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
        let is_uncertain = newest.is_none() && self.stored.0 > 0 || !is_sure;
        if let Some(newest) = newest {
            self.counts.lost_by_server += self.newest.0.saturating_sub(newest.0);
            self.newest = newest;
            self.stored = self.stored.max(newest);
        }
        if is_uncertain && let Some(flight) = &self.flight {
            let unknown = flight.batch.len() - flight.batch.index_after(self.stored);
            self.counts.maybe_twice += unknown as u64;
        }
    }

    /// The next transaction to send, of at most `events_max` events, when nothing is on its way. `Err` is the batch, when the stream
    /// has all of it.
    pub(super) fn next(&mut self, events_max: usize) -> Result<Option<Transaction<'_>>, Batch> {
        if self.mark != Mark::Known || self.flight.as_ref().is_none_or(|flight| flight.sent > 0) {
            return Ok(None);
        }
        let Some(mut flight) = self.flight.take() else { return Ok(None) };
        flight.next = flight.next.max(flight.batch.index_after(self.stored));
        if flight.next >= flight.batch.len() {
            return Err(flight.batch);
        }
        flight.sent = events_max.min(flight.batch.len() - flight.next);
        (flight.refusal, flight.is_torn) = (None, false);
        let Flight { batch, next, sent, .. } = self.flight.insert(flight);
        Ok(Some(Transaction { batch, index: *next, count: *sent }))
    }

    /// The server's answer to a command while it gathers the transaction.
    pub(super) fn hear_queued(&mut self, reply: &Value) {
        let Some(flight) = &mut self.flight else { return };
        match reply {
            Value::ServerError(error) => {
                flight.refusal.get_or_insert_with(|| Refusal::of(error));
            }
            Value::Okay | Value::SimpleString(_) => {}
            _ => flight.is_torn = true,
        }
    }

    /// The server's answer to the transaction, or to the one command that it is.
    pub(super) fn hear_stored(&mut self, reply: &Value) -> Settled {
        let Some(flight) = self.flight.as_mut().filter(|flight| flight.sent > 0) else {
            return Settled::Broken;
        };
        if flight.is_torn {
            return Settled::Broken;
        }
        let single = std::slice::from_ref(reply);
        let replies = match reply {
            Value::Array(replies) => replies.as_slice(),
            _ => single,
        };
        let stored = replies.iter().take_while(|reply| matches!(reply, Value::BulkString(_))).count();
        let refusal = match replies.get(stored) {
            None if stored == flight.sent => None,
            Some(Value::ServerError(error)) if stored < flight.sent => Some(Refusal::of(error)),
            _ => return Settled::Broken,
        };
        flight.sent = 0;
        flight.next += stored;
        if stored > 0 {
            self.stored = Sequence(flight.batch.sequence(flight.next).0 - 1);
            self.newest = self.stored;
        }
        match (refusal, flight.refusal.take()) {
            (Some(refusal), gathered) => self.refuse(refusal.cause(gathered)),
            (None, _) if flight.next < flight.batch.len() => Settled::GoesOn,
            (None, _) => self.flight.take().map_or(Settled::Broken, |flight| Settled::Stored(flight.batch)),
        }
    }

    fn refuse(&mut self, Refusal(code, detail): Refusal) -> Settled {
        let Some(flight) = self.flight.take() else { return Settled::Broken };
        let text = format!("{code} {detail}");
        self.counts.refused_for_memory += u64::from(code == "OOM");
        let error =
            if is_transient(&code) { AdapterError::Transient(text) } else { AdapterError::Final(text) };
        Settled::Refused(flight.rest(), error)
    }
}

impl Flight {
    /// What is not stored of the batch.
    fn rest(mut self) -> Batch {
        self.batch.evict(self.next);
        self.batch
    }
}

impl Refusal {
    fn of(error: &ServerError) -> Refusal {
        Refusal(error.code().to_owned(), error.details().unwrap_or_default().to_owned())
    }

    /// Why it was: a transaction is discarded for what was said to one of its commands, or for what its own end says.
    fn cause(self, gathered: Option<Refusal>) -> Refusal {
        if self.0 != "EXECABORT" {
            return self;
        }
        let said = self.1.split_once("because of: ").and_then(|(_, cause)| cause.split_once(' '));
        gathered
            .or_else(|| said.map(|(code, detail)| Refusal(code.to_owned(), detail.to_owned())))
            .unwrap_or(self)
    }
}

/// Whether a server that says this may say otherwise later.
pub(super) fn is_transient(code: &str) -> bool {
    TRANSIENT.contains(&code)
}

/// What a server says when it may say otherwise later.
const TRANSIENT: [&str; 13] = [
    "LOADING",
    "CLUSTERDOWN",
    "READONLY",
    "TRYAGAIN",
    "MASTERDOWN",
    "BUSY",
    "NOREPLICAS",
    "OOM",
    "MISCONF",
    "MOVED",
    "ASK",
    "UNBLOCKED",
    "NOGOODSLAVE",
];

#[cfg(test)]
mod tests;
