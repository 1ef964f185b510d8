//! A log whose bus has another number of shards each time: what an earlier layout holds is read to its end first, so that the events
//! of a key keep their order although its shard changes.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use engine::bus::Bus;
use engine::consume::PollResponse;
use engine::consume::request::{Ordering, PollRequest};
use engine::consume::subscribe::{From, SubscribeRequest};
use engine::event::{EventFlags, ShardId};
use engine::subscription::{SubscribeError, Subscription};
use harness::log::{bus_of, copied, damage_last_events};
use harness::until;

/// Numbers of shards, one after the other.
const SHARDS: [u16; 6] = [4, 2, 3, 1, 1, 5];
/// Events of each.
const EVENTS: u64 = 2_000;
const KEYS: u64 = 40;

#[test]
fn the_events_of_a_key_keep_their_order_whatever_shards_it_had() {
    let mut dir = tempfile::tempdir().expect("a directory is made");
    let mut slow = Slow::default();
    // So small that a subscriber is behind most of the time.
    let open = |dir: &Path, shards| open(dir, shards, r#""lane_bytes":4096"#);
    for (run, shards) in (0_u64..).zip(SHARDS) {
        let bus = open(dir.path(), shards);
        publish(&bus, run * EVENTS..(run + 1) * EVENTS);
        let end = (run + 1) * EVENTS;
        for ordering in [Ordering::None, Ordering::InsertionTs] {
            let request = PollRequest { limit: 301, ordering, ..PollRequest::default() };
            assert_whole(&polled(&bus, request), end);
        }
        assert_whole(&subscribed(&bus, From::Start, end), end);
        slow.read(&bus, 700);
        if run % 2 == 1 {
            // As a kill would leave it.
            dir = copied(dir.path());
        }
        assert_eq!(bus.shutdown(None), Ok(0));
    }
    let bus = open(dir.path(), 2);
    let end = SHARDS.len() as u64 * EVENTS;
    let cursor = slow.cursor.clone().expect("it has read");
    let rest = subscribed(&bus, From::Cursor(cursor), end - slow.found.len() as u64);
    assert_whole(&[&slow.found[..], &rest].concat(), end);
    while slow.read(&bus, 999) {}
    assert_whole(&slow.found, end);
}

#[test]
fn a_look_that_has_come_to_the_end_of_a_layout_goes_on_with_the_next() {
    let dir = tempfile::tempdir().expect("a directory is made");
    for (run, shards) in [(0, 3), (1, 2), (2, 4)] {
        let bus = open(dir.path(), shards, "");
        let end = (run + 1) * 50;
        publish(&bus, run * 50..end);
        let mut subscription = subscribe(&bus, From::Start);
        until("every event is in a lane", || bus.stats().total().delivered == end);
        let mut received = 0;
        while received < end {
            let events = take(&mut subscription, Duration::ZERO).len() as u64;
            assert!(events > 0, "{received} of {end} after {run} other layouts");
            received += events;
        }
    }
}

#[test]
fn later_events_wait_for_a_shard_that_cannot_be_read_and_come_when_it_can() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let bus = open(dir.path(), 3, "");
    publish(&bus, 0..300);
    assert_eq!(bus.shutdown(None), Ok(0));
    let bus = open(dir.path(), 2, "");
    publish(&bus, 300..400);
    let (archive, elsewhere) = (dir.path().join("shard-00002"), dir.path().join("elsewhere"));
    fs::rename(&archive, &elsewhere).expect("it was there");
    let mut subscription = subscribe(&bus, From::Start);
    let mut received = Vec::new();
    until("what can be read has come", || {
        let events = take(&mut subscription, Duration::from_millis(300));
        received.extend(&events);
        events.is_empty()
    });
    let page = bus.poll(&PollRequest { limit: 1_000, ..PollRequest::default() });
    let page = page.expect("two shards answer");
    assert_eq!((page.failed_shards.as_slice(), page.has_more), (&[ShardId(2)][..], true));
    for found in [&received, &numbers_of(&page)] {
        assert!(!found.is_empty() && found.iter().all(|&number| number < 300), "{found:?}");
    }
    let other = PollRequest { limit: 1_000, shards: Some(vec![0, 1]), ..PollRequest::default() };
    let others = numbers_of(&bus.poll(&other).expect("they answer"));
    assert_eq!(others.len(), received.len() + 100, "who does not ask for it does not wait");
    fs::rename(&elsewhere, &archive).expect("it was there");
    until("everything has come", || {
        received.extend(take(&mut subscription, Duration::from_millis(10)));
        received.len() == 400
    });
    assert_whole(&received, 400);
    assert_whole(&polled(&bus, PollRequest::default()), 400);
    // Held back or not, the end of the bus ends every subscription.
    fs::rename(&archive, &elsewhere).expect("it was there");
    let mut waiting = subscribe(&bus, From::Start);
    until("it waits", || take(&mut waiting, Duration::from_millis(100)).is_empty());
    assert_eq!(bus.shutdown(None), Ok(0));
    assert!(waiting.next(1_000, None).is_err());
}

#[test]
fn a_shard_that_has_lost_events_of_before_holds_up_nobody() {
    let dir = tempfile::tempdir().expect("a directory is made");
    for (run, shards) in [(0, 3), (1, 2)] {
        let bus = open(dir.path(), shards, "");
        publish(&bus, run * 300..(run + 1) * 300);
        assert_eq!(bus.shutdown(None), Ok(0));
    }
    // The end that was noted of one is never reached again, and the last events of another are damaged.
    for entry in fs::read_dir(dir.path().join("shard-00002")).expect("it is there") {
        fs::remove_file(entry.expect("it is readable").path()).expect("it was there");
    }
    damage_last_events(&dir.path().join("shard-00001/00000000000000000001.seg"));
    let bus = open(dir.path(), 2, "");
    publish(&bus, 600..700);
    let found = polled(&bus, PollRequest { limit: 33, ..PollRequest::default() });
    assert!(found.len() < 700 && found.len() > 400, "{}", found.len());
    assert_eq!(found.iter().filter(|&&number| number >= 300).count(), 400);
    assert_in_order(&found);
    let received = subscribed(&bus, From::Start, found.len() as u64);
    assert_in_order(&received);
}

#[test]
fn lanes_that_may_wait_leave_those_room_that_they_wait_for() {
    let dir = tempfile::tempdir().expect("a directory is made");
    let options = r#""max_event_bytes":1048576,"lane_bytes":4096,"lanes_bytes_max":4194304"#;
    for (shards, is_let_in) in [(2, true), (3, false), (1, false)] {
        let bus = open(dir.path(), shards, options);
        let from_start = SubscribeRequest { from: From::Start, ..SubscribeRequest::default() };
        match bus.subscribe(from_start) {
            Ok(_) => assert!(is_let_in, "{shards} shards"),
            Err(error) => {
                assert!(!is_let_in && matches!(error, SubscribeError::LanesExhausted), "{error}");
            }
        }
        drop(bus.subscribe(SubscribeRequest::default()).expect("from now on nothing waits"));
        publish(&bus, 0..10);
        assert_eq!(bus.shutdown(None), Ok(0));
    }
}

/// Who falls behind and goes on, each time where it was.
#[derive(Default)]
struct Slow {
    cursor: Option<String>,
    found: Vec<u64>,
}

impl Slow {
    /// Whether there is more.
    fn read(&mut self, bus: &Bus, limit: usize) -> bool {
        let request = PollRequest { limit, cursor: self.cursor.take(), ..PollRequest::default() };
        let page = bus.poll(&request).expect("the shards answer");
        self.found.extend(numbers_of(&page));
        self.cursor = page.next_cursor;
        page.has_more
    }
}

/// Every event below `end` is there once, and those of each key are in order.
fn assert_whole(found: &[u64], end: u64) {
    assert_in_order(found);
    assert_eq!(found.len() as u64, end);
}

fn assert_in_order(found: &[u64]) {
    let mut last_of = HashMap::new();
    for &number in found {
        let last = last_of.insert(number % KEYS, number);
        assert!(last < Some(number), "{number} comes after {last:?}");
    }
}

/// `options` follow beside the log, after a comma.
fn open(dir: &Path, shards: u16, options: &str) -> Bus {
    let comma = if options.is_empty() { "" } else { "," };
    let log = format!(r#"{{"dir":"{}","segment_bytes":2097152}}"#, dir.display());
    bus_of(&format!(r#"{{"num_shards":{shards},"log":{log}{comma}{options}}}"#)).expect("the log opens")
}

/// Events that are their numbers; some are too large for a small lane's ring.
fn publish(bus: &Bus, numbers: Range<u64>) {
    let mut producer = bus.producer();
    for number in numbers {
        let pad = if number % 97 == 0 { 6_000 } else { 8 };
        let (key, payload) = ((number % KEYS).to_le_bytes(), format!("{number:>pad$}"));
        producer.publish(Some(&key), payload.as_bytes(), EventFlags::NONE).expect("it is taken");
    }
    bus.flush().expect("the log is durable");
}

fn number(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).expect("digits").trim_start().parse().expect("a number")
}

fn numbers_of(page: &PollResponse) -> Vec<u64> {
    page.events().map(|(_, event)| number(event.payload)).collect()
}

fn polled(bus: &Bus, mut request: PollRequest) -> Vec<u64> {
    let mut found = Vec::new();
    loop {
        let page = bus.poll(&request).expect("the shards answer");
        found.extend(numbers_of(&page));
        if !page.has_more {
            return found;
        }
        request.cursor = page.next_cursor;
    }
}

fn subscribe(bus: &Bus, from: From) -> Subscription {
    bus.subscribe(SubscribeRequest { from, ..SubscribeRequest::default() }).expect("the shards answer")
}

fn take(subscription: &mut Subscription, timeout: Duration) -> Vec<u64> {
    let events = subscription.next(1_000, Some(timeout)).expect("it runs");
    events.map(|(_, event)| number(event.payload)).collect()
}

/// The next `count` numbers that a subscriber is given.
fn subscribed(bus: &Bus, from: From, count: u64) -> Vec<u64> {
    let mut subscription = subscribe(bus, from);
    let mut received = Vec::new();
    until("every event has come", || {
        received.extend(take(&mut subscription, Duration::from_millis(10)));
        received.len() as u64 >= count
    });
    received
}
