//! Property 13: a flush returns only when everything accepted before it is stored, while others keep publishing; it
//! returns an error when it gave up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use engine::bus::{Bus, FlushError};
use engine::event::EventFlags;
use engine::producer::PublishError;
use harness::store::{Mode, Stores};
use harness::{SetOnDrop, key_of, start, until};

/// Runs `act` while two threads publish as fast as they can.
fn while_others_publish(bus: &Bus, act: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut producer = bus.producer();
                while !stop.load(Ordering::Relaxed) {
                    match producer.publish(None, b"other", EventFlags::NONE) {
                        Ok(_) | Err(PublishError::Refused) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        // The others stop also when the claim fails.
        let _stop = SetOnDrop(&stop);
        act();
    });
}

#[test]
fn what_was_accepted_before_a_flush_is_stored_when_it_returns_although_others_keep_publishing() {
    let stores = Stores::new();
    let bus = start(
        r#"{"num_shards":2,"backpressure_mode":"FailProducer","push_wait_us":60000000,"flush_timeout_ms":60000}"#,
        stores.clone(),
    );
    let count = |shard| {
        stores.look(shard, |seen| seen.events.iter().filter(|event| event.payload == b"mine").count())
    };
    while_others_publish(&bus, || {
        let mut producer = bus.producer();
        for round in 1..=20usize {
            for shard in [0, 1] {
                for _ in 0..50 {
                    producer.publish(Some(&key_of(shard, 2)), b"mine", EventFlags::NONE).expect("it waits");
                }
            }
            assert_eq!(bus.flush(), Ok(()));
            assert_eq!((count(0), count(1)), (round * 50, round * 50));
        }
    });
}

#[test]
fn a_flush_covers_the_events_of_every_thread_that_were_accepted_before_it() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":3}"#, stores.clone());
    for round in 1..=100usize {
        thread::scope(|scope| {
            for _ in 0..3 {
                // The thread ends with its events still in its lanes.
                scope.spawn(|| {
                    let mut producer = bus.producer();
                    for number in 0..30u32 {
                        producer
                            .publish(None, &number.to_le_bytes(), EventFlags::NONE)
                            .expect("there is room");
                    }
                });
            }
        });
        assert_eq!(bus.flush(), Ok(()));
        assert_eq!(stores.stored_count(), round * 90);
    }
}

#[test]
fn a_flush_covers_what_a_busy_shard_has_not_read_yet() {
    for round in 0..20 {
        let stores = Stores::new();
        stores.set(0, Mode::Hang);
        let bus = start(r#"{"num_shards":1,"flush_timeout_ms":60000}"#, stores.clone());
        let mut producer = bus.producer();
        // More than a shard reads from a lane at once.
        let mut publish =
            || producer.publish(None, &[b'e'; 16], EventFlags::NONE).map(drop).expect("there is room");
        publish();
        until("the store hangs", || stores.look(0, |seen| seen.hangs));
        (0..4_000).for_each(|_| publish());
        let calling = AtomicBool::new(false);
        thread::scope(|scope| {
            let flush = scope.spawn(|| {
                calling.store(true, Ordering::Relaxed);
                let flushed = bus.flush();
                (flushed, stores.stored_count())
            });
            until("the flush is called", || calling.load(Ordering::Relaxed));
            (0..100).for_each(|_| thread::yield_now());
            stores.set(0, Mode::Store);
            assert_eq!(flush.join().expect("no panic"), (Ok(()), 4_001), "round {round}");
        });
    }
}

#[test]
fn a_flush_does_not_return_while_a_shard_has_not_stored() {
    let stores = Stores::new();
    stores.set(1, Mode::Hold);
    let bus =
        start(r#"{"num_shards":2,"flush_timeout_ms":60000,"adapter_timeout_ms":60000}"#, stores.clone());
    bus.producer().publish(Some(&key_of(1, 2)), b"event", EventFlags::NONE).expect("there is room");
    until("the store holds", || stores.look(1, |seen| seen.holds));
    let released = AtomicBool::new(false);
    thread::scope(|scope| {
        let flush = scope.spawn(|| {
            let flushed = bus.flush();
            assert!(released.load(Ordering::SeqCst), "the flush returned before the event was stored");
            flushed
        });
        // Traffic of the other shard does not satisfy it.
        let mut producer = bus.producer();
        for _ in 0..1_000 {
            producer.publish(Some(&key_of(0, 2)), b"other", EventFlags::NONE).expect("there is room");
        }
        until("the other shard stored", || stores.look(0, |seen| seen.events.len() == 1_000));
        released.store(true, Ordering::SeqCst);
        stores.set(1, Mode::Store);
        assert_eq!(flush.join().expect("no panic"), Ok(()));
    });
}

#[test]
fn a_flush_that_gave_up_says_so_and_a_later_one_succeeds() {
    let stores = Stores::new();
    for mode in [Mode::Hold, Mode::Hang, Mode::RefuseForNow(u32::MAX)] {
        let stores = Stores::clone(&stores);
        stores.set(0, mode);
        let bus = start(r#"{"num_shards":2,"flush_timeout_ms":100}"#, stores.clone());
        let mut producer = bus.producer();
        for shard in [0, 1] {
            producer.publish(Some(&key_of(shard, 2)), b"event", EventFlags::NONE).expect("there is room");
        }
        assert_eq!(bus.flush(), Err(FlushError::Timeout), "{mode:?}");
        stores.set(0, Mode::Store);
        until("the event is stored", || bus.flush() == Ok(()));
        assert_eq!(bus.stats().total().stored, 2, "{mode:?}");
    }
}

#[test]
fn an_event_evicted_before_it_was_stored_does_not_make_a_flush_wait() {
    let stores = Stores::new();
    stores.set(0, Mode::Hold);
    let bus =
        start(r#"{"num_shards":1,"ring_buffer_capacity":1024,"flush_timeout_ms":60000}"#, stores.clone());
    let mut producer = bus.producer();
    let mut publish = || producer.publish(None, b"event", EventFlags::NONE).map(drop).expect("it drains");
    (0..100).for_each(|_| publish());
    until("the store holds", || stores.look(0, |seen| seen.holds));
    thread::scope(|scope| {
        let flush = scope.spawn(|| bus.flush());
        (0..5_000).for_each(|_| publish());
        until("some were evicted", || bus.stats().total().dropped.oldest > 0);
        stores.set(0, Mode::Store);
        assert_eq!(flush.join().expect("no panic"), Ok(()));
    });
    assert_eq!(bus.stats().total().ingested, 5_100);
}
