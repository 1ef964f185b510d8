//! The Redis store over TLS with a real server: what goes in comes back, once and in order, whatever fails; and nothing is said to a
//! server that cannot prove to be the one the URL names, while the bus tells why.

use adapters::{FactoryError, SECTIONS};
use engine::adapter::{AdapterError, AdapterState};
use engine::bus::{Bus, FlushError};
use engine::config::Config;
use engine::consume::subscribe::{From, SubscribeRequest};
use engine::event::EventFlags;
use engine::producer::{Producer, PublishError};
use harness::authority::{Authority, Identity};
use harness::proxy::Proxy;
use harness::redis::{Redis, bus, numbers, publish};
use harness::{Random, assert_sums, read_all, until};
use serde_json::json;

/// The `redis` section of a bus that trusts `authority`, for a port of loopback.
fn section(port: u16, authority: &Authority, own: Option<&Identity>) -> String {
    let mut redis = json!({ "url": format!("rediss://127.0.0.1:{port}"), "tls_ca_path": authority.cert() });
    if let Some(own) = own {
        redis["tls_cert_path"] = json!(own.cert);
        redis["tls_key_path"] = json!(own.key);
    }
    format!(r#""redis":{redis}"#)
}

/// Why a bus with this section does not start.
fn refusal(section: &str) -> String {
    let (config, section) =
        Config::parse(&format!("{{{section}}}"), &SECTIONS).expect("a right configuration");
    match adapters::factory(section, &config) {
        Err(FactoryError::Store(AdapterError::Final(reason))) => reason,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it is let in"),
    }
}

/// Waits until the bus tells this of its one shard.
fn until_told(bus: &Bus, state: AdapterState, reason: &str) {
    let mut told = None;
    until(reason, || {
        let stats = bus.stats();
        told = stats.last_errors[0].clone().or(told.take());
        stats.shards[0].adapter == state && told.as_ref().is_some_and(|told| told.contains(reason))
    });
}

/// Publishes numbered events from `first` on under one key, whatever refuses them for now.
fn insist(producer: &mut Producer, first: usize, count: usize) {
    for number in first..first + count {
        let payload = format!(r#"{{"number":{number}}}"#);
        until("there is room", || {
            match producer.publish(Some(b"key"), payload.as_bytes(), EventFlags::NONE) {
                Ok(_) => true,
                Err(PublishError::Refused) => false,
                Err(error) => panic!("{error}"),
            }
        });
    }
}

/// Everything up to `count` is stored, once and in order.
fn check(bus: &Bus, reader: &Bus, count: usize) {
    until("everything is stored", || match bus.flush() {
        Ok(()) => true,
        Err(FlushError::Timeout) => false,
        Err(error) => panic!("{error}"),
    });
    let stored = numbers(read_all(reader, 1_000).iter().map(|(_, payload)| payload.as_slice()));
    assert_eq!(stored.len(), count);
    assert!(stored.into_iter().eq(0..count), "in order");
    let stats = bus.stats();
    assert_sums(&stats);
    assert_eq!(stats.total().dropped.total(), 0);
}

const FAIL_PRODUCER: &str = r#""num_shards":1,"backpressure_mode":"FailProducer""#;

#[test]
fn every_event_comes_back_once_on_every_way_out() {
    let authority = Authority::default();
    let server = Redis::with_tls(&authority.issue("127.0.0.1"), &authority, false);
    let bus = bus(&format!(r#"{{"num_shards":2,{}}}"#, section(server.tls_port(), &authority, None)));
    let mut live = bus.subscribe(SubscribeRequest::default()).expect("the server answers");
    publish(&bus, 5_000);
    let mut polled = numbers(read_all(&bus, 700).iter().map(|(_, payload)| payload.as_slice()));
    polled.sort_unstable();
    assert_eq!(polled, (0..5_000).collect::<Vec<_>>());
    let mut late = bus
        .subscribe(SubscribeRequest { from: From::Start, ..SubscribeRequest::default() })
        .expect("the server answers");
    for subscription in [&mut live, &mut late] {
        let mut received = Vec::new();
        until("every event has come", || {
            let events =
                subscription.next(1_000, Some(std::time::Duration::from_millis(10))).expect("it runs");
            let payloads: Vec<_> = events.map(|(_, event)| event.payload.to_vec()).collect();
            received.extend(numbers(payloads.iter().map(Vec::as_slice)));
            received.len() >= 5_000
        });
        received.sort_unstable();
        assert_eq!(received, (0..5_000).collect::<Vec<_>>());
    }
    assert_sums(&bus.stats());
}

#[test]
fn an_event_of_many_records_comes_back_whole() {
    let authority = Authority::default();
    let server = Redis::with_tls(&authority.issue("127.0.0.1"), &authority, false);
    let bus = bus(&format!(r#"{{"num_shards":1,{}}}"#, section(server.tls_port(), &authority, None)));
    let payloads: Vec<Vec<u8>> =
        (1..=8).map(|event| vec![b'0' + event; 120_000 * usize::from(event)]).collect();
    let mut producer = bus.producer();
    for payload in &payloads {
        producer.publish(Some(b"key"), payload, EventFlags::NONE).expect("room");
    }
    bus.flush().expect("the server answers");
    let read: Vec<Vec<u8>> = read_all(&bus, 100).into_iter().map(|(_, payload)| payload).collect();
    assert!(read == payloads);
}

#[test]
fn a_name_is_verified_as_well_as_an_address() {
    let authority = Authority::default();
    let server = Redis::with_tls(&authority.issue("localhost"), &authority, false);
    let named = section(server.tls_port(), &authority, None).replace("127.0.0.1", "localhost");
    let bus = bus(&format!(r#"{{"num_shards":1,{named}}}"#));
    publish(&bus, 10);
    assert_eq!(read_all(&bus, 100).len(), 10);
}

#[test]
fn a_bus_whose_server_is_somebody_else_does_not_start_and_says_why() {
    let (authority, other) = (Authority::default(), Authority::default());
    let server = Redis::with_tls(&authority.issue("127.0.0.1"), &authority, false);
    let trusting = |authority| refusal(&section(server.tls_port(), authority, None));
    assert!(trusting(&other).contains("not trusted"), "{}", trusting(&other));
    server.become_known_as(&authority.issue("another.name"));
    assert!(trusting(&authority).contains("for another name"), "{}", trusting(&authority));
    server.become_known_as(&authority.issue_until("127.0.0.1", 2001));
    assert!(trusting(&authority).contains("has expired"), "{}", trusting(&authority));
    assert_eq!(server.ask(&["EXISTS", "net:meta"]), "0");
}

#[test]
fn a_server_that_becomes_somebody_else_is_down_until_it_is_itself_again() {
    let (authority, other) = (Authority::default(), Authority::default());
    let server = Redis::with_tls(&authority.issue("127.0.0.1"), &authority, false);
    let bus = bus(&format!("{{{FAIL_PRODUCER},{}}}", section(server.tls_port(), &authority, None)));
    let mut producer = bus.producer();
    insist(&mut producer, 0, 1_000);
    bus.flush().expect("the server answers");
    for (identity, reason) in [
        (authority.issue("another.name"), "for another name"),
        (authority.issue_until("127.0.0.1", 2001), "has expired"),
        (other.issue("127.0.0.1"), "not trusted"),
    ] {
        server.become_known_as(&identity);
        server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        until_told(&bus, AdapterState::Down, reason);
    }
    insist(&mut producer, 1_000, 1_000);
    assert_eq!(server.len("net:shard:0"), 1_000);
    server.become_known_as(&authority.issue("127.0.0.1"));
    check(&bus, &bus, 2_000);
    until("it is up", || bus.stats().shards[0].adapter == AdapterState::Up);
}

#[test]
fn a_server_that_wants_a_certificate_lets_in_who_has_one_and_the_others_are_told() {
    let (authority, other) = (Authority::default(), Authority::default());
    let server = Redis::with_tls(&authority.issue("127.0.0.1"), &authority, true);
    let own = authority.issue("a.client");
    let with_own =
        bus(&format!(r#"{{"num_shards":1,{}}}"#, section(server.tls_port(), &authority, Some(&own))));
    publish(&with_own, 100);
    assert_eq!(read_all(&with_own, 1_000).len(), 100);
    let without = refusal(&section(server.tls_port(), &authority, None));
    assert!(without.contains("tls_cert_path"), "{without}");
    let unknown = refusal(&section(server.tls_port(), &authority, Some(&other.issue("a.client"))));
    assert!(unknown.contains("trust"), "{unknown}");
}

#[test]
fn a_server_that_wants_a_certificate_from_now_on_is_down_for_who_has_none() {
    let authority = Authority::default();
    let server = Redis::with_tls(&authority.issue("127.0.0.1"), &authority, false);
    let bus = bus(&format!("{{{FAIL_PRODUCER},{}}}", section(server.tls_port(), &authority, None)));
    let mut producer = bus.producer();
    insist(&mut producer, 0, 100);
    bus.flush().expect("the server answers");
    server.ask(&["CONFIG", "SET", "tls-auth-clients", "yes"]);
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    until_told(&bus, AdapterState::Down, "tls_cert_path");
    server.ask(&["CONFIG", "SET", "tls-auth-clients", "no"]);
    insist(&mut producer, 100, 100);
    check(&bus, &bus, 200);
}

#[test]
fn events_survive_crashes_of_the_server_exactly_once() {
    let authority = Authority::default();
    let mut server = Redis::with_tls(&authority.issue("127.0.0.1"), &authority, false);
    let bus = bus(&format!("{{{FAIL_PRODUCER},{}}}", section(server.tls_port(), &authority, None)));
    let mut producer = bus.producer();
    for round in 0..10 {
        insist(&mut producer, round * 3_000, 3_000);
        server.kill();
        server.launch();
    }
    check(&bus, &bus, 30_000);
}

#[test]
fn a_way_that_cuts_at_random_bytes_loses_and_doubles_nothing() {
    let authority = Authority::default();
    let server = Redis::with_tls(&authority.issue("127.0.0.1"), &authority, false);
    let mut random = Random::new(11);
    let proxy = Proxy::start(server.tls_port(), random.word());
    proxy.cut_after(20_000);
    let section = section(proxy.port(), &authority, None).replace('}', r#","pipeline_size":50}"#);
    let bus = bus(&format!("{{{FAIL_PRODUCER},{section}}}"));
    let mut producer = bus.producer();
    let mut published = 0;
    until("many connections were cut", || {
        // Not more than what is stored between two cuts.
        let is_behind = bus.stats().total().pending_events > 2_000;
        let count = if is_behind { 0 } else { random.below(400) as usize };
        insist(&mut producer, published, count);
        published += count;
        proxy.cuts() >= 60
    });
    proxy.cut_after(0);
    // A connection keeps the limit that it was made with, and a poll whose connection is cut fails.
    let reader = harness::redis::bus(&format!(r#"{{"num_shards":1,{}}}"#, server.section()));
    check(&bus, &reader, published);
}

#[test]
fn a_server_without_tls_behind_a_url_with_it_is_waited_for_and_the_bus_says_why() {
    let authority = Authority::default();
    let server = Redis::start();
    let options = r#""num_shards":1,"shutdown_timeout_ms":100"#;
    let section = section(server.port(), &authority, None).replace('}', r#","connect_timeout_ms":50}"#);
    let bus = bus(&format!("{{{options},{section}}}"));
    bus.producer().publish(None, b"event", EventFlags::NONE).expect("room");
    until_told(&bus, AdapterState::Connecting, "TLS handshake");
    assert_eq!(bus.shutdown(None), Ok(1));
}

#[test]
fn a_server_with_tls_behind_a_url_without_it_is_waited_for_and_the_bus_says_why() {
    let authority = Authority::default();
    let server = Redis::with_tls(&authority.issue("127.0.0.1"), &authority, false);
    let section = format!(r#""redis":{{"url":"redis://127.0.0.1:{}"}}"#, server.tls_port());
    let bus = bus(&format!(r#"{{"num_shards":1,"shutdown_timeout_ms":100,{section}}}"#));
    bus.producer().publish(None, b"event", EventFlags::NONE).expect("room");
    until_told(&bus, AdapterState::Connecting, "wants TLS (`rediss://`)");
    assert_eq!(bus.shutdown(None), Ok(1));
}

#[test]
fn a_handshake_that_a_server_leaves_unanswered_ends_in_time_and_is_tried_again() {
    let authority = Authority::default();
    let server = Redis::with_tls(&authority.issue("127.0.0.1"), &authority, false);
    server.set_stopped(true);
    let section = section(server.tls_port(), &authority, None).replace('}', r#","connect_timeout_ms":50}"#);
    let bus = bus(&format!("{{{FAIL_PRODUCER},{section}}}"));
    let mut producer = bus.producer();
    insist(&mut producer, 0, 100);
    until_told(&bus, AdapterState::Connecting, "did not answer in time");
    server.set_stopped(false);
    // Slower than the wait above, on a busy machine.
    check(&bus, &harness::redis::bus(&format!(r#"{{"num_shards":1,{}}}"#, server.section())), 100);
}
