//! Bounded: memory follows the threads that live, not the threads that have lived.

use std::thread;

use engine::event::EventFlags;
use harness::procfs::resident_bytes;
use harness::store::Stores;
use harness::{start, until};

#[test]
fn ten_thousand_threads_that_each_publish_once_leave_no_lanes_and_no_memory_behind() {
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":2}"#, stores.clone());
    let publish_from_threads = |count: u32| {
        for number in 0..count {
            let publish = || bus.producer().publish(None, &number.to_le_bytes(), EventFlags::NONE).map(drop);
            let published = thread::scope(|scope| scope.spawn(publish).join().expect("no panic"));
            assert_eq!(published, Ok(()));
        }
        assert_eq!(bus.flush(), Ok(()));
        until("the lanes are retired", || bus.stats().lanes_bytes == 0);
    };
    publish_from_threads(1_000);
    let before = resident_bytes();
    publish_from_threads(10_000);
    let grown = resident_bytes().saturating_sub(before);
    // The lanes of the threads together would be 2.5 GiB; the store keeps every event.
    assert!(grown < 32 << 20, "{grown} bytes more for 10,000 threads that are gone");
    assert_eq!((stores.stored_count(), bus.stats().total().lanes), (11_000, 0));
}
