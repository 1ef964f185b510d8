//! Properties 2, 3, 9 and 10, through the Rust API with stores that are slow, hang and panic.
//!
//! 2. A second shutdown does not return while the first is still storing.
//! 3. Shutdown during a hung adapter ends at its deadline and says how much was not stored; it does not spin a core.
//! 9. A panic becomes a code; the handle is then refused.
//! 10. A producer that was told "accepted" during shutdown finds the event stored or counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use engine::bus::{AlreadyShutDown, Bus, FlushError, PollError};
use engine::consume::request::PollRequest;
use engine::event::EventFlags;
use engine::producer::PublishError;
use harness::store::{Mode, Stores};
use harness::{Random, assert_sums, key_of, procfs, start, until};

#[test]
fn a_second_shutdown_does_not_return_while_the_first_is_still_storing() {
    for _ in 0..20 {
        let stores = Stores::new();
        stores.set(0, Mode::Hold);
        let bus = start(r#"{"num_shards":1,"shutdown_timeout_ms":60000}"#, stores.clone());
        bus.producer().publish(None, b"event", EventFlags::NONE).expect("there is room");
        until("the store holds", || stores.look(0, |seen| seen.holds));
        let (released, calling) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        calling.fetch_add(1, Ordering::SeqCst);
                        let outcome = bus.shutdown(None);
                        assert!(
                            released.load(Ordering::SeqCst),
                            "a shutdown returned before the event was stored"
                        );
                        outcome
                    })
                })
                .collect();
            until("all call", || calling.load(Ordering::SeqCst) == 4);
            until("one has begun", || bus.is_closing());
            (0..100).for_each(|_| thread::yield_now());
            released.store(true, Ordering::SeqCst);
            stores.set(0, Mode::Store);
            let outcomes: Vec<_> =
                callers.into_iter().map(|caller| caller.join().expect("no panic")).collect();
            assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(0)).count(), 1, "{outcomes:?}");
            assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(AlreadyShutDown)).count(), 3);
        });
        assert_eq!(stores.stored_count(), 1);
    }
}

#[test]
fn a_shutdown_with_a_store_that_never_acknowledges_ends_at_its_deadline_counts_the_rest_and_spins_no_core() {
    let stores = Stores::new();
    stores.set(1, Mode::Hold);
    let bus = start(r#"{"num_shards":2}"#, stores.clone());
    let mut producer = bus.producer();
    for shard in [0, 1] {
        for _ in 0..100 {
            producer.publish(Some(&key_of(shard, 2)), b"event", EventFlags::NONE).expect("there is room");
        }
    }
    let within = Duration::from_secs(2);
    let (begun, ran_before) = (Instant::now(), ran_ns());
    thread::scope(|scope| {
        let shutdown = scope.spawn(|| bus.shutdown(Some(within)));
        let mut ran = ran_before;
        // The threads are looked at while they live; what the last look saw is at most what they ran.
        while !shutdown.is_finished() {
            ran = ran.max(ran_ns());
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(shutdown.join().expect("no panic"), Ok(100));
        assert!(begun.elapsed() >= within);
        let share = (ran - ran_before) as f64 / within.as_nanos() as f64;
        assert!(share < 0.25, "the bus ran for {share} of the time it waited");
    });
    let stats = bus.stats();
    assert_sums(&stats);
    assert_eq!((stats.total().stored, stats.total().dropped.shutdown), (100, 100));
}

#[test]
fn a_shutdown_with_a_store_that_blocks_ends_and_counts_everything_it_accepted() {
    let stores = Stores::new();
    stores.set(1, Mode::Hang);
    let bus = start(r#"{"num_shards":2,"push_wait_us":0}"#, stores.clone());
    let mut producer = bus.producer();
    let mut publish = |shard| {
        producer.publish(Some(&key_of(shard, 2)), b"event", EventFlags::NONE).expect("there is room");
    };
    publish(1);
    until("the store hangs", || stores.look(1, |seen| seen.hangs));
    (0..50).for_each(|_| publish(0));
    (0..99).for_each(|_| publish(1));
    let not_stored = bus.shutdown(Some(Duration::from_millis(200)));
    assert_eq!(stores.seen(0).events.len(), 50);
    assert_eq!(stores.seen(1).events.len(), 0);
    stores.set(1, Mode::Store);
    assert_eq!(not_stored, Ok(100), "accepted by the shard that hangs: 1 in its call, 99 in its lane");
}

#[test]
fn a_panic_of_a_shard_is_an_error_of_every_call_and_the_bus_still_shuts_down() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":2,"flush_timeout_ms":1000}"#, stores.clone());
    let mut producer = bus.producer();
    producer.publish(Some(&key_of(0, 2)), b"event", EventFlags::NONE).expect("there is room");
    assert_eq!(bus.flush(), Ok(()));
    stores.set(1, Mode::Panic);
    producer.publish(Some(&key_of(1, 2)), b"event", EventFlags::NONE).expect("there is room");
    until("the panic is known", || bus.flush() == Err(FlushError::Failed));
    assert_eq!(bus.poll(&PollRequest::default()).map(drop), Err(PollError::Failed));
    let refused = |shard| bus.producer().publish(Some(&key_of(shard, 2)), b"event", EventFlags::NONE);
    assert_eq!(refused(1), Err(PublishError::Failed));
    let _ = bus.stats();
    assert!(bus.shutdown(Some(Duration::from_millis(500))).is_ok());
    assert_eq!(refused(0), Err(PublishError::Failed));
    assert_eq!(stores.seen(0).events.len(), 1);
}

#[test]
fn what_is_accepted_during_a_shutdown_is_stored() {
    let mut random = Random::new(10);
    for round in 0..200 {
        let stores = Stores::new();
        let bus = start(r#"{"num_shards":2,"lane_bytes":4096,"shutdown_timeout_ms":60000}"#, stores.clone());
        // Large events take long to publish, so that shutdowns meet publications under way.
        let (events, bytes) = if round % 2 == 0 { (3_000, 8) } else { (50, 300_000) };
        let (accepted, not_stored) = shut_down_under_load(&bus, random.below(events), bytes, None);
        assert_eq!((not_stored, stores.stored_count() as u64), (0, accepted), "round {round}");
        let stats = bus.stats();
        assert_sums(&stats);
        assert_eq!((stats.total().ingested, stats.total().stored), (accepted, accepted), "round {round}");
    }
}

#[test]
fn what_is_accepted_during_a_shutdown_that_ends_too_early_is_counted() {
    let mut random = Random::new(11);
    for round in 0..50 {
        let stores = Stores::new();
        stores.set(random.below(2) as u16, Mode::Hold);
        let bus = start(r#"{"num_shards":2,"lane_bytes":4096,"push_wait_us":0}"#, stores.clone());
        let within = Duration::from_millis(random.below(5));
        let (accepted, not_stored) = shut_down_under_load(&bus, random.below(3_000), 8, Some(within));
        assert_eq!(stores.stored_count() as u64 + not_stored, accepted, "round {round}");
        let stats = bus.stats();
        assert_sums(&stats);
        assert_eq!(
            (stats.total().ingested, stats.total().dropped.shutdown),
            (accepted, not_stored),
            "round {round}"
        );
    }
}

/// Shuts the bus down once `events` of `bytes` were accepted from three threads that go on until they are refused. Returns how
/// many were accepted, and how many the shutdown says were not stored.
fn shut_down_under_load(bus: &Bus, events: u64, bytes: usize, within: Option<Duration>) -> (u64, u64) {
    let accepted = AtomicU64::new(0);
    let not_stored = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let (mut producer, mut payload) = (bus.producer(), vec![0; bytes]);
                loop {
                    payload[..8].copy_from_slice(&accepted.load(Ordering::Relaxed).to_le_bytes());
                    match producer.publish(None, &payload, EventFlags::NONE) {
                        Ok(_) => accepted.fetch_add(1, Ordering::Relaxed),
                        Err(PublishError::Refused) => continue,
                        Err(error) => break assert_eq!(error, PublishError::ShuttingDown),
                    };
                }
            });
        }
        until("enough is accepted", || accepted.load(Ordering::Relaxed) >= events);
        bus.shutdown(within).expect("it is the only one")
    });
    (accepted.into_inner(), not_stored)
}

/// Time that the threads of all buses of this process ran.
fn ran_ns() -> u64 {
    procfs::library_tasks().iter().map(|task| task.ran_ns).sum()
}
