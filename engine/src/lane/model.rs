//! The lane under loom, in rings of a few words: every access to the ring's memory is told to loom, so that a missing
//! ordering is a race even where no byte is wrong.
//!
//! The ends come back to the main thread before they are dropped: loom does not see the order that the last `Arc` gives.

use std::sync::Arc;

use loom::thread;

use super::record::{HEADER_BYTES, Header};
use super::*;
use crate::sync::{heavy_fence, yield_now};

fn ring(bytes: usize) -> (LaneProducer, LaneConsumer) {
    lane(bytes, &Arc::new(LaneBudget::new(1 << 10))).expect("within the budget")
}

/// An event that says its number in every part.
fn push(producer: &mut LaneProducer, number: u64, boxed: bool) -> Result<(), Full> {
    let header = Header { body_bytes: 8, flags: 0, timestamp_ns: number, hash: !number };
    let payload = number.to_ne_bytes();
    if boxed { producer.push_boxed(header, &payload) } else { producer.push(header, &payload) }
}

/// Reads one run and checks its events against `next`, which it moves on. Whether there was one.
fn pop(consumer: &mut LaneConsumer, next: &mut u64) -> bool {
    let mut lengths = Vec::new();
    match consumer.next_run(usize::MAX, usize::MAX, &mut lengths) {
        None => return false,
        Some(Run::Boxed(header, block)) => check(header, &block, next),
        Some(Run::Records(mut run)) => {
            for length in lengths {
                let (record, rest) = run.split_at(length as usize);
                check(Header::of(record), &record[HEADER_BYTES..], next);
                run = rest;
            }
        }
    }
    consumer.release();
    true
}

fn check(header: Header, payload: &[u8], next: &mut u64) {
    assert_eq!((header.timestamp_ns, header.hash), (*next, !*next));
    assert_eq!(header.body_bytes as usize, payload.len());
    assert!(payload.chunks_exact(8).all(|word| word == next.to_ne_bytes()));
    *next += 1;
}

/// Claims a place and writes an event of two words there that says its number. A record of it takes 40 bytes.
fn claim(producer: &mut LaneProducer, number: u64) -> Result<(), Full> {
    producer.claim(1, !number, 16, None)?;
    let bytes = producer.claimed_bytes().expect("a claim is open");
    bytes.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&number.to_ne_bytes()));
    Ok(())
}

/// Moves the ends on by two records of 40 bytes.
fn fill_and_drain(producer: &mut LaneProducer, consumer: &mut LaneConsumer) {
    for number in 0..2 {
        claim(producer, number).expect("room");
        producer.commit(number, 0);
    }
    producer.publish();
    assert!(pop(consumer, &mut 0));
}

/// Pushes `events` through a ring of `bytes` bytes while the other end drains it.
fn pass(bytes: usize, events: u64, boxed: bool) {
    let (mut producer, mut consumer) = ring(bytes);
    if boxed {
        fill_and_drain(&mut producer, &mut consumer);
    }
    let producing = thread::spawn(move || {
        for number in 0..events {
            while push(&mut producer, number, boxed).is_err() {
                yield_now();
            }
            producer.publish();
        }
        producer
    });
    let mut next = 0;
    while next < events {
        if !pop(&mut consumer, &mut next) {
            yield_now();
        }
    }
    let producer = producing.join().expect("no panic");
    assert!(consumer.is_empty());
    assert_eq!(consumer.counts().popped, consumer.counts().pushed);
    drop((producer, consumer));
}

#[test]
fn every_record_arrives_once_in_order_and_intact_through_a_full_ring() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| pass(64, 3, false));
}

#[test]
fn every_boxed_block_arrives_once_in_order_over_the_wrap() {
    // A boxed record takes 40 bytes: of the two behind the first two, the second is preceded by a pad.
    loom::model(|| pass(128, 2, true));
}

#[test]
fn claims_committed_over_the_wrap_arrive_and_aborted_ones_leave_nothing() {
    // A record takes 40 bytes of the 128: of the two behind the first two, the second is preceded by a pad.
    loom::model(|| {
        let (mut producer, mut consumer) = ring(128);
        fill_and_drain(&mut producer, &mut consumer);
        let producing = thread::spawn(move || {
            for number in 0..2 {
                for committed in [false, true] {
                    while claim(&mut producer, if committed { number } else { u64::MAX }).is_err() {
                        yield_now();
                    }
                    // An open claim is no part of what is published.
                    producer.publish();
                    if committed { assert!(producer.commit(number, 0)) } else { producer.abort() }
                }
                producer.publish();
            }
            producer
        });
        let mut next = 0;
        while next < 2 {
            if !pop(&mut consumer, &mut next) {
                yield_now();
            }
        }
        let producer = producing.join().expect("no panic");
        assert!(consumer.is_empty());
        drop((producer, consumer));
    });
}

#[test]
fn what_one_publication_holds_is_read_together_with_its_count() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(128);
        let producing = thread::spawn(move || {
            for number in 0..2 {
                push(&mut producer, number, false).expect("room");
            }
            producer.publish();
            producer
        });
        let mut next = 0;
        let found = pop(&mut consumer, &mut next);
        assert_eq!(next, if found { 2 } else { 0 });
        assert!(consumer.counts().pushed >= next);
        drop((producing.join().expect("no panic"), consumer));
    });
}

#[test]
fn an_event_accepted_while_the_lane_closes_is_there_once_it_is_quiescent() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(128);
        let producing = thread::spawn(move || {
            let mut accepted = 0;
            for _ in 0..2 {
                if producer.enter() {
                    push(&mut producer, accepted, false).expect("room");
                    accepted += 1;
                    producer.publish();
                }
                producer.leave();
            }
            (accepted, producer)
        });
        consumer.close();
        heavy_fence();
        while !consumer.is_quiescent() {
            yield_now();
        }
        let mut next = 0;
        while pop(&mut consumer, &mut next) {}
        let pushed = consumer.counts().pushed;
        let (accepted, producer) = producing.join().expect("no panic");
        assert_eq!((next, pushed), (accepted, accepted));
        drop((producer, consumer));
    });
}

#[test]
fn whoever_sees_that_the_producer_has_gone_sees_all_it_published() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(128);
        let producing = thread::spawn(move || {
            push(&mut producer, 0, false).expect("room");
            drop(producer);
        });
        let mut next = 0;
        if consumer.is_gone() {
            assert!(pop(&mut consumer, &mut next), "gone, and its event not there");
        }
        producing.join().expect("no panic");
        while pop(&mut consumer, &mut next) {}
        assert_eq!(next, 1);
    });
}
