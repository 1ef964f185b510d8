//! The port: what the rest of the process sees of a shard. Lanes arrive here, requests are posted here, and the
//! shard's doorbell and snapshot hang here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender};

use crate::adapter::{AdapterError, ReadBlock, ReadRequest};
use crate::board::Board;
use crate::clock::Monotonic;
use crate::doorbell::Doorbell;
use crate::event::{Sequence, ShardId};
use crate::inquiry::{Inquiry, Question};
use crate::lane::{LaneConsumer, LaneWitness};
use crate::subscription::Joining;
use crate::sync::{AtomicBool, AtomicU64, CachePadded, Ordering};

/// The outside of one shard.
pub(crate) struct Port {
    pub(crate) doorbell: Arc<Doorbell>,
    pub(crate) board: Board,
    pub(crate) inquiry: Inquiry,
    /// Set while the shard's buffer is full and it has stopped draining.
    pub(crate) congested: CachePadded<AtomicBool>,
    /// The shard thread's number, 0 before it runs and after it ended.
    pub(crate) thread: AtomicU64,
    /// How many of the events refused for good a flush has told of.
    pub(crate) refused_told: AtomicU64,
    mail: Sender<Mail>,
    arrivals: Mutex<Arrivals>,
}

/// Lanes that the shard has not taken over yet.
#[derive(Default)]
struct Arrivals {
    closed: bool,
    lanes: Vec<LaneConsumer>,
    /// Of all lanes that are still there, taken over or not.
    witnesses: Vec<LaneWitness>,
}

/// What a shard is asked for. Each answer is sent once, to a channel that has room for it.
pub(crate) enum Mail {
    /// Stored events.
    Read {
        request: ReadRequest,
        /// When the caller has gone.
        deadline: Monotonic,
        answer: Sender<(ShardId, Result<ReadBlock, AdapterError>)>,
    },
    /// A subscriber to a stream.
    Subscribe(Subscribe),
    /// A barrier: answered when everything published to the shard's lanes by now is stored, and synced.
    Flush { deadline: Monotonic, answer: Sender<(ShardId, Flushed)> },
}

/// A subscriber to a stream, and who waits to hear that it is one.
pub(crate) struct Subscribe {
    pub(crate) stream: ShardId,
    pub(crate) joining: Joining,
    pub(crate) answer: Sender<(ShardId, Joined)>,
}

/// Where a subscriber begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    /// The last sequence that it does not get, where that is known.
    pub(crate) last: Option<Sequence>,
    /// One past the last that was settled when it joined.
    pub(crate) settled: Sequence,
}

/// How a shard's barrier ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flushed {
    /// Events refused for good since the shard's start.
    pub(crate) refused: u64,
    /// Whether the store synced what it had.
    pub(crate) synced: Result<(), AdapterError>,
}

/// The shard has closed its port, or hears nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Port {
    /// A port, and the shard's end of its mailbox.
    pub(crate) fn new() -> (Port, Receiver<Mail>) {
        let (mail, inbox) = crossbeam_channel::bounded(MAILBOX_REQUESTS_MAX);
        let port = Port {
            doorbell: Arc::default(),
            board: Board::default(),
            inquiry: Inquiry::default(),
            congested: CachePadded::default(),
            thread: AtomicU64::new(0),
            refused_told: AtomicU64::new(0),
            mail,
            arrivals: Mutex::default(),
        };
        (port, inbox)
    }

    /// Puts a request into the mailbox and rings. Refused when [`MAILBOX_REQUESTS_MAX`] requests wait there already.
    pub(crate) fn post(&self, mail: Mail) -> Result<(), Closed> {
        self.mail.try_send(mail).map_err(|_| Closed)?;
        self.doorbell.post();
        Ok(())
    }

    /// Asks for a snapshot that covers everything published by now.
    pub(crate) fn ask(&self) -> Question {
        let question = self.inquiry.ask();
        self.doorbell.post();
        question
    }

    /// Hands the reading end of a new lane to the shard.
    pub(crate) fn connect(&self, lane: LaneConsumer) -> Result<(), Closed> {
        {
            let mut arrivals = self.arrivals();
            if arrivals.closed {
                return Err(Closed);
            }
            arrivals.witnesses.retain(|witness| witness.uncounted().is_some());
            arrivals.witnesses.push(lane.witness());
            arrivals.lanes.push(lane);
        }
        self.doorbell.post();
        Ok(())
    }

    /// The lanes that arrived since the last call.
    pub(crate) fn take_arrivals(&self) -> Vec<LaneConsumer> {
        std::mem::take(&mut self.arrivals().lanes)
    }

    /// Events that are in no snapshot yet: published to the shard's lanes since it last counted.
    pub(crate) fn uncounted(&self) -> u64 {
        self.arrivals().witnesses.iter().filter_map(LaneWitness::uncounted).sum()
    }

    /// Takes no more lanes from now on.
    pub(crate) fn close_arrivals(&self) {
        self.arrivals().closed = true;
    }

    /// Whether the shard has stopped draining because its buffer is full.
    pub(crate) fn is_congested(&self) -> bool {
        self.congested.load(Ordering::Relaxed)
    }

    fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests that wait for one shard at most.
const MAILBOX_REQUESTS_MAX: usize = 1024;
