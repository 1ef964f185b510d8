//! The Redis store when the server or the way to it fails: every event that a flush has confirmed is there once and in order,
//! and the sums agree.

use std::time::Duration;

use engine::adapter::AdapterState;
use engine::bus::{Bus, FlushError, Stats};
use engine::event::EventFlags;
use engine::producer::PublishError;
use harness::proxy::Proxy;
use harness::redis::{Redis, bus, numbers, publish};
use harness::{Random, assert_sums, read_all, until};

#[test]
fn events_survive_crashes_of_the_server_exactly_once() {
    let mut server = Redis::durable();
    let options = r#""num_shards":1,"flush_timeout_ms":60000,"adapter_timeout_ms":60000,"backpressure_mode":"FailProducer""#;
    let bus = bus(&format!("{{{options},{}}}", server.section()));
    let mut producer = bus.producer();
    let mut next = 0_usize;
    for _ in 0..10 {
        for _ in 0..3_000 {
            let payload = format!(r#"{{"number":{next}}}"#);
            producer.publish(Some(b"key"), payload.as_bytes(), EventFlags::NONE).expect("room");
            next += 1;
        }
        server.kill();
        server.launch();
    }
    bus.flush().expect("the server is back");
    let stored = numbers(read_all(&bus, 1_000).iter().map(|(_, payload)| payload.as_slice()));
    assert_eq!(stored.len(), next);
    assert!(stored.iter().copied().eq(0..next), "in order");
    assert_sums(&bus.stats());
}

#[test]
fn a_bus_starts_without_its_server_and_stores_when_it_comes() {
    let mut server = Redis::start();
    server.kill();
    let bus = bus(&format!(r#"{{"num_shards":1,"flush_timeout_ms":60000,{}}}"#, server.section()));
    let mut producer = bus.producer();
    producer.publish(None, b"{\"number\":0}", EventFlags::NONE).expect("room");
    until("the shard tells", || bus.stats().shards[0].adapter == engine::adapter::AdapterState::Connecting);
    server.launch();
    bus.flush().expect("the server is there");
    assert_eq!(read_all(&bus, 100).len(), 1);
}

#[test]
fn a_shutdown_with_a_server_that_does_not_answer_ends_in_time() {
    let server = Redis::start();
    let bus = bus(&format!(r#"{{"num_shards":1,{}}}"#, server.section()));
    publish(&bus, 10);
    server.set_stopped(true);
    let mut producer = bus.producer();
    producer.publish(None, b"{\"number\":10}", EventFlags::NONE).expect("room");
    let not_stored = bus.shutdown(Some(std::time::Duration::from_millis(50)));
    server.set_stopped(false);
    assert_eq!(not_stored, Ok(1));
}

/// Keeps publishing numbered events under one key, whatever refuses them for now.
struct Load<'a> {
    producer: engine::producer::Producer,
    bus: &'a Bus,
    next: usize,
}

impl<'a> Load<'a> {
    fn new(bus: &'a Bus) -> Load<'a> {
        Load { producer: bus.producer(), bus, next: 0 }
    }

    fn publish(&mut self, count: usize) {
        for _ in 0..count {
            let payload = format!(r#"{{"number":{}}}"#, self.next);
            until("there is room", || {
                match self.producer.publish(Some(b"key"), payload.as_bytes(), EventFlags::NONE) {
                    Ok(_) => true,
                    Err(PublishError::Refused) => false,
                    Err(error) => panic!("{error}"),
                }
            });
            self.next += 1;
        }
    }

    /// Everything is stored, once, in order, and nothing else.
    fn check(&self) {
        self.check_through(self.bus);
    }

    /// The same, read through another bus on the same streams.
    fn check_through(&self, reader: &Bus) {
        until("everything is stored", || match self.bus.flush() {
            Ok(()) => true,
            Err(FlushError::Timeout) => false,
            Err(error) => panic!("{error}"),
        });
        let stored = numbers(read_all(reader, 1_000).iter().map(|(_, payload)| payload.as_slice()));
        assert_eq!(stored.len(), self.next);
        assert!(stored.into_iter().eq(0..self.next), "in order");
        let stats = self.bus.stats();
        assert_sums(&stats);
        assert_eq!(stats.total().dropped.total(), 0);
        assert_eq!((count(&stats, "lost_by_server"), count(&stats, "maybe_twice")), (0, 0));
    }
}

/// What the store has counted under this name.
fn count(stats: &Stats, name: &str) -> u64 {
    let at =
        stats.adapter_count_names.iter().position(|known| known.name == name).expect("the store counts it");
    stats.total().adapter_counts[at]
}

const FAIL_PRODUCER: &str = r#""num_shards":1,"backpressure_mode":"FailProducer""#;

#[test]
fn a_way_that_cuts_at_random_bytes_loses_and_doubles_nothing() {
    let server = Redis::start();
    let mut random = Random::new(7);
    let proxy = Proxy::start(server.port(), random.word());
    proxy.cut_after(20_000);
    let section = format!(r#""redis":{{"url":"redis://127.0.0.1:{}","pipeline_size":50}}"#, proxy.port());
    let bus = bus(&format!("{{{FAIL_PRODUCER},{section}}}"));
    let mut load = Load::new(&bus);
    until("many connections were cut", || {
        load.publish(random.below(400) as usize);
        proxy.cuts() >= 60
    });
    proxy.cut_after(0);
    // A connection keeps the limit that it was made with, and a poll whose connection is cut fails.
    load.check_through(&harness::redis::bus(&format!(r#"{{"num_shards":1,{}}}"#, server.section())));
}

#[test]
fn answers_that_come_later_than_they_are_waited_for_lose_and_double_nothing() {
    let server = Redis::start();
    let mut random = Random::new(7);
    let proxy = Proxy::start(server.port(), random.word());
    let section = format!(r#""redis":{{"url":"redis://127.0.0.1:{}","pipeline_size":50}}"#, proxy.port());
    let bus = bus(&format!(r#"{{{FAIL_PRODUCER},"adapter_timeout_ms":50,{section}}}"#));
    let mut load = Load::new(&bus);
    proxy.stall_answers(Duration::from_millis(120));
    until("many answers were late", || {
        load.publish(random.below(400) as usize);
        proxy.stalls() >= 15
    });
    proxy.stall_answers(Duration::ZERO);
    load.check_through(&harness::redis::bus(&format!(r#"{{"num_shards":1,{}}}"#, server.section())));
    assert!(count(&bus.stats(), "reconnects") > 0);
}

#[test]
fn connections_that_the_server_kills_lose_and_double_nothing() {
    let server = Redis::start();
    let bus = bus(&format!("{{{FAIL_PRODUCER},{}}}", server.section()));
    let mut load = Load::new(&bus);
    for _ in 0..50 {
        load.publish(500);
        server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
    load.check();
}

#[test]
fn a_server_that_stands_still_is_waited_for_and_nothing_is_doubled() {
    let server = Redis::start();
    let options = r#""adapter_timeout_ms":100,"flush_timeout_ms":100"#;
    let bus = bus(&format!("{{{FAIL_PRODUCER},{options},{}}}", server.section()));
    let mut load = Load::new(&bus);
    for _ in 0..5 {
        load.publish(2_000);
        server.set_stopped(true);
        load.publish(2_000);
        assert_eq!(bus.flush(), Err(FlushError::Timeout));
        until("the batch is given up", || bus.stats().shards[0].adapter != AdapterState::Up);
        server.set_stopped(false);
    }
    load.check();
}

#[test]
fn a_full_server_is_waited_for() {
    let server = Redis::start();
    let bus = bus(&format!(r#"{{{FAIL_PRODUCER},"flush_timeout_ms":100,{}}}"#, server.section()));
    let mut load = Load::new(&bus);
    load.publish(1_000);
    bus.flush().expect("there is memory");
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    load.publish(3_000);
    assert_eq!(bus.flush(), Err(FlushError::Timeout));
    until("the shard tells why", || {
        bus.stats().last_errors[0].as_ref().is_some_and(|error| error.contains("OOM"))
    });
    assert!(count(&bus.stats(), "refused_for_memory") > 0);
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    load.check();
}

#[test]
fn what_the_server_refuses_for_good_is_dropped_with_its_reason_and_counted() {
    let server = Redis::start();
    server.ask(&["SET", "net:shard:0", "a string"]);
    let bus = bus(&format!("{{{FAIL_PRODUCER},{}}}", server.section()));
    let mut load = Load::new(&bus);
    load.publish(10);
    let Err(FlushError::Adapter { refused: 10, .. }) = bus.flush() else {
        panic!("the flush says nothing of it")
    };
    let stats = bus.stats();
    assert_sums(&stats);
    assert_eq!(stats.shards[0].dropped.adapter, 10);
    let error = stats.last_errors[0].clone().expect("a reason");
    assert!(error.contains("WRONGTYPE"), "{error}");
    server.ask(&["DEL", "net:shard:0"]);
    load.publish(5);
    bus.flush().expect("it is a stream again");
    assert_eq!(read_all(&bus, 100).len(), 5);
}

#[test]
fn a_user_who_may_not_append_is_told_so() {
    let server = Redis::start();
    server.ask(&["ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all", "-xadd"]);
    let section = format!(r#""redis":{{"url":"redis://reader:secret@127.0.0.1:{}"}}"#, server.port());
    let bus = bus(&format!("{{{FAIL_PRODUCER},{section}}}"));
    Load::new(&bus).publish(3);
    assert!(matches!(bus.flush(), Err(FlushError::Adapter { refused: 3, .. })));
    let error = bus.stats().last_errors[0].clone().expect("a reason");
    assert!(error.contains("NOPERM"), "{error}");
}

#[test]
fn a_stream_that_is_trimmed_keeps_about_so_much_and_tells_who_comes_late() {
    let server = Redis::start();
    let section = format!(r#""redis":{{"url":"redis://127.0.0.1:{}","max_stream_len":1000}}"#, server.port());
    let bus = bus(&format!("{{{FAIL_PRODUCER},{section}}}"));
    let mut load = Load::new(&bus);
    load.publish(10);
    bus.flush().expect("the server answers");
    let early = bus.poll(&engine::consume::request::PollRequest::default()).expect("the server answers");
    load.publish(20_000);
    bus.flush().expect("the server answers");
    assert!((1_000..2_000).contains(&server.len("net:shard:0")));
    let request = engine::consume::request::PollRequest { cursor: early.next_cursor, ..Default::default() };
    assert!(bus.poll(&request).expect("the server answers").skipped > 0);
}

#[test]
fn an_identity_that_is_kept_goes_on_where_it_was() {
    let mut server = Redis::durable();
    let folder = tempfile::tempdir().expect("a folder");
    let nonce = folder.path().join("nonce");
    let options = format!(r#""num_shards":1,"producer_nonce_path":{nonce:?},{}"#, server.section());
    let mut published = 0;
    for _ in 0..5 {
        let bus = bus(&format!("{{{options}}}"));
        let mut load = Load { producer: bus.producer(), bus: &bus, next: published };
        load.publish(700);
        load.check();
        published = load.next;
        assert_eq!(bus.shutdown(Some(Duration::from_secs(5))), Ok(0));
        server.kill();
        server.launch();
    }
    let newest = server.ask(&["XREVRANGE", "net:shard:0", "+", "-", "COUNT", "1"]);
    let dedup_id = newest.lines().last().expect("fields");
    let parts: Vec<&str> = dedup_id.split(':').collect();
    let number = |part: usize| parts[part].parse::<usize>().expect("a number");
    assert_eq!(number(2) + number(3), published, "{dedup_id}");
}
