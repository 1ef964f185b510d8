//! What a shard's snapshot says besides the sums: high water, batches, latencies, the adapter's state and its last error.

use super::*;
use crate::adapter::AdapterState;

impl Stage {
    fn last_error(&self) -> Option<String> {
        self.shared.port(ShardId(0)).board.last_error()
    }
}

#[test]
fn high_water_stays_when_what_was_pending_is_stored() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..250);
    let before = stage.stats();
    stage.store_all();
    let after = stage.stats();
    assert_eq!((after.pending_events, after.pending_bytes), (0, 0));
    assert_eq!((after.pending_events_max, before.pending_events), (250, 250));
    assert_eq!((after.pending_bytes_max, before.pending_bytes), (250 * 32, 250 * 32));
}

#[test]
fn what_comes_and_goes_between_two_snapshots_is_in_the_high_water() {
    let mut stage = Stage::new(|_| {});
    stage.script.borrow_mut().stores_at_once = true;
    (0..50).for_each(|number| stage.publish(number).expect("there is room"));
    stage.settle();
    let stats = stage.stats();
    assert_eq!((stats.pending_events, stats.pending_events_max), (0, 50));
}

#[test]
fn what_waits_in_lanes_is_in_the_high_water() {
    let mut stage = Stage::new(|config| config.backpressure = Backpressure::FailProducer);
    stage.publish_drained(0..1_024);
    (0..10).for_each(|number| stage.publish(number).expect("the lane has room"));
    let stats = stage.stats();
    assert_eq!((stats.pending_events, stats.pending_events_max), (1_034, 1_034));
}

#[test]
fn every_acknowledged_batch_is_in_both_histograms() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..101);
    stage.pass(Duration::from_micros(3));
    stage.store();
    stage.settle();
    stage.pass(Duration::from_micros(40));
    stage.store_all();
    let stats = stage.stats();
    assert_eq!((stats.batches, stats.batch_events.count(), stats.submit_latency_ns.count()), (2, 2, 2));
    assert_eq!((stats.batch_events.sum(), stats.batch_events.max()), (101, 100));
    assert_eq!(stats.submit_latency_ns.sum(), 43_000);
}

#[test]
fn a_retry_is_timed_from_its_own_submission() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..1);
    stage.pass(Duration::from_millis(7));
    stage.refuse(transient());
    stage.settle();
    stage.pass(Duration::from_millis(1));
    stage.settle();
    stage.pass(Duration::from_micros(5));
    stage.store_all();
    assert_eq!(stage.stats().submit_latency_ns.max(), 5_000);
}

#[test]
fn a_refusal_for_now_shows_until_the_batch_is_stored_and_its_error_stays() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..1);
    assert_eq!((stage.stats().adapter, stage.last_error()), (AdapterState::Up, None));
    stage.refuse(transient());
    stage.settle();
    assert_eq!(stage.stats().adapter, AdapterState::Retrying);
    assert_eq!(stage.last_error().as_deref(), Some("the store refused for now: later"));
    stage.pass(Duration::from_millis(1));
    stage.settle();
    assert_eq!(stage.stats().adapter, AdapterState::Retrying, "the second attempt is under way");
    stage.store_all();
    assert_eq!(stage.stats().adapter, AdapterState::Up);
    assert_eq!(stage.last_error().as_deref(), Some("the store refused for now: later"));
}

#[test]
fn the_last_error_is_the_last_one() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..1);
    stage.refuse(transient());
    stage.settle();
    stage.pass(Duration::from_millis(1));
    stage.settle();
    stage.refuse(refused_for_good());
    stage.settle();
    let stats = stage.stats();
    assert_eq!((stats.dropped.adapter, stats.settled, stats.adapter), (1, 1, AdapterState::Up));
    assert_eq!(stage.last_error().as_deref(), Some("the store refused for good: never"));
}

#[test]
fn an_unknown_outcome_is_an_error() {
    let mut stage = Stage::new(|_| {});
    stage.publish_drained(0..1);
    stage.pass(Config::default().adapter_timeout);
    stage.settle();
    stage.stats();
    assert_eq!(stage.last_error().as_deref(), Some("the store refused for now: no answer in time"));
}
