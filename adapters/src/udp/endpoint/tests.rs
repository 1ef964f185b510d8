//! Endpoints one step after the other: what a network that is bad by chance does not show.

use std::sync::Arc;
use std::time::Duration;

use engine::event::EventFlags;
use zeroize::Zeroizing;

use super::*;
use crate::udp::aead::Cipher;
use crate::udp::channel::{Reliability, Settings};
use crate::udp::claim::Claim;
use crate::udp::entropy::SystemEntropy;
use crate::udp::initiator::Initiator;
use crate::udp::noise::public_key;
use crate::udp::resolve::Resolved;
use crate::udp::responder::Responder;

#[test]
fn two_that_have_met_another_in_between_begin_anew_and_go_on() {
    for reliability in [Reliability::Full, Reliability::Light] {
        let mut now = START;
        let mut responder = Party::new(Role::Responder, 1, reliability, EVENT_BYTES_MAX);
        let mut initiators =
            [2, 3].map(|instance| Party::new(Role::Initiator, instance, reliability, EVENT_BYTES_MAX));
        for (round, which) in [0, 1, 0].into_iter().enumerate() {
            let initiator = &mut initiators[which];
            talk(&mut responder, initiator, &mut now, Duration::from_secs(5));
            assert!(initiator.endpoint.is_open(now), "{reliability:?}, {round}");
            responder.publish(300);
            initiator.publish(300);
            talk(&mut responder, initiator, &mut now, Duration::from_secs(1));
            for party in [&mut responder, initiator] {
                assert!(party.endpoint.is_settled(), "{reliability:?}, {round}");
                assert_eq!(std::mem::take(&mut party.received), 300, "{reliability:?}, {round}");
            }
        }
    }
}

#[test]
fn those_whose_largest_events_differ_are_told_so_and_send_nothing() {
    let mut now = START;
    let mut responder = Party::new(Role::Responder, 1, Reliability::Full, EVENT_BYTES_MAX);
    let mut initiator = Party::new(Role::Initiator, 2, Reliability::Full, 2 * EVENT_BYTES_MAX);
    talk(&mut responder, &mut initiator, &mut now, Duration::from_secs(1));
    assert_eq!(initiator.endpoint.state(now), AdapterState::Down);
    let error = initiator.endpoint.take_error().expect("it is told");
    assert!(matches!(&error, AdapterError::Final(reason) if reason.contains("max_event_bytes")), "{error}");
}

#[test]
fn a_session_whose_keys_are_spent_is_over_and_asks_for_nothing() {
    let mut now = START;
    let mut responder = Party::new(Role::Responder, 1, Reliability::Full, EVENT_BYTES_MAX);
    let mut initiator = Party::new(Role::Initiator, 2, Reliability::Full, EVENT_BYTES_MAX);
    for party in [&mut responder, &mut initiator] {
        party.endpoint.place.timeout = Duration::from_hours(1);
    }
    talk(&mut responder, &mut initiator, &mut now, Duration::from_secs(1));
    assert!(responder.endpoint.is_open(now));
    responder.publish(1);
    now = now.after(Duration::from_secs(181));
    responder.turn(now);
    assert!(!responder.endpoint.is_open(now));
    assert!(responder.endpoint.due().is_none_or(|due| due > now), "{:?}", responder.endpoint.due());
}

#[test]
fn who_asks_without_end_keeps_no_session_from_speaking() {
    let mut now = START;
    let mut responder = Party::new(Role::Responder, 1, Reliability::Full, EVENT_BYTES_MAX);
    let mut initiator = Party::new(Role::Initiator, 2, Reliability::Full, EVENT_BYTES_MAX);
    talk(&mut responder, &mut initiator, &mut now, Duration::from_secs(1));
    responder.publish(300);
    for instance in 10..70 {
        let asked = Party::new(Role::Initiator, instance, Reliability::Full, EVENT_BYTES_MAX).turn(now);
        for mut packet in asked {
            responder.hear(&mut packet, address(instance), now);
        }
    }
    let mut buffer = [0; 2_048];
    let kinds: Vec<u8> =
        (0..8).map_while(|_| responder.endpoint.transmit(&mut buffer, now).map(|_| buffer[0])).collect();
    assert_eq!(kinds[..4], [2, 4, 2, 4], "responses and data take turns");
}

#[test]
fn packets_from_elsewhere_are_not_looked_at_where_one_address_is_the_peers() {
    let mut now = START;
    let mut responder = Party::new(Role::Responder, 1, Reliability::Full, EVENT_BYTES_MAX);
    let Side::Responder(answerer) = &mut responder.endpoint.side else { unreachable!("it is one") };
    answerer.admit_only("192.0.2.77".parse().expect("an address"));
    let mut initiator = Party::new(Role::Initiator, 2, Reliability::Full, EVENT_BYTES_MAX);
    talk(&mut responder, &mut initiator, &mut now, Duration::from_secs(1));
    assert!(!responder.endpoint.is_open(now));
    assert!(responder.endpoint.counts().refused[Refused::Address.index()] > 0);
}

#[derive(Clone, Copy)]
enum Role {
    Responder,
    Initiator,
}

/// One process with one shard.
struct Party {
    endpoint: Endpoint,
    instance: u64,
    arrived: Batch,
    received: usize,
}

impl Party {
    fn new(role: Role, instance: u64, reliability: Reliability, event_bytes_max: usize) -> Party {
        let (psk, secret) = (Zeroizing::new([1; 32]), [2; 32]);
        let mut entropy = SystemEntropy::new();
        let side = match role {
            Role::Responder => {
                let responder = Responder::new(psk, Zeroizing::new(secret), START, &mut entropy);
                Side::Responder(Answerer::new(responder, Arc::new(Claim::default()), None, None, entropy))
            }
            Role::Initiator => {
                let initiator = Initiator::new(psk, public_key(&secret)).expect("a good key");
                let jitter = fastrand::Rng::with_seed(instance);
                let there = Resolved::known(address(1));
                Side::Initiator(Dialer::new(initiator, Cipher::ChaCha20Poly1305, there, jitter))
            }
        };
        let settings = Settings {
            reliability,
            plaintext_max: MTU,
            window_blocks: 64,
            event_bytes_max,
            kept_bytes_max: 64 * MTU,
        };
        let local = Peer { instance, shards: 1, mtu: MTU as u16 };
        let (heartbeat, timeout) = (Duration::from_millis(200), Duration::from_secs(2));
        let endpoint = Endpoint::new(side, Place { shard: 0, local, settings, heartbeat, timeout }, START);
        Party { endpoint, instance, arrived: Batch::default(), received: 0 }
    }

    fn publish(&mut self, count: u64) {
        let mut batch = Batch::default();
        (0..count).for_each(|number| batch.push(number, number, EventFlags::NONE, &[0xaa; 40]));
        self.endpoint.take(&Rc::new(batch));
    }

    fn hear(&mut self, packet: &mut [u8], from: SocketAddr, now: Monotonic) {
        self.endpoint.receive(packet, from, now, &mut self.arrived);
    }

    /// Does what is due, stores what has come, and gives what is to be sent.
    fn turn(&mut self, now: Monotonic) -> Vec<Vec<u8>> {
        self.endpoint.on_time(now, &mut self.arrived);
        self.received += self.arrived.len();
        self.arrived.clear();
        let mut marks = Vec::new();
        self.endpoint.marks(&mut marks);
        self.endpoint.stored(&marks, now);
        let (mut buffer, mut packets) = (vec![0; 64 * MTU], Vec::new());
        while let Some(burst) = self.endpoint.transmit(&mut buffer, now) {
            packets.extend(buffer[..burst.bytes].chunks(burst.segment).map(<[u8]>::to_vec));
        }
        packets
    }
}

/// Lets time go by, in which every packet of the two comes at once.
fn talk(one: &mut Party, other: &mut Party, now: &mut Monotonic, time: Duration) {
    let end = now.after(time);
    while *now < end {
        *now = now.after(Duration::from_millis(1));
        for mut packet in one.turn(*now) {
            other.hear(&mut packet, address(one.instance), *now);
        }
        for mut packet in other.turn(*now) {
            one.hear(&mut packet, address(other.instance), *now);
        }
    }
}

fn address(instance: u64) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, instance as u8], 700))
}

const START: Monotonic = Monotonic(1_000_000_000);
const MTU: usize = 600;
const EVENT_BYTES_MAX: usize = 1 << 20;
