//! Two buses over a network that is bad, or hostile: what `full` has confirmed is there once and in order, and what does not belong
//! to a session changes nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use engine::adapter::AdapterState;
use engine::bus::Bus;
use engine::event::EventFlags;
use harness::flood::flood;
use harness::load::count;
use harness::pair::{BUS, Meeting};
use harness::redis::bus;
use harness::udp_proxy::{Faults, Speaker, UdpProxy, Way};
use harness::{Random, SetOnDrop, assert_sums, procfs, read_all, until};

#[test]
fn full_brings_everything_once_and_in_order_over_a_bad_network() {
    for seed in [1, 2, 3] {
        let (network, responder, initiator) = connected(seed, [2, 1], "");
        network.inflict(BAD);
        thread::scope(|scope| {
            scope.spawn(|| publish(&responder, 0, 10_000));
            scope.spawn(|| publish(&initiator, 0, 10_000));
        });
        assert_eq!((arrived(&responder), arrived(&initiator)), (10_000, 10_000), "seed {seed}");
        assert!(counted(&initiator, "blocks_retransmitted") > 0);
        assert!(counted(&responder, "refused_forged") > 0);
        assert!(network.counts().lost > 0 && network.counts().flipped > 0);
        assert_sums(&initiator.stats());
    }
}

#[test]
fn the_others_bring_nothing_twice_and_count_what_is_missing() {
    for reliability in ["light", "none"] {
        let options = format!(r#""reliability":"{reliability}","#);
        let (network, responder, initiator) = connected(7, [1, 1], &options);
        network.inflict(BAD);
        publish(&initiator, 0, 20_000);
        network.inflict(Faults::default());
        // So that the last gap is seen as one.
        publish(&initiator, 20_000, 100);
        until("everything has come or is given up", || {
            let events = read_all(&responder, 1_000);
            let mut numbers: Vec<u32> = events.iter().map(|(_, payload)| number(payload)).collect();
            assert!(reliability == "none" || numbers.is_sorted(), "light keeps the order");
            numbers.sort_unstable();
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "nothing comes twice");
            numbers.len() as u64 + counted(&responder, "events_given_up") == 20_100
        });
    }
}

#[test]
fn a_blackout_beyond_the_timeout_is_told_and_nothing_is_lost() {
    let (network, responder, initiator) = connected(11, [1, 1], HASTY);
    publish(&initiator, 0, 1_000);
    network.darken(true);
    let mut producer = initiator.producer();
    for at in 1_000..3_000_u32 {
        producer.publish(Some(b"k"), &at.to_le_bytes(), EventFlags::NONE).expect("room");
    }
    until("both say that they have no peer", || {
        [&responder, &initiator].iter().all(|bus| bus.stats().total().adapter == AdapterState::Connecting)
    });
    assert!(counted(&initiator, "session_timeouts") > 0);
    network.darken(false);
    initiator.flush().expect("the peer is there again");
    assert_eq!(arrived(&responder), 3_000);
}

#[test]
fn a_client_whose_address_changes_goes_on() {
    let (network, responder, initiator) = connected(13, [2, 2], "");
    let handshakes = counted(&initiator, "handshakes");
    for round in 0..5 {
        publish(&initiator, round * 1_000, 1_000);
        network.change_addresses();
        publish(&responder, round * 100, 100);
    }
    assert_eq!((arrived(&responder), arrived(&initiator)), (5_000, 500));
    assert_eq!(counted(&initiator, "handshakes"), handshakes, "the sessions live on");
}

#[test]
fn a_responder_that_restarts_gets_what_the_first_has_not_confirmed() {
    let meeting = Meeting::new();
    let start = |section: String| bus(&format!(r#"{{"num_shards":1,{BUS}{section}}}"#));
    let (first, initiator) = (start(meeting.responder(HASTY)), start(meeting.initiator(HASTY)));
    publish(&initiator, 0, 1_000);
    assert_eq!(arrived(&first), 1_000);
    first.shutdown(Some(Duration::ZERO)).expect("it is the only one");
    drop(first);
    let mut producer = initiator.producer();
    for at in 1_000..2_000_u32 {
        producer.publish(Some(b"k"), &at.to_le_bytes(), EventFlags::NONE).expect("room");
    }
    let second = start(meeting.responder(HASTY));
    initiator.flush().expect("the new one stores it");
    let numbers: Vec<u32> = read_all(&second, 1_000).iter().map(|(_, payload)| number(payload)).collect();
    assert_eq!(numbers, (1_000..2_000).collect::<Vec<_>>());
}

#[test]
fn a_replay_of_everything_changes_nothing_even_in_a_later_session() {
    let (network, responder, initiator) = connected(17, [1, 1], HASTY);
    network.capture(10_000);
    publish(&initiator, 0, 2_000);
    publish(&responder, 0, 500);
    let mut captured = network.captured();
    assert!(captured.len() > 100, "{}", captured.len());
    let mut random = Random::new(17);
    (1..captured.len()).for_each(|at| captured.swap(at, random.below(at as u64 + 1) as usize));
    let replay = || {
        for (at, datagram) in captured.iter().enumerate() {
            let speaker = if at % 2 == 0 { Speaker::Same } else { Speaker::Stranger };
            network.say(datagram.clone(), speaker);
        }
    };
    replay();
    until("replays are seen as such", || counted(&responder, "refused_replayed") > 100);
    publish(&initiator, 2_000, 100);
    assert_eq!((arrived(&responder), arrived(&initiator)), (2_100, 500));

    // Another session of the same two.
    network.darken(true);
    until("the session is over", || initiator.stats().total().adapter == AdapterState::Connecting);
    network.darken(false);
    publish(&initiator, 2_100, 100);
    let before = counted(&responder, "refused_session");
    replay();
    until("replays belong to no session", || counted(&responder, "refused_session") > before + 50);
    publish(&initiator, 2_200, 100);
    assert_eq!((arrived(&responder), arrived(&initiator)), (2_300, 500));
}

#[test]
fn who_has_another_key_is_refused_and_not_answered() {
    let (ours, theirs) = (Meeting::new(), Meeting::new());
    let section = ours.responder("");
    let responder = bus(&format!(r#"{{"num_shards":1,{section}}}"#));
    let network = UdpProxy::start(SocketAddr::from(([127, 0, 0, 1], ours.port())), 1);
    network.capture(100);
    let section = theirs.initiator_to(network.address().port(), "");
    let stranger = bus(&format!(r#"{{"num_shards":1,{section}}}"#));
    until("it is refused", || counted(&responder, "refused_mac1") > 1);
    assert!(network.captured().iter().all(|datagram| datagram.way == Way::ToServer), "silence");
    assert_eq!(stranger.stats().total().adapter, AdapterState::Connecting);
}

#[test]
fn a_second_initiator_waits_until_the_first_has_left() {
    let meeting = Meeting::new();
    let start = |section: String| bus(&format!(r#"{{"num_shards":1,{BUS}{section}}}"#));
    let (responder, first) = (start(meeting.responder("")), start(meeting.initiator("")));
    publish(&first, 0, 100);
    let second = start(meeting.initiator(""));
    until("it is refused", || counted(&responder, "peers_not_admitted") > 0);
    assert_eq!(second.stats().total().adapter, AdapterState::Connecting);
    publish(&first, 100, 100);
    first.shutdown(None).expect("it is the only one");
    publish(&second, 0, 100);
    assert_eq!(read_all(&responder, 1_000).len(), 300);
}

#[test]
fn a_port_belongs_to_one_bus() {
    let meeting = Meeting::new();
    let section = meeting.responder("");
    let (config, parsed) =
        engine::config::Config::parse(&format!(r#"{{"num_shards":2,{section}}}"#), &adapters::SECTIONS)
            .expect("it is right");
    let first = adapters::factory(parsed.clone(), &config).expect("the port is free");
    let second = adapters::factory(parsed.clone(), &config).err().expect("the port is taken");
    assert!(second.to_string().contains("taken"), "{second}");
    drop(first);
    adapters::factory(parsed, &config).expect("the port is free again");
}

#[test]
fn a_flood_takes_no_memory_gets_no_answer_larger_than_it_and_stops_nobody() {
    let meeting = Meeting::new();
    let server = SocketAddr::from(([127, 0, 0, 1], meeting.port()));
    let network = UdpProxy::start(server, 23);
    network.capture(64);
    let start = |section: String| bus(&format!(r#"{{"num_shards":1,{BUS}{section}}}"#));
    let (responder, initiator) =
        (start(meeting.responder("")), start(meeting.initiator_to(network.address().port(), "")));
    publish(&initiator, 0, 1_000);
    let captured = network.captured();
    assert!(
        captured.iter().any(|datagram| datagram.bytes[0] == INITIATION),
        "the first message is among them"
    );
    let ours: Vec<&[u8]> = captured
        .iter()
        .filter(|datagram| datagram.way == Way::ToServer)
        .map(|datagram| datagram.bytes.as_slice())
        .collect();
    let before = procfs::resident_bytes();
    let stop = AtomicBool::new(false);
    let answered = thread::scope(|scope| {
        let flood = scope.spawn(|| flood(server, &ours, &stop));
        let _stops = SetOnDrop(&stop);
        for round in 1..=5 {
            publish(&initiator, round * 1_000, 1_000);
        }
        stop.store(true, Ordering::Release);
        flood.join().expect("it does not panic")
    });
    assert_eq!(arrived(&responder), 6_000);
    assert!(answered.said > 10_000, "{answered:?}");
    assert!(answered.heard_bytes <= answered.said_bytes, "{answered:?}");
    assert!(counted(&responder, "refused_malformed") > 0);
    let grown = procfs::resident_bytes().saturating_sub(before);
    assert!(grown <= 16 << 20, "{grown} bytes");
}

/// Two buses with so many shards, the responder's first, and a network between them.
fn connected(seed: u64, [responder, initiator]: [u16; 2], options: &str) -> (UdpProxy, Bus, Bus) {
    let meeting = Meeting::new();
    let network = UdpProxy::start(SocketAddr::from(([127, 0, 0, 1], meeting.port())), seed);
    let start = |shards: u16, section: String| bus(&format!(r#"{{"num_shards":{shards},{BUS}{section}}}"#));
    let responder = start(responder, meeting.responder(options));
    let initiator = start(initiator, meeting.initiator_to(network.address().port(), options));
    until("they have met", || {
        [&responder, &initiator].iter().all(|bus| bus.stats().total().adapter == AdapterState::Up)
    });
    (network, responder, initiator)
}

/// Publishes numbered events, and waits until the peer has them, where it says so.
fn publish(bus: &Bus, first: u32, count: u32) {
    let mut producer = bus.producer();
    for number in first..first + count {
        let mut payload = number.to_le_bytes().to_vec();
        payload.resize(4 + number as usize % 400, 0xaa);
        producer.publish(Some(b"k"), &payload, EventFlags::NONE).expect("room");
    }
    bus.flush().expect("the peer stores everything");
}

/// How many events have arrived: all up to that number, once and in order.
fn arrived(bus: &Bus) -> u32 {
    let numbers: Vec<u32> = read_all(bus, 1_000).iter().map(|(_, payload)| number(payload)).collect();
    assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>());
    numbers.len() as u32
}

fn number(payload: &[u8]) -> u32 {
    u32::from_le_bytes(*payload.first_chunk().expect("four bytes"))
}

fn counted(bus: &Bus, name: &str) -> u64 {
    count(&bus.stats(), name)
}

const BAD: Faults =
    Faults { lost: 100, doubled: 50, overtaken: 100, flipped: 20, cut: 10, delay: Duration::ZERO };
/// Sessions that are soon seen to be over.
const HASTY: &str = r#""heartbeat_interval_ms":30,"session_timeout_ms":300,"#;
/// A packet's first byte.
const INITIATION: u8 = 1;
