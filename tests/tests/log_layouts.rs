//! A log whose bus has another number of shards each time: what an earlier layout holds is read to its end first, so that the events
//! of a key keep their order although its shard changes.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use engine::bus::Bus;
use engine::consume::PollResponse;
use engine::consume::request::{Ordering, PollRequest};
use engine::consume::subscribe::{From, SubscribeRequest};
use engine::event::EventFlags;
use harness::log::{bus, copied, numbers};
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
    for (run, shards) in (0_u64..).zip(SHARDS) {
        let bus = open(dir.path(), shards);
        publish(&bus, run, EVENTS);
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
        let bus = open(dir.path(), shards);
        publish(&bus, run, 50);
        let end = (run + 1) * 50;
        let from_start = SubscribeRequest { from: From::Start, ..SubscribeRequest::default() };
        let mut subscription = bus.subscribe(from_start).expect("the shards answer");
        until("every event is in a lane", || bus.stats().total().delivered == end);
        let mut received = 0;
        while received < end {
            let events = subscription.next(1_000, Some(Duration::ZERO)).expect("it runs").len() as u64;
            assert!(events > 0, "{received} of {end} after {run} other layouts");
            received += events;
        }
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
    let mut last_of = HashMap::new();
    for &number in found {
        let last = last_of.insert(number % KEYS, number);
        assert!(last < Some(number), "{number} comes after {last:?}");
    }
    assert_eq!(found.len() as u64, end);
}

fn publish(bus: &Bus, run: u64, events: u64) {
    let mut producer = bus.producer();
    for number in run * events..(run + 1) * events {
        let (key, payload) = ((number % KEYS).to_le_bytes(), format!(r#"{{"n":{number}}}"#));
        producer.publish(Some(&key), payload.as_bytes(), EventFlags::JSON).expect("it is taken");
    }
    bus.flush().expect("the log is durable");
}

fn open(dir: &Path, shards: u16) -> Bus {
    bus(dir, shards, r#""segment_bytes":2097152"#).expect("the log opens with another layout")
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

/// The next `count` numbers that a subscriber is given.
fn subscribed(bus: &Bus, from: From, count: u64) -> Vec<u64> {
    let request = SubscribeRequest { from, ..SubscribeRequest::default() };
    let mut subscription = bus.subscribe(request).expect("the shards answer");
    let mut received = Vec::new();
    until("every event has come", || {
        let events = subscription.next(1_000, Some(Duration::from_millis(10))).expect("it runs");
        received.extend(events.map(|(shard, event)| (shard, event.payload.to_vec())));
        received.len() as u64 >= count
    });
    numbers(&received)
}

fn numbers_of(page: &PollResponse) -> Vec<u64> {
    numbers(&page.events().map(|(shard, event)| (shard, event.payload.to_vec())).collect::<Vec<_>>())
}
