//! A Redis server that stands still costs others nothing: neither their time nor the process's memory.
//!
//! For some rounds of a full load by default; under `cargo xtask soak redis` for a minute of it.

use std::time::{Duration, Instant};

use engine::adapter::AdapterState;
use engine::bus::Bus;
use engine::event::EventFlags;
use harness::procfs::resident_bytes;
use harness::redis::{Redis, bus};
use harness::{assert_sums, read_all, until};

fn publish(bus: &Bus, count: usize, payload: &[u8]) {
    let mut producer = bus.producer();
    for _ in 0..count {
        producer.publish(None, payload, EventFlags::NONE).expect("what is too much is dropped");
    }
}

#[test]
fn a_server_that_stands_still_delays_no_other_bus_and_takes_no_more_than_its_buffer() {
    let (hung, well) = (Redis::start(), Redis::start());
    let options =
        r#""num_shards":1,"adapter_timeout_ms":200,"buffer_bytes":8388608,"backpressure_mode":"DropOldest""#;
    let stuck = bus(&format!("{{{options},{}}}", hung.section()));
    let other = bus(&format!(r#"{{"num_shards":1,{}}}"#, well.section()));
    let payload = [b'x'; 1_000];
    publish(&stuck, 20_000, &payload);
    stuck.flush().expect("the server answers");
    hung.set_stopped(true);
    publish(&stuck, 20_000, &payload);
    until("the batch is given up", || stuck.stats().shards[0].adapter != AdapterState::Up);
    let (before, begin) = (resident_bytes(), Instant::now());
    let (mut most, mut rounds) = (before, 0);
    while rounds < ROUNDS_MIN || is_long() && begin.elapsed() < STANDSTILL_LONG {
        // A round is more than twice what the buffer holds.
        publish(&stuck, 20_000, &payload);
        publish(&other, 10, b"event");
        assert_eq!(other.flush(), Ok(()), "round {rounds}");
        most = most.max(resident_bytes());
        rounds += 1;
    }
    assert!(most - before < 32 << 20, "{} bytes more, after {rounds} rounds", most - before);
    assert_eq!(read_all(&other, 1_000).len(), 10 * rounds);
    assert_eq!(other.shutdown(None), Ok(0));
    hung.set_stopped(false);
    stuck.flush().expect("the server answers again");
    let stats = stuck.stats();
    assert_sums(&stats);
    assert_eq!(stats.total().dropped.adapter, 0);
    assert_eq!(hung.len("net:shard:0"), stats.shards[0].stored, "each is there once");
}

fn is_long() -> bool {
    std::env::var_os("LIBNET_SOAK_SECONDS").is_some()
}

const ROUNDS_MIN: usize = 20;
const STANDSTILL_LONG: Duration = Duration::from_mins(1);
