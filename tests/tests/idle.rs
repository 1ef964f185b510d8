//! An idle bus costs nothing: its threads sleep until somebody has something for them.
//!
//! The measure is what the kernel counted while nobody called: time on a CPU and times a thread went to sleep. This
//! file is a process of its own, because other buses would be counted too.

use std::thread;
use std::time::Duration;

use adapters::SECTIONS;
use engine::bus::Bus;
use engine::config::Config;
use engine::consume::subscribe::SubscribeRequest;
use engine::event::EventFlags;
use harness::procfs::{Task, library_tasks};
use harness::redis::Redis;
use harness::store::Stores;
use harness::{start, until};

/// How long nobody calls.
const SILENCE: Duration = Duration::from_secs(2);
/// Share of one CPU that an idle bus may take.
const SHARE_MAX: f64 = 0.005;
/// Times its threads may wake up in the silence: what follows from the last calls, and no ticking.
const WAKES_MAX: u64 = 8;

/// Time that the threads of the bus ran, and times they went to sleep, during the silence.
fn cost_of_silence() -> (Duration, u64) {
    let sum = |tasks: &[Task], of: fn(&Task) -> u64| tasks.iter().map(of).sum::<u64>();
    let before = library_tasks();
    thread::sleep(SILENCE);
    let after = library_tasks();
    assert_eq!(before.len(), after.len());
    let grown = |of: fn(&Task) -> u64| sum(&after, of) - sum(&before, of);
    (Duration::from_nanos(grown(|task| task.ran_ns)), grown(|task| task.sleeps))
}

/// Waits until the threads have gone to sleep after the last call.
fn settle() {
    let sleeps = || library_tasks().iter().map(|task| task.sleeps).sum::<u64>();
    until("the bus goes to sleep", || {
        let before = sleeps();
        thread::sleep(Duration::from_millis(300));
        sleeps() == before
    });
}

#[test]
fn an_idle_bus_takes_less_than_half_a_percent_of_a_core_and_does_not_wake_up() {
    for idle in ["adaptive", "park"] {
        // With more shards than the CPUs leave to them none would spin, whatever the policy.
        let options = format!(r#""num_shards":1,"idle":"{idle}""#);
        check(&start(&format!("{{{options}}}"), Stores::new()), idle);
        // Two connections are open, and one waits for others' events.
        let server = Redis::start();
        let (config, section) = Config::parse(&format!("{{{options},{}}}", server.section()), &SECTIONS)
            .expect("a test's configuration is right");
        let stores = adapters::factory(section, &config).expect("in this build");
        let bus = Bus::start(config, stores).expect("it starts");
        let subscription = bus.subscribe(SubscribeRequest::default()).expect("the server answers");
        check(&bus, &format!("{idle}, Redis"));
        drop(subscription);
    }
}

/// Such a bus is asleep while nobody calls, and not dead.
fn check(bus: &Bus, idle: &str) {
    let mut producer = bus.producer();
    for number in 0..10_000u32 {
        producer.publish(None, &number.to_le_bytes(), EventFlags::NONE).expect("there is room");
    }
    assert_eq!(bus.flush(), Ok(()));
    settle();
    let (ran, sleeps) = cost_of_silence();
    let share = ran.as_secs_f64() / SILENCE.as_secs_f64();
    assert!(share < SHARE_MAX, "{idle}: {ran:?} in {SILENCE:?}");
    assert!(sleeps <= WAKES_MAX, "{idle}: {sleeps} wakes in {SILENCE:?}");
    producer.publish(None, b"after", EventFlags::NONE).expect("there is room");
    assert_eq!(bus.flush(), Ok(()));
    assert_eq!(bus.shutdown(None), Ok(0));
    until("its threads are gone", || library_tasks().is_empty());
}
