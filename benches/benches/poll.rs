//! Reading through the C ABI: `net_poll_ex` over a full memory store, cursor by cursor.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use libnet_benches::{Bus, event, on_first_core};

const CONFIG: &str = r#"{"num_shards":1,"backpressure_mode":"FailProducer","push_wait_us":10000000}"#;
const EVENTS: usize = 1_000_000;

fn limits(criterion: &mut Criterion) {
    let (bus, payload) = (Bus::start(CONFIG), event(100));
    let accepted = (0..EVENTS).filter(|_| bus.ingest(&payload)).count();
    assert_eq!(accepted, EVENTS);
    bus.flush();
    let mut group = criterion.benchmark_group("poll/limit");
    for limit in [1, 100, 1_000] {
        group.throughput(Throughput::Elements(limit as u64));
        group.bench_function(BenchmarkId::from_parameter(limit), |bencher| {
            bencher.iter_custom(|polls| on_first_core(|| read(bus, limit, polls)));
        });
    }
    group.finish();
    bus.stop();
}

fn read(bus: Bus, limit: usize, polls: u64) -> Duration {
    let mut cursor = None;
    let start = Instant::now();
    for _ in 0..polls {
        let (count, next) = bus.poll(limit, cursor.as_deref());
        // At the end of the store it begins again.
        cursor = if count == limit { next } else { None };
    }
    start.elapsed()
}

criterion_group!(benches, limits);
criterion_main!(benches);
