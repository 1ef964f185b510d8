//! A store that the test controls: what it does with a batch is said shard by shard, and what it was given is seen.
//!
//! [`Stores`] is shared between the test and the bus, and outlives the bus: started again over the same one, a bus
//! finds what the store kept. It deduplicates as a backend does, by producer identity, shard and sequence.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use engine::adapter::{
    Adapter, AdapterError, AdapterFactory, Notify, Outcome, ReadBlock, ReadRequest, ShardContext,
};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::event::{EventFlags, Sequence, ShardId};

/// What the store of a shard does with a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Stores it.
    #[default]
    Store,
    /// Keeps its acknowledgement back until the mode changes.
    Hold,
    /// Refuses this many for now, then stores.
    RefuseForNow(u32),
    /// Refuses it for good.
    RefuseForGood,
    /// Blocks the shard's thread in the call until the mode changes.
    Hang,
    /// Panics.
    Panic,
}

/// The stores of all shards of a bus.
#[derive(Clone, Default)]
pub struct Stores(Arc<Shared>);

/// An event that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The sequence under which it came.
    pub sequence: u64,
    /// Its insertion time.
    pub timestamp_ns: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Its routing key, where the stores want keys and one was given.
    pub key: Option<Vec<u8>>,
}

/// What the store of one shard has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What is stored, in order.
    pub events: Vec<Stored>,
    /// First sequence and number of events of each batch submitted, repetitions included.
    pub submitted: Vec<(u64, usize)>,
    /// Events passed over because the store had them already under their identity.
    pub swallowed: u64,
    /// Events refused for good.
    pub refused: u64,
    /// Whether a call is blocked.
    pub hangs: bool,
    /// Whether a batch waits for its acknowledgement.
    pub holds: bool,
    /// Reads asked for.
    pub reads: u64,
}

#[derive(Default)]
struct Shared {
    wants_keys: bool,
    /// Sequence that the first event of a shard gets, if that is not the usual one.
    first: u64,
    shards: Mutex<BTreeMap<u16, Shard>>,
    changed: Condvar,
}

#[derive(Default)]
struct Shard {
    mode: Mode,
    seen: Seen,
    /// Producer identity of the bus that opened the store last.
    nonce: u64,
    /// One past the last sequence stored under each producer identity.
    marks: HashMap<u64, u64>,
    /// Where what is stored under it begins.
    life: usize,
    /// Sequences of records that cannot be read.
    corrupt: Vec<std::ops::Range<u64>>,
    held: Option<Batch>,
    news: VecDeque<Outcome>,
    notify: Option<Notify>,
}

impl Stores {
    /// Stores that keep everything.
    pub fn new() -> Stores {
        Stores::default()
    }

    /// Stores that keep everything, and want routing keys.
    pub fn keyed() -> Stores {
        Stores(Arc::new(Shared { wants_keys: true, ..Shared::default() }))
    }

    /// Stores that keep everything, and have had all that comes before the event `first` of each shard.
    pub fn resuming_at(first: u64) -> Stores {
        Stores(Arc::new(Shared { first, ..Shared::default() }))
    }

    /// Sets what the store of `shard` does from now on, and ends what it did so far: a hanging call returns and a batch
    /// that waits is acknowledged.
    pub fn set(&self, shard: u16, mode: Mode) {
        let mut shards = self.shards();
        let state = shards.entry(shard).or_default();
        state.mode = mode;
        if let Some(batch) = state.held.take() {
            state.submit(batch);
        }
        let notify = state.notify.clone();
        drop(shards);
        self.0.changed.notify_all();
        if let Some(notify) = notify {
            notify.ring();
        }
    }

    /// Makes the records of `shard` with these sequences unreadable.
    pub fn corrupt(&self, shard: u16, sequences: std::ops::Range<u64>) {
        self.shards().entry(shard).or_default().corrupt.push(sequences);
    }

    /// What the store of `shard` has seen.
    pub fn seen(&self, shard: u16) -> Seen {
        let mut shards = self.shards();
        let state = shards.entry(shard).or_default();
        Seen { holds: state.held.is_some(), ..state.seen.clone() }
    }

    /// What `look` finds in the store of `shard`; nothing is copied.
    pub fn look<T>(&self, shard: u16, look: impl FnOnce(&Seen) -> T) -> T {
        let mut shards = self.shards();
        let state = shards.entry(shard).or_default();
        state.seen.holds = state.held.is_some();
        look(&state.seen)
    }

    /// Events stored by all shards.
    pub fn stored_count(&self) -> usize {
        self.shards().values().map(|shard| shard.seen.events.len()).sum()
    }

    /// The payloads of all shards, shard by shard.
    pub fn payloads(&self) -> Vec<Vec<u8>> {
        let shards = self.shards();
        let events = shards.values().flat_map(|shard| &shard.seen.events);
        events.map(|event| event.payload.clone()).collect()
    }

    fn shards(&self) -> MutexGuard<'_, BTreeMap<u16, Shard>> {
        self.0.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AdapterFactory for Stores {
    fn tag(&self) -> &'static str {
        "controlled"
    }

    fn incarnation(&self) -> u64 {
        1
    }

    fn wants_keys(&self) -> bool {
        self.0.wants_keys
    }

    fn open(&self, context: ShardContext) -> Result<Box<dyn Adapter>, AdapterError> {
        let mut shards = self.shards();
        let shard = shards.entry(context.shard.0).or_default();
        if shard.nonce != context.nonce {
            shard.life = shard.seen.events.len();
        }
        (shard.nonce, shard.notify) = (context.nonce, Some(context.notify));
        Ok(Box::new(Instance { stores: self.clone(), shard: context.shard }))
    }
}

/// The adapter instance of one shard.
struct Instance {
    stores: Stores,
    shard: ShardId,
}

impl Instance {
    fn with<T>(&self, act: impl FnOnce(&mut Shard) -> T) -> T {
        act(self.stores.shards().entry(self.shard.0).or_default())
    }
}

impl Adapter for Instance {
    fn resume(&self) -> Sequence {
        Sequence(self.with(|shard| shard.mark()).max(self.stores.0.first))
    }

    fn ready(&self) -> bool {
        self.with(|shard| shard.held.is_none())
    }

    fn submit(&mut self, batch: Batch, _: Monotonic) {
        let mut shards = self.stores.shards();
        let at = self.shard.0;
        let shard = shards.entry(at).or_default();
        shard.seen.submitted.push((batch.first().0, batch.len()));
        assert!(shard.mode != Mode::Panic, "the store panics because the test asked for it");
        if shard.mode == Mode::Hang {
            shard.seen.hangs = true;
            shards = self
                .stores
                .0
                .changed
                .wait_while(shards, |shards| shards.entry(at).or_default().mode == Mode::Hang)
                .unwrap_or_else(PoisonError::into_inner);
            shards.entry(at).or_default().seen.hangs = false;
        }
        shards.entry(at).or_default().submit(batch);
    }

    fn outcome(&mut self, _: Monotonic) -> Option<Outcome> {
        self.with(|shard| shard.news.pop_front())
    }

    fn cancel(&mut self, _: Monotonic) -> Option<Batch> {
        self.with(|shard| shard.held.take())
    }

    fn read(&mut self, ticket: u64, request: ReadRequest, _: Monotonic) {
        self.with(|shard| {
            shard.seen.reads += 1;
            let result = Ok(shard.block(request));
            shard.news.push_back(Outcome::Read { ticket, result });
        });
    }

    fn sync(&mut self, ticket: u64, _: Monotonic) {
        self.with(|shard| shard.news.push_back(Outcome::Synced { ticket, result: Ok(()) }));
    }
}

impl Shard {
    /// One past the last sequence that is stored under the identity in use.
    fn mark(&self) -> u64 {
        self.marks.get(&self.nonce).copied().unwrap_or(Sequence::FIRST.0)
    }

    fn submit(&mut self, batch: Batch) {
        match self.mode {
            Mode::Hold => self.held = Some(batch),
            Mode::RefuseForNow(times) if times > 0 => {
                self.mode = Mode::RefuseForNow(times - 1);
                let error = AdapterError::Transient("the test asked for it".to_owned());
                self.news.push_back(Outcome::Refused { batch, error });
            }
            Mode::RefuseForGood => {
                self.seen.refused += batch.len() as u64;
                let error = AdapterError::Final("the test asked for it".to_owned());
                self.news.push_back(Outcome::Refused { batch, error });
            }
            Mode::Store | Mode::RefuseForNow(_) | Mode::Hang | Mode::Panic => self.store(batch),
        }
    }

    fn store(&mut self, batch: Batch) {
        let mark = self.mark();
        for event in batch.events() {
            if event.sequence.0 < mark {
                self.seen.swallowed += 1;
                continue;
            }
            self.seen.events.push(Stored {
                sequence: event.sequence.0,
                timestamp_ns: event.timestamp_ns,
                payload: event.payload.to_vec(),
                key: event.key.map(<[u8]>::to_vec),
            });
        }
        self.marks.insert(self.nonce, batch.end().0.max(mark));
        self.news.push_back(Outcome::Stored { first: batch.first(), spent: Some(batch) });
    }

    /// Reads what is stored under the identity in use, by sequence; a block ends where sequences jump. A run of corrupt
    /// records before the first event is passed over; one behind it ends the block.
    fn block(&self, request: ReadRequest) -> ReadBlock {
        let events = &self.seen.events[self.life..];
        let is_corrupt = |event: &Stored| self.corrupt.iter().any(|range| range.contains(&event.sequence));
        let seen = |after: Sequence| events.partition_point(|event| event.sequence <= after.0);
        let begin = request.after.map_or(0, seen);
        let run = events[begin..].iter().take_while(|event| is_corrupt(event));
        let passed_over = run.take(request.events_max).count();
        let (mut next, mut batch) = (begin + passed_over, Batch::default());
        while let Some(event) = events.get(next).filter(|event| !is_corrupt(event)) {
            if batch.is_empty() {
                batch.number_from(Sequence(event.sequence));
            } else if batch.end().0 != event.sequence
                || batch.len() == request.events_max
                || batch.record_bytes() + event.payload.len() > request.bytes_max
            {
                break;
            }
            batch.push(event.timestamp_ns, 0, EventFlags::NONE, &event.payload);
            next += 1;
        }
        ReadBlock {
            batch,
            through: (next > begin).then(|| Sequence(events[next - 1].sequence)),
            skipped: 0,
            passed_over: passed_over as u64,
            more: next < events.len(),
        }
    }
}
