//! The Redis store under a load that never stops, while its server crashes, stands still and kills connections, and while the
//! way to it cuts them: everything accepted is stored once and in order, and the sums agree.
//!
//! Short by default; `cargo xtask soak redis` gives it minutes, which the faults share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use adapters::SECTIONS;
use engine::bus::{Bus, FlushError};
use engine::config::Config;
use engine::event::EventFlags;
use engine::producer::PublishError;
use harness::proxy::Proxy;
use harness::redis::Redis;
use harness::{Random, SetOnDrop, assert_sums, read_all, until};

#[test]
fn crashes_of_a_durable_server() {
    let mut server = Redis::durable();
    let mut random = Random::new(11);
    let mut crashes = 0;
    let crashes_min = if long().is_some() { 50 } else { 5 };
    soak(server.port(), server.port(), |is_over| {
        while crashes < crashes_min || !is_over() {
            pause(&mut random, 300);
            server.kill();
            server.launch();
            crashes += 1;
        }
    });
}

#[test]
fn a_server_that_stands_still_for_seconds() {
    let server = Redis::start();
    let mut random = Random::new(11);
    let stop_ms_max = if long().is_some() { 20_000 } else { 1_000 };
    soak(server.port(), server.port(), |is_over| {
        loop {
            pause(&mut random, 300);
            server.set_stopped(true);
            let stop_ms = stop_ms_max / 20 + random.below(stop_ms_max - stop_ms_max / 20);
            thread::sleep(Duration::from_millis(stop_ms));
            server.set_stopped(false);
            if is_over() {
                return;
            }
        }
    });
}

#[test]
fn a_server_that_kills_connections() {
    let server = Redis::start();
    let mut random = Random::new(11);
    soak(server.port(), server.port(), |is_over| {
        while !is_over() {
            pause(&mut random, 50);
            server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        }
    });
}

#[test]
fn a_way_that_cuts_connections() {
    let server = Redis::start();
    let mut random = Random::new(11);
    let proxy = Proxy::start(server.port(), random.word());
    proxy.cut_after(200_000);
    soak(proxy.port(), server.port(), |is_over| {
        until_over(is_over);
        proxy.cut_after(0);
    });
    assert!(proxy.cuts() > 0);
}

fn bus(port: u16) -> Bus {
    let options = r#""num_shards":1,"backpressure_mode":"FailProducer","adapter_timeout_ms":500"#;
    let json = format!(r#"{{{options},"redis":{{"url":"redis://127.0.0.1:{port}"}}}}"#);
    let (config, section) = Config::parse(&json, &SECTIONS).expect("a test's configuration is right");
    let stores = adapters::factory(section, &config).expect("in this build");
    Bus::start(config, stores).expect("it starts")
}

/// Publishes through `port` without a pause while `faults` goes on, which ends when it is told that its time is over; then another
/// bus reads everything from the server itself.
fn soak(port: u16, server: u16, faults: impl FnOnce(&dyn Fn() -> bool)) {
    let bus = self::bus(port);
    let (is_enough, begin) = (AtomicBool::new(false), Instant::now());
    let accepted = thread::scope(|scope| {
        let load = scope.spawn(|| publish(&bus, &is_enough));
        let ends = SetOnDrop(&is_enough);
        faults(&|| begin.elapsed() > long().unwrap_or(SHORT));
        drop(ends);
        load.join().expect("the load does not panic")
    });
    until("everything is stored", || match bus.flush() {
        Ok(()) => true,
        Err(FlushError::Timeout) => false,
        Err(error) => panic!("{error}"),
    });
    let mut next = 0;
    for (_, payload) in read_all(&self::bus(server), 1_000) {
        assert_eq!(payload, next.to_string().as_bytes(), "lost, doubled or out of order");
        next += 1;
    }
    assert_eq!(next, accepted);
    let stats = bus.stats();
    assert_sums(&stats);
    let total = stats.total();
    assert_eq!(total.dropped.total(), 0);
    for (name, count) in stats.adapter_count_names.iter().zip(total.adapter_counts) {
        assert!(count == 0 || matches!(name.name, "reconnects" | "passed_over"), "{name:?}: {count}");
    }
}

/// Publishes numbers under one key until it is enough; how many were accepted. A pause now and then keeps them few enough to be
/// read again at the end.
fn publish(bus: &Bus, is_enough: &AtomicBool) -> u64 {
    let mut producer = bus.producer();
    let mut next = 0_u64;
    while !is_enough.load(Ordering::Acquire) {
        match producer.publish(Some(b"key"), next.to_string().as_bytes(), EventFlags::NONE) {
            Ok(_) => next += 1,
            Err(PublishError::Refused) => thread::sleep(PAUSE),
            Err(error) => panic!("{error}"),
        }
        if next.is_multiple_of(10) {
            thread::sleep(PAUSE);
        }
    }
    next
}

fn pause(random: &mut Random, millis_max: u64) {
    thread::sleep(Duration::from_millis(random.below(millis_max)));
}

fn until_over(is_over: &dyn Fn() -> bool) {
    while !is_over() {
        thread::sleep(PAUSE);
    }
}

/// A fault's part of the time that `cargo xtask soak redis` asks for.
fn long() -> Option<Duration> {
    let seconds = std::env::var("LIBNET_SOAK_SECONDS").ok()?.parse::<u64>().expect("a number of seconds");
    Some(Duration::from_secs(seconds) / FAULTS)
}

const FAULTS: u32 = 4;
const SHORT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(1);
