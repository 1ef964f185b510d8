//! `wait_replicas` of the Redis store: what a flush has confirmed is on so many replicas, and what is not there stays the bus's.

use std::time::Duration;

use engine::bus::FlushError;
use engine::event::EventFlags;
use harness::redis::{Redis, bus, numbers, publish};
use harness::{assert_sums, read_all, until};

fn section(server: &Redis, replicas: u32) -> String {
    let port = server.port();
    format!(r#""num_shards":1,"redis":{{"url":"redis://127.0.0.1:{port}","wait_replicas":{replicas}}}"#)
}

#[test]
fn what_a_flush_has_confirmed_outlives_the_primary() {
    let mut primary = Redis::start();
    let replica = Redis::replica_of(&primary);
    let bus_of_primary = bus(&format!("{{{}}}", section(&primary, 1)));
    for _ in 0..20 {
        publish(&bus_of_primary, 2_500);
    }
    primary.kill();
    assert_eq!(replica.ask(&["REPLICAOF", "NO", "ONE"]), "OK");
    let heir = bus(&format!("{{{}}}", section(&replica, 0)));
    let read = numbers(read_all(&heir, 1_000).iter().map(|(_, payload)| payload.as_slice()));
    assert!(read.iter().copied().eq((0..20).flat_map(|_| 0..2_500)), "{} events", read.len());
    assert_eq!(bus_of_primary.shutdown(Some(Duration::from_millis(10))), Ok(0));
}

#[test]
fn without_a_replica_nothing_is_confirmed_and_with_one_everything_is_there_once() {
    let primary = Redis::start();
    let options = r#""flush_timeout_ms":500,"adapter_timeout_ms":300"#;
    let bus = bus(&format!("{{{options},{}}}", section(&primary, 1)));
    let mut producer = bus.producer();
    for number in 0..3_000 {
        let payload = format!(r#"{{"number":{number}}}"#);
        producer.publish(Some(b"key"), payload.as_bytes(), EventFlags::NONE).expect("room");
    }
    assert_eq!(bus.flush(), Err(FlushError::Timeout));
    let total = bus.stats().total();
    assert_eq!((total.stored, total.pending_events), (0, 3_000));
    let replica = Redis::replica_of(&primary);
    until("the replica has it", || bus.flush().is_ok());
    for server in [&primary, &replica] {
        assert_eq!(server.len("net:shard:0"), 3_000);
    }
    let read = numbers(read_all(&bus, 1_000).iter().map(|(_, payload)| payload.as_slice()));
    assert!(read.into_iter().eq(0..3_000), "once and in order");
    assert_sums(&bus.stats());
}

#[test]
fn a_replica_that_stands_still_delays_the_confirmation_and_no_read() {
    let primary = Redis::start();
    let replica = Redis::replica_of(&primary);
    let bus = bus(&format!(r#"{{"flush_timeout_ms":1,{}}}"#, section(&primary, 1)));
    until("the replica follows", || bus.flush().is_ok());
    replica.set_stopped(true);
    let mut producer = bus.producer();
    producer.publish(None, b"{\"number\":0}", EventFlags::NONE).expect("room");
    // It is read as soon as the primary has it.
    until("it is read", || read_all(&bus, 10).len() == 1);
    assert_eq!(bus.flush(), Err(FlushError::Timeout));
    replica.set_stopped(false);
    until("the replica has it", || bus.flush().is_ok());
    assert_sums(&bus.stats());
}
