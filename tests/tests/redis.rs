//! The Redis store with a real server: what goes in comes back, once and in order, whoever reads it.

use adapters::SECTIONS;
use engine::config::Config;
use engine::consume::request::PollRequest;
use engine::consume::subscribe::{From, SubscribeRequest};
use harness::redis::{Redis, bus, numbers, publish};
use harness::{assert_sums, c, python, read_all, until};

#[test]
fn every_event_comes_back_once_on_every_way_out() {
    let server = Redis::start();
    let bus = bus(&format!(r#"{{"num_shards":2,{}}}"#, server.section()));
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
fn another_bus_sees_what_this_one_writes_and_its_cursors_go_on_there() {
    let server = Redis::start();
    let (writer, reader) = (
        bus(&format!(r#"{{"num_shards":1,{}}}"#, server.section())),
        bus(&format!(r#"{{"num_shards":1,{}}}"#, server.section())),
    );
    let mut subscription = reader.subscribe(SubscribeRequest::default()).expect("the server answers");
    publish(&writer, 100);
    let page = writer.poll(&PollRequest { limit: 40, ..PollRequest::default() }).expect("the server answers");
    let rest = reader
        .poll(&PollRequest { cursor: page.next_cursor, limit: 100, ..PollRequest::default() })
        .expect("the cursor is one of these streams");
    assert_eq!(numbers(rest.events().map(|(_, event)| event.payload)), (40..100).collect::<Vec<_>>());
    let mut received = Vec::new();
    until("every event has come", || {
        let events = subscription.next(1_000, Some(std::time::Duration::from_millis(10))).expect("it runs");
        received.extend(events.map(|(_, event)| event.payload.to_vec()));
        received.len() >= 100
    });
    assert_eq!(numbers(received.iter().map(Vec::as_slice)), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_bus_with_fewer_shards_reads_every_stream_of_another() {
    let server = Redis::start();
    let writer = bus(&format!(r#"{{"num_shards":4,{}}}"#, server.section()));
    publish(&writer, 1_000);
    let reader = bus(&format!(r#"{{"num_shards":1,{}}}"#, server.section()));
    let mut subscription = reader
        .subscribe(SubscribeRequest { from: From::Start, ..SubscribeRequest::default() })
        .expect("the server answers");
    let mut polled = numbers(read_all(&reader, 100).iter().map(|(_, payload)| payload.as_slice()));
    polled.sort_unstable();
    assert_eq!(polled, (0..1_000).collect::<Vec<_>>());
    publish(&reader, 10);
    let mut received = Vec::new();
    until("every event has come", || {
        let events = subscription.next(1_000, Some(std::time::Duration::from_millis(10))).expect("it runs");
        received.extend(events.map(|(_, event)| event.payload.to_vec()));
        received.len() >= 1_010
    });
    assert_eq!(received.len(), 1_010);
    assert_eq!(server.ask(&["HGET", "net:meta", "num_streams"]), "4");
    assert_eq!(server.ask(&["EXISTS", "net:shard:4"]), "0");
}

#[test]
fn another_process_with_fewer_shards_is_given_every_event_of_a_c_program_while_it_writes() {
    const EVENTS: usize = 20_000;
    let server = Redis::start();
    // Built before anybody waits for what it does.
    c::library();
    let config = format!(r#"{{"num_shards":4,"backpressure_mode":"FailProducer",{}}}"#, server.section());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| c::run("redis_writer", &[&config, &EVENTS.to_string()]));
        until("it has begun", || server.ask(&["EXISTS", "net:meta"]) == "1" || writer.is_finished());
        let reader = bus(&format!(r#"{{"num_shards":3,{}}}"#, server.section()));
        let mut subscription = reader
            .subscribe(SubscribeRequest { from: From::Start, ..SubscribeRequest::default() })
            .expect("the server answers");
        let mut received = Vec::new();
        until("every event has come", || {
            let events =
                subscription.next(1_000, Some(std::time::Duration::from_millis(10))).expect("it runs");
            received.extend(events.map(|(_, event)| event.payload.to_vec()));
            received.len() >= EVENTS
        });
        writer.join().expect("the program ends well");
        let polled: Vec<_> = read_all(&reader, 700).into_iter().map(|(_, payload)| payload).collect();
        for way_out in [received, polled] {
            let mut numbers = numbers(way_out.iter().map(Vec::as_slice));
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..EVENTS));
        }
    });
    assert_eq!(server.ask(&["HGET", "net:meta", "num_streams"]), "4");
}

#[test]
fn a_python_client_reads_the_streams_and_the_bus_passes_over_what_it_writes() {
    let server = Redis::start();
    let script = c::root().join("tests/python/redis_streams.py");
    let mut command = python::with_package("redis");
    let output = c::run_command(command.arg(script).arg(c::library()).arg(server.port().to_string()));
    assert_eq!(output.stdout, "2000 events\n", "{output:?}");
}

#[test]
fn an_entry_has_the_routing_key_exactly_where_one_was_given_on_every_way_in() {
    let server = Redis::start();
    let script = c::root().join("tests/python/redis_keys.py");
    let mut command = python::with_package("redis");
    let output = c::run_command(command.arg(script).arg(c::library()).arg(server.port().to_string()));
    assert_eq!(output.stdout, "19 events\n", "{output:?}");
}

#[test]
fn a_server_is_reached_by_its_socket_and_asked_as_the_url_says() {
    let server = Redis::start();
    server.ask(&["CONFIG", "SET", "requirepass", "secret"]);
    let url = format!("redis+unix://{}?db=3&pass=secret", server.socket().display());
    let bus = bus(&format!(r#"{{"num_shards":1,"redis":{{"url":"{url}","prefix":"orders"}}}}"#));
    publish(&bus, 10);
    assert_eq!(read_all(&bus, 100).len(), 10);
}

#[test]
fn a_server_that_refuses_who_asks_is_an_error_at_the_start() {
    let server = Redis::start();
    server.ask(&["CONFIG", "SET", "requirepass", "secret"]);
    for user in ["", ":wrong@"] {
        let url = format!("redis://{user}127.0.0.1:{}", server.port());
        let json = format!(r#"{{"num_shards":1,"redis":{{"url":"{url}"}}}}"#);
        let (config, section) = Config::parse(&json, &SECTIONS).expect("a test's configuration is right");
        let error = adapters::factory(section, &config).err().expect("it refuses").to_string();
        assert!(
            error.contains("NOAUTH") || error.contains("WRONGPASS") || error.contains("uthentication"),
            "{error}"
        );
    }
}

/// How often the server was asked to wait for what comes.
fn waits(server: &Redis) -> u64 {
    let stats = server.ask(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_xread:calls=")).unwrap_or("0,");
    line.split(',').next().expect("a number").parse().expect("a number")
}

#[test]
fn what_others_have_written_is_passed_over_and_holds_nobody_up() {
    let server = Redis::start();
    let add = |id: &str, fields: &[&str]| {
        server.ask(&[&["XADD", "net:shard:0", id], fields].concat());
    };
    let dedup_id = "0000000000000abc:9:1:0";
    add("1-2000000", &["d", "made up", "t", "1", "dedup_id", dedup_id]);
    add("1-2000001", &["d", "made up", "t", "1", "dedup_id", dedup_id]);
    add("2-1", &["field", "value"]);
    add("3-1", &["d", "another's", "t", "1", "dedup_id", "wrong"]);
    let bus = bus(&format!(r#"{{"num_shards":1,{}}}"#, server.section()));
    let from_start = SubscribeRequest { from: From::Start, ..SubscribeRequest::default() };
    let mut subscription = bus.subscribe(from_start).expect("the server answers");
    publish(&bus, 5);
    add("*", &["field", "value"]);
    publish(&bus, 5);
    for limit in [1, 2, 100] {
        assert_eq!(read_all(&bus, limit).len(), 10, "{limit} at a time");
    }
    // From here on ids have no room; whoever waits for more does not ask again and again.
    add("99999999999999-1", &["field", "value"]);
    add("99999999999999-2", &["field", "value"]);
    let mut received = 0;
    until("every event has come", || {
        received +=
            subscription.next(100, Some(std::time::Duration::from_millis(10))).expect("it runs").len();
        received == 10
    });
    publish(&bus, 3);
    assert_eq!(read_all(&bus, 100).len(), 10);
    assert!(waits(&server) < 20, "{} times", waits(&server));
}

#[test]
fn a_stream_that_is_deleted_while_it_is_followed_goes_on_with_what_comes() {
    let server = Redis::start();
    let bus = bus(&format!(r#"{{"num_shards":1,{}}}"#, server.section()));
    let mut subscription = bus.subscribe(SubscribeRequest::default()).expect("the server answers");
    for round in 0..3 {
        publish(&bus, 10);
        let mut received = 0;
        until("every event has come", || {
            received +=
                subscription.next(100, Some(std::time::Duration::from_millis(10))).expect("it runs").len();
            received >= 10
        });
        assert_eq!(received, 10, "round {round}");
        server.ask(&["DEL", "net:shard:0"]);
        // Ids of one millisecond would begin again at its first: whoever follows the stream knows those already.
        let deleted = server.ask(&["TIME"]);
        until("the server's clock moves on", || {
            let [before, now] = [&deleted, &server.ask(&["TIME"])].map(|time| {
                let (seconds, micros) = time.split_once('\n').expect("two numbers");
                let number = |text: &str| text.parse::<u64>().expect("a number");
                number(seconds) * 1_000 + number(micros) / 1_000
            });
            now > before
        });
    }
}

#[test]
fn subscribers_that_come_and_go_take_nothing_from_one_that_stays() {
    let server = Redis::start();
    let bus = bus(&format!(r#"{{"num_shards":1,{}}}"#, server.section()));
    let mut stays = bus.subscribe(SubscribeRequest::default()).expect("the server answers");
    let mut received = Vec::new();
    for _ in 0..50 {
        publish(&bus, 20);
        // Joining asks where the stream ends, on another way than the one that waits for it.
        drop(bus.subscribe(SubscribeRequest::default()).expect("the server answers"));
    }
    until("every event has come", || {
        let events = stays.next(1_000, Some(std::time::Duration::from_millis(10))).expect("it runs");
        received.extend(events.map(|(_, event)| event.payload.to_vec()));
        received.len() >= 1_000
    });
    let expected: Vec<usize> = (0..50).flat_map(|_| 0..20).collect();
    assert_eq!(numbers(received.iter().map(Vec::as_slice)), expected);
}
