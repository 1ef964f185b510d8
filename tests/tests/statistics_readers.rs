//! Reading the statistics stalls no shard: one that never sleeps by itself does not sleep for its readers either, and what
//! they read under load adds up.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use harness::procfs::library_tasks;
use harness::snapshots::{assert_agree, json_of, start_c};

#[test]
fn readers_in_a_loop_put_no_shard_to_sleep_and_all_they_read_adds_up() {
    assert!(
        thread::available_parallelism().map_or(1, usize::from) >= 2,
        "a shard spins where it need not share"
    );
    let bus = start_c(r#"{"num_shards":1,"idle":"spin","noop":{}}"#);
    publish(bus);
    assert_eq!(net::net_flush(bus), 0);
    let (slept, handle) = (times_slept(), bus.addr());
    let reading = AtomicUsize::new(READERS);
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let _reads = Reads(&reading);
                let bus = ptr::without_provenance_mut(handle);
                for _ in 0..READS {
                    assert_agree(bus);
                    (0..READS_BETWEEN).for_each(|_| read(bus));
                }
            });
        }
        while reading.load(Ordering::Acquire) > 0 {
            publish(bus);
        }
    });
    assert_eq!(times_slept(), slept, "the shard slept");
    assert_eq!(net::net_flush(bus), 0);
    let json = json_of(bus);
    assert_eq!((&json["pending_events"], json["stored"].as_u64() > Some(0)), (&0.into(), true), "{json}");
    assert_eq!(net::net_shutdown(bus), 0);
}

fn publish(bus: net::net_handle_t) {
    // SAFETY: the event has the length that is said.
    unsafe { net::net_ingest_raw(bus, c"event".as_ptr(), 5) };
}

/// The shortest way through the same door.
fn read(bus: net::net_handle_t) {
    let mut stats = net::net_stats_t { events_ingested: 0, events_dropped: 0, batches_dispatched: 0 };
    // SAFETY: the place is writable.
    assert_eq!(unsafe { net::net_stats_ex(bus, &raw mut stats) }, 0);
}

/// How often the shard's thread has gone to sleep by itself: to wait for a lock is to sleep.
fn times_slept() -> u64 {
    let tasks = library_tasks();
    tasks.iter().find(|task| task.name == "net-shard-0").expect("the shard has a thread").sleeps
}

/// One reader less when it is dropped, also by a failure.
struct Reads<'a>(&'a AtomicUsize);

impl Drop for Reads<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

const READERS: usize = 4;
const READS: usize = 100;
const READS_BETWEEN: usize = 100;
