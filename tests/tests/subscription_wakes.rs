//! Who is woken for what: a subscriber hears of what is there for it however its event loop asks, and of nothing else;
//! and what subscriptions take is not taken from producers.

use std::num::NonZeroU16;
use std::time::Duration;

use adapters::memory::{MemoryStores, Retention};
use adapters::noop::NoopStores;
use engine::bus::Bus;
use engine::consume::subscribe::SubscribeRequest;
use engine::event::EventFlags;
use engine::subscription::{SubscribeError, Subscription};
use harness::{start, subscribe};

const WANTED: &[u8] = br#"{"wanted":true}"#;
const REJECTED: &[u8] = br#"{"wanted":false}"#;

fn in_memory(config: &str) -> Bus {
    start(config, MemoryStores::new(Retention::default(), NonZeroU16::MIN))
}

fn publish(bus: &Bus, payload: &[u8], count: usize) {
    let mut producer = bus.producer();
    for _ in 0..count {
        producer.publish(None, payload, EventFlags::NONE).expect("there is room");
    }
    bus.flush().expect("everything is stored");
}

/// An epoll that watches one descriptor.
struct Epoll(i32);

impl Epoll {
    fn of(descriptor: i32, flags: i32) -> Epoll {
        // SAFETY: the calls get a descriptor of this process and the address of a valid event.
        unsafe {
            let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            let mut event = libc::epoll_event { events: flags.cast_unsigned(), u64: 1 };
            assert_eq!(libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, descriptor, &raw mut event), 0);
            Epoll(epoll)
        }
    }

    /// Whether the descriptor is reported within `timeout_ms`; -1 is for ever.
    fn wait(&self, timeout_ms: i32) -> bool {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: there is room for the one event.
        unsafe { libc::epoll_wait(self.0, &raw mut event, 1, timeout_ms) == 1 }
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        // SAFETY: the descriptor was made here.
        unsafe { libc::close(self.0) };
    }
}

/// Receives until there is nothing, one event a call; how many came.
fn drain(subscription: &mut Subscription) -> usize {
    let mut count = 0;
    while subscription.next(1, Some(Duration::ZERO)).expect("the bus runs").len() == 1 {
        count += 1;
    }
    count
}

#[test]
fn with_edge_triggering_nothing_hides_behind_what_a_filter_rejects() {
    for rejected in [100, 1_023, 1_024, 5_000] {
        let bus = in_memory(r#"{"num_shards":1}"#);
        let mut subscription = subscribe(&bus, r#"{"filter":{"path":"wanted","value":true}}"#);
        let epoll = Epoll::of(subscription.descriptor(), libc::EPOLLIN | libc::EPOLLET);
        for _ in 0..2 {
            publish(&bus, REJECTED, rejected);
            publish(&bus, WANTED, 1);
            let mut received = 0;
            while received == 0 {
                assert!(epoll.wait(-1));
                received += drain(&mut subscription);
            }
            assert_eq!(received, 1, "behind {rejected}");
        }
    }
}

#[test]
fn a_subscriber_is_not_woken_for_what_another_is_given() {
    let bus = in_memory(r#"{"num_shards":1}"#);
    publish(&bus, REJECTED, 100_000);
    let mut idle = subscribe(&bus, "{}");
    let epoll = Epoll::of(idle.descriptor(), libc::EPOLLIN);
    assert!(epoll.wait(-1), "readable until it has looked");
    assert_eq!(drain(&mut idle), 0);
    let mut reader = subscribe(&bus, r#"{"from":"start"}"#);
    let mut received = 0;
    while received < 100_000 {
        received += reader.next(1_024, None).expect("the bus runs").len();
    }
    assert!(!epoll.wait(0));
    publish(&bus, REJECTED, 1);
    assert!(epoll.wait(-1));
    assert_eq!(drain(&mut idle), 1);
}

#[test]
fn subscriptions_leave_half_of_the_lanes_memory_to_producers() {
    let bus = in_memory(r#"{"num_shards":1,"lanes_bytes_max":2097152}"#);
    let request = SubscribeRequest::default;
    let subscriptions: Vec<_> = (0..2).map(|_| bus.subscribe(request()).expect("room")).collect();
    assert!(matches!(bus.subscribe(request()), Err(SubscribeError::LanesExhausted)));
    publish(&bus, WANTED, 1);
    drop(subscriptions);
}

#[test]
fn a_cursor_of_another_life_of_a_store_that_keeps_nothing_is_refused() {
    let bus = start(r#"{"num_shards":1}"#, NoopStores::new());
    let subscription = subscribe(&bus, "{}");
    let cursor = subscription.cursor();
    drop((subscription, bus));
    let bus = start(r#"{"num_shards":1}"#, NoopStores::new());
    let request = SubscribeRequest::parse(&format!(r#"{{"from":"{cursor}"}}"#)).expect("a request");
    assert!(matches!(bus.subscribe(request), Err(SubscribeError::Cursor(_))));
}
