//! Routing keys on their way to a store that wants them, and to one that does not.

use super::*;

impl Stage {
    /// A stage whose store wants keys.
    fn keyed(change: impl FnOnce(&mut Config)) -> Stage {
        Stage::of(StoreKind { wants_keys: true, ..StoreKind::default() }, Sequence::FIRST, change)
    }

    fn publish_keyed(&mut self, key: Option<&[u8]>, payload: &[u8]) -> Result<(), PublishError> {
        self.producer.publish(key, payload, EventFlags::NONE).map(drop)
    }

    /// Payloads and keys submitted so far, in order.
    fn submitted_parts(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let script = self.script.borrow();
        let payloads = script.submitted.iter().flat_map(|(_, payloads)| payloads.iter().cloned());
        payloads.zip(script.keys.iter().cloned()).collect()
    }
}

/// Number and key of event `number`: some have none, some an empty one, and the others keys of all lengths up to 300 bytes.
fn parts_of(number: u64) -> (Vec<u8>, Option<Vec<u8>>) {
    let key = match number % 5 {
        0 => None,
        1 => Some(Vec::new()),
        _ => Some(vec![number as u8; number as usize * 7 % 300]),
    };
    (number.to_le_bytes().to_vec(), key)
}

#[test]
fn a_key_arrives_by_every_way_in_and_none_where_none_was_given() {
    let mut stage = Stage::keyed(|config| config.lane_bytes = 16 << 10);
    stage.script.borrow_mut().stores_at_once = true;
    let large = vec![b'x'; 10_000];
    stage.publish_keyed(Some(b"first of its lane"), b"a").expect("room");
    stage.publish_keyed(None, b"b").expect("room");
    stage.publish_keyed(Some(b""), b"c").expect("room");
    let (accepted, _) = stage.producer.publish_batch([&b"d"[..], b"e"], EventFlags::NONE);
    assert_eq!(accepted, 2);
    stage.producer.publish_within(Some(b"patient"), b"f", EventFlags::NONE, Duration::ZERO).expect("room");
    for (key, payload) in [(&b"claimed"[..], &b"g"[..]), (b"claimed as a block", &large)] {
        let claim = stage.producer.claim(key, payload.len()).expect("room");
        stage.producer.claimed_bytes(claim).expect("open").copy_from_slice(payload);
        stage.producer.commit(claim, EventFlags::NONE).expect("the bus runs");
        stage.settle();
    }
    stage.publish_keyed(Some(b"a block"), &large).expect("room");
    stage.settle();
    // The key alone makes a block of it.
    stage.publish_keyed(Some(&large), b"h").expect("room");
    stage.settle();
    let mut ending = Producer::new(Arc::clone(&stage.shared));
    ending.publish(Some(b"a thread that ends"), b"i", EventFlags::NONE).expect("room");
    drop(ending);
    stage.settle();
    let expected: [(&[u8], Option<&[u8]>); 11] = [
        (b"a", Some(b"first of its lane")),
        (b"b", None),
        (b"c", Some(b"")),
        (b"d", None),
        (b"e", None),
        (b"f", Some(b"patient")),
        (b"g", Some(b"claimed")),
        (&large, Some(b"claimed as a block")),
        (&large, Some(b"a block")),
        (b"h", Some(&large)),
        (b"i", Some(b"a thread that ends")),
    ];
    assert_eq!(
        stage.submitted_parts(),
        expected.map(|(payload, key)| (payload.to_vec(), key.map(<[u8]>::to_vec)))
    );
    assert_eq!(stage.stats().stored, 11);
}

#[test]
fn a_store_that_wants_no_keys_gets_none_and_a_key_of_any_length_is_taken() {
    let mut stage = Stage::new(|config| config.max_event_bytes = 100);
    stage.script.borrow_mut().stores_at_once = true;
    let key = vec![1; 100_000];
    stage.publish_keyed(Some(&key), &[2; 100]).expect("the key is hashed only");
    let claim = stage.producer.claim(&key, 100).expect("the key is hashed only");
    stage.producer.claimed_bytes(claim).expect("open").fill(2);
    stage.producer.commit(claim, EventFlags::NONE).expect("the bus runs");
    stage.settle();
    assert_eq!(stage.submitted_parts(), [(vec![2; 100], None), (vec![2; 100], None)]);
}

#[test]
fn the_largest_event_counts_with_its_key_and_a_larger_one_is_refused_with_their_sum() {
    let mut stage = Stage::keyed(|config| {
        config.max_event_bytes = 10_000;
        config.lanes_bytes_max = 4096 + 10_000;
    });
    stage.script.borrow_mut().stores_at_once = true;
    for key_bytes in [0, 1, 9_999, 10_000] {
        let (key, payload) = (vec![1; key_bytes], vec![2; 10_000 - key_bytes]);
        stage.publish_keyed(Some(&key), &payload).expect("the largest allowed, in the smallest budget");
        stage.settle();
        let claim = stage.producer.claim(&key, payload.len()).expect("the largest allowed");
        assert!(stage.producer.abort(claim));
        let too_large = PublishError::TooLargeWithKey { bytes: 10_001, bytes_max: 10_000 };
        let longer = [&payload[..], b"x"].concat();
        assert_eq!(stage.publish_keyed(Some(&key), &longer), Err(too_large));
        assert_eq!(stage.producer.claim(&key, longer.len()), Err(too_large));
        assert_eq!(
            too_large.to_string(),
            "an event of 10001 bytes with its key is larger than max_event_bytes, 10000"
        );
    }
    stage.publish_keyed(None, &[2; 10_000]).expect("it has no key");
    stage.settle();
    let stats = stage.stats();
    assert_eq!((stats.stored, stats.ingested, stats.refused), (5, 5, 0), "a refusal counts nothing");
}

#[test]
fn under_every_policy_keys_stay_with_their_events_and_the_sums_hold() {
    let sample = Backpressure::Sample(Sampling { rate: 3.try_into().expect("not zero") });
    for backpressure in
        [Backpressure::DropOldest, Backpressure::DropNewest, Backpressure::FailProducer, sample]
    {
        let mut stage = Stage::keyed(|config| {
            config.backpressure = backpressure;
            config.buffer_bytes = 64 << 10;
        });
        let publish = |stage: &mut Stage, numbers: std::ops::Range<u64>| {
            for number in numbers {
                let (payload, key) = parts_of(number);
                // Refused where the policy says so.
                let _ = stage.publish_keyed(key.as_deref(), &payload);
                if number % 3 == 0 {
                    stage.round();
                }
            }
        };
        publish(&mut stage, 0..1_500);
        let stats = stage.stats();
        assert!(stats.dropped.total() + stats.refused > 0, "{backpressure:?} was at its bound: {stats:?}");
        stage.store_all();
        publish(&mut stage, 1_500..1_600);
        stage.store_all();
        let stats = stage.stats();
        assert_eq!((stats.pending_events, stats.pending_bytes), (0, 0), "{backpressure:?}");
        let submitted = stage.submitted_parts();
        assert_eq!(submitted.len() as u64, stats.stored, "{backpressure:?}");
        let numbers = stage.submitted();
        assert!(numbers.is_sorted_by(|before, after| before < after), "{backpressure:?}");
        for (number, parts) in numbers.into_iter().zip(submitted) {
            assert_eq!(parts, parts_of(number), "{backpressure:?}");
        }
    }
}
