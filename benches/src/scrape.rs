//! What reading the statistics costs: whoever reads them, and the events that are published meanwhile.

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use net::{net_handle_t, net_metrics, net_stats};
use quanta::Clock;

use crate::latency::EVENT_BYTES;
use crate::percentiles::{Percentiles, Recorder};
use crate::subscriber::Subscriber;
use crate::throughput::median;
use crate::{Bus, event, on_first_core};

/// `net_stats` and `net_metrics`, which writes both levels, of a bus with so many shards and subscriptions, none of it busy.
pub fn calls(shards: u16, subscriptions: usize, calls: u64) -> [Percentiles; 2] {
    let bus = Bus::start(&format!(r#"{{"num_shards":{shards}}}"#));
    let subscribers: Vec<Subscriber> = (0..subscriptions).map(|_| Subscriber::from_now(bus)).collect();
    let clock = Clock::new();
    let mut text = vec![0; TEXT_BYTES];
    let measured = FORMS.map(|(name, read)| {
        let (mut recorder, mut bytes) = (Recorder::new(), 0);
        for _ in 0..calls {
            let before = clock.raw();
            bytes = read_into(bus, read, &mut text);
            recorder.record(clock.delta_as_nanos(before, clock.raw()));
        }
        recorder.summary(format!("{name}, {shards} shards, {subscriptions} subscriptions: {bytes} bytes"))
    });
    drop(subscribers);
    bus.stop();
    measured
}

/// Events a second of one producer and one shard, while nobody reads the statistics, and while somebody reads both forms ten
/// times a second: medians of rounds in turn.
pub fn ingest(rounds: usize, time: Duration) -> [f64; 2] {
    let bus = Bus::start(r#"{"num_shards":1,"backpressure_mode":"FailProducer","push_wait_us":10000000}"#);
    let mut rates = [Vec::new(), Vec::new()];
    publish(bus, time);
    for _ in 0..rounds {
        rates[0].push(publish(bus, time));
        rates[1].push(scraped(bus, || publish(bus, time)));
    }
    bus.stop();
    rates.map(median)
}

/// Runs `work` while another thread reads both forms again and again.
fn scraped<T>(bus: Bus, work: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let scraper = scope.spawn(|| {
            let mut text = vec![0; TEXT_BYTES];
            while !is_over.load(Ordering::Relaxed) {
                for (_, read) in FORMS {
                    read_into(bus, read, &mut text);
                }
                thread::park_timeout(SCRAPE_PERIOD);
            }
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        scraper.thread().unpark();
        done
    })
}

/// Publishes for so long, and waits until everything is stored. Events a second.
fn publish(bus: Bus, time: Duration) -> f64 {
    on_first_core(|| {
        let payload = event(EVENT_BYTES);
        let (start, mut published) = (Instant::now(), 0);
        while start.elapsed() < time {
            (0..EVENTS_A_LOOK).for_each(|_| assert!(bus.ingest(&payload), "the bus takes events"));
            published += EVENTS_A_LOOK;
        }
        bus.flush();
        f64::from(published) / start.elapsed().as_secs_f64()
    })
}

/// The text's bytes.
fn read_into(bus: Bus, read: Read, text: &mut [u8]) -> usize {
    // SAFETY: the buffer is writable for its length.
    let bytes = unsafe { read(bus.0, text.as_mut_ptr().cast(), text.len()) };
    usize::try_from(bytes).expect("the buffer is large enough")
}

type Read = unsafe extern "C" fn(net_handle_t, *mut c_char, usize) -> c_int;

const FORMS: [(&str, Read); 2] = [("net_stats", net_stats), ("net_metrics", net_metrics)];
const TEXT_BYTES: usize = 1 << 20;
const SCRAPE_PERIOD: Duration = Duration::from_millis(100);
const EVENTS_A_LOOK: u32 = 10_000;
