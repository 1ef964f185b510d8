//! Property 19: sequence numbers go on after a restart where the producer identity persists, so that a backend's
//! deduplication never swallows new data.

use std::fs;
use std::path::Path;

use engine::bus::{Bus, StartError};
use engine::event::EventFlags;
use harness::store::{Mode, Stores};
use harness::{config, start};

fn with_identity(path: &Path, stores: &Stores) -> Bus {
    start(&document(path), stores.clone())
}

fn document(path: &Path) -> String {
    serde_json::json!({"num_shards": 2, "producer_nonce_path": path}).to_string()
}

fn publish(bus: &Bus, numbers: std::ops::Range<u32>) {
    let mut producer = bus.producer();
    for number in numbers {
        producer.publish(None, &number.to_le_bytes(), EventFlags::NONE).expect("there is room");
    }
}

#[test]
fn a_bus_that_starts_again_goes_on_and_nothing_is_swallowed() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let (path, stores) = (folder.path().join("identity"), Stores::new());
    for life in 0..5 {
        let bus = with_identity(&path, &stores);
        publish(&bus, life * 1_000..(life + 1) * 1_000);
        assert_eq!(bus.flush(), Ok(()));
        assert_eq!(bus.shutdown(None), Ok(0));
    }
    let mut numbers: Vec<u32> = stores
        .payloads()
        .iter()
        .map(|payload| u32::from_le_bytes(payload.as_slice().try_into().expect("4 bytes")))
        .collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..5_000), "{} events", numbers.len());
    for shard in [0, 1] {
        let seen = stores.seen(shard);
        assert_eq!(seen.swallowed, 0);
        let sequences = seen.events.iter().map(|event| event.sequence);
        assert!(sequences.eq(1..=seen.events.len() as u64), "sequences go on without a gap");
    }
}

#[test]
fn a_batch_refused_for_good_leaves_no_sequence_to_be_given_again_in_the_same_life() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let (path, stores) = (folder.path().join("identity"), Stores::new());
    let bus = with_identity(&path, &stores);
    for (mode, numbers) in [(Mode::RefuseForGood, 0..100), (Mode::Store, 100..200)] {
        (0..2).for_each(|shard| stores.set(shard, mode));
        publish(&bus, numbers);
        let _ = bus.flush();
    }
    assert_eq!(stores.stored_count(), 100);
    assert_eq!(stores.seen(0).swallowed + stores.seen(1).swallowed, 0);
}

#[test]
fn an_identity_in_use_is_refused_to_a_second_bus() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let (path, stores) = (folder.path().join("identity"), Stores::new());
    let bus = with_identity(&path, &stores);
    let second = || Bus::start(config(&document(&path)), Box::new(Stores::new()));
    match second() {
        Err(StartError::Config(error)) => assert_eq!(error.path, "producer_nonce_path"),
        other => panic!("{:?}", other.map(drop)),
    }
    assert_eq!(bus.shutdown(None), Ok(0));
    second().map(drop).expect("the identity is free again");
}

#[test]
fn an_identity_that_cannot_be_read_is_refused_and_not_replaced() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("identity");
    for text in ["not a number\n", "123g\n", "11112222333344445\n"] {
        fs::write(&path, text).expect("writable");
        let refused = Bus::start(config(&document(&path)), Box::new(Stores::new())).map(drop);
        assert!(matches!(refused, Err(StartError::Config(_))), "{text}: {refused:?}");
        assert_eq!(fs::read_to_string(&path).expect("readable"), text);
    }
}

#[test]
fn without_a_file_two_lives_have_two_identities() {
    let stores = Stores::new();
    for life in 0..2 {
        let bus = start(r#"{"num_shards":1}"#, stores.clone());
        publish(&bus, 0..10);
        assert_eq!(bus.shutdown(None), Ok(0));
        let sequences: Vec<u64> =
            stores.seen(0).events.iter().skip(life * 10).map(|event| event.sequence).collect();
        assert_eq!(sequences, (1..=10).collect::<Vec<u64>>(), "a new identity counts from the start");
    }
    assert_eq!(stores.seen(0).swallowed, 0);
}
