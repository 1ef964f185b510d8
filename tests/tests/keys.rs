//! Routing keys reach the stores that want them, as they were given, and no reader: whoever polls or subscribes gets the
//! payloads alone, whatever their sizes and those of their keys.

use std::collections::BTreeMap;

use engine::event::EventFlags;
use harness::store::{Mode, Stores};
use harness::{Random, assert_sums, read_all, receive, start, subscribe};

const EVENTS: u64 = 3_000;

/// `{"n":…,"pad":"…"}` of up to 2,000 bytes, and a key of up to as many, an empty one, or none. Some need a block, and the
/// lanes wrap many times.
fn event(n: u64, random: &mut Random) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut bytes = |most: u64| {
        let most = if random.below(8) == 0 { most } else { 60 };
        let count = random.below(most);
        (0..count).map(|_| random.word() as u8).collect::<Vec<_>>()
    };
    let (pad, key) = (bytes(2_000).len(), bytes(2_000));
    let payload = format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(pad)).into_bytes();
    let key = match n % 4 {
        0 => None,
        1 if n % 8 == 1 => Some(Vec::new()),
        _ => Some(key),
    };
    (payload, key)
}

fn number_of(payload: &[u8]) -> u64 {
    let document: serde_json::Value = serde_json::from_slice(payload).expect("the payload alone");
    document["n"].as_u64().expect("a number")
}

#[test]
fn stores_that_want_keys_get_them_and_readers_get_payloads_alone() {
    let mut random = Random::new(71);
    let stores = Stores::keyed();
    let options = r#""num_shards":2,"lane_bytes":4096,"backpressure_mode":"FailProducer""#;
    let bus = start(&format!(r#"{{{options},"push_wait_us":60000000}}"#), stores.clone());
    let mut live = subscribe(&bus, "{}");
    stores.set(0, Mode::RefuseForNow(3));
    let mut producer = bus.producer();
    let mut published = BTreeMap::new();
    for n in 0..EVENTS {
        let (payload, key) = event(n, &mut random);
        if n % 5 == 2
            && let Some(key) = &key
        {
            let claim = producer.claim(key, payload.len()).expect("there is room");
            producer.claimed_bytes(claim).expect("it is open").copy_from_slice(&payload);
            producer.commit(claim, EventFlags::NONE).expect("the bus runs");
        } else {
            producer.publish(key.as_deref(), &payload, EventFlags::NONE).expect("there is room");
        }
        published.insert(n, (payload, key));
    }
    bus.flush().expect("all is stored");
    let mut stored = 0;
    for shard in 0..2 {
        stores.look(shard, |seen| {
            for event in &seen.events {
                let parts = &published[&number_of(&event.payload)];
                assert_eq!((&event.payload, &event.key), (&parts.0, &parts.1));
                stored += 1;
            }
        });
    }
    assert_eq!(stored, EVENTS);
    let pushed = receive(&mut live, EVENTS as usize, 100).into_iter().map(|event| event.payload);
    let polled = read_all(&bus, 700).into_iter().map(|(_, payload)| payload);
    for mut payloads in [pushed.collect::<Vec<_>>(), polled.collect()] {
        payloads.sort_by_key(|payload| number_of(payload));
        assert!(payloads.iter().eq(published.values().map(|(payload, _)| payload)));
    }
    assert_sums(&bus.stats());
}

#[test]
fn a_filter_sees_the_payload_of_an_event_that_has_its_key_with_it() {
    let bus = start(r#"{"num_shards":1}"#, Stores::keyed());
    // Who has just joined is given what the store is given, and not what it reads back.
    let mut filtered = subscribe(&bus, r#"{"filter":{"path":"n","value":7}}"#);
    let mut producer = bus.producer();
    for (n, bytes) in [(6, 1), (7, 1), (7, 100_000)] {
        let key = vec![b'}'; bytes];
        let payload = format!(r#"{{"n":{n}}}"#);
        producer.publish(Some(&key), payload.as_bytes(), EventFlags::NONE).expect("there is room");
    }
    let received = receive(&mut filtered, 2, 10);
    assert!(received.iter().all(|event| event.payload == br#"{"n":7}"#), "{received:?}");
}

#[test]
fn stores_that_want_no_keys_get_none() {
    let mut random = Random::new(72);
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":2}"#, stores.clone());
    let mut producer = bus.producer();
    for n in 0..100 {
        let (payload, key) = event(n, &mut random);
        producer.publish(key.as_deref(), &payload, EventFlags::NONE).expect("there is room");
    }
    bus.flush().expect("all is stored");
    for shard in 0..2 {
        assert!(stores.look(shard, |seen| seen.events.iter().all(|event| event.key.is_none())));
    }
    assert_eq!(stores.stored_count(), 100);
}
