//! A soak: bursts and silences, stalls and yields, under each idle policy. An event that is not stored within a second, one
//! that a waiting subscriber is not given within a second, a shard that the bridge found standing still, or a lost event
//! fails it.
//!
//! A second is no bound on latency: a shard that is let down by its executor stays down for ever, or until the bridge
//! rings it, which is counted. `LIBNET_SOAK_SECONDS` (20) says how long it lasts.

use std::env;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use adapters::memory::{MemoryStores, Retention};
use engine::adapter::AdapterFactory;
use engine::bus::Bus;
use engine::consume::subscribe::SubscribeRequest;
use engine::event::EventFlags;
use engine::subscription::Subscription;
use harness::echo::EchoStores;
use harness::{Random, SetOnDrop, assert_sums, config};

/// Longer than a scheduler keeps a runnable thread waiting, shorter than for ever.
const STALL: Duration = Duration::from_secs(1);

fn soak_time() -> Duration {
    let seconds = env::var("LIBNET_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

/// Publishes bursts, with silences between them, until `end`.
fn publish(bus: &Bus, mut random: Random, accepted: &AtomicU64, end: Instant) {
    let mut producer = bus.producer();
    while Instant::now() < end {
        for _ in 0..random.below(5_000) {
            match producer.publish(None, &random.word().to_le_bytes(), EventFlags::NONE) {
                Ok(_) => accepted.fetch_add(1, Ordering::Relaxed),
                Err(error) => panic!("{error}"),
            };
            if random.below(500) == 0 {
                thread::yield_now();
            }
        }
        match random.below(4) {
            0 => {}
            1 => thread::yield_now(),
            2 => thread::sleep(Duration::from_micros(random.below(500))),
            _ => thread::sleep(Duration::from_millis(random.below(30))),
        }
    }
}

/// Burns a CPU now and then, so that shards and producers are kept from theirs.
fn disturb(mut random: Random, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let busy_until = Instant::now() + Duration::from_micros(random.below(3_000));
        while Instant::now() < busy_until {
            std::hint::spin_loop();
        }
        thread::sleep(Duration::from_millis(random.below(20)));
    }
}

/// How much was stored at some time, and how much there is to receive in all, when that is known.
struct Marks {
    stored: AtomicU64,
    all: AtomicU64,
}

/// Receives all there is, at every pace. Returns how many events it was given.
fn receive(mut subscription: Subscription, mut random: Random, marks: &Marks, idle: &str) -> u64 {
    let (mut received, mut skipped) = (0, 0);
    while received + skipped < marks.all.load(Ordering::Relaxed) {
        let stored_before = marks.stored.load(Ordering::Relaxed);
        let events = subscription.next(1 + random.below(2_000) as usize, Some(STALL)).expect("the bus runs");
        let given = events.len() as u64;
        received += given;
        skipped += subscription.take_skipped();
        let accounted = received + skipped;
        assert!(
            given > 0 || accounted >= stored_before,
            "{idle}: of {stored_before} events {accounted} came within a second"
        );
        match random.below(200) {
            0 => thread::sleep(Duration::from_millis(random.below(60))),
            1..20 => thread::yield_now(),
            _ => {}
        }
    }
    received
}

/// With two producers a shard on a machine of two CPUs does not spin; with one it does.
/// Returns how many events were stored, and how many of them the subscriber was given.
fn soak(
    idle: &str,
    producers: u64,
    stores: Box<dyn AdapterFactory>,
    seed: u64,
    time: Duration,
) -> (u64, u64) {
    let options = r#""num_shards":1,"backpressure_mode":"FailProducer","push_wait_us":1000000"#;
    let config = config(&format!(r#"{{{options},"idle":"{idle}"}}"#));
    let bus = Bus::start(config, stores).expect("the bus starts");
    let (accepted, over, end) = (AtomicU64::new(0), AtomicBool::new(false), Instant::now() + time);
    let marks = Marks { stored: AtomicU64::new(0), all: AtomicU64::new(u64::MAX) };
    let subscription = bus.subscribe(SubscribeRequest::default()).expect("the shard answers");
    let received = thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(subscription, Random::new(seed + 300), &marks, idle));
        let publishers: Vec<_> = (0..producers)
            .map(|at| {
                let (bus, accepted) = (&bus, &accepted);
                scope.spawn(move || publish(bus, Random::new(seed + at), accepted, end))
            })
            .collect();
        scope.spawn(|| disturb(Random::new(seed + 100), &over));
        let _over = SetOnDrop(&over);
        let mut random = Random::new(seed + 200);
        while Instant::now() < end {
            let (begun, before) = (Instant::now(), accepted.load(Ordering::Relaxed));
            let flushed = bus.flush();
            let took = begun.elapsed();
            assert!(flushed.is_ok() && took < STALL, "{idle}: a flush took {took:?}: {flushed:?}");
            let stats = bus.stats();
            assert_sums(&stats);
            assert!(
                stats.total().stored >= before,
                "{idle}: {before} were accepted before the flush: {stats:?}"
            );
            assert_eq!(stats.stalls, 0, "{idle}: a shard stood still");
            marks.stored.store(stats.total().stored, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(random.below(40)));
        }
        for publisher in publishers {
            publisher.join().expect("no panic");
        }
        marks.all.store(accepted.load(Ordering::Relaxed), Ordering::Relaxed);
        receiver.join().expect("no panic")
    });
    assert_eq!(bus.shutdown(None), Ok(0));
    let stats = bus.stats();
    let accepted = accepted.into_inner();
    assert_eq!((stats.total().stored, stats.stalls), (accepted, 0), "{idle}");
    (accepted, received)
}

#[test]
fn no_shard_stands_still_and_no_event_is_lost_under_bursts_and_silences() {
    let shapes = [("spin", 1), ("adaptive", 1), ("adaptive", 2), ("park", 2)];
    for (at, (idle, producers)) in shapes.into_iter().enumerate() {
        let stores = MemoryStores::new(Retention::default(), NonZeroU16::MIN);
        let (stored, received) = soak(idle, producers, Box::new(stores), 1_000 * at as u64, soak_time() / 8);
        assert_eq!(received, stored, "{idle}: what is kept is received");
    }
}

#[test]
fn a_store_behind_a_socket_is_heard_however_busy_its_shard_is() {
    let shapes = [("spin", 1), ("adaptive", 1), ("adaptive", 2), ("park", 2)];
    for (at, (idle, producers)) in shapes.into_iter().enumerate() {
        let echo = EchoStores::start();
        let (stored, received) =
            soak(idle, producers, Box::new(echo), 10_000 + 1_000 * at as u64, soak_time() / 8);
        // What is not kept comes while there is room for it.
        assert!(received > 0 && received <= stored, "{idle}: {received} of {stored}");
    }
}
