//! The way in through the C ABI: until every event is stored in the memory store.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use libnet_benches::{Bus, batch_of, event, on_first_core};

const CONFIG: &str = r#"{"num_shards":1,"backpressure_mode":"FailProducer","push_wait_us":10000000}"#;

/// Publishes `events` events from one thread, in batches, and waits until they are stored.
fn publish(bus: Bus, payload: &[u8], events: u64, batch: usize) -> Duration {
    on_first_core(|| publish_here(bus, payload, events, batch))
}

fn publish_here(bus: Bus, payload: &[u8], events: u64, batch: usize) -> Duration {
    let (pointers, lengths) = batch_of(payload, batch);
    let start = Instant::now();
    let mut left = events as usize;
    while left > 0 {
        left -= if batch == 1 {
            usize::from(bus.ingest(payload))
        } else {
            let count = left.min(batch);
            bus.ingest_batch(&pointers[..count], &lengths[..count])
        };
    }
    bus.flush();
    start.elapsed()
}

fn sizes(criterion: &mut Criterion) {
    for (name, batch) in [("ingest/single", 1), ("ingest/batch of 64", 64)] {
        let mut group = criterion.benchmark_group(name);
        for bytes in [32, 100, 256, 1024] {
            let (bus, payload) = (Bus::start(CONFIG), event(bytes));
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
                bencher.iter_custom(|events| publish(bus, &payload, events, batch));
            });
            bus.stop();
        }
    }
}

fn producers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ingest/producers");
    for producers in [1u64, 2, 4, 8] {
        let (bus, payload) = (Bus::start(CONFIG), event(100));
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(producers), |bencher| {
            bencher.iter_custom(|events| {
                let start = Instant::now();
                thread::scope(|scope| {
                    for _ in 0..producers {
                        scope.spawn(|| publish_here(bus, &payload, events.div_ceil(producers), 1));
                    }
                });
                start.elapsed()
            });
        });
        bus.stop();
    }
}

/// An event that is put together by its producer: in memory of its own and then published, or in its place in the lane.
fn claims(criterion: &mut Criterion) {
    for (name, claimed) in [("ingest/written, then copied", false), ("ingest/written into a claim", true)] {
        let mut group = criterion.benchmark_group(name);
        for bytes in [100, 1 << 10, 16 << 10] {
            let (bus, payload) = (Bus::start(CONFIG), event(bytes));
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
                bencher.iter_custom(|events| {
                    on_first_core(|| write_and_publish(bus, &payload, events, claimed))
                });
            });
            bus.stop();
        }
    }
}

fn write_and_publish(bus: Bus, payload: &[u8], events: u64, claimed: bool) -> Duration {
    let mut memory = vec![0; payload.len()];
    let start = Instant::now();
    for _ in 0..events {
        if claimed {
            assert!(bus.ingest_claimed(KEY, payload.len(), |place| place.copy_from_slice(payload)));
        } else {
            memory.copy_from_slice(payload);
            assert!(bus.ingest_keyed(KEY, black_box(&memory)));
        }
    }
    bus.flush();
    start.elapsed()
}

const KEY: &[u8] = b"a key";

criterion_group!(benches, sizes, producers, claims);
criterion_main!(benches);
