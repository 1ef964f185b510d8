//! Properties 20 to 24: reading loses nothing.
//!
//! 20. Filtering to a limit loses no match on a shard that was fetched and not looked at, nor on one whose matches all
//!     sort late.
//! 21. A run of corrupt or foreign records is passed over, counted, and never stalls a cursor.
//! 22. A stalled poll echoes its cursor. A cursor of another backend, or of an earlier life of a store that lost
//!     events, is refused or answered with a count, never silently wrong.
//! 23. Numeric event ids compare as numbers. A limit of `SIZE_MAX` does not overflow.
//! 24. Stored bytes come back as they went in: key order, white space and `1.0` included.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering as AtomicOrdering};
use std::thread;

use adapters::memory::{MemoryStores, Retention};
use engine::bus::{Bus, PollError};
use engine::consume::PollResponse;
use engine::consume::cursor::CursorError;
use engine::consume::request::PollRequest;
use engine::event::EventFlags;
use harness::store::Stores;
use harness::{Random, c, config, key_of, read_all, start, until};

fn in_memory(shards: u16) -> Bus {
    let config = config(&format!(r#"{{"num_shards":{shards}}}"#));
    let stores = MemoryStores::new(Retention::default(), config.num_shards);
    Bus::start(config, Box::new(stores)).expect("the bus starts")
}

/// Polls with `request` from its cursor to the end. Returns what each poll answered.
fn poll_to_the_end(bus: &Bus, request: &str) -> Vec<PollResponse> {
    let mut request = PollRequest::parse(request).expect("a test's request is right");
    let mut responses = Vec::new();
    loop {
        let response = bus.poll(&request).expect("the shards answer");
        assert!(response.len() <= request.limit);
        assert!(
            !response.has_more || response.next_cursor != request.cursor,
            "a poll with more moves its cursor"
        );
        request.cursor.clone_from(&response.next_cursor);
        let more = response.has_more;
        responses.push(response);
        if !more {
            return responses;
        }
    }
}

/// The `n` of every event, in the order of the answers.
fn numbers(responses: &[PollResponse]) -> Vec<u64> {
    let events = responses.iter().flat_map(PollResponse::events);
    events
        .map(|(_, event)| {
            let json: serde_json::Value = serde_json::from_slice(event.payload).expect("a document");
            json["n"].as_u64().expect("a number")
        })
        .collect()
}

#[test]
fn reading_through_the_c_abi_keeps_ids_limits_cursors_and_bytes() {
    c::run("reading", &[]);
}

#[test]
fn a_filter_with_a_limit_finds_every_match_once_whatever_limit_and_order() {
    let bus = in_memory(4);
    let mut producer = bus.producer();
    let mut random = Random::new(20);
    let mut wanted = BTreeSet::new();
    for n in 0..12_000u64 {
        // Rare matches, all late on shard 3, none on shard 2.
        let key = random.below(1_000).to_le_bytes();
        let shard = engine::route::shard_of(engine::route::routing_hash(Some(&key), b""), 4).0;
        let matches = match shard {
            3 => n > 11_000,
            2 => false,
            _ => random.below(20) == 0,
        };
        let payload = format!(r#"{{"n":{n},"wanted":{matches}}}"#);
        producer.publish(Some(&key), payload.as_bytes(), EventFlags::NONE).expect("there is room");
        if matches {
            wanted.insert(n);
        }
    }
    assert_eq!(bus.flush(), Ok(()));
    for ordering in ["none", "insertion_ts"] {
        for limit in [1, 3, 10, 64, 1_000, usize::MAX] {
            let request = format!(
                r#"{{"limit":{limit},"ordering":"{ordering}","filter":{{"path":"wanted","value":true}}}}"#
            );
            let found = numbers(&poll_to_the_end(&bus, &request));
            let distinct: BTreeSet<u64> = found.iter().copied().collect();
            assert_eq!((found.len(), &distinct), (wanted.len(), &wanted), "{request}");
            assert!(ordering == "none" || found.is_sorted(), "{request}: one producer's stamps increase");
        }
    }
}

#[test]
fn a_limit_of_usize_max_reads_one_long_shard_to_its_end_when_the_others_have_ended() {
    let bus = in_memory(2);
    let mut producer = bus.producer();
    // The short shard's event is the oldest, so that it ends first.
    for (shard, count) in [(1, 1), (0, 40_000)] {
        for n in 0..count {
            let payload = format!(r#"{{"n":{n}}}"#);
            let mut publish =
                || producer.publish(Some(&key_of(shard, 2)), payload.as_bytes(), EventFlags::NONE);
            until("there is room", || publish().is_ok());
        }
    }
    assert_eq!(bus.flush(), Ok(()));
    for ordering in ["none", "insertion_ts"] {
        let request = format!(r#"{{"limit":18446744073709551615,"ordering":"{ordering}"}}"#);
        assert_eq!(numbers(&poll_to_the_end(&bus, &request)).len(), 40_001);
    }
}

#[test]
fn a_reader_that_follows_while_others_publish_sees_every_event_once() {
    let bus = in_memory(3);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut producer = bus.producer();
            for n in 0..30_000u64 {
                let payload = format!(r#"{{"n":{n}}}"#);
                until("there is room", || {
                    producer.publish(None, payload.as_bytes(), EventFlags::NONE).is_ok()
                });
            }
            assert_eq!(bus.flush(), Ok(()));
            ended.store(true, AtomicOrdering::Release);
        });
        let mut request = PollRequest { limit: 97, ..PollRequest::default() };
        let mut seen = vec![false; 30_000];
        loop {
            let last = ended.load(AtomicOrdering::Acquire);
            let response = bus.poll(&request).expect("the shards answer");
            for n in numbers(std::slice::from_ref(&response)) {
                assert!(!std::mem::replace(&mut seen[n as usize], true), "{n} came twice");
            }
            request.cursor = response.next_cursor;
            if last && !response.has_more {
                break;
            }
        }
        assert!(seen.iter().all(|&seen| seen), "an event was lost");
    });
}

#[test]
fn runs_of_corrupt_records_are_passed_over_counted_and_stall_no_cursor() {
    for limit in [1, 10, 1_000, 100_000] {
        let stores = Stores::new();
        let bus = start(r#"{"num_shards":2}"#, stores.clone());
        let mut producer = bus.producer();
        for shard in [0, 1] {
            for n in 0..3_000u64 {
                let payload = format!(r#"{{"n":{n}}}"#);
                producer
                    .publish(Some(&key_of(shard, 2)), payload.as_bytes(), EventFlags::NONE)
                    .expect("room");
            }
        }
        assert_eq!(bus.flush(), Ok(()));
        // At the beginning, in the middle, twice running, at the end; and a whole shard but one.
        for range in [1..5, 50..2_500, 2_500..2_501, 2_990..3_001] {
            stores.corrupt(0, range);
        }
        stores.corrupt(1, 1..3_000);
        let corrupt = 4 + 2_450 + 1 + 11 + 2_999;
        let responses = poll_to_the_end(&bus, &format!(r#"{{"limit":{limit}}}"#));
        let passed_over: u64 = responses.iter().map(|response| response.passed_over).sum();
        assert_eq!(
            (numbers(&responses).len(), passed_over),
            (6_000 - corrupt, corrupt as u64),
            "limit {limit}"
        );
    }
}

#[test]
fn a_stalled_poll_echoes_its_cursor_and_a_later_event_is_found_from_there() {
    let bus = in_memory(2);
    let mut producer = bus.producer();
    let nothing = bus.poll(&PollRequest::default()).expect("the shards answer");
    assert_eq!((nothing.len(), nothing.has_more, nothing.next_cursor), (0, false, None));
    producer.publish(Some(&key_of(0, 2)), b"first", EventFlags::NONE).expect("there is room");
    assert_eq!(bus.flush(), Ok(()));
    let first = bus.poll(&PollRequest::default()).expect("the shards answer");
    let request = PollRequest { cursor: first.next_cursor.clone(), ..PollRequest::default() };
    for _ in 0..3 {
        let stalled = bus.poll(&request).expect("the shards answer");
        assert_eq!((stalled.len(), stalled.has_more), (0, false));
        assert_eq!(stalled.next_cursor, first.next_cursor);
    }
    producer.publish(Some(&key_of(1, 2)), b"second", EventFlags::NONE).expect("there is room");
    assert_eq!(bus.flush(), Ok(()));
    let second = bus.poll(&request).expect("the shards answer");
    let payloads: Vec<&[u8]> = second.events().map(|(_, event)| event.payload).collect();
    assert_eq!(payloads, [b"second"]);
}

#[test]
fn a_cursor_of_another_store_is_refused_with_its_reason() {
    let (memory, other_memory) = (in_memory(1), in_memory(1));
    let controlled = start(r#"{"num_shards":1}"#, Stores::new());
    memory.producer().publish(None, b"event", EventFlags::NONE).expect("there is room");
    assert_eq!(memory.flush(), Ok(()));
    let cursor = memory.poll(&PollRequest::default()).expect("it answers").next_cursor;
    let request = PollRequest { cursor, ..PollRequest::default() };
    let refused = |bus: &Bus| bus.poll(&request).map(drop);
    assert_eq!(refused(&memory), Ok(()));
    assert_eq!(refused(&other_memory), Err(PollError::Cursor(CursorError::OtherIncarnation)));
    assert_eq!(refused(&controlled), Err(PollError::Cursor(CursorError::OtherBackend)));
}

#[test]
fn events_of_one_producer_and_key_keep_their_order_from_end_to_end() {
    let bus = in_memory(3);
    thread::scope(|scope| {
        for thread in 0..4u8 {
            let bus = &bus;
            scope.spawn(move || {
                let mut producer = bus.producer();
                for number in 0..5_000u32 {
                    let key = [thread, (number % 7) as u8];
                    let mut payload = key.to_vec();
                    payload.extend_from_slice(&number.to_be_bytes());
                    let publish = || producer.publish(Some(&key), &payload, EventFlags::NONE).is_ok();
                    until("there is room", publish);
                }
            });
        }
    });
    assert_eq!(bus.flush(), Ok(()));
    let events = read_all(&bus, 333);
    assert_eq!(events.len(), 20_000);
    for thread in 0..4u8 {
        for key in 0..7u8 {
            let of_key = events.iter().filter(|(_, payload)| payload.starts_with(&[thread, key]));
            assert!(of_key.is_sorted(), "thread {thread}, key {key}");
        }
    }
}
