//! The lane as its two ends see it, and under two threads.

mod keyed;

use std::sync::Arc;
use std::thread;

use super::record::{HEADER_BYTES, Header};
use super::*;

fn ring(bytes: usize) -> (LaneProducer, LaneConsumer, Arc<LaneBudget>) {
    let budget = Arc::new(LaneBudget::new(1 << 20));
    let (producer, consumer) = lane(bytes, &budget).expect("within the budget");
    (producer, consumer, budget)
}

fn header(payload: &[u8]) -> Header {
    Header { body_bytes: payload.len() as u32, flags: 0, timestamp_ns: 7, hash: 9 }
}

fn push(producer: &mut LaneProducer, payload: &[u8]) -> Result<(), Full> {
    producer.push(header(payload), payload)
}

/// Reads everything there is, payload by payload.
fn pop_all(consumer: &mut LaneConsumer) -> Vec<Vec<u8>> {
    let (mut payloads, mut lengths) = (Vec::new(), Vec::new());
    loop {
        match consumer.next_run(usize::MAX, usize::MAX, &mut lengths) {
            None => break,
            Some(Run::Boxed(_, block)) => payloads.push(block.into_vec()),
            Some(Run::Records(mut run)) => {
                for length in lengths.drain(..) {
                    let body_bytes = Header::of(run).body_bytes as usize;
                    payloads.push(run[HEADER_BYTES..HEADER_BYTES + body_bytes].to_vec());
                    run = &run[length as usize..];
                }
            }
        }
        consumer.release();
    }
    payloads
}

#[test]
fn nothing_is_readable_before_it_is_published() {
    let (mut producer, mut consumer, _) = ring(4096);
    push(&mut producer, b"a").expect("room");
    assert!(pop_all(&mut consumer).is_empty());
    producer.publish();
    assert_eq!(pop_all(&mut consumer), [b"a"]);
}

#[test]
fn positions_and_counts_go_on_over_the_edges_of_smaller_numbers() {
    for edge in [1 << 31, 1 << 32, 1 << 53, 1_u64 << 63] {
        let (mut producer, mut consumer, _) = ring(4096);
        producer.start_at(edge - 100_000, edge - 500);
        consumer.start_at(edge - 100_000, edge - 500);
        for round in 0..1_000_usize {
            let payload = vec![round as u8; round * 7 % 1000];
            while push(&mut producer, &payload).is_err() {
                assert_eq!(pop_all(&mut consumer), Vec::<Vec<u8>>::new(), "all was read before");
            }
            producer.publish();
            assert_eq!(pop_all(&mut consumer), [payload], "round {round} at {edge}");
        }
        let counts = consumer.counts();
        assert_eq!((counts.pushed, counts.popped), (edge + 500, edge + 500));
    }
}

#[test]
fn records_of_every_length_survive_the_wrap() {
    let (mut producer, mut consumer, _) = ring(4096);
    for round in 0..2_000usize {
        let payload = vec![round as u8; round * 7 % 1000];
        push(&mut producer, &payload).expect("the ring is empty");
        producer.publish();
        assert_eq!(pop_all(&mut consumer), [payload]);
    }
}

#[test]
fn a_full_lane_refuses_and_takes_again_after_a_release() {
    let (mut producer, mut consumer, _) = ring(4096);
    let mut pushed = 0;
    while push(&mut producer, &[1; 100]).is_ok() {
        pushed += 1;
    }
    producer.publish();
    assert_eq!(pushed, 4096 / 128 - 1, "the last record leaves no room for the word behind it");
    assert_eq!(push(&mut producer, &[1; 100]), Err(Full));
    assert_eq!(pop_all(&mut consumer).len(), pushed);
    assert_eq!(push(&mut producer, b""), Ok(()));
}

#[test]
fn who_has_waited_gets_a_record_that_was_published_alone_by_itself_and_a_batch_whole() {
    let (mut producer, mut consumer, _) = ring(4096);
    for (publications, records, read_first) in [(3, 1, 1), (1, 3, 3), (2, 3, 6)] {
        assert!(!consumer.poll());
        for _ in 0..publications {
            for _ in 0..records {
                push(&mut producer, b"a").expect("room");
            }
            producer.publish();
        }
        assert!(consumer.poll());
        let mut lengths = Vec::new();
        consumer.next_run(usize::MAX, usize::MAX, &mut lengths);
        assert_eq!(lengths.len(), read_first);
        assert_eq!(pop_all(&mut consumer).len(), publications * records - read_first);
        consumer.release();
    }
}

#[test]
fn a_run_keeps_to_its_limits_but_takes_one() {
    let (mut producer, mut consumer, _) = ring(4096);
    for _ in 0..6 {
        push(&mut producer, &[0; 8]).expect("room");
    }
    producer.publish();
    let mut lengths = Vec::new();
    consumer.next_run(usize::MAX, 1, &mut lengths);
    assert_eq!(lengths, [32]);
    lengths.clear();
    consumer.next_run(2, usize::MAX, &mut lengths);
    assert_eq!(lengths, [32, 32]);
    lengths.clear();
    consumer.next_run(usize::MAX, 64, &mut lengths);
    assert_eq!(lengths, [32, 32]);
}

#[test]
fn boxed_events_keep_their_place_and_are_charged() {
    let (mut producer, mut consumer, budget) = ring(4096);
    let large = vec![5u8; 100_000];
    push(&mut producer, b"before").expect("room");
    producer.push_boxed(header(&large), &large).expect("nothing else is on its way");
    assert_eq!(producer.push_boxed(header(&large), &large), Err(Full));
    push(&mut producer, b"after").expect("room");
    producer.publish();
    assert_eq!(budget.bytes(), 4096 + 100_000);
    assert_eq!(pop_all(&mut consumer), [b"before".to_vec(), large.clone(), b"after".to_vec()]);
    assert_eq!(budget.bytes(), 4096);
    producer.push_boxed(header(&large), &large).expect("the first was read");
}

#[test]
fn a_lane_beyond_the_budget_is_not_made() {
    let budget = Arc::new(LaneBudget::new(6_000));
    let first = lane(4096, &budget);
    assert!(first.is_some() && lane(4096, &budget).is_none());
    drop(first);
    assert!(lane(4096, &budget).is_some());
}

#[test]
fn unread_blocks_are_freed_with_the_lane() {
    let (mut producer, consumer, budget) = ring(4096);
    producer.push_boxed(header(&[1; 5000]), &[1; 5000]).expect("room");
    drop(consumer);
    drop(producer);
    assert_eq!(budget.bytes(), 0);
}

#[test]
fn a_closed_lane_refuses_and_says_when_it_is_quiet() {
    let (mut producer, consumer, _) = ring(4096);
    assert!(producer.enter());
    consumer.close();
    assert!(!consumer.is_quiescent(), "a publication is under way");
    push(&mut producer, b"last").expect("room");
    producer.publish();
    producer.leave();
    assert!(consumer.is_quiescent() && !consumer.is_empty());
    assert!(!producer.enter());
}

fn claim(producer: &mut LaneProducer, payload: &[u8]) -> Result<(), Full> {
    producer.claim(1, 9, payload.len() as u32, None)?;
    producer.claimed_bytes().expect("a claim is open").copy_from_slice(payload);
    Ok(())
}

#[test]
fn claims_and_pushes_keep_their_order_across_the_wrap() {
    let (mut producer, mut consumer, _) = ring(4096);
    for round in 0..2_000usize {
        let claimed = vec![round as u8; round * 7 % 1000];
        claim(&mut producer, &claimed).expect("the ring is empty");
        assert!(pop_all(&mut consumer).is_empty());
        assert!(producer.commit(7, 0));
        push(&mut producer, b"pushed").expect("room");
        producer.publish();
        assert_eq!(pop_all(&mut consumer), [claimed, b"pushed".to_vec()]);
    }
}

#[test]
fn an_open_claim_keeps_everything_else_out_and_an_aborted_one_leaves_nothing() {
    let (mut producer, mut consumer, budget) = ring(4096);
    for round in 0..200usize {
        if round % 2 == 0 {
            claim(&mut producer, &vec![1; round * 5]).expect("the ring is empty");
        } else {
            producer.claim_boxed(1, 9, 100_000, None).expect("the ring is empty");
        }
        assert_eq!(push(&mut producer, b""), Err(Full));
        assert_eq!(producer.push_boxed(header(b"x"), b"x"), Err(Full));
        producer.publish();
        assert!(consumer.is_empty());
        producer.abort();
        assert_eq!((producer.open_claim(), budget.bytes()), (None, 4096));
        push(&mut producer, b"after").expect("room");
        producer.publish();
        assert_eq!(pop_all(&mut consumer), [b"after"]);
    }
}

#[test]
fn a_large_claim_travels_as_a_block_and_is_freed_with_its_lane() {
    let (mut producer, mut consumer, budget) = ring(4096);
    for byte in [5, 6] {
        producer.claim_boxed(1, 9, 100_000, None).expect("nothing else is on its way");
        producer.claimed_bytes().expect("a claim is open").fill(byte);
        assert!(producer.commit(7, 0));
        producer.publish();
        assert_eq!(pop_all(&mut consumer), [vec![byte; 100_000]]);
    }
    producer.claim_boxed(1, 9, 100_000, None).expect("the others were read");
    assert_eq!(budget.bytes(), 4096 + 100_000);
    drop(consumer);
    producer.claimed_bytes().expect("still there").fill(1);
    drop(producer);
    assert_eq!(budget.bytes(), 0);
}

#[test]
fn counts_cover_pushed_read_dropped_and_refused() {
    let (mut producer, mut consumer, _) = ring(4096);
    push(&mut producer, b"a").expect("room");
    producer.publish();
    producer.count_dropped();
    producer.count_refused();
    assert_eq!(consumer.counts(), LaneCounts { pushed: 1, popped: 0, dropped: 1, refused: 1 });
    pop_all(&mut consumer);
    assert_eq!(consumer.counts().popped, 1);
}

#[test]
fn two_threads_hand_over_every_byte_in_order() {
    let (mut producer, mut consumer, _) = ring(4096);
    let events = 200_000u64;
    let writer = thread::spawn(move || {
        for number in 0..events {
            let mut payload = number.to_le_bytes().to_vec();
            payload.resize(8 + (number as usize * 31) % 200, number as u8);
            loop {
                let full = if number % 1000 == 0 {
                    producer.push_boxed(header(&payload), &payload)
                } else {
                    push(&mut producer, &payload)
                };
                if full.is_ok() {
                    break;
                }
                producer.publish();
                thread::yield_now();
            }
            if number % 3 == 0 {
                producer.publish();
            }
        }
    });
    let mut expected = 0u64;
    while expected < events {
        for payload in pop_all(&mut consumer) {
            assert_eq!(payload[..8], expected.to_le_bytes());
            assert_eq!(payload.len(), 8 + (expected as usize * 31) % 200);
            assert!(payload[8..].iter().all(|&byte| byte == expected as u8));
            expected += 1;
        }
        thread::yield_now();
    }
    writer.join().expect("the writer ends");
}
