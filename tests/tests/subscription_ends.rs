//! How subscriptions end, what they refuse and what they leave behind: a shutdown, a panic or a hung store never leaves a
//! subscriber asleep.

use std::thread;

use engine::bus::Bus;
use engine::consume::subscribe::SubscribeRequest;
use engine::event::EventFlags;
use engine::subscription::{SubscribeError, SubscriptionEnded};
use harness::store::{Mode, Stores};
use harness::{c, is_empty, key_of, receive, start, subscribe, until};

#[test]
fn what_is_refused_has_a_code_of_its_own() {
    c::run("subscribe_codes", &[]);
}

#[test]
fn an_end_gives_what_was_pushed_and_wakes_whoever_sleeps() {
    c::run("subscribe_ends", &[]);
}

fn publish(bus: &Bus, shard: u16, shards: u16, count: usize) {
    let mut producer = bus.producer();
    for _ in 0..count {
        producer.publish(Some(&key_of(shard, shards)), b"event", EventFlags::NONE).expect("there is room");
    }
}

#[test]
fn a_panic_of_a_shard_ends_every_subscription_and_wakes_its_sleeper() {
    for _ in 0..20 {
        let stores = Stores::new();
        let bus = start(r#"{"num_shards":2,"shutdown_timeout_ms":100}"#, stores.clone());
        let (mut sleeper, mut of_the_other) = (subscribe(&bus, "{}"), subscribe(&bus, r#"{"shards":[1]}"#));
        publish(&bus, 1, 2, 10);
        receive(&mut sleeper, 10, 10);
        stores.set(0, Mode::Panic);
        thread::scope(|scope| {
            let woken = scope.spawn(|| sleeper.next(1, None).map(|events| events.len()));
            publish(&bus, 0, 2, 1);
            assert_eq!(woken.join().expect("no panic"), Err(SubscriptionEnded::Failed));
        });
        // What was pushed before is given, by the shard that goes on too.
        receive(&mut of_the_other, 10, 3);
        assert_eq!(of_the_other.next(1, None).map(drop), Err(SubscriptionEnded::Failed));
        let refused = bus.subscribe(SubscribeRequest::default()).map(drop);
        assert!(matches!(refused, Err(SubscribeError::Failed)), "{refused:?}");
    }
}

#[test]
fn while_a_shard_hangs_it_takes_no_subscriber_and_the_others_go_on() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":2,"adapter_timeout_ms":100}"#, stores.clone());
    let mut before = subscribe(&bus, "{}");
    stores.set(1, Mode::Hang);
    publish(&bus, 1, 2, 1);
    until("the shard hangs", || stores.look(1, |seen| seen.hangs));
    let lanes_bytes = bus.stats().lanes_bytes;
    for _ in 0..3 {
        let refused = bus.subscribe(SubscribeRequest::default()).map(drop);
        assert!(matches!(refused, Err(SubscribeError::Unanswered)), "{refused:?}");
    }
    let mut other = subscribe(&bus, r#"{"shards":[0]}"#);
    publish(&bus, 0, 2, 1_000);
    assert!(receive(&mut before, 1_000, 10).iter().all(|event| event.shard == 0));
    receive(&mut other, 1_000, 10);
    stores.set(1, Mode::Store);
    assert_eq!(receive(&mut before, 1, 10)[0].shard, 1);
    drop(other);
    // Neither does the shard keep what it was asked for in vain.
    until("the lanes are given back", || bus.stats().lanes_bytes <= lanes_bytes);
    let mut after = subscribe(&bus, r#"{"from":"start"}"#);
    receive(&mut after, 1_001, 10);
}

#[test]
fn a_shutdown_while_a_store_hangs_ends_its_subscriptions_at_its_deadline() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":2,"shutdown_timeout_ms":100}"#, stores.clone());
    let mut subscription = subscribe(&bus, "{}");
    publish(&bus, 0, 2, 10);
    assert_eq!(bus.flush(), Ok(()));
    stores.set(1, Mode::Hang);
    publish(&bus, 1, 2, 1);
    until("the shard hangs", || stores.look(1, |seen| seen.hangs));
    thread::scope(|scope| {
        let outcome = scope.spawn(|| {
            receive(&mut subscription, 10, 10);
            subscription.next(1, None).map(|events| events.len())
        });
        bus.shutdown(None).expect("the first");
        assert_eq!(outcome.join().expect("no panic"), Err(SubscriptionEnded::ShutDown));
    });
    stores.set(1, Mode::Store);
}

#[test]
fn a_subscription_that_would_exceed_the_limit_of_lanes_is_refused_and_leaves_nothing() {
    let bus = start(r#"{"num_shards":2,"lanes_bytes_max":2097152}"#, Stores::new());
    let mut first = subscribe(&bus, "{}");
    let taken = bus.stats().lanes_bytes;
    for _ in 0..10 {
        let mut open = vec![];
        let refused = loop {
            match bus.subscribe(SubscribeRequest::default()) {
                Ok(subscription) => open.push(subscription),
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, SubscribeError::LanesExhausted), "{refused:?}");
        drop(open);
        until("the lanes are given back", || bus.stats().lanes_bytes == taken);
    }
    publish(&bus, 0, 2, 1);
    receive(&mut first, 1, 1);
    assert!(is_empty(&mut first));
}
