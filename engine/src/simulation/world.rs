//! The world of one seed: who there is, and what happens next.

use std::cell::RefCell;
use std::collections::HashSet;
use std::num::{NonZeroU16, NonZeroU32};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use fastrand::Rng;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::books::{Books, number_of, payload_of};
use super::faults::{Fault, Faults};
use super::follower::Follower;
use super::poller::Poller;
use super::store::{Handle, Store, Stores};
use crate::adapter::Notify;
use crate::clock::{Clock, Monotonic};
use crate::config::{Backpressure, Config, Sampling};
use crate::counters::ShardStats;
use crate::duty::Duty;
use crate::event::{EventFlags, ShardId};
use crate::port::{Flushed, Mail};
use crate::producer::{Producer, PublishError};
use crate::route::{routing_hash, shard_of};
use crate::shard::Shard;
use crate::shared::{Shared, Shutdown, StoreKind};

pub(super) struct World {
    rng: Rng,
    /// One event of so many is large.
    one_is_large: u8,
    pub(super) now: Monotonic,
    pub(super) shared: Arc<Shared>,
    /// `None` when it has ended.
    pub(super) shards: Vec<Option<Shard>>,
    pub(super) asleep: Vec<bool>,
    pub(super) stores: Stores,
    producers: Vec<Publisher>,
    producers_made: u32,
    pub(super) pollers: Vec<Poller>,
    pub(super) followers: Vec<Follower>,
    pub(super) flushes: Vec<Flush>,
    /// By shard, how many flushes were answered whose sync failed, and whose did not.
    flushed: Vec<[u64; 2]>,
    /// Since when nothing fails.
    pub(super) calm_since: Option<Monotonic>,
    pub(super) books: Books,
    pub(super) faults: Faults,
    pub(super) trace: u64,
    pub(super) shutdown: Option<Receiver<(ShardId, u64)>>,
}

/// A producer, its number, and the last stamp that it was given.
struct Publisher {
    name: u32,
    stamped_ns: u64,
    producer: Producer,
}

/// A flush under way.
pub(super) struct Flush {
    /// The numbers of the events that each shard had accepted.
    before: Vec<Vec<u64>>,
    answers: Receiver<(ShardId, Flushed)>,
    deadline: Monotonic,
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        crate::sync::register_heavy_fence().expect("membarrier is there");
        let mut rng = Rng::with_seed(seed);
        let config = config(&mut rng);
        let shards = config.num_shards.get();
        let (mut shared, inboxes) = Shared::new(config, StoreKind::default(), 2, false);
        Arc::get_mut(&mut shared).expect("nobody else has it yet").clock = Clock::by_hand();
        let notify = |shard: ShardId| Notify(Arc::clone(&shared.port(shard).doorbell));
        let stores: Vec<_> = (0..shards)
            .map(|shard| Rc::new(RefCell::new(Store::new(rng.fork(), notify(ShardId(shard))))))
            .collect();
        let shard = |((id, inbox), store)| {
            Some(Shard::new(ShardId(id), Arc::clone(&shared), inbox, Box::new(Handle::new(store))))
        };
        World {
            one_is_large: rng.u8(1..60),
            now: Monotonic(1),
            shards: (0..).zip(inboxes).zip(&stores).map(shard).collect(),
            asleep: vec![false; usize::from(shards)],
            stores,
            producers: Vec::new(),
            producers_made: 0,
            pollers: (0..rng.usize(1..3)).map(|_| Poller::new(&mut rng, shards, KEYS)).collect(),
            followers: Vec::new(),
            flushes: Vec::new(),
            flushed: vec![[0; 2]; usize::from(shards)],
            calm_since: None,
            books: Books::new(&shared.config),
            faults: Faults::default(),
            trace: seed,
            shutdown: None,
            rng,
            shared,
        }
    }

    /// Lets things happen.
    pub(super) fn live(&mut self) {
        let steps = self.rng.usize(100..600);
        let shutdown_at = if self.rng.u8(..3) == 0 { self.rng.usize(..steps) } else { usize::MAX };
        for step in 0..steps {
            if step == shutdown_at {
                let within = Duration::from_millis(self.rng.u64(..20_000));
                self.shut_down(within);
                self.faults.count(Fault::ShutDown);
            }
            self.step();
        }
    }

    fn step(&mut self) {
        let shard = self.rng.usize(..self.shards.len());
        match self.rng.u8(..40) {
            0..=7 => self.publish(),
            8..=17 => drop(self.round(shard)),
            18..=23 => drop(self.stores[shard].borrow_mut().act()),
            24..=26 => self.pass(),
            27..=30 => self.poll(),
            31..=34 => self.follow(),
            35 => self.flush(),
            36 => drop(self.look(shard)),
            37 => self.end_producer(),
            38 => self.end_follower(),
            _ => self.jump(),
        }
        self.hear_flushes();
        for shard in self.shared.shard_ids() {
            let stats = self.shared.port(shard).board.read();
            self.books.check_published(shard, &stats, &self.stores[shard.index()].borrow());
        }
    }

    fn publish(&mut self) {
        if self.producers.len() < PRODUCERS_MAX && self.rng.u8(..4) == 0 || self.producers.is_empty() {
            self.producers_made += 1;
            let producer = Producer::new(Arc::clone(&self.shared));
            self.producers.push(Publisher { name: self.producers_made, stamped_ns: 0, producer });
        }
        let at = self.rng.usize(..self.producers.len());
        for _ in 0..self.rng.usize(1..60) {
            let key = self.rng.u8(..KEYS);
            let pad = if self.rng.u8(..self.one_is_large) == 0 {
                self.rng.usize(..3_000)
            } else {
                self.rng.usize(..40)
            };
            let publisher = &mut self.producers[at];
            let number = self.books.offer(publisher.name, key);
            let payload = payload_of(number, key, pad);
            let shard = shard_of(routing_hash(Some(&[key]), &payload), self.shared.shards());
            match publisher.producer.publish(Some(&[key]), &payload, EventFlags::JSON) {
                Ok(receipt) => {
                    assert_eq!(receipt.shard, shard);
                    let before = std::mem::replace(&mut publisher.stamped_ns, receipt.timestamp_ns);
                    assert!(
                        receipt.timestamp_ns > before,
                        "{} is stamped behind {before}",
                        receipt.timestamp_ns
                    );
                    self.books.accept(number, shard);
                    let is_parked = self.shared.port(shard).doorbell.is_parked();
                    assert!(
                        !self.asleep[shard.index()] || !is_parked,
                        "nobody has rung for an event of {shard}"
                    );
                }
                Err(error @ (PublishError::Refused | PublishError::Dropped)) => {
                    self.books.turn_away(shard, error == PublishError::Dropped);
                    self.faults.count(Fault::Full);
                }
                Err(PublishError::ShuttingDown) => assert!(self.shutdown.is_some()),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// One round of a shard, if something wakes it. Whether it did something.
    pub(super) fn round(&mut self, at: usize) -> bool {
        let Some(shard) = &mut self.shards[at] else { return false };
        let doorbell = &self.shared.port(ShardId(at as u16)).doorbell;
        let is_due = shard.due().is_some_and(|due| due <= self.now);
        if self.asleep[at] && doorbell.is_parked() && !is_due {
            // Nobody has rung: whatever there may be for it to do, a real one sleeps on.
            return false;
        }
        if std::mem::take(&mut self.asleep[at]) {
            doorbell.unpark();
            shard.woken();
        }
        let round = shard.round(self.now);
        if round.finished {
            self.shards[at].take().expect("it was there").end();
            let given_up = self.shared.port(ShardId(at as u16)).board.read().dropped.shutdown;
            let is_late = self.shared.shutdown().is_some_and(|shutdown| shutdown.deadline <= self.now);
            assert!(given_up == 0 || is_late, "{given_up} events are given up before the deadline");
        } else if round.work == 0 && !shard.has_work() {
            shard.rest(self.now);
            doorbell.park();
            self.asleep[at] = !shard.has_work();
            if !self.asleep[at] {
                doorbell.unpark();
            }
        }
        self.note(&[at as u64, round.work as u64, u64::from(round.finished)]);
        round.work > 0 || round.finished
    }

    fn pass(&mut self) {
        let ns = match self.rng.u8(..4) {
            0 => self.rng.u64(..10_000),
            1 => self.rng.u64(..10_000_000),
            2 => self.rng.u64(..1_000_000_000),
            _ => self.rng.u64(..6_000_000_000),
        };
        self.pass_to(self.now.after(Duration::from_nanos(ns)));
    }

    pub(super) fn pass_to(&mut self, now: Monotonic) {
        self.now = now;
        self.shared.clock.set(now);
    }

    fn jump(&mut self) {
        self.shared.clock.jump(self.rng.i64(-3_600_000_000_000..3_600_000_000_000));
        self.faults.count(Fault::ClockJump);
    }

    fn poll(&mut self) {
        let at = self.rng.usize(..self.pollers.len());
        let limit = self.rng.usize(1..300);
        self.poll_on(at, limit);
    }

    /// Whether it did not only wait.
    pub(super) fn poll_on(&mut self, at: usize, limit: usize) -> bool {
        let before = self.pollers[at].skipped();
        let found = self.pollers[at].step(limit, &self.shared, self.now, &self.stores);
        if self.pollers[at].skipped() > before {
            self.faults.count(Fault::Overtaken);
        }
        self.note(found.as_deref().unwrap_or_default());
        found.is_some()
    }

    fn follow(&mut self) {
        if self.followers.len() < FOLLOWERS_MAX && self.rng.u8(..6) == 0 {
            self.followers.extend(Follower::ask(&mut self.rng, &self.shared, KEYS, self.now));
        }
        if !self.followers.is_empty() {
            let at = self.rng.usize(..self.followers.len());
            let events_max = self.rng.usize(1..100);
            self.follow_on(at, events_max);
        }
    }

    /// How many events a follower was given; one that gives up is gone.
    pub(super) fn follow_on(&mut self, at: usize, events_max: usize) -> usize {
        let follower = &mut self.followers[at];
        if follower.is_far_behind(&self.stores) {
            self.faults.count(Fault::SlowReader);
        }
        let before = follower.skipped();
        let given = follower.step(events_max, self.now, &self.stores, self.shutdown.is_some());
        if follower.skipped() > before {
            self.faults.count(Fault::Overtaken);
        }
        if given.is_none() {
            let waited_until = follower.joins_until();
            let may_be_late =
                |calm: Monotonic| self.shutdown.is_some() || waited_until.is_some_and(|at| at <= calm);
            assert!(self.calm_since.is_none_or(may_be_late), "who subscribes is not answered");
            self.followers.swap_remove(at);
        }
        self.note(&[given.map_or(u64::MAX, |given| given as u64)]);
        given.unwrap_or_default()
    }

    fn end_producer(&mut self) {
        if !self.producers.is_empty() {
            let at = self.rng.usize(..self.producers.len());
            drop(self.producers.swap_remove(at));
            self.faults.count(Fault::ProducerGone);
        }
    }

    fn end_follower(&mut self) {
        if !self.followers.is_empty() && self.rng.u8(..3) == 0 {
            let at = self.rng.usize(..self.followers.len());
            drop(self.followers.swap_remove(at));
            self.faults.count(Fault::SubscriberGone);
        }
    }

    fn flush(&mut self) {
        if self.shutdown.is_some() || self.flushes.len() >= FLUSHES_MAX {
            return;
        }
        let shards: Vec<ShardId> = self.shared.shard_ids().collect();
        let before = shards.iter().map(|&shard| self.books.accepted_numbers(shard).collect()).collect();
        let (answer, answers) = bounded(shards.len());
        let deadline = self.now.after(self.shared.config.flush_timeout);
        for shard in shards {
            let flush = Mail::Flush { deadline, answer: answer.clone() };
            self.shared.port(shard).post(flush).expect("its mailbox has room");
        }
        self.flushes.push(Flush { before, answers, deadline });
    }

    /// What a flush vouches for is stored, or counted as dropped.
    pub(super) fn hear_flushes(&mut self) {
        let now = self.now;
        let mut flushes = std::mem::take(&mut self.flushes);
        flushes.retain(|flush| {
            while let Ok((shard, flushed)) = flush.answers.try_recv() {
                self.note(&[u64::from(shard.0), flushed.refused]);
                let missing = self.missing(shard, &flush.before[shard.index()]);
                let dropped = match self.shared.config.backpressure {
                    Backpressure::DropOldest | Backpressure::Sample(_) => {
                        let dropped = self.look(shard.index()).dropped;
                        dropped.oldest + dropped.sampled + dropped.adapter
                    }
                    Backpressure::DropNewest | Backpressure::FailProducer => flushed.refused,
                };
                assert!(missing <= dropped, "{missing} events before a flush are not stored on {shard}");
                let answers = &mut self.flushed[shard.index()];
                answers[usize::from(flushed.synced.is_ok())] += 1;
                let told = self.stores[shard.index()].borrow().told_synced;
                assert!(
                    answers[0] <= told[0] && answers[1] <= told[1],
                    "{shard} answers {answers:?} flushes, of syncs that ended {told:?}"
                );
            }
            now < flush.deadline
        });
        self.flushes = flushes;
    }

    /// How many of these events `shard` has not stored.
    fn missing(&self, shard: ShardId, numbers: &[u64]) -> u64 {
        let store = self.stores[shard.index()].borrow();
        let stored: HashSet<u64> = store.ever.values().map(|payload| number_of(payload)).collect();
        numbers.iter().filter(|number| !stored.contains(number)).count() as u64
    }

    /// Nothing fails any more: a flush is answered by every shard, and has worked.
    pub(super) fn flush_calmly(&mut self) {
        let before = self.flushed.clone();
        self.flush();
        self.settle(false);
        for ((shard, answers), before) in self.shared.shard_ids().zip(&self.flushed).zip(before) {
            assert_eq!(*answers, [before[0], before[1] + 1], "{shard} answers no flush");
        }
    }

    /// Asks for a snapshot, holds it against the books, and gives it.
    fn look(&mut self, at: usize) -> ShardStats {
        let port = self.shared.port(ShardId(at as u16));
        let question = port.ask();
        // A round answers so many requests, and then looks at the question.
        for _ in 0..ROUNDS_TO_ANSWER {
            if self.shared.port(ShardId(at as u16)).inquiry.is_answered(question) || self.shards[at].is_none()
            {
                break;
            }
            self.round(at);
        }
        let stats = self.shared.port(ShardId(at as u16)).board.read();
        self.books.check_snapshot(ShardId(at as u16), &stats);
        self.note(&[stats.stored, stats.dropped.total(), stats.pending_events]);
        stats
    }

    pub(super) fn shut_down(&mut self, within: Duration) {
        let (answer, answers) = bounded(self.shards.len());
        let deadline = self.now.after(within);
        self.shared.start_closing(Shutdown { deadline, answer });
        self.shutdown = Some(answers);
    }

    pub(super) fn outcome(self) -> (u64, Faults) {
        let mut faults = self.faults;
        self.stores.iter().for_each(|store| faults.add(&store.borrow().faults));
        (self.trace, faults)
    }

    fn note(&mut self, values: &[u64]) {
        for value in values {
            self.trace = xxh3_64_with_seed(&value.to_le_bytes(), self.trace);
        }
    }
}

fn config(rng: &mut Rng) -> Config {
    let mut config = Config {
        num_shards: NonZeroU16::new(rng.u16(1..5)).expect("not zero"),
        ring_buffer_capacity: 1_024,
        // So little that one batch may be all that a shard holds, or enough.
        buffer_bytes: if rng.bool() { 8 << 10 } else { rng.usize(16..512) << 10 },
        max_event_bytes: 8 << 10,
        lane_bytes: 4_096,
        push_wait: Duration::ZERO,
        backpressure: match rng.u8(..4) {
            0 => Backpressure::DropNewest,
            1 => Backpressure::DropOldest,
            2 => Backpressure::FailProducer,
            _ => Backpressure::Sample(Sampling { rate: NonZeroU32::new(rng.u32(1..5)).expect("not zero") }),
        },
        adapter_timeout: Duration::from_millis(rng.u64(100..5_000)),
        adapter_batch_retries: rng.bool().then(|| rng.u32(..4)),
        flush_timeout: Duration::from_millis(rng.u64(100..20_000)),
        ..Config::default()
    };
    config.batch.max_size = rng.usize(1..200);
    config.batch.min_size = rng.usize(1..=config.batch.max_size);
    config
}

const KEYS: u8 = 7;
const PRODUCERS_MAX: usize = 4;
const FOLLOWERS_MAX: usize = 3;
const FLUSHES_MAX: usize = 4;
const ROUNDS_TO_ANSWER: usize = 8;
