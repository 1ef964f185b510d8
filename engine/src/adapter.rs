//! The adapter: where a shard's batches go and from where its events are read back.
//!
//! Each shard has an instance of its own, made and used on the shard's thread only. The shard calls it between other
//! work and never waits inside it: an adapter that needs time keeps the batch, says later what became of it through
//! [`Adapter::outcome`], and rings its [`Notify`] when there is something to hear. A call that blocks stalls its
//! shard, and no other.

use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::Arc;

use crate::batch::Batch;
use crate::clock::Monotonic;
#[cfg(doc)]
use crate::counters::ADAPTER_COUNTS_MAX;
use crate::counters::{AdapterCounts, CountName};
use crate::doorbell::Doorbell;
#[cfg(doc)]
use crate::event::Event;
use crate::event::{Sequence, ShardId};
use crate::layouts::Layouts;

/// Makes the adapter instance of each shard.
pub trait AdapterFactory: Send + Sync + 'static {
    /// Short name of the backend, `[a-z]+`. It is part of every cursor, so that another backend refuses it.
    fn tag(&self) -> &'static str;

    /// Identity of the store's contents. A store that comes back without events it once showed has a new one, so that
    /// cursors of its earlier life are recognised.
    fn incarnation(&self) -> u64;

    /// The producer identity that the store keeps, where it keeps one. A configured `producer_nonce_path` comes first.
    fn producer(&self) -> Option<u64> {
        None
    }

    /// The streams that it keeps. Asked once, before the first shard opens.
    fn streams(&self) -> Streams {
        Streams::Own
    }

    /// Where what it holds of other numbers of shards ends. Asked once, before the first shard opens.
    fn layouts(&self) -> Layouts {
        Layouts::default()
    }

    /// What its adapters count besides what a shard does, at most [`ADAPTER_COUNTS_MAX`].
    fn count_names(&self) -> &'static [CountName] {
        &[]
    }

    /// Whether events are to take their routing keys along, as [`Event::key`]. Asked once, before the first shard opens. Where it is
    /// not so, a key is hashed and forgotten.
    fn wants_keys(&self) -> bool {
        false
    }

    /// Opens the store of one shard. Runs on the shard's thread, inside its executor.
    fn open(&self, context: ShardContext) -> Result<Box<dyn Adapter>, AdapterError>;
}

/// The streams of events that a store keeps, each in one order. Readers address a stream as they address a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// One for each shard, which alone writes it: events are read back under the sequences they were submitted with.
    #[default]
    Own,
    /// That many, and others write and trim them too. The store numbers events when it has them, with jumps. Of `n` shards
    /// each serves the readers of those streams whose number divided by `n` leaves its own.
    Shared(NonZeroU16),
}

/// What an adapter instance knows about its shard.
pub struct ShardContext {
    /// The shard it serves.
    pub shard: ShardId,
    /// How many shards the bus has.
    pub shards: u16,
    /// Identity of the producer: with shard and sequence it names an event in the backend for ever.
    pub nonce: u64,
    /// Whether that identity is new, so that no backend knows events of it.
    pub is_new: bool,
    /// Rings the shard.
    pub notify: Notify,
}

/// Rings a shard or a worker, from any thread, so that it asks its adapter for outcomes. The default rings nobody.
#[derive(Clone, Default)]
pub struct Notify(pub(crate) Arc<Doorbell>);

impl Notify {
    /// The shard asks its adapter for outcomes in its next round, and wakes up for it if it is parked.
    pub fn ring(&self) {
        self.0.post();
    }
}

/// The end of an adapter.
pub type Closing = Pin<Box<dyn Future<Output = ()>>>;

/// One shard's way to its store. Synchronous; time comes in as an argument.
pub trait Adapter {
    /// Sequence the shard's next event gets: one past the last that the store has under this producer identity. Asked once:
    /// before the first submission to [shared](Streams::Shared) streams, when it is [`ready`](Adapter::ready), and else when the shard starts.
    fn resume(&self) -> Sequence {
        Sequence::FIRST
    }

    /// Whether it takes a batch now. One that does not rings its [`Notify`] when it does again.
    fn ready(&self) -> bool;

    /// How many batches may be in flight at once. With more than one an adapter stores them in the order in which they
    /// came and refuses none, since a retry would come behind the next: it waits until it can store them, or gives the
    /// only one back ([`cancel`](Adapter::cancel)).
    fn in_flight_max(&self) -> usize {
        1
    }

    /// Takes a numbered batch. Its outcome follows, at once or later. It is read back under the same sequences.
    fn submit(&mut self, batch: Batch, now: Monotonic);

    /// What became of submitted batches, reads and syncs since the last call; `None` when there is no more news.
    fn outcome(&mut self, now: Monotonic) -> Option<Outcome>;

    /// Gives back the only batch in flight, without those at its front that are known to be stored, outcome unknown,
    /// after `adapter_timeout_ms`. The adapter makes sure that nothing of it is still executed later (it replaces the
    /// connection, say); the shard submits it again under the same sequences. `None` when its outcome is already known,
    /// or is waited for.
    fn cancel(&mut self, now: Monotonic) -> Option<Batch>;

    /// Starts a read; its outcome carries `ticket`.
    fn read(&mut self, ticket: u64, request: ReadRequest, now: Monotonic);

    /// What follows a position, where it lies in memory: subscribers that are behind are given it from here, without a read and
    /// without a copy in between. `after` is as in [`ReadRequest`]. Nothing whose outcome was not given yet is in it.
    fn resident(&self, _stream: ShardId, _after: Option<Sequence>) -> Resident<'_> {
        Resident::Elsewhere
    }

    /// Whether there are subscribers to a [shared](Streams::Shared) stream from now on: while there are, the adapter says with
    /// [`Outcome::End`] where the stream ends now, and again whenever it has grown.
    fn follow(&mut self, _stream: ShardId, _wanted: bool, _now: Monotonic) {}

    /// Starts to find where a [shared](Streams::Shared) stream ends; its outcome carries `ticket`.
    fn find_end(&mut self, _ticket: u64, _stream: ShardId, _now: Monotonic) {}

    /// Starts a sync of everything stored so far; its outcome carries `ticket`. A store that cannot sync answers at once.
    fn sync(&mut self, ticket: u64, now: Monotonic);

    /// How many events it holds: stored, and not removed by retention. `None` where it does not know. A shard does not ask.
    fn held_events(&self) -> Option<u64> {
        None
    }

    /// When it is to be asked for outcomes although nobody rings: to connect again, say.
    fn due(&self) -> Option<Monotonic> {
        None
    }

    /// The shard is about to sleep: what is to wake it is armed now. A shard that does not sleep asks for outcomes all the time.
    fn rest(&mut self) {}

    /// Whether requests to the kernel are outstanding, so that the executor has to look for their completions.
    fn outstanding(&self) -> bool {
        false
    }

    /// Ends what it has under way with the kernel. The shard's executor ends when this has; nothing else is asked of the adapter
    /// any more.
    fn close(&mut self) -> Option<Closing> {
        None
    }

    /// What it has counted, under the factory's names and in their order.
    fn counts(&self) -> AdapterCounts {
        AdapterCounts::default()
    }

    /// How it stands to its backend, for the statistics. The default is that of a store without a connection.
    fn state(&self) -> AdapterState {
        AdapterState::Up
    }

    /// Why it lost its backend, or could not reach it, last, if that was not asked before; for the statistics.
    fn take_error(&mut self) -> Option<AdapterError> {
        None
    }
}

/// How an adapter stands to its backend, from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterState {
    /// It takes batches.
    #[default]
    Up,
    /// It refused the shard's last batch for now, or did not answer, and the batch is tried again. Found by the shard.
    Retrying,
    /// It has no connection, and makes one.
    Connecting,
    /// It has no connection until the operator acts.
    Down,
}

impl AdapterState {
    /// Every state, from good to bad.
    pub const ALL: [AdapterState; 4] =
        [AdapterState::Up, AdapterState::Retrying, AdapterState::Connecting, AdapterState::Down];

    /// Its name in the statistics.
    pub fn name(self) -> &'static str {
        match self {
            AdapterState::Up => "up",
            AdapterState::Retrying => "retrying",
            AdapterState::Connecting => "connecting",
            AdapterState::Down => "down",
        }
    }

    pub(crate) fn from_word(word: u64) -> AdapterState {
        AdapterState::ALL.into_iter().find(|state| *state as u64 == word).unwrap_or_default()
    }
}

/// Which events a reader wants from one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// Which stream: the shard's own number, unless streams are [shared](Streams::Shared).
    pub stream: ShardId,
    /// The last event already seen; `None` reads from the oldest event that is still there.
    pub after: Option<Sequence>,
    /// At most this many events, at least 1.
    pub events_max: usize,
    /// At most about this many bytes of records; one event is always returned if there is one.
    pub bytes_max: usize,
}

/// A run of stored events.
#[derive(Clone, Debug, Default)]
pub struct ReadBlock {
    /// The events, numbered, in order. May be empty although `through` moved.
    pub batch: Batch,
    /// The last position examined: at or past the last event in `batch`. `None` when nothing was examined.
    pub through: Option<Sequence>,
    /// Events between the requested position and the first one here that retention removed.
    pub skipped: u64,
    /// Records passed over because they are corrupt or not this bus's.
    pub passed_over: u64,
    /// Whether events past `through` were stored when this was read.
    pub more: bool,
}

/// What follows a position in a store.
#[derive(Debug)]
pub enum Resident<'a> {
    /// Events in memory.
    Events {
        /// A batch with the first of them.
        batch: &'a Batch,
        /// Its index there.
        index: usize,
        /// Events between the position and the first one that retention removed.
        skipped: u64,
    },
    /// Nothing any more, or not yet.
    Nothing {
        /// Events behind the position that are gone.
        skipped: u64,
    },
    /// Events that only a read brings, or that is not known.
    Elsewhere,
}

/// News from an adapter.
#[derive(Debug)]
pub enum Outcome {
    /// A batch is stored; its memory may come back for reuse.
    Stored {
        /// Sequence of the batch's first event.
        first: Sequence,
        /// The batch's memory for reuse, if the adapter did not keep it.
        spent: Option<Batch>,
    },
    /// A batch was not stored, and comes back.
    Refused {
        /// The batch as it was submitted, without those at its front that are stored.
        batch: Batch,
        /// Why.
        error: AdapterError,
    },
    /// A read has ended.
    Read {
        /// The ticket of the request.
        ticket: u64,
        /// The events, or why there are none.
        result: Result<ReadBlock, AdapterError>,
    },
    /// A [shared](Streams::Shared) stream ends here now.
    End {
        /// The ticket of [`Adapter::find_end`]; `None` where it has grown.
        ticket: Option<u64>,
        /// The stream.
        stream: ShardId,
        /// One past the last position that is taken.
        result: Result<Sequence, AdapterError>,
    },
    /// A sync has ended.
    Synced {
        /// The ticket of the request.
        ticket: u64,
        /// Whether what was stored before it is durable, as far as the backend can make it so.
        result: Result<(), AdapterError>,
    },
}

/// Why a store did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdapterError {
    /// Refused for now: the shard retries under the same identity.
    #[error("the store refused for now: {0}")]
    Transient(String),
    /// Refused for good: the events are dropped and counted.
    #[error("the store refused for good: {0}")]
    Final(String),
}
