//! Two processes on a simulated network, without sockets: everything between the packets that come and those that go is real, time is
//! not. A seed makes the faults; after a while they stop, and everything has to arrive.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::event::EventFlags;
use zeroize::Zeroizing;

use super::*;
use crate::udp::aead::Cipher;
use crate::udp::channel::{Reliability, Settings};
use crate::udp::claim::Claim;
use crate::udp::entropy::{SystemEntropy, secret};
use crate::udp::initiator::Initiator;
use crate::udp::noise::public_key;
use crate::udp::resolve::Resolved;
use crate::udp::responder::Responder;

#[test]
fn full_brings_everything_once_and_in_order_whatever_happens_to_packets() {
    for seed in seeds() {
        World::new(seed, Reliability::Full, Faults::of(seed)).run();
    }
}

#[test]
fn the_others_bring_nothing_twice_and_light_keeps_the_order() {
    for seed in seeds() {
        let reliability = if seed % 2 == 0 { Reliability::Light } else { Reliability::None };
        World::new(seed, reliability, Faults { restarts: false, ..Faults::of(seed) }).run();
    }
}

#[test]
fn where_nothing_is_lost_the_others_bring_everything() {
    for seed in 0..20 {
        for reliability in [Reliability::Light, Reliability::None] {
            let mut world = World::new(seed, reliability, Faults::default());
            world.run();
            for [there, here] in [[0, 1], [1, 0]] {
                let count = |process: usize, of: fn(&Shard) -> u64| -> u64 {
                    world.sides[process].shards.iter().map(of).sum()
                };
                let received = count(here, |shard| shard.received.len() as u64);
                assert_eq!(received, count(there, |shard| shard.published), "seed {seed}, {reliability:?}");
            }
        }
    }
}

#[test]
fn keys_are_replaced_without_a_gap() {
    let mut world = World::new(3, Reliability::Full, Faults::default());
    (world.pace_ns, world.give_up_ns) = (3_000_000_000, u64::MAX);
    world.sides.iter_mut().flat_map(|process| &mut process.shards).for_each(|shard| shard.events = 3_000);
    world.run();
    let (minutes, counts) = (world.now.0 / 60_000_000_000, world.sides[1].shards[0].endpoint.counts());
    assert!(minutes >= 5, "{minutes} minutes");
    assert!(counts.handshakes >= minutes / 2, "{counts:?}");
    assert_eq!(counts.timeouts, 0);
}

/// The short form has few seeds.
fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("LIBNET_SIM_SEEDS").ok().and_then(|count| count.parse().ok());
    0..count.unwrap_or(60)
}

/// What happens, in thousandths of all packets.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    loss: u32,
    twice: u32,
    late: u32,
    /// By so much a packet may be later than another.
    jitter_ns: u64,
    flipped: u32,
    cut: u32,
    /// Packets of the past that come again, each time that one is sent.
    replayed: u32,
    /// Times in which nothing comes through.
    blackouts: bool,
    /// The initiator gets another address.
    moves: bool,
    /// One of the processes ends, and another begins.
    restarts: bool,
}

impl Faults {
    fn of(seed: u64) -> Faults {
        let mut rng = fastrand::Rng::with_seed(seed);
        Faults {
            loss: rng.u32(0..300),
            twice: rng.u32(0..200),
            late: rng.u32(0..300),
            jitter_ns: 20_000,
            flipped: rng.u32(0..100),
            cut: rng.u32(0..50),
            replayed: rng.u32(0..200),
            blackouts: rng.bool(),
            moves: rng.bool(),
            restarts: rng.u8(0..4) == 0,
        }
    }
}

/// One process: its shards, and what they have had to do with events.
struct Process {
    /// Counts processes on this side; events carry it.
    life: u64,
    shards: Vec<Shard>,
    /// Its clients' port differs after a move.
    port: u16,
}

struct Shard {
    endpoint: Endpoint,
    batch: Option<Rc<Batch>>,
    /// How many it is to publish.
    events: u64,
    published: u64,
    publishes_at: u64,
    settled: u64,
    arrived: Batch,
    received: Vec<Received>,
}

/// When a packet arrives, its number, side and shard of its receiver, whom it says to be from, and what it says.
type OnTheWay = (u64, u64, usize, usize, SocketAddr, Vec<u8>);

/// Sender's life and shard, number and hash of an event.
type Received = (u64, u64, u64, u64);

struct World {
    seed: u64,
    rng: fastrand::Rng,
    now: Monotonic,
    reliability: Reliability,
    faults: Faults,
    keys: Keys,
    /// Responder, initiator.
    sides: [Process; 2],
    wire: BinaryHeap<Reverse<OnTheWay>>,
    sent: u64,
    captured: Vec<(usize, usize, Vec<u8>)>,
    /// Side of each process that has ended, and what its store had.
    graves: Vec<(usize, Vec<Received>)>,
    dark_until: u64,
    /// Between two batches of a shard.
    pace_ns: u64,
    give_up_ns: u64,
}

struct Keys {
    psk: [u8; 32],
    secret: [u8; 32],
}

impl World {
    fn new(seed: u64, reliability: Reliability, faults: Faults) -> World {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let mut entropy = SystemEntropy::new();
        let keys = Keys { psk: *secret(&mut entropy), secret: *secret(&mut entropy) };
        let shards = [rng.u16(1..=3), rng.u16(1..=3)];
        let start = Monotonic(1);
        let sides =
            [0, 1].map(|side| Process::new(side, 0, shards[side], reliability, &keys, &mut rng, start));
        World {
            seed,
            rng,
            now: start,
            reliability,
            faults,
            keys,
            sides,
            wire: BinaryHeap::new(),
            sent: 0,
            captured: Vec::new(),
            graves: Vec::new(),
            dark_until: 0,
            pace_ns: 0,
            give_up_ns: GIVE_UP_NS,
        }
    }

    fn run(&mut self) {
        let mut restart_at = self.faults.restarts.then(|| self.rng.u64(1..FAULTS_END_NS));
        while !self.is_done() {
            assert!(self.now.0 < self.give_up_ns, "seed {}: not drained: {:?}", self.seed, self.states());
            if self.now.0 >= FAULTS_END_NS {
                self.calm();
            }
            if restart_at.take_if(|at| *at <= self.now.0).is_some() {
                self.restart();
            }
            self.happen();
            for side in 0..2 {
                for shard in 0..self.sides[side].shards.len() {
                    self.turn(side, shard);
                }
            }
            self.go_to_next();
        }
        self.check();
    }

    /// Nothing goes wrong any more.
    fn calm(&mut self) {
        self.faults = Faults { restarts: self.faults.restarts, ..Faults::default() };
        self.dark_until = 0;
    }

    /// Delivers what is due.
    fn happen(&mut self) {
        while let Some(Reverse((at, ..))) = self.wire.peek()
            && *at <= self.now.0
        {
            let Some(Reverse((_, _, side, shard, from, mut packet))) = self.wire.pop() else { break };
            let Some(shard) = self.sides[side].shards.get_mut(shard) else { continue };
            shard.endpoint.receive(&mut packet, from, self.now, &mut shard.arrived);
        }
        if self.faults.blackouts && self.rng.u32(0..2_000) == 0 {
            self.dark_until = self.now.0 + self.rng.u64(0..4_000_000_000);
        }
        if self.faults.moves && self.rng.u32(0..2_000) == 0 {
            self.sides[1].port += 100;
        }
    }

    /// One shard's round.
    fn turn(&mut self, side: usize, at: usize) {
        let (now, life) = (self.now, self.sides[side].life);
        let shard = &mut self.sides[side].shards[at];
        shard.endpoint.on_time(now, &mut shard.arrived);
        shard.store(now);
        if shard.batch.is_some() && shard.endpoint.is_settled() {
            shard.settled = shard.published;
            shard.batch = None;
        }
        let is_due = shard.published < shard.events && shard.publishes_at <= now.0;
        if is_due && shard.batch.is_none() && shard.endpoint.is_open(now) {
            shard.publishes_at = now.0 + self.pace_ns;
            shard.publish(life, at as u64, &mut self.rng);
        }
        let mut buffer = vec![0; 4 * MTU];
        while let Some(burst) = self.sides[side].shards[at].endpoint.transmit(&mut buffer, now) {
            for packet in buffer[..burst.bytes].chunks(burst.segment) {
                self.send(side, at, burst.to, packet);
            }
        }
    }

    fn send(&mut self, side: usize, at: usize, to: SocketAddr, packet: &[u8]) {
        let there = 1 - side;
        let count = self.sides[there].shards.len();
        let shard = if there == 0 {
            usize::from(packet[1]) % count
        } else {
            let (port, first) = (to.port(), self.sides[1].port);
            if port < first || usize::from(port - first) >= count {
                return;
            }
            usize::from(port - first)
        };
        self.captured.push((there, shard, packet.to_vec()));
        let from = self.sides[side].address(at);
        self.put(there, shard, from, packet.to_vec());
        if self.happens(self.faults.twice) {
            self.put(there, shard, from, packet.to_vec());
        }
        if self.happens(self.faults.replayed) {
            let again = self.rng.usize(0..self.captured.len());
            let (there, shard, packet) = self.captured[again].clone();
            let from = SocketAddr::from(([10, 9, 9, self.rng.u8(..)], 9));
            self.put(there, shard, from, packet);
        }
    }

    /// Puts a packet on the wire, where anything may become of it.
    fn put(&mut self, side: usize, shard: usize, from: SocketAddr, mut packet: Vec<u8>) {
        if self.now.0 < self.dark_until || self.happens(self.faults.loss) {
            return;
        }
        if self.happens(self.faults.flipped) {
            let at = self.rng.usize(0..packet.len());
            packet[at] ^= 1 << self.rng.u8(0..8);
        }
        if self.happens(self.faults.cut) {
            packet.truncate(self.rng.usize(0..packet.len()));
        }
        let mut delay = 50_000 + self.rng.u64(0..=self.faults.jitter_ns);
        if self.happens(self.faults.late) {
            delay += self.rng.u64(0..5_000_000);
        }
        self.sent += 1;
        self.wire.push(Reverse((self.now.0 + delay, self.sent, side, shard, from, packet)));
    }

    fn happens(&mut self, thousandths: u32) -> bool {
        self.rng.u32(0..1_000) < thousandths
    }

    /// A process ends, and another one takes its place.
    fn restart(&mut self) {
        let side = usize::from(self.rng.bool());
        let (life, shards) = (self.sides[side].life + 1, self.rng.u16(1..=3));
        let (reliability, now) = (self.reliability, self.now);
        let fresh = Process::new(side, life, shards, reliability, &self.keys, &mut self.rng, now);
        let dead = std::mem::replace(&mut self.sides[side], fresh);
        let received = dead.shards.into_iter().flat_map(|shard| shard.received).collect();
        self.graves.push((side, received));
    }

    /// Time passes until something is due.
    fn go_to_next(&mut self) {
        let shards = self.sides.iter().flat_map(|process| &process.shards);
        let due = shards.filter_map(|shard| shard.endpoint.due()).min().map_or(u64::MAX, |due| due.0);
        let wire = self.wire.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        // A shard that cannot send yet looks again.
        let next = due.min(wire).min(self.now.0 + 100_000_000);
        self.now = Monotonic(next.max(self.now.0 + 1_000));
    }

    fn is_done(&self) -> bool {
        let settled = |shard: &Shard| shard.published == shard.events && shard.batch.is_none();
        let everything = self.sides.iter().flat_map(|process| &process.shards).all(settled);
        // With the others the last packets may be on their way, or given up.
        everything && (self.reliability == Reliability::Full || self.wire.is_empty())
    }

    fn states(&self) -> Vec<(AdapterState, u64, u64)> {
        let shards = self.sides.iter().flat_map(|process| &process.shards);
        shards.map(|shard| (shard.endpoint.state(self.now), shard.published, shard.settled)).collect()
    }

    fn check(&self) {
        let seed = self.seed;
        for side in 0..2 {
            let mut seen = HashSet::new();
            let mut newest = HashMap::new();
            for received in self.sides[side].shards.iter().map(|shard| &shard.received) {
                for &(life, sender, number, hash) in received {
                    assert!(seen.insert((life, sender, number)), "seed {seed}: {number} twice");
                    let before = newest.insert((life, sender, hash), number);
                    let is_ordered = before.is_none_or(|before| before < number);
                    assert!(is_ordered || self.reliability == Reliability::None, "seed {seed}: order");
                }
            }
            let sender = &self.sides[1 - side];
            let of_graves =
                self.graves.iter().filter(|(grave, _)| *grave == side).flat_map(|(_, events)| events);
            seen.extend(of_graves.map(|&(life, sender, number, _)| (life, sender, number)));
            if self.reliability == Reliability::Full {
                for shard in 0..sender.shards.len() as u64 {
                    let all = (0..sender.shards[shard as usize].events)
                        .all(|number| seen.contains(&(sender.life, shard, number)));
                    assert!(all, "seed {seed}: something is missing");
                }
            }
        }
    }
}

impl Process {
    fn new(
        side: usize,
        life: u64,
        shards: u16,
        reliability: Reliability,
        keys: &Keys,
        rng: &mut fastrand::Rng,
        now: Monotonic,
    ) -> Process {
        let (claim, local) =
            (Arc::new(Claim::default()), Peer { instance: rng.u64(1..), shards, mtu: MTU as u16 });
        let endpoint = |shard| {
            let psk = Zeroizing::new(keys.psk);
            let mut entropy = SystemEntropy::new();
            let side = if side == 0 {
                let responder = Responder::new(psk, Zeroizing::new(keys.secret), now, &mut entropy);
                Side::Responder(Answerer::new(responder, Arc::clone(&claim), None, None, entropy))
            } else {
                let initiator = Initiator::new(psk, public_key(&keys.secret)).expect("a good key");
                let cipher = Cipher::ChaCha20Poly1305;
                Side::Initiator(Dialer::new(initiator, cipher, Resolved::known(responder()), rng.fork()))
            };
            let settings = Settings {
                reliability,
                plaintext_max: MTU,
                window_blocks: 64,
                event_bytes_max: 1 << 20,
                kept_bytes_max: 64 * MTU,
            };
            let (heartbeat, timeout) = (Duration::from_millis(200), Duration::from_secs(2));
            Endpoint::new(side, Place { shard, local, settings, heartbeat, timeout }, now)
        };
        let shards = (0..shards).map(endpoint).map(Shard::new).collect();
        Process { life, shards, port: if side == 0 { 0 } else { 1_000 } }
    }

    fn address(&self, shard: usize) -> SocketAddr {
        if self.port == 0 { responder() } else { SocketAddr::from(([10, 0, 0, 1], self.port + shard as u16)) }
    }
}

impl Shard {
    fn new(endpoint: Endpoint) -> Shard {
        Shard {
            endpoint,
            batch: None,
            events: EVENTS,
            published: 0,
            publishes_at: 0,
            settled: 0,
            arrived: Batch::default(),
            received: Vec::new(),
        }
    }

    fn publish(&mut self, life: u64, shard: u64, rng: &mut fastrand::Rng) {
        let mut batch = Batch::default();
        for number in self.published..(self.published + rng.u64(1..40)).min(self.events) {
            let hash = [7, u64::MAX, 1 << 40, 1 << 20][rng.usize(0..4)];
            let mut payload = [life, shard, number].map(u64::to_le_bytes).concat();
            payload.resize(24 + if rng.u8(..) < 8 { rng.usize(0..5_000) } else { rng.usize(0..200) }, 0xaa);
            batch.push(number, hash, EventFlags::NONE, &payload);
        }
        self.published += batch.len() as u64;
        let batch = Rc::new(batch);
        self.endpoint.take(&batch);
        self.batch = Some(batch);
    }

    fn store(&mut self, now: Monotonic) {
        for event in self.arrived.events() {
            let word =
                |at: usize| u64::from_le_bytes(event.payload[at * 8..][..8].try_into().expect("8 bytes"));
            assert!(event.payload[24..].iter().all(|byte| *byte == 0xaa), "a changed event");
            self.received.push((word(0), word(1), word(2), event.hash));
        }
        self.arrived.clear();
        let mut marks = Vec::new();
        self.endpoint.marks(&mut marks);
        self.endpoint.stored(&marks, now);
    }
}

fn responder() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 2], 7_000))
}

const MTU: usize = 600;
/// Of each shard.
const EVENTS: u64 = 150;
const FAULTS_END_NS: u64 = 10_000_000_000;
const GIVE_UP_NS: u64 = 200_000_000_000;
