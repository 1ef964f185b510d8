//! Properties 11, 12, 15, 16 and 18: what is accepted is stored or counted, whatever the store does.
//!
//! 11. `DropOldest` never evicts what was submitted.
//! 12. Evicted, sampled, refused and failed events all show in the statistics, per reason, and the sums agree between
//!     the bus and its shards.
//! 15. Sample mode samples. `FailProducer` and `DropNewest` differ. A burst that outruns a busy shard waits a bounded time
//!     and is not lost.
//! 16. `insertion_ts` is in nanoseconds since the Unix epoch and comparable across shards.
//! 18. A batch the adapter refuses for good is not retried for ever, and is counted; one refused for now is retried
//!     under the same identity.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::bus::FlushError;
use engine::counters::ShardStats;
use engine::event::EventFlags;
use engine::producer::{Producer, PublishError};
use harness::store::{Mode, Stores};
use harness::{Random, SetOnDrop, assert_sums, key_of, start, until};

/// How far a reading of the system's clock may lie from a stamp.
const TOLERANCE_NS: u64 = 1_000_000_000;

/// What the producers of a bus were told.
#[derive(Default)]
struct Told {
    accepted: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
}

impl Told {
    fn publish(&self, producer: &mut Producer, payload: &[u8]) {
        let word = match producer.publish(None, payload, EventFlags::NONE) {
            Ok(_) => &self.accepted,
            Err(PublishError::Dropped) => &self.dropped,
            Err(PublishError::Refused) => &self.refused,
            Err(error) => panic!("{error}"),
        };
        word.fetch_add(1, Ordering::Relaxed);
    }

    /// Accepted, dropped and refused.
    fn counts(&self) -> (u64, u64, u64) {
        let of = |word: &AtomicU64| word.load(Ordering::Relaxed);
        (of(&self.accepted), of(&self.dropped), of(&self.refused))
    }
}

/// Three threads publish 20,000 events each into a bus whose stores stall, refuse and store by turns, while every
/// snapshot is checked. Returns what was told, and the sums at the end, when everything is settled.
fn under_load(mode: &str, seed: u64) -> ((u64, u64, u64), ShardStats, u64) {
    let mut random = Random::new(seed);
    let stores = Stores::new();
    let options = r#""num_shards":2,"ring_buffer_capacity":1024,"lane_bytes":4096,"push_wait_us":100"#;
    let bus = start(&format!(r#"{{{options},"backpressure_mode":{mode}}}"#), stores.clone());
    let (told, publishing) = (Told::default(), AtomicU64::new(3));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut producer = bus.producer();
                (0..20_000u32).for_each(|number| told.publish(&mut producer, &number.to_le_bytes()));
                publishing.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while publishing.load(Ordering::Relaxed) > 0 {
            let modes = [Mode::Store, Mode::Hold, Mode::RefuseForNow(2), Mode::RefuseForGood];
            stores.set(random.below(2) as u16, modes[random.below(4) as usize]);
            for _ in 0..5 {
                let (accepted, dropped, _) = told.counts();
                let stats = bus.stats();
                assert_sums(&stats);
                assert!(stats.total().ingested >= accepted + dropped, "{accepted} {dropped}: {stats:?}");
            }
        }
    });
    (0..2).for_each(|shard| stores.set(shard, Mode::Store));
    until("everything is settled", || bus.stats().total().pending_events == 0);
    let stats = bus.stats();
    assert_sums(&stats);
    let total = stats.total();
    assert_eq!(total.stored, stores.stored_count() as u64);
    assert_eq!(total.dropped.adapter, stores.seen(0).refused + stores.seen(1).refused);
    let mut sum = ShardStats::default();
    stats.shards.iter().for_each(|shard| sum.add(shard));
    assert_eq!(sum, total);
    (told.counts(), total, bus.shutdown(None).expect("it is the only one"))
}

#[test]
fn under_drop_oldest_what_was_evicted_is_counted_and_the_sums_agree_in_every_snapshot() {
    let ((accepted, dropped, refused), total, _) = under_load(r#""DropOldest""#, 1);
    assert_eq!((total.ingested, total.refused, dropped), (accepted, refused, 0));
    assert!(total.dropped.oldest > 0, "the load was too small: {total:?}");
    assert_eq!((total.dropped.newest, total.dropped.sampled), (0, 0));
}

#[test]
fn under_drop_newest_what_was_turned_away_is_counted_as_dropped() {
    let ((accepted, dropped, refused), total, _) = under_load(r#""DropNewest""#, 2);
    assert_eq!((total.ingested, total.dropped.newest), (accepted + dropped, dropped));
    assert!(dropped > 0, "the load was too small: {total:?}");
    assert_eq!((refused, total.refused, total.dropped.oldest, total.dropped.sampled), (0, 0, 0, 0));
}

#[test]
fn under_fail_producer_what_was_turned_away_is_counted_as_refused_and_nothing_is_dropped() {
    let ((accepted, dropped, refused), total, _) = under_load(r#""FailProducer""#, 3);
    assert_eq!((total.ingested, total.refused, dropped), (accepted, refused, 0));
    assert!(refused > 0, "the load was too small: {total:?}");
    assert_eq!(total.dropped.total(), total.dropped.adapter);
}

#[test]
fn under_sample_what_was_not_admitted_is_counted() {
    let ((accepted, dropped, refused), total, _) = under_load(r#"{"Sample":{"rate":10}}"#, 4);
    assert_eq!((total.ingested, total.refused, dropped), (accepted, refused, 0));
    assert!(total.dropped.sampled > 0, "the load was too small: {total:?}");
    assert!(total.dropped.oldest < total.dropped.sampled, "one is admitted for nine that are not: {total:?}");
}

#[test]
fn drop_oldest_keeps_what_was_submitted_and_the_newest() {
    let stores = Stores::new();
    stores.set(0, Mode::Hold);
    let bus = start(r#"{"num_shards":1,"ring_buffer_capacity":1024}"#, stores.clone());
    let mut producer = bus.producer();
    let mut publish = |number: u64| {
        producer.publish(None, &number.to_le_bytes(), EventFlags::NONE).expect("the shard drains");
    };
    publish(0);
    until("the first is submitted", || stores.look(0, |seen| seen.holds));
    (1..10_000).for_each(&mut publish);
    until("the shard has read them", || bus.stats().total().dropped.oldest == 10_000 - 1_024);
    stores.set(0, Mode::Store);
    assert_eq!(bus.flush(), Ok(()));
    let expected: Vec<Vec<u8>> = std::iter::once(0)
        .chain(10_000 - 1_023..10_000u64)
        .map(|number| number.to_le_bytes().to_vec())
        .collect();
    assert_eq!(stores.payloads(), expected);
}

#[test]
fn a_burst_that_outruns_a_busy_shard_is_not_lost() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":1,"lane_bytes":4096,"push_wait_us":60000000}"#, stores.clone());
    stores.set(0, Mode::Hang);
    let mut producer = bus.producer();
    producer.publish(None, b"first", EventFlags::NONE).expect("there is room");
    until("the shard is busy", || stores.look(0, |seen| seen.hangs));
    thread::scope(|scope| {
        let burst = scope.spawn(move || {
            (0..50_000u32)
                .all(|number| producer.publish(None, &number.to_le_bytes(), EventFlags::NONE).is_ok())
        });
        (0..1_000).for_each(|_| thread::yield_now());
        stores.set(0, Mode::Store);
        assert!(burst.join().expect("no panic"), "an event was refused although its shard was only busy");
    });
    assert_eq!(bus.flush(), Ok(()));
    assert_eq!(stores.stored_count(), 50_001);
}

#[test]
fn a_producer_waits_for_a_busy_shard_as_long_as_it_was_told_and_keeps_its_event() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":1,"lane_bytes":4096,"push_wait_us":50000}"#, stores.clone());
    stores.set(0, Mode::Hang);
    let mut producer = bus.producer();
    let mut accepted = 0;
    let refused = loop {
        let begun = Instant::now();
        match producer.publish(None, b"event", EventFlags::NONE) {
            Ok(_) => accepted += 1,
            Err(error) => {
                assert!(begun.elapsed() >= Duration::from_millis(50), "{:?}", begun.elapsed());
                break error;
            }
        }
    };
    assert_eq!(refused, PublishError::Refused);
    stores.set(0, Mode::Store);
    assert_eq!(bus.flush(), Ok(()));
    let total = bus.stats().total();
    assert_eq!((total.stored, total.refused), (accepted, 1));
}

#[test]
fn timestamps_are_unix_nanoseconds_that_increase_and_compare_across_shards_and_threads() {
    let unix_ns = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let bus = start(r#"{"num_shards":4}"#, Stores::new());
    let before = unix_ns();
    let mut producers = [bus.producer(), bus.producer()];
    let mut last = [0; 2];
    for number in 0..40_000u32 {
        let at = number as usize % 2;
        let receipt =
            producers[at].publish(Some(&number.to_le_bytes()), b"", EventFlags::NONE).expect("room");
        assert!(receipt.timestamp_ns > last[at], "a producer's stamps increase strictly");
        last[at] = receipt.timestamp_ns;
        // The other producer's last event, on whatever shard, was published before this one.
        assert!(receipt.timestamp_ns + TOLERANCE_NS / 1_000 >= last[1 - at], "a clock of its own");
    }
    let after = unix_ns();
    let range = before - TOLERANCE_NS..after + TOLERANCE_NS;
    assert!(range.contains(&last[0]) && range.contains(&last[1]), "{last:?} not in {range:?}");
    assert!(last[0] < after + TOLERANCE_NS / 10, "stamps run ahead of the clock");
}

#[test]
fn a_stored_timestamp_is_the_one_of_the_receipt() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":2}"#, stores.clone());
    let mut producer = bus.producer();
    let mut receipts = Vec::new();
    for number in 0..1_000u32 {
        let payload = number.to_le_bytes();
        let receipt = producer.publish(None, &payload, EventFlags::NONE).expect("there is room");
        receipts.push((payload.to_vec(), receipt));
    }
    assert_eq!(bus.flush(), Ok(()));
    for (payload, receipt) in receipts {
        let stored = stores.look(receipt.shard.0, |seen| {
            seen.events.iter().find(|event| event.payload == payload).map(|event| event.timestamp_ns)
        });
        assert_eq!(stored, Some(receipt.timestamp_ns));
    }
}

#[test]
fn one_refused_for_now_is_retried_under_the_same_identity_until_it_is_stored() {
    let stores = Stores::new();
    stores.set(0, Mode::RefuseForNow(4));
    let bus = start(r#"{"num_shards":1}"#, stores.clone());
    let mut producer = bus.producer();
    for number in 0..100u32 {
        producer.publish(None, &number.to_le_bytes(), EventFlags::NONE).expect("there is room");
    }
    assert_eq!(bus.flush(), Ok(()));
    let seen = stores.seen(0);
    assert!(
        seen.submitted[..5].iter().all(|submitted| *submitted == seen.submitted[0]),
        "{:?}",
        seen.submitted
    );
    assert_eq!(seen.swallowed, 0);
    let numbers: Vec<Vec<u8>> = (0..100u32).map(|number| number.to_le_bytes().to_vec()).collect();
    assert_eq!(stores.payloads(), numbers, "in order, each once");
    assert_eq!(bus.stats().total().retries, 4);
}

#[test]
fn one_whose_outcome_is_unknown_is_retried_under_the_same_identity() {
    let stores = Stores::new();
    stores.set(0, Mode::Hold);
    let bus = start(r#"{"num_shards":1,"adapter_timeout_ms":20}"#, stores.clone());
    bus.producer().publish(None, b"event", EventFlags::NONE).expect("there is room");
    until("it was submitted three times", || stores.look(0, |seen| seen.submitted.len() >= 3));
    stores.set(0, Mode::Store);
    assert_eq!(bus.flush(), Ok(()));
    let seen = stores.seen(0);
    assert!(seen.submitted.iter().all(|submitted| *submitted == (1, 1)), "{:?}", seen.submitted);
    assert_eq!((seen.events.len(), seen.swallowed), (1, 0));
}

#[test]
fn one_refused_for_good_is_given_up_at_once_counted_and_told_by_one_flush() {
    let stores = Stores::new();
    stores.set(0, Mode::RefuseForGood);
    let bus = start(r#"{"num_shards":2}"#, stores.clone());
    let mut producer = bus.producer();
    let mut publish = |shard| {
        producer.publish(Some(&key_of(shard, 2)), b"event", EventFlags::NONE).expect("there is room");
    };
    (0..10).for_each(|_| publish(0));
    (0..10).for_each(|_| publish(1));
    assert_eq!(bus.flush(), Err(FlushError::Adapter { refused: 10, sync: None }));
    assert_eq!(bus.flush(), Ok(()), "it was told");
    let seen = stores.seen(0);
    let mut firsts: Vec<u64> = seen.submitted.iter().map(|&(first, _)| first).collect();
    firsts.dedup();
    assert_eq!(firsts.len(), seen.submitted.len(), "nothing was submitted twice");
    stores.set(0, Mode::Store);
    publish(0);
    assert_eq!(bus.flush(), Ok(()));
    assert_eq!(stores.seen(0).events[0].sequence, 11, "a sequence that was refused is not given again");
    let total = bus.stats().total();
    assert_eq!((total.stored, total.dropped.adapter, total.pending_events), (11, 10, 0));
}

#[test]
fn retries_end_where_the_configuration_says() {
    let stores = Stores::new();
    stores.set(0, Mode::RefuseForNow(u32::MAX));
    let bus = start(r#"{"num_shards":1,"adapter_batch_retries":3}"#, stores.clone());
    bus.producer().publish(None, b"event", EventFlags::NONE).expect("there is room");
    assert_eq!(bus.flush(), Err(FlushError::Adapter { refused: 1, sync: None }));
    assert_eq!(stores.seen(0).submitted, vec![(1, 1); 4]);
    assert_eq!(bus.stats().total().dropped.adapter, 1);
}

#[test]
fn a_flood_delays_no_shutdown_and_no_statistics() {
    let bus = start(r#"{"num_shards":2}"#, Stores::new());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut producer = bus.producer();
            while !stop.load(Ordering::Relaxed) {
                let _ = producer.publish(None, b"flood", EventFlags::NONE);
            }
        });
        let _stop = SetOnDrop(&stop);
        let mut last = 0;
        for _ in 0..20 {
            let stats = bus.stats();
            assert_sums(&stats);
            assert!(stats.total().ingested >= last, "a counter went back");
            last = stats.total().ingested;
        }
        assert_eq!(bus.shutdown(Some(harness::HANG)), Ok(0));
    });
}
