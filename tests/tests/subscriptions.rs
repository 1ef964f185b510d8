//! What a subscription gives: every event that is stored from where it begins, once, in its shard's order, whole; and
//! what retention removed is counted exactly.

use std::num::{NonZeroU16, NonZeroUsize};
use std::process::Command;
use std::time::Duration;

use adapters::memory::{MemoryStores, Retention};
use adapters::noop::NoopStores;
use engine::bus::Bus;
use engine::consume::request::PollRequest;
use engine::event::EventFlags;
use engine::subscription::Subscription;
use harness::store::{Mode, Stores};
use harness::{Random, Received, c, is_empty, receive, start, subscribe, until};

/// Publishes `{"n":n,"odd":n%2}`, one after the other and spread over the shards.
fn publish(bus: &Bus, numbers: std::ops::Range<u64>) {
    let mut producer = bus.producer();
    for n in numbers {
        let payload = format!(r#"{{"n":{n},"odd":{}}}"#, n % 2);
        producer.publish(None, payload.as_bytes(), EventFlags::NONE).expect("there is room");
    }
    assert_eq!(bus.flush(), Ok(()));
}

/// What the store of a shard has, as a subscriber gets it.
fn stored(stores: &Stores, shard: u16) -> Vec<Received> {
    let received = |event: &harness::store::Stored| Received {
        shard,
        sequence: event.sequence,
        payload: event.payload.clone(),
    };
    stores.look(shard, |seen| seen.events.iter().map(received).collect())
}

fn of_shard(events: &[Received], shard: u16) -> Vec<Received> {
    events.iter().filter(|event| event.shard == shard).cloned().collect()
}

/// A bus of one shard in memory that keeps `retention_events`, with lanes of 4 KiB.
fn in_memory(retention_events: usize) -> Bus {
    let events = NonZeroUsize::new(retention_events).expect("it keeps something");
    let stores = MemoryStores::new(Retention { events, ..Retention::default() }, NonZeroU16::MIN);
    start(TIGHT, stores)
}

/// A subscriber's lane has room for some 150 small events.
const TIGHT: &str =
    r#"{"num_shards":1,"lane_bytes":4096,"backpressure_mode":"FailProducer","push_wait_us":60000000}"#;

#[test]
fn a_subscription_begins_at_the_start_now_or_behind_a_cursor() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":2}"#, stores.clone());
    publish(&bus, 0..1_000);
    let polled = bus.poll(&PollRequest { limit: 300, ..PollRequest::default() }).expect("the shards answer");
    let cursor = polled.next_cursor.clone().expect("events were read");
    let mut polled_of = [0, 0];
    polled.events().for_each(|(shard, _)| polled_of[shard.index()] += 1);
    let mut from_start = subscribe(&bus, r#"{"from":"start"}"#);
    let mut from_now = subscribe(&bus, "{}");
    let mut from_cursor = subscribe(&bus, &format!(r#"{{"from":"{cursor}"}}"#));
    let before: Vec<usize> = (0..2).map(|shard| stored(&stores, shard).len()).collect();
    publish(&bus, 1_000..2_000);
    let all = receive(&mut from_start, 2_000, 7);
    let later = receive(&mut from_now, 1_000, 1);
    let rest = receive(&mut from_cursor, 1_700, 10_000);
    for shard in 0..2 {
        let (truth, at) = (stored(&stores, shard), usize::from(shard));
        assert_eq!(of_shard(&all, shard), truth);
        assert_eq!(of_shard(&later, shard), truth[before[at]..]);
        assert_eq!(of_shard(&rest, shard), truth[polled_of[at]..]);
    }
    for mut subscription in [from_start, from_now, from_cursor] {
        assert!(is_empty(&mut subscription) && subscription.skipped() == 0);
    }
}

#[test]
fn a_subscription_hears_the_shards_it_names_and_the_events_it_wants() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":3}"#, stores.clone());
    let odd_and_low = r#"{"$and":[{"path":"odd","value":1},{"$lt":{"path":"n","value":1500}}]}"#;
    let request = format!(r#"{{"from":"start","filter":{odd_and_low},"shards":[2,0]}}"#);
    let mut early = subscribe(&bus, &request);
    publish(&bus, 0..2_000);
    let mut late = subscribe(&bus, &request);
    let wanted = [0, 2].map(|shard| {
        let mut events = stored(&stores, shard);
        events.retain(|event| number(event) < 1_500 && number(event) % 2 == 1);
        events
    });
    for subscription in [&mut early, &mut late] {
        let events = receive(subscription, wanted[0].len() + wanted[1].len(), 3);
        assert_eq!([0, 2].map(|shard| of_shard(&events, shard)), wanted);
        assert!(is_empty(subscription));
    }
}

#[test]
fn a_position_that_is_taken_and_resumed_gives_every_event_once_across_filters() {
    let mut random = Random::new(11);
    let bus = start(r#"{"num_shards":2,"lane_bytes":4096}"#, Stores::new());
    publish(&bus, 0..5_000);
    let mut seen = vec![0; 15_000];
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(&bus, 5_000..15_000));
        for odd in [0, 1] {
            let mut from = "start".to_owned();
            let mut left = 7_500;
            while left > 0 {
                let request = format!(r#"{{"from":"{from}","filter":{{"path":"odd","value":{odd}}}}}"#);
                let mut subscription = subscribe(&bus, &request);
                let count = left.min(1 + random.below(1_000) as usize);
                for event in receive(&mut subscription, count, 1 + random.below(100) as usize) {
                    seen[number(&event) as usize] += 1;
                }
                left -= count;
                assert_eq!(subscription.take_skipped(), 0);
                from = subscription.cursor();
            }
        }
        publisher.join().expect("no panic");
    });
    assert!(seen.iter().all(|&times| times == 1));
}

#[test]
fn a_cursor_that_a_filter_has_moved_on_polls_and_subscribes_behind_what_was_rejected() {
    let bus = start(r#"{"num_shards":1}"#, Stores::new());
    publish(&bus, 0..100);
    let mut subscription = subscribe(&bus, r#"{"from":"start","filter":{"path":"n","value":-1}}"#);
    until("the cursor is behind them", || {
        assert!(is_empty(&mut subscription));
        let request = PollRequest { cursor: Some(subscription.cursor()), ..PollRequest::default() };
        bus.poll(&request).expect("the shard answers").is_empty()
    });
    publish(&bus, 100..101);
    let mut resumed = subscribe(&bus, &format!(r#"{{"from":"{}"}}"#, subscription.cursor()));
    assert_eq!(number(&receive(&mut resumed, 1, 10)[0]), 100);
}

#[test]
fn a_stopped_subscriber_delays_and_refuses_nobody_and_gets_all_that_the_store_holds() {
    let bus = in_memory(1 << 20);
    let mut stopped = subscribe(&bus, "{}");
    let mut begun_late = subscribe(&bus, r#"{"from":"start"}"#);
    publish(&bus, 0..100_000);
    let counted = bus.stats().total();
    assert_eq!((counted.refused, counted.dropped.total(), counted.stored), (0, 0, 100_000));
    for subscription in [&mut stopped, &mut begun_late] {
        let events = receive(subscription, 100_000, 64);
        assert!(events.iter().map(number).eq(0..100_000));
        assert_eq!(subscription.skipped(), 0);
    }
}

/// Receives to the event with this sequence, which the store holds, and checks that what is missing is what was skipped.
fn receive_to(subscription: &mut Subscription, begin: u64, last: u64) -> u64 {
    let (mut at, mut received, mut skipped) = (begin - 1, 0, 0);
    while at < last {
        let event = receive(subscription, 1, 1).remove(0);
        assert!(event.sequence > at, "{} after {at}", event.sequence);
        assert_eq!(number(&event) + 1, event.sequence);
        skipped += subscription.take_skipped();
        received += 1;
        at = event.sequence;
        assert_eq!(at + 1 - begin, received + skipped, "every event is received or counted");
    }
    skipped
}

#[test]
fn what_retention_removed_is_counted_exactly() {
    let bus = in_memory(1_000);
    let mut stopped = subscribe(&bus, "{}");
    let mut paused = subscribe(&bus, "{}");
    publish(&bus, 0..100);
    receive(&mut paused, 40, 7);
    let cursor = paused.cursor();
    publish(&bus, 100..50_000);
    // Either has what was pushed before its lane was full, and what the store has kept.
    let skipped = receive_to(&mut stopped, 1, 50_000);
    assert!((40_000..49_000).contains(&skipped), "{skipped}");
    receive_to(&mut paused, 41, 50_000);
    let mut resumed = subscribe(&bus, &format!(r#"{{"from":"{cursor}"}}"#));
    assert_eq!(receive_to(&mut resumed, 41, 50_000), 48_960);
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(&bus, 50_000..250_000));
        // Slow and quick by turns, and to the end.
        receive_to(&mut stopped, 50_001, 250_000);
        publisher.join().expect("no panic");
    });
}

#[test]
fn a_store_that_keeps_nothing_delivers_live_and_counts_what_did_not_fit() {
    let bus = start(TIGHT, NoopStores::default());
    let mut subscription = subscribe(&bus, "{}");
    publish(&bus, 0..100);
    assert!(receive(&mut subscription, 100, 9).iter().map(number).eq(0..100));
    publish(&bus, 100..10_000);
    let lane = receive(&mut subscription, 50, 10);
    assert!(lane.iter().map(number).eq(100..150));
    let mut received = 150;
    until("it is told of what is lost", || {
        let next = subscription.next(100, Some(Duration::from_millis(1))).expect("the bus runs");
        received += next.len() as u64;
        received + subscription.skipped() == 10_000
    });
    assert!(subscription.skipped() > 9_000, "{}", subscription.skipped());
    publish(&bus, 10_000..10_001);
    assert_eq!(receive(&mut subscription, 1, 1)[0].sequence, 10_001);
}

#[test]
fn events_of_every_size_arrive_whole_and_in_order() {
    for (seed, stopped) in [(1, false), (2, true)] {
        let mut random = Random::new(seed);
        let bus = start(TIGHT, MemoryStores::new(Retention::default(), NonZeroU16::MIN));
        let mut subscription = subscribe(&bus, "{}");
        // About the wrap of the lane, about the size from which an event travels as a block, and the largest there is.
        let sizes: Vec<usize> = (0..4_000)
            .map(|_| match random.below(20) {
                0 => 2_000 + random.below(100) as usize,
                1 => 8_100 + random.below(200) as usize,
                2 if random.below(40) == 0 => 1 << 20,
                3 => 20_000 + random.below(50_000) as usize,
                _ => random.below(1_000) as usize,
            })
            .collect();
        let payload = |n: usize| vec![n as u8; sizes[n]];
        std::thread::scope(|scope| {
            let publisher = scope.spawn(|| {
                let mut producer = bus.producer();
                for n in 0..sizes.len() {
                    producer.publish(None, &payload(n), EventFlags::NONE).expect("there is room");
                }
                assert_eq!(bus.flush(), Ok(()));
            });
            if stopped {
                until("all is stored", || bus.stats().total().stored == 4_000);
            }
            for (n, event) in receive(&mut subscription, sizes.len(), 8).into_iter().enumerate() {
                assert!(event.payload == payload(n), "event {n} of {} bytes", sizes[n]);
                assert_eq!(event.sequence, n as u64 + 1);
            }
            publisher.join().expect("no panic");
        });
        assert_eq!(subscription.skipped(), 0);
    }
}

#[test]
fn what_the_store_has_not_acknowledged_is_not_delivered() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":1}"#, stores.clone());
    let mut subscription = subscribe(&bus, "{}");
    for n in 0..100 {
        stores.set(0, Mode::Hold);
        bus.producer().publish(None, format!(r#"{{"n":{n}}}"#).as_bytes(), EventFlags::NONE).expect("room");
        until("the store holds", || stores.look(0, |seen| seen.holds));
        // The shard answers twice, so that it has had whole rounds in between.
        assert_eq!((bus.stats().total().stored, bus.stats().total().stored), (n, n));
        assert!(is_empty(&mut subscription));
        stores.set(0, Mode::Store);
        assert_eq!(number(&receive(&mut subscription, 1, 1)[0]), n);
    }
}

#[test]
fn a_batch_that_is_refused_for_now_is_delivered_once() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":1}"#, stores.clone());
    let mut subscription = subscribe(&bus, "{}");
    stores.set(0, Mode::RefuseForNow(3));
    publish(&bus, 0..1_000);
    assert!(receive(&mut subscription, 1_000, 100).iter().map(number).eq(0..1_000));
    assert!(is_empty(&mut subscription) && bus.stats().total().retries == 3);
}

/// Publishes events that the store refuses for good.
fn refuse(bus: &Bus, stores: &Stores, count: usize) {
    stores.set(0, Mode::RefuseForGood);
    let mut producer = bus.producer();
    for _ in 0..count {
        producer.publish(None, br#"{"n":-1}"#, EventFlags::NONE).expect("there is room");
    }
    assert!(bus.flush().is_err());
    stores.set(0, Mode::Store);
}

#[test]
fn a_batch_that_is_refused_for_good_is_never_delivered_and_stops_nothing() {
    let stores = Stores::new();
    let bus = start(TIGHT, stores.clone());
    let mut quick = subscribe(&bus, "{}");
    let mut stopped = subscribe(&bus, "{}");
    for round in 0..20 {
        let begin = round * 1_000;
        publish(&bus, begin..begin + 500);
        // Odd rounds meet an idle lane of the quick subscriber, the others one that is still full.
        let before = if round % 2 == 0 { 0 } else { 500 };
        assert!(receive(&mut quick, before, 100).iter().map(number).eq(begin..begin + before as u64));
        refuse(&bus, &stores, 500);
        publish(&bus, begin + 500..begin + 1_000);
        let rest = receive(&mut quick, 1_000 - before, 100);
        assert!(rest.iter().map(number).eq(begin + before as u64..begin + 1_000));
    }
    let truth = stored(&stores, 0);
    assert_eq!((truth.len(), truth.last().map(|event| event.sequence)), (20_000, Some(30_000)));
    // The last ones too, behind which the stopped subscriber finds nothing in the store.
    refuse(&bus, &stores, 500);
    assert_eq!(receive(&mut stopped, 20_000, 50), truth);
    let mut late = subscribe(&bus, r#"{"from":"start"}"#);
    assert_eq!(receive(&mut late, 20_000, 5_000), truth);
    publish(&bus, 20_000..20_001);
    for mut subscription in [quick, stopped, late] {
        assert_eq!(receive(&mut subscription, 1, 1)[0].sequence, 30_501);
        assert!(is_empty(&mut subscription));
        assert_eq!(subscription.skipped(), 0, "what was refused was never stored");
    }
}

#[test]
fn records_that_cannot_be_read_are_passed_over() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":1}"#, stores.clone());
    publish(&bus, 0..3_000);
    for corrupt in [1..5, 50..2_500, 2_990..3_001] {
        stores.corrupt(0, corrupt);
    }
    let mut subscription = subscribe(&bus, r#"{"from":"start"}"#);
    publish(&bus, 3_000..3_010);
    let sequences = receive(&mut subscription, 45 + 490 + 10, 100).into_iter().map(|event| event.sequence);
    assert!(sequences.eq((5..50).chain(2_500..2_990).chain(3_001..3_011)));
    assert_eq!(subscription.skipped(), 0, "retention removed nothing");
}

#[test]
fn an_epoll_loop_receives_a_million_events_once_in_order() {
    c::run("subscribe_epoll", &["level"]);
    c::run("subscribe_epoll", &["edge"]);
}

#[test]
fn an_asyncio_loop_receives_a_million_events_once_in_order() {
    let script = c::root().join("tests/python/subscribe_asyncio.py");
    let output = c::run_command(Command::new("python3").arg(script).arg(c::library()));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("1000000 events\n", ""));
}

#[test]
fn no_wake_is_lost_in_a_hundred_thousand_rounds() {
    c::run("subscribe_wakes", &[]);
}

fn number(event: &Received) -> u64 {
    let text = event.payload.strip_prefix(br#"{"n":"#).expect("a numbered event");
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}
