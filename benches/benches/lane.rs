//! The lane alone: one record pushed and read on one thread, and records handed from one thread to another.

use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine::lane::{Header, LaneBudget, LaneConsumer, LaneProducer, Run, lane};
use libnet_benches::{event, on_first_core};

fn ring() -> (LaneProducer, LaneConsumer) {
    lane(256 << 10, &Arc::new(LaneBudget::new(1 << 20))).expect("within the budget")
}

fn push(producer: &mut LaneProducer, payload: &[u8]) -> bool {
    let header = Header { body_bytes: payload.len() as u32, flags: 0, timestamp_ns: 1, hash: 1 };
    let pushed = producer.push(header, payload).is_ok();
    producer.publish();
    pushed
}

fn drain(consumer: &mut LaneConsumer, lengths: &mut Vec<u32>) -> u64 {
    lengths.clear();
    if let Some(Run::Records(run)) = consumer.next_run(1024, 32 << 10, lengths) {
        black_box(run);
    }
    consumer.release();
    lengths.len() as u64
}

fn same_thread(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lane/push and drain on one thread");
    for bytes in [32, 100, 256, 1024] {
        let (mut producer, mut consumer) = ring();
        let (payload, mut lengths) = (event(bytes), Vec::new());
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
            bencher.iter(|| {
                while !push(&mut producer, &payload) {
                    drain(&mut consumer, &mut lengths);
                }
            });
        });
    }
}

fn two_threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lane/push on one thread, drain on another");
    for bytes in [32, 100, 256, 1024] {
        let payload = event(bytes);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
            bencher.iter_custom(|events| {
                let (mut producer, mut consumer) = ring();
                let reader = thread::spawn(move || {
                    let (mut read, mut lengths) = (0, Vec::new());
                    while read < events {
                        read += drain(&mut consumer, &mut lengths);
                        (0..32).for_each(|_| std::hint::spin_loop());
                    }
                });
                let start = Instant::now();
                on_first_core(|| {
                    for _ in 0..events {
                        while !push(&mut producer, &payload) {
                            std::hint::spin_loop();
                        }
                    }
                });
                reader.join().expect("the reader ends");
                start.elapsed()
            });
        });
    }
}

criterion_group!(benches, same_thread, two_threads);
criterion_main!(benches);
