//! A shard's store in the simulation: it keeps every event, and does with batches, reads and syncs what stores do to a bus.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use fastrand::Rng;

use super::faults::{Fault, Faults};
use crate::adapter::{Adapter, AdapterError, Notify, Outcome, ReadBlock, ReadRequest, Resident};
use crate::batch::Batch;
use crate::clock::Monotonic;
use crate::event::{EventFlags, Sequence, ShardId};

/// What one shard has stored, and what it is asked for.
pub(super) struct Store {
    rng: Rng,
    notify: Notify,
    /// The sequence that its first event has: it may have had others before this life.
    first: u64,
    /// What is there to be read.
    held: BTreeMap<u64, Stored>,
    /// One past the last event that retention has removed.
    removed_before: u64,
    /// The payload of every event that was ever stored, by sequence.
    pub(super) ever: BTreeMap<u64, Vec<u8>>,
    /// Those that were ever damaged.
    damaged: BTreeSet<u64>,
    /// Events that the shard was told of as stored, and syncs that it was told of, by whether they worked.
    pub(super) told_stored: u64,
    pub(super) told_synced: [u64; 2],
    /// The payload under which a sequence was first submitted.
    submitted: BTreeMap<u64, Vec<u8>>,
    in_flight: VecDeque<Flight>,
    in_flight_max: usize,
    is_ready: bool,
    /// Whether batches are lent instead of read.
    lends: bool,
    reads: VecDeque<(u64, ReadRequest)>,
    syncs: VecDeque<u64>,
    news: VecDeque<News>,
    /// Whether nothing fails any more.
    pub(super) is_calm: bool,
    pub(super) faults: Faults,
}

/// What the shard is to hear.
struct News {
    outcome: Outcome,
    /// What may be lent once it is heard.
    batch: Batch,
    /// Events that it tells are stored.
    stored: u64,
}

struct Stored {
    timestamp_ns: u64,
    hash: u64,
    payload: Vec<u8>,
    is_damaged: bool,
}

struct Flight {
    batch: Batch,
    /// Its answer is lost: only a timeout ends it.
    is_silent: bool,
}

impl Store {
    pub(super) fn new(mut rng: Rng, notify: Notify) -> Store {
        let in_flight_max = if rng.bool() { 1 } else { rng.usize(2..4) };
        Store {
            first: if rng.bool() { 1 } else { rng.u64(2..1 << 40) },
            lends: rng.bool(),
            rng,
            notify,
            held: BTreeMap::new(),
            removed_before: 0,
            ever: BTreeMap::new(),
            damaged: BTreeSet::new(),
            told_stored: 0,
            told_synced: [0; 2],
            submitted: BTreeMap::new(),
            in_flight: VecDeque::new(),
            in_flight_max,
            is_ready: true,
            reads: VecDeque::new(),
            syncs: VecDeque::new(),
            news: VecDeque::new(),
            is_calm: false,
            faults: Faults::default(),
        }
    }

    /// Does something, or nothing. Whether there was something to do.
    pub(super) fn act(&mut self) -> bool {
        if self.is_calm {
            return self.act_calmly();
        }
        match self.rng.u8(..20) {
            0 => self.stall(),
            1..=9 => self.batch_ends(),
            10..=13 => self.read_ends(),
            14..=15 => self.sync_ends(),
            16 => self.remove(),
            17 if self.rng.u8(..8) == 0 => self.damage(),
            _ => {}
        }
        true
    }

    /// The last sequence that was ever stored, before this life too.
    pub(super) fn last(&self) -> u64 {
        self.ever.last_key_value().map_or(self.first - 1, |(&last, _)| last)
    }

    /// Whether an event is there to be read.
    pub(super) fn is_readable(&self, sequence: u64) -> bool {
        self.held.get(&sequence).is_some_and(|stored| !stored.is_damaged)
    }

    /// Sequences that are there to be read.
    pub(super) fn readable(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let readable = self.held.iter().filter(|(_, stored)| !stored.is_damaged);
        readable.map(|(&sequence, stored)| (sequence, &stored.payload[..]))
    }

    /// How many events between the first and the last of those that a reader was given it was not given, although they were never
    /// damaged: retention has overtaken it.
    pub(super) fn overtaken(&self, found: &[u64]) -> u64 {
        let (Some(&first), Some(&last)) = (found.first(), found.last()) else { return 0 };
        let missed =
            |sequence: &u64| !self.damaged.contains(sequence) && found.binary_search(sequence).is_err();
        self.ever.range(first..=last).filter(|(sequence, _)| missed(sequence)).count() as u64
    }

    /// Whether more is stored behind a position than the lane to a subscriber holds.
    pub(super) fn is_far_behind(&self, position: u64) -> bool {
        self.ever.range(position + 1..).nth(LANE_EVENTS).is_some()
    }

    /// Events that nobody can read any more.
    pub(super) fn lost(&self) -> u64 {
        self.ever.keys().filter(|&&sequence| !self.is_readable(sequence)).count() as u64
    }

    fn act_calmly(&mut self) -> bool {
        let mut has_acted = !std::mem::replace(&mut self.is_ready, true);
        // What was silenced stays so: a timeout ends it.
        while self.in_flight.front().is_some_and(|flight| !flight.is_silent) {
            self.store(usize::MAX);
            self.acknowledge();
            has_acted = true;
        }
        while let Some((ticket, request)) = self.reads.pop_front() {
            let result = Ok(self.block(request));
            self.tell(Outcome::Read { ticket, result });
            has_acted = true;
        }
        while let Some(ticket) = self.syncs.pop_front() {
            self.tell(Outcome::Synced { ticket, result: Ok(()) });
            has_acted = true;
        }
        if has_acted {
            self.notify.ring();
        }
        has_acted
    }

    fn stall(&mut self) {
        self.is_ready = !self.is_ready;
        if self.is_ready {
            self.notify.ring();
        } else {
            self.faults.count(Fault::Stall);
        }
    }

    /// The oldest batch gets its outcome.
    fn batch_ends(&mut self) {
        let Some(flight) = self.in_flight.front() else { return };
        if flight.is_silent {
            return;
        }
        let events = flight.batch.len();
        // Who takes several keeps their order, and refuses none.
        let may_refuse = self.in_flight_max == 1;
        match self.rng.u8(..16) {
            0 if may_refuse => self.refuse(0, 0, Fault::Refused, transient()),
            1 if may_refuse => {
                let stored = self.rng.usize(..events);
                self.refuse(stored, stored, Fault::RefusedInPart, transient());
            }
            2 if may_refuse => {
                let stored = self.rng.usize(..=events);
                self.refuse(stored, 0, Fault::RefusedAndStored, transient());
            }
            3 if may_refuse => {
                let stored = self.rng.usize(..events);
                self.refuse(stored, stored, Fault::RefusedForGood, AdapterError::Final("asked for".into()));
            }
            4 if may_refuse => {
                let stored = self.rng.usize(..=events);
                self.store(stored);
                self.in_flight[0].is_silent = true;
                self.faults.count(Fault::AnswerLost);
            }
            5 => {
                self.store(usize::MAX);
                let first = self.in_flight[0].batch.first();
                self.acknowledge();
                self.tell(Outcome::Stored { first, spent: None });
                self.faults.count(Fault::AnsweredTwice);
            }
            _ => {
                self.store(usize::MAX);
                self.acknowledge();
            }
        }
        self.notify.ring();
    }

    /// Stores the first `count` events of the oldest batch that are not there yet: a sequence names its event.
    fn store(&mut self, count: usize) {
        let batch = &self.in_flight[0].batch;
        for event in batch.events().take(count) {
            let sequence = event.sequence.0;
            if let Some(before) = self.ever.get(&sequence) {
                assert_eq!(before, event.payload, "sequence {sequence} names another event");
                continue;
            }
            let last = self.last();
            assert!(sequence > last, "{sequence} comes behind {last}");
            self.ever.insert(sequence, event.payload.to_vec());
            let stored = Stored {
                timestamp_ns: event.timestamp_ns,
                hash: event.hash,
                payload: event.payload.to_vec(),
                is_damaged: false,
            };
            self.held.insert(sequence, stored);
        }
    }

    fn acknowledge(&mut self) {
        let Flight { batch, .. } = self.in_flight.pop_front().expect("there is one");
        let spent = self.rng.bool().then(|| batch.clone());
        let (outcome, stored) = (Outcome::Stored { first: batch.first(), spent }, batch.len() as u64);
        self.news.push_back(News { outcome, batch, stored });
    }

    fn tell(&mut self, outcome: Outcome) {
        self.news.push_back(News { outcome, batch: Batch::default(), stored: 0 });
    }

    /// Stores `stored` events of the oldest batch, and gives it back without the first `told`.
    fn refuse(&mut self, stored: usize, told: usize, fault: Fault, error: AdapterError) {
        self.store(stored);
        let Flight { mut batch, .. } = self.in_flight.pop_front().expect("there is one");
        batch.evict(told);
        self.faults.count(fault);
        let outcome = Outcome::Refused { batch, error };
        self.news.push_back(News { outcome, batch: Batch::default(), stored: told as u64 });
    }

    fn read_ends(&mut self) {
        let Some(at) = (!self.reads.is_empty()).then(|| self.rng.usize(..self.reads.len())) else { return };
        let result = match self.rng.u8(..8) {
            0 => {
                self.faults.count(Fault::ReadFailed);
                Err(transient())
            }
            1 => {
                // Nobody ever hears of it.
                self.faults.count(Fault::ReadLost);
                self.reads.remove(at);
                return;
            }
            _ => Ok(self.block(self.reads[at].1)),
        };
        let (ticket, _) = self.reads.remove(at).expect("it is there");
        self.tell(Outcome::Read { ticket, result });
        self.notify.ring();
    }

    fn sync_ends(&mut self) {
        let Some(ticket) = self.syncs.pop_front() else { return };
        let result = if self.rng.u8(..6) == 0 {
            self.faults.count(Fault::SyncFailed);
            Err(transient())
        } else {
            Ok(())
        };
        self.tell(Outcome::Synced { ticket, result });
        self.notify.ring();
    }

    /// Retention: all but the newest event may go.
    fn remove(&mut self) {
        let count = self.rng.usize(..=self.held.len().saturating_sub(1).min(200));
        for _ in 0..count {
            let (sequence, _) = self.held.pop_first().expect("there is one more");
            self.removed_before = sequence + 1;
        }
        if count > 0 {
            self.faults.count(Fault::Removed);
        }
    }

    fn damage(&mut self) {
        if self.lends || self.held.is_empty() {
            return;
        }
        let at = self.rng.usize(..self.held.len());
        let count = self.rng.usize(1..8);
        for (&sequence, stored) in self.held.iter_mut().skip(at).take(count) {
            stored.is_damaged = true;
            self.damaged.insert(sequence);
        }
        self.faults.count(Fault::Damaged);
    }

    /// What follows a position, as far as it goes.
    fn block(&self, request: ReadRequest) -> ReadBlock {
        let after = request.after.map_or(0, |after| after.0);
        let gone = self.ever.range(after + 1..self.removed_before.max(after + 1));
        let mut block = ReadBlock { skipped: gone.count() as u64, ..ReadBlock::default() };
        let mut rest = self.held.range(after + 1..).peekable();
        while let Some((&sequence, stored)) = rest.next_if(|_| {
            let is_full = block.batch.len() >= request.events_max
                || !block.batch.is_empty() && block.batch.record_bytes() >= request.bytes_max;
            !is_full
        }) {
            block.through = Some(Sequence(sequence));
            if stored.is_damaged {
                block.passed_over += 1;
                continue;
            }
            let Stored { timestamp_ns, hash, payload, .. } = stored;
            block.batch.push_at(Sequence(sequence), *timestamp_ns, *hash, EventFlags::JSON, payload);
        }
        block.more = rest.next().is_some();
        block
    }
}

/// Whether `shard` has stored this event.
pub(super) fn is_stored(stores: &Stores, shard: ShardId, sequence: u64, payload: &[u8]) -> bool {
    stores[shard.index()].borrow().ever.get(&sequence).is_some_and(|stored| stored == payload)
}

/// Those of all shards.
pub(super) type Stores = Vec<Rc<RefCell<Store>>>;

/// The shard's side of it.
pub(super) struct Handle {
    store: Rc<RefCell<Store>>,
    /// The batch that was stored last, if it is lent.
    lent: Batch,
}

impl Handle {
    pub(super) fn new(store: &Rc<RefCell<Store>>) -> Handle {
        Handle { store: Rc::clone(store), lent: Batch::default() }
    }
}

impl Adapter for Handle {
    fn resume(&self) -> Sequence {
        Sequence(self.store.borrow().first)
    }
    fn ready(&self) -> bool {
        self.store.borrow().is_ready
    }
    fn in_flight_max(&self) -> usize {
        self.store.borrow().in_flight_max
    }
    fn submit(&mut self, batch: Batch, _: Monotonic) {
        let mut store = self.store.borrow_mut();
        assert!(store.is_ready, "a batch is given to a store that takes none");
        for event in batch.events() {
            let sequence = event.sequence.0;
            let first = store.submitted.entry(sequence).or_insert_with(|| event.payload.to_vec());
            assert_eq!(first, event.payload, "sequence {sequence} names another event");
        }
        store.in_flight.push_back(Flight { batch, is_silent: false });
    }
    fn outcome(&mut self, _: Monotonic) -> Option<Outcome> {
        let mut store = self.store.borrow_mut();
        let News { outcome, batch, stored } = store.news.pop_front()?;
        store.told_stored += stored;
        if let Outcome::Synced { result, .. } = &outcome {
            store.told_synced[usize::from(result.is_ok())] += 1;
        }
        if store.lends && !batch.is_empty() {
            self.lent = batch;
        }
        Some(outcome)
    }
    fn cancel(&mut self, _: Monotonic) -> Option<Batch> {
        let mut store = self.store.borrow_mut();
        assert!(store.in_flight.len() < 2, "one of several is not given back");
        let flight = store.in_flight.pop_front()?;
        store.faults.count(Fault::Cancelled);
        Some(flight.batch)
    }
    fn read(&mut self, ticket: u64, request: ReadRequest, _: Monotonic) {
        self.store.borrow_mut().reads.push_back((ticket, request));
    }
    fn resident(&self, _: ShardId, after: Option<Sequence>) -> Resident<'_> {
        let next = after.map_or(0, |after| after.0) + 1;
        let first = self.lent.first().0;
        if self.lent.is_empty() || next < first || self.store.borrow().removed_before > first {
            return Resident::Elsewhere;
        }
        match self.lent.index_after(Sequence(next - 1)) {
            index if index < self.lent.len() => Resident::Events { batch: &self.lent, index, skipped: 0 },
            // What a batch that is on its way has is not known to be stored.
            _ => Resident::Elsewhere,
        }
    }
    fn sync(&mut self, ticket: u64, _: Monotonic) {
        self.store.borrow_mut().syncs.push_back(ticket);
    }
}

fn transient() -> AdapterError {
    AdapterError::Transient("asked for".into())
}

/// More than twice the lane of a simulated bus holds of the smallest events.
const LANE_EVENTS: usize = 2 * 4_096 / 32;
