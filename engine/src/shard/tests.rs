//! The shard without threads: a scripted adapter, a producer, and rounds at times that the test chooses.

mod books;
mod delivery;
mod in_flight;
mod keyed;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::*;
use crate::adapter::{AdapterError, Outcome, ReadRequest};
use crate::batch::Batch;
use crate::config::{Backpressure, Config, Sampling};
use crate::counters::ShardStats;
use crate::event::{EventFlags, Sequence};
use crate::port::Flushed;
use crate::producer::{Producer, PublishError};
use crate::shared::{Shutdown, StoreKind};

/// What the scripted adapter was asked, and what it shall answer.
#[derive(Default)]
struct Script {
    /// Acknowledges every batch at once.
    stores_at_once: bool,
    unready: bool,
    /// How many batches it takes at once, if that is more than one.
    in_flight_max: usize,
    in_flight: VecDeque<Batch>,
    /// First sequence and payloads of every submission.
    submitted: Vec<(Sequence, Vec<Vec<u8>>)>,
    /// The keys of all of them.
    keys: Vec<Option<Vec<u8>>>,
    cancelled: usize,
    syncs: usize,
    news: VecDeque<Outcome>,
    resume: Sequence,
}

struct Scripted(Rc<RefCell<Script>>);

impl Adapter for Scripted {
    fn resume(&self) -> Sequence {
        self.0.borrow().resume
    }
    fn ready(&self) -> bool {
        !self.0.borrow().unready
    }
    fn in_flight_max(&self) -> usize {
        self.0.borrow().in_flight_max.max(1)
    }
    fn submit(&mut self, batch: Batch, _: Monotonic) {
        let mut script = self.0.borrow_mut();
        let payloads = batch.events().map(|event| event.payload.to_vec()).collect();
        script.submitted.push((batch.first(), payloads));
        script.keys.extend(batch.events().map(|event| event.key.map(<[u8]>::to_vec)));
        if script.stores_at_once {
            script.news.push_back(Outcome::Stored { first: batch.first(), spent: Some(batch) });
        } else {
            script.in_flight.push_back(batch);
        }
    }
    fn outcome(&mut self, _: Monotonic) -> Option<Outcome> {
        self.0.borrow_mut().news.pop_front()
    }
    fn cancel(&mut self, _: Monotonic) -> Option<Batch> {
        let mut script = self.0.borrow_mut();
        script.cancelled += 1;
        assert!(script.in_flight.len() < 2, "one of several is not given back");
        script.in_flight.pop_front()
    }
    fn read(&mut self, _: u64, _: ReadRequest, _: Monotonic) {}
    fn sync(&mut self, ticket: u64, _: Monotonic) {
        let mut script = self.0.borrow_mut();
        script.syncs += 1;
        script.news.push_back(Outcome::Synced { ticket, result: Ok(()) });
    }
}

struct Stage {
    shared: Arc<Shared>,
    shard: Shard,
    script: Rc<RefCell<Script>>,
    producer: Producer,
    now: Monotonic,
}

impl Stage {
    fn new(change: impl FnOnce(&mut Config)) -> Stage {
        Stage::resuming(Sequence::FIRST, change)
    }

    fn resuming(resume: Sequence, change: impl FnOnce(&mut Config)) -> Stage {
        Stage::of(StoreKind::default(), resume, change)
    }

    fn of(kind: StoreKind, resume: Sequence, change: impl FnOnce(&mut Config)) -> Stage {
        crate::sync::register_heavy_fence().expect("membarrier is there");
        let mut config = Config {
            num_shards: NonZeroU16::MIN,
            ring_buffer_capacity: 1024,
            lane_bytes: 4096,
            push_wait: Duration::ZERO,
            ..Config::default()
        };
        config.batch.max_size = 100;
        change(&mut config);
        let (shared, mut inboxes) = Shared::new(config, kind, 2, false);
        let script = Rc::new(RefCell::new(Script { resume, ..Script::default() }));
        let adapter = Box::new(Scripted(Rc::clone(&script)));
        let shard = Shard::new(ShardId(0), Arc::clone(&shared), inboxes.remove(0), adapter);
        let producer = Producer::new(Arc::clone(&shared));
        Stage { shared, shard, script, producer, now: Monotonic(1) }
    }

    /// Publishes the number as an event of 8 bytes.
    fn publish(&mut self, number: u64) -> Result<(), PublishError> {
        self.producer.publish(None, &number.to_le_bytes(), EventFlags::NONE).map(drop)
    }

    /// Publishes numbers, letting the shard drain after each.
    fn publish_drained(&mut self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.publish(number).expect("the lane is drained");
            self.round();
        }
    }

    fn round(&mut self) -> Round {
        self.shard.round(self.now)
    }

    fn settle(&mut self) {
        while self.round().work > 0 {}
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// The adapter acknowledges the oldest that it has in flight.
    fn store(&mut self) {
        let spent = self.script.borrow_mut().in_flight.pop_front().expect("something is in flight");
        let first = spent.first();
        self.script.borrow_mut().news.push_back(Outcome::Stored { first, spent: Some(spent) });
    }

    fn refuse(&mut self, error: AdapterError) {
        let batch = self.script.borrow_mut().in_flight.pop_front().expect("something is in flight");
        self.script.borrow_mut().news.push_back(Outcome::Refused { batch, error });
    }

    /// The adapter has stored the first `stored` events of what it has in flight, and refuses the rest.
    fn refuse_behind(&mut self, stored: usize, error: AdapterError) {
        self.script.borrow_mut().in_flight.front_mut().expect("something is in flight").evict(stored);
        self.refuse(error);
    }

    /// Stores until nothing is in flight and nothing waits.
    fn store_all(&mut self) {
        self.settle();
        while !self.script.borrow().in_flight.is_empty() {
            self.store();
            self.settle();
        }
    }

    fn flush(&mut self) -> Receiver<(ShardId, Flushed)> {
        let (answer, answers) = bounded(1);
        let deadline = self.now.after(Duration::from_secs(5));
        self.shared.port(ShardId(0)).post(Mail::Flush { deadline, answer }).expect("the shard listens");
        self.settle();
        answers
    }

    fn close(&mut self, within: Duration) {
        // Answered by the thread, which there is none of.
        let (answer, _) = bounded(1);
        self.shared.start_closing(Shutdown { deadline: self.now.after(within), answer });
    }

    /// Rounds until the shard rests. How many events it did not store, if it is finished.
    fn finish(&mut self) -> Option<u64> {
        loop {
            match self.round() {
                Round { finished: true, .. } => return Some(self.shard.dropped_at_shutdown),
                Round { work: 0, .. } => return None,
                _ => {}
            }
        }
    }

    /// The snapshot, after checking that it adds up.
    fn stats(&mut self) -> ShardStats {
        let question = self.shared.port(ShardId(0)).ask();
        self.round();
        let port = self.shared.port(ShardId(0));
        assert!(port.inquiry.is_answered(question), "statistics are answered in one round");
        let stats = port.board.read();
        let accounted = stats.stored + stats.dropped.total() + stats.pending_events;
        assert_eq!(stats.ingested, accounted, "{stats:?}");
        stats
    }

    /// Numbers submitted so far, in order.
    fn submitted(&self) -> Vec<u64> {
        let script = self.script.borrow();
        let payloads = script.submitted.iter().flat_map(|(_, payloads)| payloads);
        payloads.map(|payload| u64::from_le_bytes(payload[..].try_into().expect("eight bytes"))).collect()
    }
}

#[test]
fn what_a_refused_batch_has_stored_is_counted_as_stored_and_not_sent_again() {
    let mut stage = Stage::new(|_| {});
    (0..10).for_each(|number| stage.publish(number).expect("room"));
    stage.settle();
    stage.refuse_behind(4, transient());
    stage.settle();
    let stats = stage.stats();
    assert_eq!((stats.stored, stats.dropped.adapter, stats.pending_events), (4, 0, 6));
    stage.pass(Duration::from_secs(1));
    stage.settle();
    assert_eq!(stage.submitted()[10..], [4, 5, 6, 7, 8, 9]);
    stage.refuse_behind(1, AdapterError::Final("never".to_owned()));
    stage.settle();
    let stats = stage.stats();
    assert_eq!((stats.stored, stats.dropped.adapter, stats.pending_events), (5, 5, 0));
}

fn transient() -> AdapterError {
    AdapterError::Transient("later".to_owned())
}

fn refused_for_good() -> AdapterError {
    AdapterError::Final("never".to_owned())
}

#[test]
fn batches_grow_while_the_adapter_is_busy_and_keep_the_order() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..250);
    stage.store_all();
    let sizes: Vec<_> = stage.script.borrow().submitted.iter().map(|(_, batch)| batch.len()).collect();
    assert_eq!(sizes, [1, 100, 100, 49]);
    assert_eq!(stage.submitted(), (0..250).collect::<Vec<_>>());
    let firsts: Vec<_> = stage.script.borrow().submitted.iter().map(|(first, _)| first.0).collect();
    assert_eq!(firsts, [1, 2, 102, 202]);
    assert_eq!(stage.stats().stored, 250);
}

#[test]
fn a_batch_below_its_minimum_waits_for_its_delay() {
    let mut stage = Stage::new(|config| {
        config.batch.min_size = 10;
        config.batch.max_delay = Duration::from_millis(3);
    });
    stage.publish_drained(0..9);
    assert!(stage.submitted().is_empty());
    assert_eq!(stage.shard.due(), Some(stage.now.after(Duration::from_millis(3))));
    stage.pass(Duration::from_millis(3));
    stage.settle();
    assert_eq!(stage.submitted().len(), 9);
    stage.store_all();
    stage.publish_drained(9..19);
    assert_eq!(stage.submitted().len(), 19, "ten events wait for nothing");
}

#[test]
fn drop_oldest_never_evicts_what_was_submitted() {
    let mut stage = Stage::new(|config| config.backpressure = Backpressure::DropOldest);
    stage.publish_drained(0..5_000);
    let stats = stage.stats();
    assert_eq!(stats.pending_events, 1024);
    assert_eq!(stats.dropped.oldest, 5_000 - 1024);
    stage.store_all();
    let expected: Vec<u64> = std::iter::once(0).chain(5_000 - 1023..5_000).collect();
    assert_eq!(stage.submitted(), expected, "the first was in flight, the newest were kept");
    let stats = stage.stats();
    assert_eq!((stats.stored, stats.pending_events, stats.pending_bytes), (1024, 0, 0));
}

#[test]
fn sample_admits_one_in_rate_once_the_buffer_is_full() {
    let rate = 10.try_into().expect("ten");
    let mut stage = Stage::new(|config| config.backpressure = Backpressure::Sample(Sampling { rate }));
    stage.publish_drained(0..2_024);
    let stats = stage.stats();
    assert_eq!(stats.dropped.sampled, 900);
    assert_eq!(stats.dropped.oldest, 100);
    assert_eq!(stats.pending_events, 1024);
}

#[test]
fn fail_producer_refuses_and_drop_newest_drops() {
    for (backpressure, expected) in [
        (Backpressure::FailProducer, PublishError::Refused),
        (Backpressure::DropNewest, PublishError::Dropped),
    ] {
        let mut stage = Stage::new(|config| config.backpressure = backpressure);
        let mut accepted = 0;
        let error = loop {
            match stage.publish(accepted) {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
            stage.round();
        };
        assert_eq!(error, expected);
        let stats = stage.stats();
        let is_newest = expected == PublishError::Dropped;
        assert_eq!(stats.dropped.newest, u64::from(is_newest));
        assert_eq!(stats.refused, u64::from(!is_newest));
        assert_eq!(stats.pending_events, accepted);
        stage.store_all();
        assert_eq!(stage.submitted(), (0..accepted).collect::<Vec<_>>(), "what was accepted is stored");
        stage.publish(accepted).expect("there is room again");
    }
}

#[test]
fn one_refused_for_now_is_retried_under_the_same_identity_and_in_order() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..3);
    stage.refuse(transient());
    stage.settle();
    assert_eq!(stage.script.borrow().submitted.len(), 1, "a retry waits");
    stage.pass(Duration::from_millis(1));
    stage.settle();
    stage.refuse(transient());
    stage.settle();
    stage.pass(Duration::from_millis(2));
    stage.store_all();
    let firsts: Vec<_> = stage.script.borrow().submitted.iter().map(|(first, _)| first.0).collect();
    assert_eq!(firsts, [1, 1, 1, 2]);
    assert_eq!(stage.submitted(), [0, 0, 0, 1, 2]);
    assert_eq!(stage.stats().retries, 2);
}

#[test]
fn one_refused_for_good_is_not_retried_and_is_counted() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..1);
    stage.refuse(refused_for_good());
    stage.settle();
    stage.pass(Duration::from_mins(1));
    stage.settle();
    assert_eq!(stage.submitted(), [0]);
    assert_eq!(stage.stats().dropped.adapter, 1);
    let flushed = stage.flush().try_recv().expect("nothing is pending").1;
    assert_eq!(flushed.refused, 1, "a flush says so");
}

#[test]
fn retries_end_where_the_configuration_says() {
    let mut stage = Stage::new(|config| config.adapter_batch_retries = Some(2));
    stage.publish_drained(0..1);
    for _ in 0..3 {
        stage.refuse(transient());
        stage.settle();
        stage.pass(Duration::from_secs(1));
        stage.settle();
    }
    assert_eq!(stage.submitted(), [0, 0, 0]);
    assert_eq!(stage.stats().dropped.adapter, 1);
}

#[test]
fn a_timeout_is_retried_under_the_same_identity() {
    let mut stage = Stage::new(|config| config.adapter_timeout = Duration::from_secs(2));
    stage.publish_drained(0..1);
    stage.pass(Duration::from_secs(1));
    stage.settle();
    assert_eq!(stage.script.borrow().cancelled, 0);
    stage.pass(Duration::from_secs(1));
    stage.settle();
    assert_eq!(stage.script.borrow().cancelled, 1);
    stage.pass(Duration::from_secs(1));
    stage.store_all();
    let firsts: Vec<_> = stage.script.borrow().submitted.iter().map(|(first, _)| first.0).collect();
    assert_eq!(firsts, [1, 1]);
    assert_eq!(stage.stats().stored, 1);
}

#[test]
fn sequences_go_on_from_the_stores_mark() {
    let mut stage = Stage::resuming(Sequence(1_000), |_| {});
    stage.publish_drained(0..1);
    assert_eq!(stage.script.borrow().submitted[0].0, Sequence(1_000));
}

#[test]
fn a_flush_waits_for_its_position_and_not_for_later_events() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..3);
    let flushed = stage.flush();
    stage.publish_drained(3..500);
    stage.store();
    stage.settle();
    assert!(flushed.try_recv().is_err(), "two of its events are in flight only now");
    stage.store();
    stage.settle();
    assert!(flushed.try_recv().is_ok(), "later events are still pending");
    assert!(stage.stats().pending_events > 0);
}

#[test]
fn later_evictions_do_not_satisfy_a_flush() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..10);
    let flushed = stage.flush();
    stage.publish_drained(10..5_000);
    assert!(stage.stats().dropped.oldest > 10);
    assert!(flushed.try_recv().is_err(), "the first event is still in flight");
    stage.store();
    stage.settle();
    assert!(flushed.try_recv().is_ok());
}

#[test]
fn a_flush_covers_what_is_still_in_a_lane() {
    let mut stage = Stage::new(|_| {});
    stage.publish(1).expect("room");
    let flushed = stage.flush();
    assert!(flushed.try_recv().is_err());
    stage.store();
    stage.settle();
    assert!(flushed.try_recv().is_ok());
    assert_eq!(stage.script.borrow().syncs, 1);
}

#[test]
fn a_shutdown_stores_syncs_and_reports_nothing_left() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..5);
    stage.publish(5).expect("room");
    stage.close(Duration::from_secs(5));
    while stage.finish().is_none() {
        stage.store();
    }
    assert_eq!(stage.finish(), Some(0));
    assert_eq!(stage.submitted(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(stage.script.borrow().syncs, 1);
    assert_eq!(stage.publish(6), Err(PublishError::ShuttingDown));
}

#[test]
fn a_shutdown_with_a_hung_adapter_ends_at_its_deadline_and_counts_what_is_left() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..5);
    stage.close(Duration::from_secs(1));
    assert_eq!(stage.finish(), None);
    assert!(stage.shard.due().is_some(), "it wakes up by itself");
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.finish(), Some(5));
    let stats = stage.shared.port(ShardId(0)).board.read();
    assert_eq!((stats.ingested, stats.dropped.shutdown, stats.pending_events), (5, 5, 0));
}

#[test]
fn nothing_is_submitted_after_the_deadline_of_a_shutdown() {
    let mut stage = Stage::new(|_| {});
    stage.publish(1).expect("room");
    stage.close(Duration::ZERO);
    assert_eq!(stage.finish(), Some(1));
    assert!(stage.submitted().is_empty());
}

#[test]
fn a_shutdown_waits_for_a_publication_under_way() {
    let mut stage = Stage::new(|_| {});
    stage.script.borrow_mut().stores_at_once = true;
    let (mut lane, consumer) = crate::lane::lane(4096, &stage.shared.lane_budget).expect("within the budget");
    stage.shared.port(ShardId(0)).connect(consumer).expect("open");
    assert!(lane.enter());
    stage.close(Duration::from_secs(5));
    assert_eq!(stage.finish(), None, "the publication may still become an event");
    let header = crate::lane::record::Header { body_bytes: 8, flags: 0, timestamp_ns: 1, hash: 1 };
    lane.push(header, &7u64.to_le_bytes()).expect("room");
    lane.publish();
    lane.leave();
    assert_eq!(stage.finish(), Some(0));
    assert_eq!(stage.submitted(), [7]);
}

#[test]
fn a_stalled_store_lets_no_batch_outgrow_its_memory() {
    let mut stage = Stage::new(|config| {
        config.ring_buffer_capacity = 1024;
        config.batch.max_size = 512;
        // Half of the buffer is in flight, so that one batch alone takes what comes.
        config.batch.min_size = 512;
    });
    stage.publish_drained(0..100_000);
    let held: usize = stage.shard.buffer.capacity_bytes();
    assert!(held <= 1 << 20, "{held} bytes of memory for 1,024 events of 32 bytes");
    assert_eq!(stage.stats().pending_events, 1024);
}

#[test]
fn late_news_of_a_cancelled_batch_settles_no_other() {
    let mut stage = Stage::new(|config| config.adapter_timeout = Duration::from_secs(2));
    stage.publish_drained(0..1);
    stage.pass(Duration::from_secs(2));
    stage.settle();
    stage.pass(Duration::from_secs(1));
    stage.store_all();
    stage.publish_drained(1..2);
    let late = Outcome::Stored { first: Sequence(1), spent: None };
    stage.script.borrow_mut().news.push_back(late);
    stage.settle();
    assert_eq!(stage.stats().stored, 1, "the second batch is still in flight");
}

#[test]
fn a_shard_whose_adapter_is_not_ready_has_nothing_due() {
    let mut stage = Stage::new(|_| {});
    stage.script.borrow_mut().unready = true;
    stage.publish_drained(0..1);
    assert_eq!(stage.shard.due(), None);
    stage.script.borrow_mut().unready = false;
    stage.settle();
    assert_eq!(stage.submitted(), [0]);
}

#[test]
fn a_flooding_producer_starves_no_other() {
    let mut stage = Stage::new(|config| config.lane_bytes = 1 << 20);
    for number in 0..10_000 {
        stage.publish(number).expect("room");
    }
    let mut other = Producer::new(Arc::clone(&stage.shared));
    other.publish(None, &77_777u64.to_le_bytes(), EventFlags::NONE).expect("room");
    stage.script.borrow_mut().stores_at_once = true;
    stage.round();
    stage.round();
    stage.settle();
    let place = stage.submitted().iter().position(|&number| number == 77_777).expect("stored");
    assert!(place < 5_000, "the single event came as number {place}");
}

#[test]
fn lanes_of_producers_that_are_gone_are_retired_and_stay_counted() {
    let mut stage = Stage::new(|_| {});
    stage.script.borrow_mut().stores_at_once = true;
    for number in 0..100u64 {
        let mut producer = Producer::new(Arc::clone(&stage.shared));
        producer.publish(None, &number.to_le_bytes(), EventFlags::NONE).expect("room");
        drop(producer);
        stage.settle();
    }
    stage.stats();
    let stats = stage.stats();
    assert_eq!((stats.lanes, stats.stored), (0, 100));
    assert_eq!(stage.shared.lane_budget.bytes(), 0);
}

#[test]
fn an_event_larger_than_allowed_is_refused_with_both_sizes() {
    let mut stage = Stage::new(|config| config.max_event_bytes = 100);
    let refused = stage.producer.publish(None, &[0; 101], EventFlags::NONE);
    assert_eq!(refused, Err(PublishError::TooLarge { bytes: 101, bytes_max: 100 }));
    stage.producer.publish(None, &[0; 100], EventFlags::NONE).expect("the largest allowed");
}
