//! Property 17: one hung shard or adapter delays no other shard.

use std::time::Duration;

use engine::bus::{Bus, FlushError, PollError};
use engine::consume::request::PollRequest;
use engine::event::{EventFlags, ShardId};
use engine::producer::PublishError;
use harness::store::{Mode, Stores};
use harness::{key_of, start, until};

/// A bus of three shards, the middle one of which hangs in its store, each with one event accepted.
fn with_a_hung_shard() -> (Bus, Stores) {
    let stores = Stores::new();
    let options = r#""num_shards":3,"adapter_timeout_ms":100,"flush_timeout_ms":200,"push_wait_us":10000000"#;
    let bus = start(&format!(r#"{{{options},"lane_bytes":4096}}"#), stores.clone());
    stores.set(1, Mode::Hang);
    let mut producer = bus.producer();
    for shard in 0..3 {
        producer.publish(Some(&key_of(shard, 3)), b"first", EventFlags::NONE).expect("there is room");
    }
    until("the shard hangs", || stores.look(1, |seen| seen.hangs));
    (bus, stores)
}

#[test]
fn the_other_shards_store_while_one_hangs() {
    let (bus, stores) = with_a_hung_shard();
    let mut producer = bus.producer();
    let mut accepted_by_hung = 1;
    for _ in 0..5_000 {
        for shard in [0, 2] {
            producer.publish(Some(&key_of(shard, 3)), b"event", EventFlags::NONE).expect("this shard drains");
        }
        match producer.publish(Some(&key_of(1, 3)), b"event", EventFlags::NONE) {
            Ok(_) => accepted_by_hung += 1,
            Err(error) => {
                assert_eq!(error, PublishError::Refused);
                break;
            }
        }
    }
    let mut more = bus.producer();
    for _ in 0..5_000 {
        more.publish(Some(&key_of(0, 3)), b"event", EventFlags::NONE).expect("this shard drains");
    }
    until("the others have stored", || {
        stores.look(0, |seen| seen.events.len()) >= 5_000 && stores.look(2, |seen| seen.events.len()) > 1
    });
    assert!(stores.look(1, |seen| seen.hangs && seen.events.is_empty()));
    assert_eq!(bus.flush(), Err(FlushError::Timeout));
    stores.set(1, Mode::Store);
    until("it goes on", || bus.flush() == Ok(()));
    assert_eq!(stores.seen(1).events.len(), accepted_by_hung);
}

#[test]
fn a_poll_answers_with_the_shards_that_answer_and_names_the_one_that_hangs() {
    let (bus, stores) = with_a_hung_shard();
    until("the others have stored", || {
        [0, 2].iter().all(|&shard| stores.look(shard, |seen| seen.events.len() == 1))
    });
    let response = bus.poll(&PollRequest::default()).expect("two shards answer");
    let shards: Vec<u16> = response.events().map(|(shard, _)| shard.0).collect();
    assert_eq!((shards, &response.failed_shards), (vec![0, 2], &vec![ShardId(1)]));
    assert!(response.has_more, "the shard that hangs may have events");
    let only = |shard| PollRequest { shards: Some(vec![shard]), ..PollRequest::default() };
    assert_eq!(bus.poll(&only(1)).map(drop), Err(PollError::Unanswered));
    assert!(bus.poll(&only(2)).expect("it answers").failed_shards.is_empty());

    stores.set(1, Mode::Store);
    until("it goes on", || bus.flush() == Ok(()));
    let request = PollRequest { cursor: response.next_cursor, ..PollRequest::default() };
    let rest = bus.poll(&request).expect("all answer");
    let shards: Vec<u16> = rest.events().map(|(shard, _)| shard.0).collect();
    assert_eq!(shards, [1], "the cursor did not move past what the hung shard had");
}

#[test]
fn statistics_answer_while_a_shard_hangs_and_agree_for_the_others() {
    let (bus, stores) = with_a_hung_shard();
    let mut producer = bus.producer();
    for _ in 0..100 {
        producer.publish(Some(&key_of(0, 3)), b"event", EventFlags::NONE).expect("this shard drains");
    }
    let stats = bus.stats();
    harness::assert_sums(&stats);
    assert_eq!(stats.shards[0].ingested, 101);
    stores.set(1, Mode::Store);
}

#[test]
fn a_shutdown_stores_what_the_other_shards_have_and_ends_while_one_hangs() {
    let (bus, stores) = with_a_hung_shard();
    let mut producer = bus.producer();
    for _ in 0..1_000 {
        producer.publish(Some(&key_of(2, 3)), b"event", EventFlags::NONE).expect("this shard drains");
    }
    assert!(bus.shutdown(Some(Duration::from_millis(300))).is_ok());
    assert_eq!((stores.seen(0).events.len(), stores.seen(2).events.len()), (1, 1_001));
    stores.set(1, Mode::Store);
}
