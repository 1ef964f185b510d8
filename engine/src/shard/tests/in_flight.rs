//! Several batches in flight, for a store that takes them.

use super::*;
use crate::adapter::AdapterState;

/// A stage whose store takes three batches at once.
fn stage(change: impl FnOnce(&mut Config)) -> Stage {
    let stage = Stage::new(change);
    stage.script.borrow_mut().in_flight_max = 3;
    stage
}

fn sizes(stage: &Stage) -> Vec<usize> {
    stage.script.borrow().submitted.iter().map(|(_, batch)| batch.len()).collect()
}

#[test]
fn full_batches_go_beside_others_and_a_small_one_waits_to_grow() {
    let mut stage = stage(|_| {});
    stage.publish_drained(0..150);
    assert_eq!(sizes(&stage), [1, 100], "the rest is not full");
    stage.publish_drained(150..450);
    assert_eq!(sizes(&stage), [1, 100, 100], "three are in flight");
    stage.store();
    stage.settle();
    assert_eq!(sizes(&stage), [1, 100, 100, 100]);
    assert_eq!(stage.stats().stored, 1);
    stage.store_all();
    assert_eq!(stage.submitted(), (0..450).collect::<Vec<_>>());
    assert_eq!(stage.stats().stored, 450);
}

#[test]
fn what_is_in_flight_never_fills_more_than_half_of_the_buffer() {
    let mut stage = stage(|config| {
        config.ring_buffer_capacity = 200;
        config.backpressure = Backpressure::DropOldest;
    });
    stage.publish_drained(0..1_000);
    assert_eq!(sizes(&stage).iter().sum::<usize>(), 100, "the rest can be evicted");
    stage.store_all();
    assert_eq!(stage.submitted()[100..], (900..1_000).collect::<Vec<_>>());
}

#[test]
fn one_of_several_is_waited_for_and_the_last_one_given_back() {
    let mut stage = stage(|config| config.adapter_timeout = Duration::from_secs(2));
    stage.publish_drained(0..201);
    assert_eq!(sizes(&stage), [1, 100, 100]);
    stage.pass(Duration::from_secs(2));
    stage.settle();
    assert_eq!(stage.script.borrow().cancelled, 0);
    assert_eq!(stage.stats().adapter, AdapterState::Retrying, "the operator is told");
    stage.store();
    stage.store();
    stage.settle();
    stage.pass(Duration::from_secs(2));
    stage.settle();
    assert_eq!(stage.script.borrow().cancelled, 1);
    stage.pass(Duration::from_secs(1));
    stage.store_all();
    let firsts: Vec<_> = stage.script.borrow().submitted.iter().map(|(first, _)| first.0).collect();
    assert_eq!(firsts, [1, 2, 102, 102], "it is retried under its sequences");
    assert_eq!(stage.stats().stored, 201);
}

#[test]
fn a_flush_waits_for_all_of_them() {
    let mut stage = stage(|_| {});
    stage.publish_drained(0..201);
    let flushed = stage.flush();
    stage.store();
    stage.settle();
    stage.store();
    stage.settle();
    assert!(flushed.try_recv().is_err(), "the last is in flight");
    stage.store();
    stage.settle();
    assert!(flushed.try_recv().is_ok());
}

#[test]
fn at_the_deadline_of_a_shutdown_all_of_them_are_dropped_and_counted() {
    let mut stage = stage(|_| {});
    stage.publish_drained(0..250);
    stage.close(Duration::from_secs(1));
    assert_eq!(stage.finish(), None);
    stage.pass(Duration::from_secs(2));
    assert_eq!(stage.finish(), Some(250));
}
