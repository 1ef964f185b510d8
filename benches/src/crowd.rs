//! A hundred subscribers at 10,000 events a second, one of which stops reading for a while: what the producer's calls take
//! meanwhile, and what the stopped one gets afterwards.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quanta::Clock;
use serde::Serialize;

use crate::latency::{EVENT_BYTES, Idle};
use crate::open_loop::Schedule;
use crate::percentiles::{Percentiles, Recorder};
use crate::subscriber::Subscriber;
use crate::{Bus, event, on_first_core};

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Crowd {
    /// The producer's calls while all read.
    pub all_read: Percentiles,
    /// The producer's calls while one had stopped.
    pub one_stopped: Percentiles,
    /// Events published.
    pub published: u64,
    /// Events that the stopped one had when it began to read again.
    pub received_when_stopped: u64,
    /// Events that it had in the end.
    pub received_in_the_end: u64,
    /// Events that retention had removed before it got them.
    pub skipped: u64,
    /// Events that all others together have not got.
    pub missed_by_others: u64,
}

/// All read for `reading`, then one stops for `stopped`, then all read what is left.
pub fn run(reading: Duration, stopped: Duration) -> Crowd {
    // A shard that slept would be woken by some calls and not by others, and hide what else they wait for.
    let bus = Idle::Spin.bus();
    let mut readers: Vec<Member> = (0..SUBSCRIBERS).map(|_| Member::of(bus)).collect();
    let (is_stopped, published) = (AtomicBool::new(false), AtomicU64::new(u64::MAX));
    let mut last = readers.pop().expect("there are subscribers");
    let mut received_when_stopped = 0;
    let [all_read, one_stopped] = thread::scope(|scope| {
        let read = scope.spawn(|| {
            let mut quiet_since = Instant::now();
            while quiet_since.elapsed() < GIVEN_UP {
                let mut came = readers.iter_mut().map(Member::read).sum::<u64>();
                if is_stopped.load(Ordering::Acquire) {
                    received_when_stopped = last.received;
                } else {
                    came += last.read();
                }
                let all = published.load(Ordering::Acquire);
                if last.received == all && readers.iter().all(|member| member.received == all) {
                    break;
                }
                if came > 0 {
                    quiet_since = Instant::now();
                } else {
                    thread::sleep(TICK);
                }
            }
        });
        let recorders = on_first_core(|| {
            let all_read = publish(bus, reading);
            is_stopped.store(true, Ordering::Release);
            let one_stopped = publish(bus, stopped);
            published.store(bus.ingested(), Ordering::Release);
            is_stopped.store(false, Ordering::Release);
            [all_read, one_stopped]
        });
        read.join().expect("the reader ends");
        recorders
    });
    let published = published.into_inner();
    let crowd = Crowd {
        all_read: all_read.summary("net_ingest_raw at 10 k/s, spin, 100 subscribers, all read"),
        one_stopped: one_stopped.summary("net_ingest_raw at 10 k/s, spin, 100 subscribers, one stopped"),
        published,
        received_when_stopped,
        received_in_the_end: last.received,
        skipped: last.subscriber.skipped(),
        missed_by_others: readers.iter().map(|member| published - member.received).sum(),
    };
    drop((readers, last));
    bus.stop();
    crowd
}

/// A subscriber and how many events it has received.
struct Member {
    subscriber: Subscriber,
    received: u64,
}

impl Member {
    fn of(bus: Bus) -> Member {
        Member { subscriber: Subscriber::from_now(bus), received: 0 }
    }

    fn read(&mut self) -> u64 {
        let came = self.subscriber.next(0).len() as u64;
        self.received += came;
        came
    }
}

/// Publishes for `duration` and times each call. Sleeps in between, since the readers need the core.
fn publish(bus: Bus, duration: Duration) -> Recorder {
    let payload = event(EVENT_BYTES);
    let events = RATE * duration.as_millis() as u64 / 1_000;
    let mut schedule = Schedule::starting_now(RATE, events);
    let (clock, mut recorder) = (Clock::new(), Recorder::new());
    while schedule.sent() < events {
        if schedule.due().is_none() {
            thread::sleep(NAP);
            continue;
        }
        let before = clock.raw();
        assert!(bus.ingest(&payload), "the bus takes events");
        recorder.record(clock.delta_as_nanos(before, clock.raw()));
    }
    recorder
}

const SUBSCRIBERS: usize = 100;
/// Events a second.
const RATE: u64 = 10_000;
/// How often the reading thread goes round when nothing comes.
const TICK: Duration = Duration::from_micros(500);
/// Between looks at the schedule.
const NAP: Duration = Duration::from_micros(20);
/// When what has not come by then will not come; the counts say so.
const GIVEN_UP: Duration = Duration::from_secs(5);
