//! Nothing per event: publishing and receiving allocate nothing on the caller's thread, and next to nothing anywhere.
//!
//! This process counts what its allocator is asked for. The library brings no allocator of its own, so what its threads
//! ask for is counted too. The shard spins: one that sleeps is woken through its executor, whose queue of wakes takes
//! memory once in some thirty wakes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_char};
use std::net::UdpSocket;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::adapter::{Adapter, AdapterError, AdapterFactory, Outcome, ReadRequest, ShardContext};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::event::EventFlags;
use engine::producer::Producer;
use harness::c;
use harness::pair::Meeting;
use harness::redis::Redis;
use harness::{snapshots, until};
use net::{net_claim_t, net_event_t, net_handle_t, net_subscription_t};

struct Counting;

thread_local! {
    static ON_THIS_THREAD: Cell<u64> = const { Cell::new(0) };
}
static ON_ALL_THREADS: AtomicU64 = AtomicU64::new(0);

impl Counting {
    fn count() {
        // Also called while thread-locals are destroyed; this one needs no destruction.
        ON_THIS_THREAD.with(|count| count.set(count.get() + 1));
        ON_ALL_THREADS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::count();
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::count();
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::count();
        // SAFETY: the caller's contract is the same.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One call; how many events it published.
type Publish = fn(net_handle_t) -> u64;

const CALLS: u64 = 100_000;
const EVENT: [u8; 100] = [b'e'; 100];
const KEY: &[u8] = b"a key";
const BATCH: usize = 16;

fn publish_raw(bus: net_handle_t) -> u64 {
    // SAFETY: the event has the length that is said.
    assert_eq!(unsafe { net::net_ingest_raw(bus, EVENT.as_ptr().cast(), EVENT.len()) }, 0);
    1
}

fn publish_keyed(bus: net_handle_t) -> u64 {
    let key = KEY.as_ptr().cast();
    // SAFETY: key and event have the lengths that are said.
    let code = unsafe {
        net::net_ingest_keyed(bus, key, KEY.len(), EVENT.as_ptr().cast(), EVENT.len(), ptr::null_mut())
    };
    assert_eq!(code, 0);
    1
}

fn publish_batch(bus: net_handle_t) -> u64 {
    let (events, lens) = ([EVENT.as_ptr().cast::<c_char>(); BATCH], [EVENT.len(); BATCH]);
    // SAFETY: the arrays have as many entries as is said, and each entry its length.
    let code = unsafe { net::net_ingest_raw_batch(bus, events.as_ptr(), lens.as_ptr(), BATCH) };
    assert_eq!(usize::try_from(code), Ok(BATCH));
    BATCH as u64
}

fn publish_claimed(bus: net_handle_t) -> u64 {
    let mut claim = net_claim_t { data: ptr::null_mut(), len: 0, reserved: [0; 4] };
    // SAFETY: the key has the length that is said, `claim` is writable, and the place of a claim has its length.
    unsafe {
        assert_eq!(net::net_claim(bus, KEY.as_ptr().cast(), KEY.len(), EVENT.len(), &raw mut claim), 0);
        claim.data.cast::<u8>().copy_from_nonoverlapping(EVENT.as_ptr(), EVENT.len());
        assert_eq!(net::net_commit(&raw mut claim, ptr::null_mut()), 0);
    }
    1
}

/// Publishes a batch and receives it. What the shard stores, it pushes, on its own thread.
fn publish_and_receive(bus: net_handle_t, subscription: *mut net_subscription_t) -> u64 {
    let published = publish_batch(bus);
    let mut events = [EMPTY; BATCH];
    let mut received = 0;
    while received < published {
        // SAFETY: `events` has room for as many entries as is said.
        let count = unsafe { net::net_next(subscription, events.as_mut_ptr(), BATCH, -1) };
        received += u64::try_from(count).expect("the bus runs");
    }
    received
}

fn subscribe(bus: net_handle_t) -> *mut net_subscription_t {
    let mut subscription = ptr::null_mut();
    // SAFETY: the text is NUL-terminated and `subscription` is writable.
    assert_eq!(unsafe { net::net_subscribe(bus, c"{}".as_ptr(), &raw mut subscription) }, 0);
    subscription
}

fn start(config: &CStr) -> net_handle_t {
    let mut bus = ptr::null_mut();
    // SAFETY: the text is NUL-terminated and `bus` is writable.
    assert_eq!(unsafe { net::net_init_ex(config.as_ptr(), &raw mut bus) }, 0);
    bus
}

/// Stores that want routing keys, look at them, and keep nothing.
struct KeyedStores;

impl AdapterFactory for KeyedStores {
    fn tag(&self) -> &'static str {
        "keyed"
    }

    fn incarnation(&self) -> u64 {
        0
    }

    fn wants_keys(&self) -> bool {
        true
    }

    fn open(&self, _: ShardContext) -> Result<Box<dyn Adapter>, AdapterError> {
        Ok(Box::new(Keyed(VecDeque::new())))
    }
}

struct Keyed(VecDeque<Outcome>);

impl Adapter for Keyed {
    fn ready(&self) -> bool {
        true
    }

    fn submit(&mut self, batch: Batch, _: Monotonic) {
        assert!(batch.events().all(|event| event.key == Some(KEY) && event.payload == EVENT));
        self.0.push_back(Outcome::Stored { first: batch.first(), spent: Some(batch) });
    }

    fn outcome(&mut self, _: Monotonic) -> Option<Outcome> {
        self.0.pop_front()
    }

    fn cancel(&mut self, _: Monotonic) -> Option<Batch> {
        None
    }

    fn read(&mut self, _: u64, _: ReadRequest, _: Monotonic) {}

    fn sync(&mut self, ticket: u64, _: Monotonic) {
        self.0.push_back(Outcome::Synced { ticket, result: Ok(()) });
    }
}

/// Publishes with a key, and then by a claim.
fn publish_carried(producer: &mut Producer) -> u64 {
    producer.publish(Some(KEY), &EVENT, EventFlags::NONE).expect("there is room");
    let claim = producer.claim(KEY, EVENT.len()).expect("there is room");
    producer.claimed_bytes(claim).expect("it is open").copy_from_slice(&EVENT);
    producer.commit(claim, EventFlags::NONE).expect("the bus runs");
    2
}

/// Allocations of this thread, allocations of all threads, and events, of so many calls on a bus that is warm.
fn count(bus: net_handle_t, calls: u64, act: impl FnMut() -> u64) -> (u64, u64, u64) {
    count_between(|| assert_eq!(net::net_flush(bus), 0), calls, act)
}

/// [`count`] on a bus that `flush` flushes.
fn count_between(flush: impl Fn(), calls: u64, mut act: impl FnMut() -> u64) -> (u64, u64, u64) {
    (0..calls / 10).for_each(|_| assert!(act() > 0));
    flush();
    let (mine, all) = (ON_THIS_THREAD.get(), ON_ALL_THREADS.load(Ordering::Relaxed));
    let events = (0..calls).map(|_| act()).sum();
    let mine = ON_THIS_THREAD.get() - mine;
    flush();
    (mine, ON_ALL_THREADS.load(Ordering::Relaxed) - all, events)
}

fn publishing_with_keys_that_are_carried_allocates_nothing() {
    let bus = harness::start(SPINNING, KeyedStores);
    let mut producer = bus.producer();
    let flush = || bus.flush().expect("it is stored at once");
    let (mine, all, events) = count_between(flush, CALLS, || publish_carried(&mut producer));
    assert_eq!(mine, 0, "a key that goes along allocated on the calling thread");
    assert!(all < events / 100, "{all} allocations for {events} events with keys");
}

// One test, because another one's allocations would be counted too.
#[test]
fn publishing_and_receiving_allocate_nothing_on_their_thread_and_next_to_nothing_on_all() {
    // First, while this thread has no other producer: one too many for the CPUs lets shards sleep.
    publishing_with_keys_that_are_carried_allocates_nothing();
    let kinds: [(&str, Publish); 4] = [
        ("net_ingest_raw", publish_raw),
        ("net_ingest_keyed", publish_keyed),
        ("net_ingest_raw_batch", publish_batch),
        ("net_claim and net_commit", publish_claimed),
    ];
    for (name, publish) in kinds {
        let bus = start(MEMORY);
        let (mine, all, events) = count(bus, CALLS, || publish(bus));
        assert_eq!(mine, 0, "{name} allocated on the calling thread");
        assert!(all < events / 100, "{name}: {all} allocations for {events} events");
        assert_eq!(net::net_shutdown(bus), 0);
    }
    for config in [MEMORY, NOOP] {
        let bus = start(config);
        let subscription = subscribe(bus);
        let (mine, all, events) = count(bus, CALLS / BATCH as u64, || publish_and_receive(bus, subscription));
        assert_eq!(mine, 0, "net_next allocated on the calling thread");
        // A store that keeps nothing takes nothing, and neither does what is pushed. The calls that frame the count do.
        let others_max = if config == NOOP { FLUSH_ALLOCATIONS_MAX } else { events / 100 };
        assert!(all <= others_max, "{config:?}: {all} allocations for {events} events pushed");
        assert_eq!(net::net_unsubscribe(subscription), 0);
        assert_eq!(net::net_shutdown(bus), 0);
    }
    // What the Redis store does with an event is its own; the caller's thread takes nothing.
    let server = Redis::start();
    let section = format!(r#"{{"num_shards":1,"idle":"spin","push_wait_us":60000000,{}}}"#, server.section());
    let bus = start(&CString::new(section).expect("no NUL in it"));
    for publish in [publish_keyed as Publish, publish_claimed] {
        let (mine, _, _) = count(bus, CALLS / 10, || publish(bus));
        assert_eq!(mine, 0, "a key that goes along to Redis allocated on the calling thread");
    }
    assert_eq!(net::net_shutdown(bus), 0);
    udp_allocates_next_to_nothing_and_strangers_packets_nothing();
    c::run("no_allocation", &[]);
}

fn udp_allocates_next_to_nothing_and_strangers_packets_nothing() {
    let meeting = Meeting::new();
    let start = |section: String| {
        let config = format!(r#"{{"num_shards":1,"idle":"spin","push_wait_us":60000000,{section}}}"#);
        self::start(&CString::new(config).expect("no NUL in it"))
    };
    let (responder, initiator) = (start(meeting.responder(MEMORY_OF_PEER)), start(meeting.initiator("")));
    let (mine, all, events) = count(initiator, CALLS, || publish_raw(initiator));
    // With a shard on each side they sleep, and the caller's wakes take memory now and then.
    assert!(mine < events / 1_000, "{mine} allocations of the calling thread for {events} events to a peer");
    assert!(all < events / 20, "{all} allocations for {events} events between two shards");
    // Alone, the responder has a CPU to spin on.
    assert_eq!(net::net_shutdown(initiator), 0);
    let stray = UdpSocket::bind(("127.0.0.1", 0)).expect("loopback is there");
    let mut packet = [0x5a; 200];
    packet[..16].copy_from_slice(&[4, 0, 0, 1, 9, 9, 9, 9, 1, 0, 0, 0, 0, 0, 0, 0]);
    let refused = || snapshots::json_of(responder)["shards"][0]["adapter_counts"]["refused_session"].as_u64();
    let (mine, all) = (ON_THIS_THREAD.get(), ON_ALL_THREADS.load(Ordering::Relaxed));
    for _ in 0..STRAYS {
        stray.send_to(&packet, ("127.0.0.1", meeting.port())).expect("loopback takes it");
    }
    until("most have come", || refused() > Some(STRAYS / 2));
    let mine = ON_THIS_THREAD.get() - mine;
    let others = ON_ALL_THREADS.load(Ordering::Relaxed) - all - mine;
    assert!(others <= FLUSH_ALLOCATIONS_MAX, "{others} allocations for {STRAYS} packets of strangers");
    assert_eq!(net::net_shutdown(responder), 0);
}

const SPINNING: &str = r#"{"num_shards":1,"idle":"spin","push_wait_us":60000000}"#;

const MEMORY: &CStr =
    c"{\"num_shards\":1,\"idle\":\"spin\",\"push_wait_us\":60000000,\"memory\":{\"retention_events\":50000}}";
const NOOP: &CStr = c"{\"num_shards\":1,\"idle\":\"spin\",\"push_wait_us\":60000000,\"noop\":{}}";
const EMPTY: net_event_t =
    net_event_t { id: ptr::null(), id_len: 0, raw: ptr::null(), raw_len: 0, insertion_ts: 0, shard_id: 0 };
const MEMORY_OF_PEER: &str = r#""store":{"memory":{"retention_events":50000}},"#;
const STRAYS: u64 = 20_000;
/// A flush makes a channel, and a barrier on the shard.
const FLUSH_ALLOCATIONS_MAX: u64 = 16;
