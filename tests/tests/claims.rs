//! Claims and producers: events written in place, and ways in that belong to no thread, through the C ABI and in Rust.

use std::thread;
use std::time::Duration;

use engine::bus::Bus;
use engine::event::EventFlags;
use engine::producer::{CommitError, Producer, PublishError};
use harness::store::{Mode, Stores};
use harness::{assert_sums, c, key_of, start, until};

#[test]
fn claims_are_in_order_with_other_events_and_a_bad_one_is_refused_with_a_code() {
    c::run("claim", &[]);
}

#[test]
fn claims_and_producers_that_race_a_shutdown_lose_nothing_and_stay_writable() {
    c::run("claim_race", &[]);
}

#[test]
fn a_producer_hops_between_threads_and_a_bad_one_is_refused_with_a_code() {
    c::run("producer", &[]);
}

#[test]
fn a_claim_is_its_producers_alone_and_blocks_one_lane_of_it() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":2}"#, stores.clone());
    let (mut producer, mut other) = (bus.producer(), bus.producer());
    let (here, there) = (key_of(0, 2), key_of(1, 2));
    let claim = producer.claim(&here, 3).expect("there is room");
    let foreign = other.claim(&here, 3).expect("another lane");
    assert_ne!(claim, foreign);
    assert_eq!(producer.commit(foreign, EventFlags::NONE), Err(CommitError::NotOpen));
    assert_eq!(other.claimed_bytes(claim), Err(CommitError::NotOpen));
    assert!(!other.abort(claim));
    let mut publish = |key| producer.publish(Some(key), b"plain", EventFlags::NONE).map(|_| ());
    assert_eq!((publish(&here), publish(&there)), (Err(PublishError::ClaimOpen), Ok(())));
    producer.claimed_bytes(claim).expect("open").copy_from_slice(b"abc");
    let receipt = producer.commit(claim, EventFlags::NONE).expect("the bus runs");
    assert_eq!(receipt.shard.0, 0);
    assert_eq!(producer.commit(claim, EventFlags::NONE), Err(CommitError::NotOpen));
    assert!(other.abort(foreign) && !other.has_open_claims());
    bus.flush().expect("all is stored");
    assert_eq!(stores.payloads(), [b"abc".to_vec(), b"plain".to_vec()]);
}

/// A bus whose one shard is congested, with a producer that was refused for it.
fn congested() -> (Bus, Stores, Producer) {
    let stores = Stores::new();
    let options = r#""num_shards":1,"ring_buffer_capacity":1024,"lane_bytes":4096,"push_wait_us":1000"#;
    let bus = start(&format!(r#"{{{options},"backpressure_mode":"FailProducer"}}"#), stores.clone());
    stores.set(0, Mode::Hold);
    let mut producer = bus.producer();
    until("the shard is full", || producer.publish(None, b"event", EventFlags::NONE).is_err());
    (bus, stores, producer)
}

#[test]
fn a_patient_producer_waits_for_a_full_shard_and_is_refused_once_when_it_stays_full() {
    let (bus, stores, mut producer) = congested();
    let refused_before = bus.stats().total().refused;
    let wait = Duration::from_millis(100);
    let (refused, waited) = loop {
        // What was full for a moment because the shard was busy takes more.
        let started = std::time::Instant::now();
        if let Err(refused) = producer.publish_within(None, b"event", EventFlags::NONE, wait) {
            break (refused, started.elapsed());
        }
    };
    assert_eq!(refused, PublishError::Refused);
    // Half, because the bus waits by a calibrated counter, which is not the clock of this test.
    assert!(waited >= wait / 2, "{waited:?}");
    assert_eq!(bus.stats().total().refused, refused_before + 1);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            producer.publish_within(None, b"event", EventFlags::NONE, Duration::from_hours(1)).map(|_| ())
        });
        stores.set(0, Mode::Store);
        assert_eq!(waiting.join().expect("no panic"), Ok(()));
    });
    bus.flush().expect("all is stored");
    assert_sums(&bus.stats());
}

#[test]
fn a_waiting_producer_hears_of_a_shutdown() {
    let (bus, _stores, mut producer) = congested();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut publish =
                || producer.publish_within(None, b"event", EventFlags::NONE, Duration::from_hours(1));
            std::iter::repeat_with(&mut publish).find_map(Result::err)
        });
        bus.shutdown(Some(Duration::ZERO)).expect("the first");
        assert_eq!(waiting.join().expect("no panic"), Some(PublishError::ShuttingDown));
    });
}
