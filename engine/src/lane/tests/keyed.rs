//! Events that take their routing keys along, on every way through a lane.

use proptest::prelude::*;

use super::super::record::FLAG_KEYED;
use super::*;
use crate::event::Sequence;

/// Payload and key of an event.
type Parts = (Vec<u8>, Option<Vec<u8>>);

/// Reads everything there is.
fn pop_parts(consumer: &mut LaneConsumer) -> Vec<Parts> {
    let (mut popped, mut lengths) = (Vec::new(), Vec::new());
    let mut take = |header: Header, body: &[u8]| {
        let event = header.event(Sequence::FIRST, body);
        assert_eq!((event.timestamp_ns, event.hash, event.flags.0), (7, 9, 1));
        popped.push((event.payload.to_vec(), event.key.map(<[u8]>::to_vec)));
    };
    loop {
        match consumer.next_run(usize::MAX, usize::MAX, &mut lengths) {
            None => break,
            Some(Run::Boxed(header, block)) => take(header, &block),
            Some(Run::Records(mut run)) => {
                for length in lengths.drain(..) {
                    let header = Header::of(run);
                    take(header, header.body(run));
                    run = &run[length as usize..];
                }
            }
        }
        consumer.release();
    }
    popped
}

/// How an event gets into the lane.
#[derive(Clone, Copy, Debug)]
enum Way {
    Pushed,
    Claimed,
    /// After a claim of the same that was given up.
    ClaimedAgain,
}

fn put(producer: &mut LaneProducer, way: Way, boxed: bool, (payload, key): &Parts) -> Result<(), Full> {
    let header = Header { body_bytes: 0, flags: 1, timestamp_ns: 7, hash: 9 };
    let key = key.as_deref();
    match (way, key) {
        (Way::Pushed, Some(key)) => return producer.push_keyed(header, payload, key, boxed),
        (Way::Pushed, None) if boxed => return producer.push_boxed(header, payload),
        (Way::Pushed, None) => return producer.push(header, payload),
        _ => {}
    }
    let mut claim = || {
        let bytes = payload.len() as u32;
        if boxed {
            producer.claim_boxed(1, 9, bytes, key)?;
        } else {
            producer.claim(1, 9, bytes, key)?;
        }
        let place = producer.claimed_bytes().expect("a claim is open");
        assert_eq!(place.len(), payload.len(), "the key is not the claim's");
        place.copy_from_slice(payload);
        Ok(())
    };
    claim()?;
    if matches!(way, Way::ClaimedAgain) {
        producer.abort();
        return put(producer, Way::Claimed, boxed, &(payload.clone(), key.map(<[u8]>::to_vec)));
    }
    assert!(producer.commit(7, 1));
    Ok(())
}

fn any_event() -> impl Strategy<Value = (Way, bool, Parts, bool)> {
    let ways = prop_oneof![2 => Just(Way::Pushed), 1 => Just(Way::Claimed), 1 => Just(Way::ClaimedAgain)];
    let bytes = |most: usize| {
        prop_oneof![
            1 => Just(Vec::new()),
            3 => proptest::collection::vec(any::<u8>(), 0..40),
            3 => proptest::collection::vec(any::<u8>(), 0..most),
        ]
    };
    let key = prop_oneof![1 => Just(None), 3 => bytes(400).prop_map(Some)];
    (ways, prop::bool::weighted(0.2), (bytes(600), key), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn payloads_and_keys_of_all_sizes_come_back_as_they_went_in(
        events in proptest::collection::vec(any_event(), 1..60),
    ) {
        let (mut producer, mut consumer, budget) = ring(4096);
        let mut popped = Vec::new();
        for (way, boxed, parts, publishes) in &events {
            while put(&mut producer, *way, *boxed, parts).is_err() {
                producer.publish();
                popped.extend(pop_parts(&mut consumer));
            }
            if *publishes {
                producer.publish();
            }
        }
        producer.publish();
        popped.extend(pop_parts(&mut consumer));
        let expected: Vec<Parts> = events.into_iter().map(|(_, _, parts, _)| parts).collect();
        prop_assert_eq!(popped, expected);
        prop_assert_eq!(budget.bytes(), 4096);
    }
}

#[test]
fn a_block_is_charged_with_its_key_and_freed_with_its_lane() {
    let (mut producer, consumer, budget) = ring(4096);
    let parts = (vec![1; 5_000], Some(vec![2; 300]));
    put(&mut producer, Way::Pushed, true, &parts).expect("nothing else is on its way");
    assert_eq!(budget.bytes(), 4096 + 5_000 + 300 + 4);
    producer.publish();
    drop(consumer);
    drop(producer);
    assert_eq!(budget.bytes(), 0);
}

#[test]
fn who_writes_past_a_claim_spoils_a_key_and_no_more() {
    let header = Header { body_bytes: 9, flags: FLAG_KEYED, timestamp_ns: 7, hash: 9 };
    assert_eq!(header.split(b"abkey\x03\0\0\0"), (&b"ab"[..], Some(&b"key"[..])));
    assert_eq!(header.split(b"abkey\xff\xff\xff\xff"), (&b""[..], Some(&b"abkey"[..])));
}
