//! What a shard pushes to its subscribers: with any store, at any pace, everything that is stored and wanted, once, in
//! order, or a count of what is gone.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;
use proptest::prelude::*;

use crate::adapter::{Adapter, AdapterError, Outcome, ReadBlock, ReadRequest, Resident};
use crate::batch::Batch;
use crate::clock::Monotonic;
use crate::config::Config;
use crate::duty::Duty;
use crate::event::{EventFlags, Sequence, ShardId};
use crate::lane::{LaneBudget, lane};
use crate::port::{Mail, Subscribe};
use crate::producer::Producer;
use crate::shard::Shard;
use crate::shared::{Shared, StoreKind};
use crate::subscription::{Begin, Joining, Signal, Source};

/// A store whose answers the test gives, one by one.
#[derive(Default)]
struct Store {
    in_flight_max: usize,
    /// Sequence and number of every event that is still there.
    events: VecDeque<(u64, u64)>,
    /// The same of every event that ever was.
    ever: Vec<(u64, u64)>,
    in_flight: VecDeque<Batch>,
    /// Whether it lends what it has instead of being read.
    lends: bool,
    reads: VecDeque<(u64, ReadRequest)>,
    news: VecDeque<Outcome>,
}

impl Store {
    fn store(&mut self) {
        if let Some(batch) = self.in_flight.pop_front() {
            let events =
                batch.events().map(|event| (event.sequence.0, number_of(event.payload))).collect::<Vec<_>>();
            self.ever.extend(&events);
            self.events.extend(events);
            self.news.push_back(Outcome::Stored { first: batch.first(), spent: Some(batch) });
        }
    }

    fn refuse(&mut self, error: AdapterError) {
        if self.in_flight_max == 1
            && let Some(batch) = self.in_flight.pop_front()
        {
            self.news.push_back(Outcome::Refused { batch, error });
        }
    }

    /// It is stored, and the shard hears that it is not.
    fn store_and_refuse(&mut self) {
        let batch = self.in_flight.front().filter(|_| self.in_flight_max == 1).cloned();
        if let Some(batch) = batch {
            self.store();
            self.news.pop_back();
            let error = AdapterError::Final("asked for".into());
            self.news.push_back(Outcome::Refused { batch, error });
        }
    }

    /// The batch in flight, if there is no other.
    fn take_only(&mut self) -> Option<Batch> {
        if self.in_flight.len() == 1 { self.in_flight.pop_front() } else { None }
    }

    fn answer_read(&mut self) {
        if let Some((ticket, request)) = self.reads.pop_front() {
            let result = Ok(self.block(request));
            self.news.push_back(Outcome::Read { ticket, result });
        }
    }

    fn block(&self, request: ReadRequest) -> ReadBlock {
        let after = request.after.map_or(0, |after| after.0);
        let oldest = self.events.front().map_or(u64::MAX, |&(sequence, _)| sequence);
        let is_gone = |&&(sequence, _): &&(u64, u64)| sequence > after && sequence < oldest;
        let mut left = self.events.iter().skip_while(|&&(sequence, _)| sequence <= after).peekable();
        let mut block =
            ReadBlock { skipped: self.ever.iter().filter(is_gone).count() as u64, ..ReadBlock::default() };
        if let Some(&&(first, _)) = left.peek() {
            block.batch.number_from(Sequence(first));
        }
        while let Some(&&(sequence, number)) = left.peek() {
            // Sequences within a batch have no gap.
            let fits =
                block.batch.len() < request.events_max && block.batch.record_bytes() < request.bytes_max;
            if !fits || block.batch.end() != Sequence(sequence) {
                break;
            }
            block.batch.push(0, 0, EventFlags::NONE, &payload_of(number));
            block.through = Some(Sequence(sequence));
            left.next();
        }
        block.more = left.next().is_some();
        block
    }
}

struct Handle(Rc<RefCell<Store>>);

/// Events that are lent at once.
const LENT_EVENTS_MAX: usize = 7;

impl Adapter for Handle {
    fn ready(&self) -> bool {
        true
    }
    fn in_flight_max(&self) -> usize {
        self.0.borrow().in_flight_max
    }
    fn submit(&mut self, batch: Batch, _: Monotonic) {
        self.0.borrow_mut().in_flight.push_back(batch);
    }
    fn outcome(&mut self, _: Monotonic) -> Option<Outcome> {
        self.0.borrow_mut().news.pop_front()
    }
    fn cancel(&mut self, _: Monotonic) -> Option<Batch> {
        self.0.borrow_mut().take_only()
    }
    fn read(&mut self, ticket: u64, request: ReadRequest, _: Monotonic) {
        self.0.borrow_mut().reads.push_back((ticket, request));
    }
    fn resident(&self, _: ShardId, after: Option<Sequence>) -> Resident<'_> {
        let store = self.0.borrow();
        if !store.lends {
            return Resident::Elsewhere;
        }
        let request =
            ReadRequest { stream: ShardId(0), after, events_max: LENT_EVENTS_MAX, bytes_max: usize::MAX };
        let ReadBlock { batch, skipped, .. } = store.block(request);
        if batch.is_empty() {
            return Resident::Nothing { skipped };
        }
        // For the rest of the test: what is lent belongs to the adapter, and this one makes it anew each time.
        Resident::Events { batch: Box::leak(Box::new(batch)), index: 0, skipped }
    }
    fn sync(&mut self, ticket: u64, _: Monotonic) {
        self.0.borrow_mut().news.push_back(Outcome::Synced { ticket, result: Ok(()) });
    }
}

/// An event says its number; some are larger than a lane takes in its ring.
fn payload_of(number: u64) -> Vec<u8> {
    let bytes = if number % 19 == 7 { 2_000 } else { 8 + (number % 5) as usize * 13 };
    let mut payload = vec![0; bytes];
    payload[..8].copy_from_slice(&number.to_le_bytes());
    payload
}

/// Its key, where it has one; with some the event does not fit the ring any more.
fn key_of(number: u64) -> Option<Vec<u8>> {
    let bytes = [0, 5, 40, 900][(number / 3 % 4) as usize];
    (!number.is_multiple_of(3)).then(|| vec![number as u8; bytes])
}

fn number_of(payload: &[u8]) -> u64 {
    let number = u64::from_le_bytes(payload[..8].try_into().expect("8 bytes"));
    assert_eq!(payload, payload_of(number), "an event arrives whole");
    number
}

struct Subscriber {
    source: Source,
    signal: Arc<Signal>,
    begin: Begin,
    received: Vec<(u64, u64)>,
    skipped: u64,
}

impl Subscriber {
    fn read(&mut self, records_max: usize) -> bool {
        let read = self.source.read(records_max, &mut None, &mut self.skipped) > 0;
        for index in 0..self.source.picked_count() {
            let event = self.source.event(index);
            // What was read from the store comes without.
            if event.key.is_some() {
                assert_eq!(event.key, key_of(number_of(event.payload)).as_deref());
            }
            self.received.push((event.sequence.0, number_of(event.payload)));
        }
        self.source.give_back();
        read
    }
}

struct Stage {
    shared: Arc<Shared>,
    shard: Shard,
    store: Rc<RefCell<Store>>,
    producer: Producer,
    subscribers: Vec<Subscriber>,
    published: u64,
    now: Monotonic,
}

impl Stage {
    fn new(lends: bool, in_flight_max: usize) -> Stage {
        crate::sync::register_heavy_fence().expect("membarrier is there");
        let mut config = Config { num_shards: NonZeroU16::MIN, lane_bytes: 4096, ..Config::default() };
        config.push_wait = Duration::ZERO;
        config.batch.max_size = 40;
        let kind = StoreKind { wants_keys: true, ..StoreKind::default() };
        let (shared, mut inboxes) = Shared::new(config, kind, 2, false);
        let store = Rc::new(RefCell::new(Store { in_flight_max, lends, ..Store::default() }));
        let adapter = Box::new(Handle(Rc::clone(&store)));
        let shard = Shard::new(ShardId(0), Arc::clone(&shared), inboxes.remove(0), adapter);
        let producer = Producer::new(Arc::clone(&shared));
        Stage { shared, shard, store, producer, subscribers: Vec::new(), published: 0, now: Monotonic(1) }
    }

    fn round(&mut self) -> bool {
        self.now = self.now.after(Duration::from_micros(1));
        self.shard.round(self.now).work > 0
    }

    fn publish(&mut self, count: u64) {
        for _ in 0..count {
            let (payload, key) = (payload_of(self.published), key_of(self.published));
            while self.producer.publish(key.as_deref(), &payload, EventFlags::NONE).is_err() {
                assert!(self.round(), "a full lane is drained");
            }
            self.published += 1;
        }
    }

    fn subscribe(&mut self, begin: Begin) -> usize {
        let budget = Arc::new(LaneBudget::new(1 << 20));
        let (producer, consumer) = lane(4096, &budget).expect("within the budget");
        let signal = Arc::new(Signal::new().expect("a descriptor"));
        let (answer, answers) = bounded(1);
        let joining = Joining { lane: producer, signal: Arc::clone(&signal), begin };
        self.shared
            .port(ShardId(0))
            .post(Mail::Subscribe(Subscribe { stream: ShardId(0), joining, answer }))
            .expect("room");
        self.round();
        let mut source = Source::new(ShardId(0), consumer);
        let (_, joined) = answers.try_recv().expect("answered in the round");
        source.begin(joined);
        let begin = joined.last.map_or(Begin::Oldest, Begin::After);
        self.subscribers.push(Subscriber { source, signal, begin, received: Vec::new(), skipped: 0 });
        self.subscribers.len() - 1
    }

    fn settle(&mut self) {
        // Long enough for every retry and every read that was given up.
        for _ in 0..200 {
            self.now = self.now.after(Duration::from_millis(50));
            let mut works = true;
            while works {
                self.store.borrow_mut().store();
                self.store.borrow_mut().answer_read();
                works = self.round();
                self.subscribers.iter_mut().for_each(|subscriber| while subscriber.read(1_000) {});
            }
        }
    }

    /// What every subscriber must have got by now.
    fn check(&self) {
        let store = self.store.borrow();
        for subscriber in &self.subscribers {
            let received = &subscriber.received;
            assert!(received.is_sorted_by(|a, b| a.0 < b.0), "in order, none twice: {received:?}");
            for event in received {
                assert!(store.ever.binary_search(event).is_ok(), "{event:?} was stored");
            }
            let stored_after = |last: u64| store.ever.iter().filter(|event| event.0 > last).count() as u64;
            let accounted = received.len() as u64 + subscriber.skipped;
            if let Begin::After(last) = subscriber.begin {
                assert_eq!(accounted, stored_after(last.0), "{:?}", subscriber.begin);
            } else if let Some(&(first, _)) = received.first() {
                // Whether what retention removed before the first event counts depends on when the shard first looked.
                assert!((stored_after(first - 1)..=stored_after(0)).contains(&accounted), "{accounted}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Publish(u64),
    Round,
    Store,
    RefuseForNow,
    RefuseForGood,
    StoreAndRefuse,
    AnswerRead,
    FailRead,
    Forget(usize),
    Subscribe(u8),
    Read(usize, usize),
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..60).prop_map(Step::Publish),
        8 => Just(Step::Round),
        4 => Just(Step::Store),
        1 => Just(Step::RefuseForNow),
        1 => Just(Step::RefuseForGood),
        1 => Just(Step::StoreAndRefuse),
        3 => Just(Step::AnswerRead),
        1 => Just(Step::FailRead),
        1 => (1usize..200).prop_map(Step::Forget),
        1 => any::<u8>().prop_map(Step::Subscribe),
        4 => (0usize..4, 1usize..80).prop_map(|(at, records)| Step::Read(at, records)),
        2 => (1u64..9_000).prop_map(Step::Pass),
    ]
}

fn take(stage: &mut Stage, step: &Step) {
    let store = Rc::clone(&stage.store);
    match *step {
        Step::Publish(count) => stage.publish(count),
        Step::Round => drop(stage.round()),
        Step::Store => store.borrow_mut().store(),
        Step::RefuseForNow => store.borrow_mut().refuse(AdapterError::Transient("asked for".into())),
        Step::RefuseForGood => store.borrow_mut().refuse(AdapterError::Final("asked for".into())),
        Step::StoreAndRefuse => store.borrow_mut().store_and_refuse(),
        Step::AnswerRead => store.borrow_mut().answer_read(),
        Step::FailRead => {
            let mut store = store.borrow_mut();
            if let Some((ticket, _)) = store.reads.pop_front() {
                let result = Err(AdapterError::Transient("asked for".into()));
                store.news.push_back(Outcome::Read { ticket, result });
            }
        }
        Step::Forget(count) => {
            let mut store = store.borrow_mut();
            // As the memory store does, the newest event is kept.
            let count = count.min(store.events.len().saturating_sub(1));
            store.events.drain(..count);
        }
        Step::Subscribe(kind) => {
            if stage.subscribers.len() < 4 {
                let ever = store.borrow().ever.iter().map(|event| event.0).collect::<Vec<_>>();
                let begin = match kind % 3 {
                    0 => Begin::Oldest,
                    1 => Begin::Now,
                    _ => Begin::After(Sequence(
                        ever.get(usize::from(kind) % ever.len().max(1)).copied().unwrap_or(0),
                    )),
                };
                stage.subscribe(begin);
            }
        }
        Step::Read(at, records) => {
            if let Some(subscriber) = stage.subscribers.get_mut(at) {
                subscriber.read(records);
                if let Some(last) = subscriber.received.last() {
                    assert!(store.borrow().ever.binary_search(last).is_ok(), "{last:?} is not stored yet");
                }
            }
        }
        Step::Pass(ms) => stage.now = stage.now.after(Duration::from_millis(ms)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_subscriber_gets_what_is_stored_or_a_count(
        lends in any::<bool>(),
        in_flight_max in 1usize..4,
        steps in proptest::collection::vec(any_step(), 1..150),
    ) {
        let mut stage = Stage::new(lends, in_flight_max);
        for step in &steps {
            take(&mut stage, step);
        }
        stage.settle();
        stage.check();
    }
}

#[test]
fn nothing_is_delivered_before_it_is_stored() {
    let mut stage = Stage::new(false, 1);
    let subscriber = stage.subscribe(Begin::Now);
    stage.publish(3);
    stage.round();
    stage.round();
    assert!(!stage.store.borrow().in_flight.is_empty());
    assert!(!stage.subscribers[subscriber].read(10));
    stage.store.borrow_mut().store();
    stage.round();
    stage.subscribers[subscriber].read(10);
    assert_eq!(stage.subscribers[subscriber].received, [(1, 0), (2, 1), (3, 2)]);
    assert!(stage.store.borrow().reads.is_empty(), "who keeps up never reads the store");
}

#[test]
fn a_subscriber_that_armed_its_signal_is_rung_once_for_what_is_stored() {
    let mut stage = Stage::new(false, 1);
    let subscriber = stage.subscribe(Begin::Now);
    let signal = Arc::clone(&stage.subscribers[subscriber].signal);
    assert!(signal.arm());
    stage.publish(1);
    stage.round();
    assert!(!signal.arm(), "it is armed still: nothing is stored");
    stage.store.borrow_mut().store();
    stage.round();
    assert!(signal.arm(), "it was rung");
}

#[test]
fn a_shard_rests_while_a_subscriber_has_no_room_and_goes_on_when_it_has() {
    let mut stage = Stage::new(false, 1);
    let subscriber = stage.subscribe(Begin::Now);
    stage.publish(200);
    for _ in 0..20 {
        stage.round();
        stage.store.borrow_mut().store();
        stage.store.borrow_mut().answer_read();
    }
    while stage.round() {}
    assert!(!stage.shard.has_work() && stage.shard.due().is_none(), "a slow subscriber costs nothing");
    let read = &mut stage.subscribers[subscriber];
    let mut rings = 0;
    while !read.source.owes_a_ring() && read.read(5) {
        rings += 1;
    }
    assert!(rings > 0 && stage.shard.has_work());
    stage.settle();
    stage.check();
}

#[test]
fn several_that_are_behind_catch_up_with_a_shard_that_goes_on_storing() {
    let mut stage = Stage::new(true, 1);
    stage.publish(600);
    stage.settle();
    let behind: Vec<_> = (0..3).map(|_| stage.subscribe(Begin::Oldest)).collect();
    for _ in 0..150 {
        stage.publish(15);
        stage.round();
        stage.store.borrow_mut().store();
        stage.round();
        stage.subscribers.iter_mut().for_each(|subscriber| while subscriber.read(1_000) {});
    }
    let stored = stage.store.borrow().ever.len();
    for at in behind {
        let received = stage.subscribers[at].received.len();
        assert!(received + 30 >= stored, "{received} of {stored}");
    }
}

#[test]
fn a_subscriber_hears_where_the_stream_stands_although_its_lane_was_full() {
    let mut stage = Stage::new(false, 1);
    // 85 records of 48 bytes leave no room for a mark in a ring of 4,096.
    for _ in 0..85 {
        stage.producer.publish(None, &payload_of(1), EventFlags::NONE).expect("there is room");
        stage.round();
        stage.store.borrow_mut().store();
        stage.round();
    }
    stage.producer.publish(None, &payload_of(1), EventFlags::NONE).expect("there is room");
    stage.round();
    stage.store.borrow_mut().refuse(AdapterError::Final("asked for".into()));
    stage.round();
    let subscriber = stage.subscribe(Begin::After(Sequence(0)));
    stage.store.borrow_mut().answer_read();
    stage.round();
    stage.settle();
    assert_eq!(stage.subscribers[subscriber].received.len(), 85);
    assert_eq!(stage.subscribers[subscriber].source.position(), Some(Sequence(86)));
}
