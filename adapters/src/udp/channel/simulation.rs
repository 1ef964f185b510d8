//! Two channels over a network that loses, doubles, delays and reorders packets, falls silent for a while, and gets new keys; in virtual
//! time, from a seed. `LIBNET_SIM_SEEDS` says how many seeds are tried of each kind.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::rc::Rc;

use engine::event::EventFlags;
use fastrand::Rng;

use super::*;

const MS: u64 = 1_000_000;

/// What may happen, drawn from the seed.
#[derive(Debug)]
struct Faults {
    loss_percent: u8,
    double_percent: u8,
    late_percent: u8,
    delay_ns: u64,
    jitter_ns: u64,
    late_ns: u64,
    /// Nothing passes from, until.
    blackout: (u64, u64),
    /// New keys, when. What is under way is lost then.
    reconnects: Vec<u64>,
    jump: (u64, u64),
    store_delay_ns: u64,
    /// From here on the network is without a fault.
    end_ns: u64,
}

impl Faults {
    fn draw(rng: &mut Rng) -> Faults {
        let end_ns = rng.u64(1..3_000) * MS;
        let often =
            |rng: &mut Rng, percent: u8, max: u8| if rng.u8(..100) < percent { rng.u8(..=max) } else { 0 };
        let blackout_start = rng.u64(..end_ns);
        let delay_ns = 10_000 << rng.u32(..13);
        Faults {
            loss_percent: often(rng, 75, 30),
            double_percent: often(rng, 50, 20),
            late_percent: often(rng, 50, 20),
            delay_ns,
            jitter_ns: if rng.bool() { 0 } else { rng.u64(..delay_ns) },
            late_ns: rng.u64(1..50) * MS / 10,
            blackout: if rng.u8(..4) > 0 {
                (0, 0)
            } else {
                (blackout_start, blackout_start + rng.u64(..2_000) * MS)
            },
            reconnects: (0..rng.u8(..4).saturating_sub(1)).map(|_| rng.u64(..end_ns)).collect(),
            jump: if rng.u8(..4) > 0 { (u64::MAX, 0) } else { (rng.u64(..end_ns), rng.u64(..10_000) * MS) },
            store_delay_ns: if rng.bool() { 0 } else { rng.u64(..10 * MS) },
            end_ns,
        }
    }
}

struct Side {
    channel: Channel,
    number: u64,
    read: HashSet<u64>,
    to_take: u64,
    take_at: u64,
    taken: u64,
    arrived: Batch,
    received: Vec<u64>,
    /// When what has come up to a mark is stored, and how many events that are.
    storing: VecDeque<(u64, Mark, u64)>,
    stored: u64,
    ping_at: u64,
}

/// A packet under way: when it comes, to whom.
type Flying = Reverse<(u64, u64, usize, u64, Vec<u8>)>;

struct Network {
    rng: Rng,
    faults: Faults,
    settings: Settings,
    now: u64,
    flying: BinaryHeap<Flying>,
    packets: u64,
    sides: [Side; 2],
}

/// Event `index` of a side, as it is to arrive.
fn payload(index: u64, length: usize) -> Vec<u8> {
    (0..length).map(|at| (index as usize * 31 + at) as u8).collect()
}

impl Network {
    fn new(seed: u64, reliability: Reliability) -> Network {
        let mut rng = Rng::with_seed(seed);
        let faults = Faults::draw(&mut rng);
        let settings = Settings {
            reliability,
            plaintext_max: rng.usize(PLAINTEXT_MIN..2_000),
            window_blocks: rng.u32(WINDOW_BLOCKS_MIN..300),
            event_bytes_max: 100_000,
            kept_bytes_max: rng.usize(1_000..300_000),
        };
        Network::with(rng, faults, settings)
    }

    fn with(mut rng: Rng, faults: Faults, settings: Settings) -> Network {
        let now = rng.u64(..1 << 40);
        let mut side = |_| Side {
            channel: Channel::new(&settings, Monotonic(now)),
            number: rng.u64(..3),
            read: HashSet::new(),
            to_take: rng.u64(..2_000),
            take_at: now,
            taken: 0,
            arrived: Batch::default(),
            received: Vec::new(),
            storing: VecDeque::new(),
            stored: 0,
            ping_at: now,
        };
        let sides = [0, 1].map(&mut side);
        let mut network =
            Network { rng, faults, settings, now, flying: BinaryHeap::new(), packets: 0, sides };
        let faults = &mut network.faults;
        for at in [&mut faults.blackout.0, &mut faults.blackout.1, &mut faults.jump.0, &mut faults.end_ns] {
            *at = at.saturating_add(now);
        }
        faults.reconnects.iter_mut().for_each(|at| *at += now);
        faults.reconnects.sort_unstable();
        network
    }

    fn is_faulty(&self) -> bool {
        self.now < self.faults.end_ns
    }

    /// Runs until both sides have nothing more to do, or far too long.
    fn run(&mut self) {
        let mut steps = 0_u64;
        let mut quiet_since = self.now;
        loop {
            self.keys();
            for side in 0..2 {
                self.step(side);
            }
            self.check_stored();
            let is_done =
                |side: &Side| side.to_take == 0 && side.storing.is_empty() && side.channel.is_settled();
            if self.is_faulty() || !self.sides.iter().all(is_done) {
                quiet_since = self.now;
            }
            if self.now - quiet_since > 3_000 * MS {
                return;
            }
            steps += 1;
            assert!(steps < 3_000_000, "it does not come to rest");
            self.advance();
        }
    }

    /// Who is told that everything is stored is told the truth.
    fn check_stored(&self) {
        for (side, other) in [(0, 1), (1, 0)].map(|(side, other)| (&self.sides[side], &self.sides[other])) {
            if self.settings.reliability == Reliability::Full && side.channel.is_settled() {
                assert_eq!(other.stored, side.taken, "settled before it was stored");
            }
        }
    }

    /// Goes to the next moment at which something happens.
    fn advance(&mut self) {
        let mut next = self.now + 50 * MS;
        if let Some(Reverse((at, ..))) = self.flying.peek() {
            next = next.min(*at);
        }
        for side in &self.sides {
            let due = side.channel.due().map_or(u64::MAX, |due| due.0);
            assert!(due > self.now, "something is due after everything was done");
            let stored = side.storing.front().map_or(u64::MAX, |(at, ..)| *at);
            let take = if side.to_take > 0 { side.take_at } else { u64::MAX };
            next = next.min(due).min(stored).min(take).min(side.ping_at);
        }
        for &at in &self.faults.reconnects {
            next = next.min(at);
        }
        self.now = next.max(self.now + 1);
        if self.now >= self.faults.jump.0 {
            self.now += self.faults.jump.1;
            self.faults.jump.0 = u64::MAX;
            self.faults.end_ns = self.faults.end_ns.max(self.now + 1);
        }
    }

    fn keys(&mut self) {
        while self.faults.reconnects.first().is_some_and(|at| *at <= self.now) {
            self.faults.reconnects.remove(0);
            self.flying.clear();
            let now = Monotonic(self.now);
            self.sides.iter_mut().for_each(|side| side.channel.reconnected(now));
        }
    }

    fn step(&mut self, index: usize) {
        let now = self.now;
        while self.flying.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Reverse((_, _, to, number, plaintext)) = self.flying.pop().unwrap();
            let side = &mut self.sides[to];
            // Replays are refused below the channel.
            if side.read.insert(number) {
                side.channel.read(number, &plaintext, Monotonic(now), &mut side.arrived).unwrap();
            }
        }
        self.take(index);
        self.store(index);
        let side = &mut self.sides[index];
        if now >= side.ping_at {
            side.channel.ping();
            side.ping_at = now + 100 * MS;
        }
        if side.channel.due().is_some_and(|due| due.0 <= now) {
            side.channel.tick(Monotonic(now), &mut side.arrived);
            self.store(index);
        }
        let mut plaintext = vec![0; self.settings.plaintext_max];
        let mut packets = 0;
        loop {
            let side = &mut self.sides[index];
            let Some(len) = side.channel.write(side.number, Monotonic(now), &mut plaintext) else { break };
            let number = side.number;
            side.number += 1 + u64::from(self.rng.u8(..50) == 0);
            self.send(1 - index, number, &plaintext[..len]);
            packets += 1;
            assert!(packets < 100_000, "it has always something to send");
        }
    }

    fn take(&mut self, index: usize) {
        let side = &mut self.sides[index];
        if side.to_take == 0 || side.take_at > self.now {
            return;
        }
        if side.channel.unsettled() > 3 {
            side.take_at = self.now + MS;
            return;
        }
        let rng = &mut self.rng;
        let count_bits = rng.u32(..9);
        let count = side.to_take.min(1 + rng.u64(..1 << count_bits));
        let mut batch = Batch::default();
        for index in side.taken..side.taken + count {
            let length = match rng.u8(..100) {
                0 => rng.usize(..30_000),
                1..10 => rng.usize(..2_500),
                _ => rng.usize(..200),
            };
            let flags = if rng.bool() { EventFlags::JSON } else { EventFlags::NONE };
            batch.push(index, length as u64, flags, &payload(index, length));
        }
        side.taken += count;
        side.to_take -= count;
        let batch = Rc::new(batch);
        let split = rng.u32(..=count as u32);
        side.channel.take(Load { batch: Rc::clone(&batch), events: Events::Range(0..split) });
        let mut list = side.channel.spare_list();
        list.extend(split..count as u32);
        side.channel.take(Load { batch, events: Events::List(list) });
        side.take_at = self.now + rng.u64(..20 * MS);
    }

    fn store(&mut self, index: usize) {
        let side = &mut self.sides[index];
        for event in side.arrived.events() {
            assert_eq!(event.payload, payload(event.timestamp_ns, event.hash as usize), "as it was sent");
            side.received.push(event.timestamp_ns);
        }
        if !side.arrived.is_empty() {
            let (at, count) = (self.now + self.faults.store_delay_ns, side.received.len() as u64);
            side.storing.push_back((at, side.channel.mark(), count));
            side.arrived.clear();
        }
        while side.storing.front().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, mark, count) = side.storing.pop_front().unwrap();
            side.stored = count;
            side.channel.stored(mark, Monotonic(self.now));
        }
    }

    fn send(&mut self, to: usize, number: u64, plaintext: &[u8]) {
        let is_faulty = self.is_faulty();
        let (faults, rng) = (&self.faults, &mut self.rng);
        let mut percent = |percent: u8| is_faulty && rng.u8(..100) < percent;
        let is_dark = (faults.blackout.0..faults.blackout.1.min(faults.end_ns)).contains(&self.now);
        if is_dark || percent(faults.loss_percent) {
            return;
        }
        let copies = 1 + u8::from(percent(faults.double_percent));
        for _ in 0..copies {
            let late = if percent(faults.late_percent) { faults.late_ns } else { 0 };
            let jitter =
                if is_faulty { self.packets.wrapping_mul(0x9e37_79b9) % (faults.jitter_ns + 1) } else { 0 };
            self.packets += 1;
            let at = self.now + faults.delay_ns + jitter + late;
            self.flying.push(Reverse((at, self.packets, to, number, plaintext.to_vec())));
        }
    }
}

/// Runs `check` after the run of every seed; says which one failed.
fn simulate(reliability: Reliability, check: impl Fn(&Network) + std::panic::RefUnwindSafe) {
    let seeds = std::env::var("LIBNET_SIM_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(SEEDS);
    let first = std::env::var("LIBNET_SIM_FIRST").ok().and_then(|first| first.parse().ok()).unwrap_or(0);
    for seed in first..first + seeds {
        let outcome = std::panic::catch_unwind(|| {
            let mut network = Network::new(seed, reliability);
            network.run();
            check(&network);
        });
        if let Err(panic) = outcome {
            let network = Network::new(seed, reliability);
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or(panic.downcast_ref::<&str>().map(ToString::to_string));
            panic!("seed {seed} of {reliability:?}: {text:?}\n{:?} {:?}", network.faults, network.settings);
        }
    }
}

const SEEDS: u64 = 60;

#[test]
fn full_delivers_everything_once_and_in_order_both_ways() {
    simulate(Reliability::Full, |network| {
        for (side, other) in [(0, 1), (1, 0)] {
            let (side, other) = (&network.sides[side], &network.sides[other]);
            assert!(other.received.iter().copied().eq(0..side.taken), "all, once, in order");
            assert!(side.channel.is_settled());
            let counts = side.channel.counts();
            assert_eq!((counts.sent, counts.given_up_received, counts.overruns), (side.taken, 0, 0));
            assert_eq!(counts.malformed, 0);
        }
    });
}

#[test]
fn light_delivers_in_order_and_both_sides_count_what_was_given_up() {
    simulate(Reliability::Light, |network| {
        for (side, other) in [(0, 1), (1, 0)] {
            let (side, other) = (&network.sides[side], &network.sides[other]);
            assert!(other.received.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
            let (sent, received) = (side.channel.counts(), other.channel.counts());
            assert_eq!((sent.sent, received.delivered), (side.taken, other.received.len() as u64));
            assert_eq!(sent.sent, received.delivered + received.given_up_received, "all are accounted for");
            assert_eq!(sent.given_up_sent, received.given_up_received, "the sender knows");
            assert_eq!((received.malformed, received.refused), (0, 0));
        }
    });
}

#[test]
fn light_brings_back_what_is_lost_where_it_is_asked_for_in_time() {
    let mut retransmitted = 0;
    for seed in 0..20 {
        let faults = Faults {
            loss_percent: 10,
            double_percent: 0,
            late_percent: 0,
            delay_ns: MS,
            jitter_ns: 0,
            late_ns: 0,
            blackout: (0, 0),
            reconnects: Vec::new(),
            jump: (u64::MAX, 0),
            store_delay_ns: 0,
            end_ns: u64::MAX,
        };
        let settings = Settings {
            reliability: Reliability::Light,
            plaintext_max: 1_000,
            window_blocks: 10_000,
            event_bytes_max: 100_000,
            kept_bytes_max: 100_000_000,
        };
        let mut network = Network::with(Rng::with_seed(seed), faults, settings);
        let end = network.now + 10_000 * MS;
        while network.now < end {
            (0..2).for_each(|side| network.step(side));
            network.advance();
        }
        for (side, other) in [(0, 1), (1, 0)] {
            let (side, other) = (&network.sides[side], &network.sides[other]);
            assert_eq!(side.to_take, 0, "seed {seed}");
            retransmitted += side.channel.counts().retransmitted;
            assert!(other.received.iter().copied().eq(0..side.taken), "seed {seed}: nothing is given up");
        }
    }
    assert!(retransmitted > 0);
}

#[test]
fn none_delivers_nothing_twice_and_counts_what_is_missing() {
    simulate(Reliability::None, |network| {
        for (side, other) in [(0, 1), (1, 0)] {
            let (side, other) = (&network.sides[side], &network.sides[other]);
            let distinct: HashSet<u64> = other.received.iter().copied().collect();
            assert_eq!(distinct.len(), other.received.len(), "none twice");
            let (sent, received) = (side.channel.counts(), other.channel.counts());
            assert_eq!((sent.sent, received.delivered), (side.taken, other.received.len() as u64));
            assert_eq!(sent.sent, received.delivered + received.given_up_received);
        }
    });
}
