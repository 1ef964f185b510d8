//! The subscription under loom: whatever the order, a subscriber does not sleep on what was pushed to it, and a shard
//! does not sleep on room that it waits for. Whoever is left asleep is a deadlock, which loom reports.
//!
//! The ends come back to the main thread before they are dropped: loom does not see the order that the last `Arc` gives.

use std::sync::Arc;
use std::task::{Wake, Waker};

use loom::sync::Notify;
use loom::thread::{self, JoinHandle};

use super::*;
use crate::doorbell::Doorbell;
use crate::lane::record::Header;
use crate::lane::{LaneBudget, LaneConsumer, LaneProducer, lane};
use crate::port::Joined;
use crate::sync::{Ordering, fence};

fn ends(bytes: usize) -> (LaneProducer, LaneConsumer) {
    lane(bytes, &Arc::new(LaneBudget::new(1 << 10))).expect("within the budget")
}

fn push(lane: &mut LaneProducer, number: u64) {
    let header = Header { body_bytes: 0, flags: 0, timestamp_ns: number, hash: 0 };
    lane.push(header, &[]).expect("there is room");
}

/// A shard that pushes `count` events, and rings for each.
fn pushing(mut producer: LaneProducer, signal: &Arc<Signal>, count: u64) -> JoinHandle<LaneProducer> {
    let signal = Arc::clone(signal);
    thread::spawn(move || {
        for number in 0..count {
            push(&mut producer, number);
            producer.publish();
            fence(Ordering::SeqCst);
            signal.ring();
        }
        producer
    })
}

/// Reads until `count` events came, asleep in between.
fn receive(source: &mut Source, signal: &Signal, count: usize) {
    let mut received = 0;
    loop {
        if source.read(usize::MAX, &mut None, &mut 0) > 0 {
            signal.ring();
            for index in 0..source.picked_count() {
                assert_eq!(source.event(index).timestamp_ns, received as u64);
                received += 1;
            }
            source.give_back();
        } else if received == count {
            return;
        } else if !signal.arm() {
            signal.wait(None);
        }
    }
}

#[test]
fn what_is_published_leaves_no_subscriber_asleep() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(5);
    builder.check(|| {
        let (producer, consumer) = ends(128);
        let signal = Arc::new(Signal::new().expect("a model of one"));
        let pushing = pushing(producer, &signal, 2);
        let mut source = Source::new(ShardId(0), consumer);
        source.begin(Joined { last: Some(Sequence(0)), settled: Sequence::FIRST });
        receive(&mut source, &signal, 2);
        signal.arm();
        let producer = pushing.join().expect("no panic");
        assert!(!signal.is_armed_and_readable(), "it would keep its sleeper awake for ever");
        drop((producer, source));
    });
}

/// A subscriber whose descriptor is readable has not been told to go: only a look that found nothing makes it wait.
#[test]
fn a_readable_signal_stays_so_until_a_look_found_nothing() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(5);
    builder.check(|| {
        let (producer, consumer) = ends(128);
        let signal = Arc::new(Signal::new().expect("a model of one"));
        let pushing = pushing(producer, &signal, 1);
        let mut source = Source::new(ShardId(0), consumer);
        source.begin(Joined { last: Some(Sequence(0)), settled: Sequence::FIRST });
        // An event loop: waits for the descriptor, then looks once as `next` with a timeout of zero does.
        let mut received = false;
        while !received {
            signal.wait(None);
            loop {
                received = source.read(usize::MAX, &mut None, &mut 0) > 0;
                if received {
                    signal.ring();
                    source.give_back();
                    break;
                }
                if !signal.arm() {
                    break;
                }
            }
        }
        // Readable until the next look, although everything was read.
        signal.wait(None);
        drop((pushing.join().expect("no panic"), source));
    });
}

/// An event loop that is told only when the descriptor becomes readable, and reads until there is nothing.
#[test]
fn with_edge_triggering_nothing_is_missed() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(5);
    builder.check(|| {
        let (producer, consumer) = ends(128);
        let signal = Arc::new(Signal::new().expect("a model of one"));
        let pushing = pushing(producer, &signal, 2);
        let mut source = Source::new(ShardId(0), consumer);
        source.begin(Joined { last: Some(Sequence(0)), settled: Sequence::FIRST });
        let (mut edges, mut received) = (0, 0);
        while received < 2 {
            edges = signal.wait_for_edge(edges);
            loop {
                if source.read(usize::MAX, &mut None, &mut 0) > 0 {
                    signal.ring();
                    received += source.picked_count();
                    source.give_back();
                } else if !signal.arm() {
                    break;
                }
            }
        }
        drop((pushing.join().expect("no panic"), source));
    });
}

/// As above, with a look that stops before it has seen everything, and is repeated.
#[test]
fn with_edge_triggering_an_unfinished_look_is_repeated() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(|| {
        let (producer, consumer) = ends(128);
        let signal = Arc::new(Signal::new().expect("a model of one"));
        let pushing = pushing(producer, &signal, 2);
        let mut source = Source::new(ShardId(0), consumer);
        source.begin(Joined { last: Some(Sequence(0)), settled: Sequence::FIRST });
        let (mut edges, mut received) = (0, 0);
        while received < 2 {
            edges = signal.wait_for_edge(edges);
            loop {
                if source.read(1, &mut None, &mut 0) > 0 {
                    received += source.picked_count();
                    source.give_back();
                    signal.repeat();
                    break;
                } else if !signal.arm() {
                    break;
                }
            }
        }
        let producer = pushing.join().expect("no panic");
        assert!(!signal.is_armed_and_readable(), "it would keep its sleeper awake for ever");
        drop((producer, source));
    });
}

/// Wakes the sleeping thread, as the executor's waker wakes its own.
struct Bed(Notify);

impl Wake for Bed {
    fn wake(self: Arc<Bed>) {
        self.0.notify();
    }
}

#[test]
fn room_that_is_given_back_leaves_no_shard_asleep() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(5);
    builder.check(|| {
        let (mut producer, mut consumer) = ends(64);
        let (doorbell, bed) = (Arc::new(Doorbell::default()), Arc::new(Bed(Notify::new())));
        doorbell.answer_with(&Waker::from(Arc::clone(&bed)));
        push(&mut producer, 0);
        push(&mut producer, 1);
        producer.publish();
        let rung = Arc::clone(&doorbell);
        let reading = thread::spawn(move || {
            let mut lengths = Vec::new();
            assert!(consumer.next_run(usize::MAX, usize::MAX, &mut lengths).is_some());
            consumer.release();
            light_fence();
            if consumer.owes_a_ring() {
                rung.ring();
            }
            consumer
        });
        producer.set_waiting(true);
        while !producer.has_room() {
            doorbell.park();
            if !producer.has_room() {
                bed.0.wait();
            }
            doorbell.unpark();
        }
        drop((reading.join().expect("no panic"), producer));
    });
}
