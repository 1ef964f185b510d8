//! Limits: what a process does for years, many times over, or at the end of a counter's range, it does as it does at first.
//!
//! One test runs at a time, since they count what the whole process has. `LIBNET_LIMIT_EVENTS` (10,000,000) says how many events go
//! through one bus, and `LIBNET_LIMIT_LIVES` (1,000) how many buses are opened and closed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::env;
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;

use engine::event::EventFlags;
use harness::procfs::{library_tasks, open_files, resident_bytes};
use harness::store::Stores;
use harness::{assert_sums, is_empty, read_all, receive, start, subscribe, until};
use net::net_handle_t;

/// Counts the blocks that are in use.
struct Counting;

static BLOCKS: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BLOCKS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count_of(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn open(config: &CStr) -> net_handle_t {
    let mut handle = ptr::null_mut();
    // SAFETY: the text is NUL-terminated, and the handle writable.
    assert_eq!(unsafe { net::net_init_ex(config.as_ptr(), &raw mut handle) }, 0);
    handle
}

/// Threads that publish at the same time.
const THREADS: u32 = 1_000;

/// One life of a bus: something is published, received and polled, and the bus is closed.
fn live() {
    let bus = open(cr#"{"num_shards":2,"lane_bytes":4096}"#);
    let mut subscription = ptr::null_mut();
    let mut page =
        net::net_poll_result_t { events: ptr::null_mut(), count: 0, next_id: ptr::null_mut(), has_more: 0 };
    // SAFETY: lengths are those of what is there, texts are NUL-terminated, and outputs are writable.
    unsafe {
        assert_eq!(net::net_subscribe(bus, c"{}".as_ptr(), &raw mut subscription), 0);
        for _ in 0..4 {
            assert_eq!(net::net_ingest(bus, c"{}".as_ptr(), 2), 0);
        }
        assert_eq!(net::net_flush(bus), 0);
        assert_eq!(net::net_poll_ex(bus, 10, ptr::null(), &raw mut page), 0);
        assert_eq!(page.count, 4);
        net::net_free_poll_result(&raw mut page);
    }
    assert_eq!(net::net_unsubscribe(subscription), 0);
    assert_eq!(net::net_shutdown(bus), 0);
}

#[test]
fn a_thousand_lives_of_a_bus_leave_no_file_no_thread_and_no_memory_behind() {
    let _alone = alone();
    let lives = count_of("LIBNET_LIMIT_LIVES", 1_000);
    // What is kept for good is there after some.
    (0..100).for_each(|_| live());
    let (files, resident, blocks) = (open_files(), resident_bytes(), BLOCKS.load(Ordering::Relaxed));
    (0..lives).for_each(|_| live());
    until("threads are gone", || library_tasks().is_empty());
    assert_eq!(open_files(), files);
    let grown = BLOCKS.load(Ordering::Relaxed) - blocks;
    assert!(grown < lives.cast_signed() / 100, "{grown} blocks more after {lives} lives");
    let resident = resident_bytes().saturating_sub(resident);
    assert!(resident < 16 << 20, "{resident} bytes more after {lives} lives");
}

#[test]
fn sixty_four_shards_on_few_cores_store_and_give_everything() {
    let _alone = alone();
    let stores = Stores::new();
    let bus = start(
        r#"{"num_shards":64,"lane_bytes":4096,"adapter_timeout_ms":60000,"flush_timeout_ms":60000}"#,
        stores.clone(),
    );
    let mut subscription = subscribe(&bus, "{}");
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let bus = &bus;
            scope.spawn(move || {
                let mut producer = bus.producer();
                for number in 0..5_000_u32 {
                    let payload = (thread << 16 | number).to_le_bytes();
                    producer.publish(None, &payload, EventFlags::NONE).expect("there is room");
                }
            });
        }
    });
    assert_eq!(bus.flush(), Ok(()));
    assert_eq!(stores.stored_count(), 20_000);
    assert_eq!(receive(&mut subscription, 20_000, 1_000).len(), 20_000);
    assert_eq!(read_all(&bus, 1_000).len(), 20_000);
    assert!((0..64).all(|shard| stores.look(shard, |seen| !seen.events.is_empty())), "every shard has some");
    assert_sums(&bus.stats());
    assert_eq!(bus.shutdown(None), Ok(0));
}

#[test]
fn a_thousand_threads_that_publish_at_the_same_time_lose_nothing() {
    let _alone = alone();
    let stores = Stores::new();
    let bus = start(r#"{"num_shards":2,"lane_bytes":4096,"push_wait_us":60000000}"#, stores.clone());
    let everybody = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (bus, everybody) = (&bus, &everybody);
            let publish = move || {
                let mut producer = bus.producer();
                everybody.wait();
                for number in 0..200_u32 {
                    let payload = [thread.to_le_bytes(), number.to_le_bytes()].concat();
                    producer
                        .publish(Some(&thread.to_le_bytes()), &payload, EventFlags::NONE)
                        .expect("it waits");
                }
            };
            thread::Builder::new()
                .stack_size(64 << 10)
                .spawn_scoped(scope, publish)
                .expect("a thread is made");
        }
    });
    assert_eq!(bus.flush(), Ok(()));
    let mut next = vec![0_u32; THREADS as usize];
    for shard in [0, 1] {
        for event in stores.seen(shard).events {
            let (thread, number) = event.payload.split_first_chunk::<4>().expect("eight bytes");
            let expected = &mut next[u32::from_le_bytes(*thread) as usize];
            assert_eq!(number, expected.to_le_bytes(), "each thread's events are in order");
            *expected += 1;
        }
    }
    assert!(next.iter().all(|count| *count == 200), "every event of every thread");
    assert_sums(&bus.stats());
}

#[test]
fn one_bus_takes_as_many_events_as_come() {
    let _alone = alone();
    let events = count_of("LIBNET_LIMIT_EVENTS", 10_000_000);
    let bus = open(cr#"{"num_shards":1,"push_wait_us":60000000,"backpressure_mode":"FailProducer"}"#);
    let payload = [b'x'; 32];
    let texts = [payload.as_ptr().cast(); 64];
    let lens = [payload.len(); 64];
    let mut left = events;
    while left > 0 {
        let count = left.min(64) as usize;
        // SAFETY: there are so many texts of these lengths.
        let accepted = unsafe { net::net_ingest_raw_batch(bus, texts.as_ptr(), lens.as_ptr(), count) };
        left -= u64::try_from(accepted).unwrap_or_else(|_| panic!("{accepted}"));
    }
    assert_eq!(net::net_flush(bus), 0);
    let mut stats = net::net_stats_t { events_ingested: 0, events_dropped: 0, batches_dispatched: 0 };
    // SAFETY: the counters are writable.
    assert_eq!(unsafe { net::net_stats_ex(bus, &raw mut stats) }, 0);
    assert_eq!((stats.events_ingested, stats.events_dropped), (events, 0));
    assert_eq!(net::net_shutdown(bus), 0);
}

#[test]
fn sequences_go_on_over_the_edges_of_smaller_numbers() {
    let _alone = alone();
    for edge in [1 << 31, 1 << 32, 1 << 53, 1 << 63] {
        let stores = Stores::resuming_at(edge - 500);
        let bus = start(r#"{"num_shards":1}"#, stores.clone());
        let mut subscription = subscribe(&bus, "{}");
        let mut producer = bus.producer();
        for number in 0..1_000_u32 {
            producer.publish(None, &number.to_le_bytes(), EventFlags::NONE).expect("there is room");
        }
        assert_eq!(bus.flush(), Ok(()));
        let wanted: Vec<Vec<u8>> = (0..1_000_u32).map(|number| number.to_le_bytes().to_vec()).collect();
        let polled: Vec<Vec<u8>> = read_all(&bus, 7).into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(polled, wanted, "over {edge}");
        let received = receive(&mut subscription, 1_000, 7).into_iter().map(|event| event.payload);
        assert_eq!(received.collect::<Vec<_>>(), wanted, "over {edge}");
        assert!(is_empty(&mut subscription));
        let first = stores.look(0, |seen| seen.events[0].sequence);
        assert_eq!(first, edge - 500);
        assert_eq!(bus.shutdown(None), Ok(0));
    }
}
