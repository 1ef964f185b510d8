//! A soak: bursts and silences, stalls and yields, under each idle policy. An event that is not stored within a second,
//! a shard that the bridge found standing still, or a lost event fails it.
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
use engine::event::EventFlags;
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

/// With two producers a shard on a machine of two CPUs does not spin; with one it does.
fn soak(idle: &str, producers: u64, stores: Box<dyn AdapterFactory>, seed: u64, time: Duration) {
    let options = r#""num_shards":1,"backpressure_mode":"FailProducer","push_wait_us":1000000"#;
    let config = config(&format!(r#"{{{options},"idle":"{idle}"}}"#));
    let bus = Bus::start(config, stores).expect("the bus starts");
    let (accepted, over, end) = (AtomicU64::new(0), AtomicBool::new(false), Instant::now() + time);
    thread::scope(|scope| {
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
            thread::sleep(Duration::from_millis(random.below(40)));
        }
        for publisher in publishers {
            publisher.join().expect("no panic");
        }
    });
    assert_eq!(bus.shutdown(None), Ok(0));
    let stats = bus.stats();
    assert_eq!((stats.total().stored, stats.stalls), (accepted.into_inner(), 0), "{idle}");
}

#[test]
fn no_shard_stands_still_and_no_event_is_lost_under_bursts_and_silences() {
    let shapes = [("spin", 1), ("adaptive", 1), ("adaptive", 2), ("park", 2)];
    for (at, (idle, producers)) in shapes.into_iter().enumerate() {
        let stores = MemoryStores::new(Retention::default(), NonZeroU16::MIN);
        soak(idle, producers, Box::new(stores), 1_000 * at as u64, soak_time() / 8);
    }
}

#[test]
fn a_store_behind_a_socket_is_heard_however_busy_its_shard_is() {
    let shapes = [("spin", 1), ("adaptive", 1), ("adaptive", 2), ("park", 2)];
    for (at, (idle, producers)) in shapes.into_iter().enumerate() {
        let echo = EchoStores::start();
        soak(idle, producers, Box::new(echo), 10_000 + 1_000 * at as u64, soak_time() / 8);
    }
}
