//! Bounded: memory and descriptors follow the subscriptions that are open, not those that have been.

use engine::event::EventFlags;
use harness::procfs::{open_files, resident_bytes};
use harness::store::Stores;
use harness::{receive, start, subscribe, until};

#[test]
fn ten_thousand_subscriptions_that_have_ended_leave_no_lanes_no_memory_and_no_descriptors() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":2,"lane_bytes":4096,"lanes_bytes_max":67108864}"#, stores);
    let mut producer = bus.producer();
    let mut subscribe_and_leave = |count: u32| {
        for number in 0..count {
            let mut subscription = subscribe(&bus, "{}");
            producer.publish(None, &number.to_le_bytes(), EventFlags::NONE).expect("there is room");
            // Every other one leaves without having read.
            if number % 2 == 0 {
                receive(&mut subscription, 1, 1);
            }
        }
        until("the lanes are retired", || bus.stats().lanes_bytes <= PUBLISHERS_LANES_BYTES);
    };
    subscribe_and_leave(1_000);
    let (resident, files) = (resident_bytes(), open_files());
    subscribe_and_leave(10_000);
    let grown = resident_bytes().saturating_sub(resident);
    // Their lanes together would be 160 MiB and past their limit; the store keeps every event.
    assert!(grown < 16 << 20, "{grown} bytes more for 10,000 subscriptions that have ended");
    until("the last descriptor is closed", || open_files() <= files);
    // Also when nothing else is asked of the shards, which are asleep.
    (0..10).map(|_| subscribe(&bus, "{}")).collect::<Vec<_>>().clear();
    until("the shards hear that their subscribers have gone", || open_files() <= files);
}

/// The publisher has a lane to each shard.
const PUBLISHERS_LANES_BYTES: u64 = 2 * 4096;
