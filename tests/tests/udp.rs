//! Two buses over UDP: what goes in at one comes out at the other, once and in order, both ways at once.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use engine::adapter::AdapterState;
use engine::bus::Bus;
use engine::consume::subscribe::{From, SubscribeRequest};
use engine::event::EventFlags;
use harness::pair::Meeting;
use harness::redis::{numbers, publish};
use harness::{assert_sums, read_all, until};

#[test]
fn every_event_arrives_once_on_every_way_out_and_in_both_directions() {
    for (responder_shards, initiator_shards) in [(1, 1), (2, 1), (1, 2), (2, 3)] {
        let (responder, initiator) = Meeting::new().start(responder_shards, initiator_shards, "");
        thread::scope(|scope| {
            scope.spawn(|| publish(&responder, 3_000));
            scope.spawn(|| publish(&initiator, 5_000));
        });
        for (bus, count) in [(&responder, 5_000), (&initiator, 3_000)] {
            assert_eq!(sorted(&read_all(bus, 700)), (0..count).collect::<Vec<_>>());
            assert_eq!(subscribed(bus, count), (0..count).collect::<Vec<_>>());
            assert_sums(&bus.stats());
        }
    }
}

#[test]
fn a_keys_events_keep_their_order_whatever_the_numbers_of_shards() {
    for (responder_shards, initiator_shards) in [(1, 1), (3, 1), (2, 3)] {
        let (responder, initiator) = Meeting::new().start(responder_shards, initiator_shards, "");
        let mut producer = initiator.producer();
        for number in 0..20_000_u32 {
            let key = [(number % 17) as u8];
            producer.publish(Some(&key), &number.to_le_bytes(), EventFlags::NONE).expect("room");
        }
        initiator.flush().expect("the peer stores everything");
        let mut newest = HashMap::new();
        let events = read_all(&responder, 1_000);
        assert_eq!(events.len(), 20_000);
        for (_, payload) in events {
            let number = u32::from_le_bytes(payload.try_into().expect("four bytes"));
            let before = newest.insert(number % 17, number);
            assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
        }
    }
}

#[test]
fn every_reliability_and_cipher_brings_events_over_loopback() {
    for reliability in ["none", "light", "full"] {
        for cipher in ["chacha20poly1305", "aes256gcm"] {
            for batched in [true, false] {
                let options =
                    format!(r#""reliability":"{reliability}","cipher":"{cipher}","batched_io":{batched},"#);
                let (responder, initiator) = Meeting::new().start(1, 1, &options);
                publish(&initiator, 500);
                until("every event has come", || read_all(&responder, 700).len() == 500);
                assert_eq!(sorted(&read_all(&responder, 700)), (0..500).collect::<Vec<_>>(), "{options}");
            }
        }
    }
}

#[test]
fn events_of_every_size_arrive_whole() {
    let (responder, initiator) = Meeting::new().start(1, 1, "");
    let sizes = [1, 100, 1_300, 1_399, 1_400, 1_401, 1_500, 2_801, 10_000, 65_536, 300_000, 1 << 20];
    let mut producer = initiator.producer();
    for (at, size) in sizes.into_iter().enumerate() {
        producer.publish(None, &vec![at as u8; size], EventFlags::NONE).expect("room");
    }
    initiator.flush().expect("the peer stores everything");
    let events = read_all(&responder, 100);
    let come: Vec<_> = events.iter().map(|(_, payload)| (payload[0], payload.len())).collect();
    let gone: Vec<_> = sizes.into_iter().enumerate().map(|(at, size)| (at as u8, size)).collect();
    assert_eq!(come, gone);
    assert!(events.iter().all(|(_, payload)| payload.iter().all(|byte| *byte == payload[0])));
}

#[test]
fn what_was_published_before_the_peer_was_there_arrives_when_it_is() {
    let meeting = Meeting::new();
    let section = meeting.initiator("");
    let initiator = harness::redis::bus(&format!(r#"{{"num_shards":1,{}{section}}}"#, harness::pair::BUS));
    let mut producer = initiator.producer();
    for number in 0..1_000_u32 {
        let payload = format!(r#"{{"number":{number}}}"#);
        producer.publish(None, payload.as_bytes(), EventFlags::NONE).expect("room");
    }
    until("it says that it has no peer", || initiator.stats().total().adapter == AdapterState::Connecting);
    let section = meeting.responder("");
    let responder = harness::redis::bus(&format!(r#"{{"num_shards":1,{section}}}"#));
    initiator.flush().expect("the peer stores everything");
    assert_eq!(sorted(&read_all(&responder, 700)), (0..1_000).collect::<Vec<_>>());
    until("both say that they are up", || {
        [&initiator, &responder].iter().all(|bus| bus.stats().total().adapter == AdapterState::Up)
    });
}

fn sorted(events: &[(engine::event::ShardId, Vec<u8>)]) -> Vec<usize> {
    let mut numbers = numbers(events.iter().map(|(_, payload)| payload.as_slice()));
    numbers.sort_unstable();
    numbers
}

/// The numbers of all events, by a subscription from the first.
fn subscribed(bus: &Bus, count: usize) -> Vec<usize> {
    let request = SubscribeRequest { from: From::Start, ..SubscribeRequest::default() };
    let mut subscription = bus.subscribe(request).expect("its store answers");
    let mut received = Vec::new();
    until("every event has come", || {
        let events = subscription.next(1_000, Some(Duration::from_millis(10))).expect("it runs");
        let payloads: Vec<_> = events.map(|(_, event)| event.payload.to_vec()).collect();
        received.extend(numbers(payloads.iter().map(Vec::as_slice)));
        received.len() >= count
    });
    received.sort_unstable();
    received
}
