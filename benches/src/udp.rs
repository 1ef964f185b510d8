//! What exchanging events over UDP costs: two buses on loopback, beside bare sockets in the same run.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use adapters::udp::costs::{SealedPacket, Strangers};
use harness::SetOnDrop;
use harness::flood::flood;
use harness::pair::Meeting;

use crate::percentiles::{Percentiles, Recorder};
use crate::subscriber::Subscriber;
use crate::{Bus, event, on_first_core, sleeping};

/// What has arrived, and in what time.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// Events a second, from the first publication until the last has arrived.
    pub rate: f64,
    /// Of those that were published.
    pub percent: f64,
}

/// Publishes `events` of 256 bytes at one bus and counts what arrives at the other, until all have or nothing more comes.
pub fn one_way(reliability: &str, events: usize) -> Arrived {
    let (responder, initiator) = pair(reliability);
    let mut subscriber = Subscriber::from_now(responder);
    let (start, published) = (Instant::now(), AtomicBool::new(false));
    let (received, end) = thread::scope(|scope| {
        scope.spawn(|| {
            let _ends = SetOnDrop(&published);
            on_first_core(|| {
                let payload = event(EVENT_BYTES);
                for _ in 0..events {
                    while !initiator.ingest(&payload) {
                        thread::sleep(REFUSED_PAUSE);
                    }
                }
            });
            initiator.flush();
        });
        let (mut received, mut last) = (0, start);
        while received < events && !(published.load(Ordering::Acquire) && last.elapsed() > SILENCE) {
            let count = subscriber.next(10).len();
            if count > 0 {
                (received, last) = (received + count, Instant::now());
            }
        }
        (received, last)
    });
    drop(subscriber);
    initiator.stop();
    responder.stop();
    Arrived {
        rate: received as f64 / (end - start).as_secs_f64(),
        percent: 100.0 * received as f64 / events as f64,
    }
}

/// Events a second that arrive where each is one datagram of its own, in the clear: what a bare socket does.
pub fn one_send_each(events: usize) -> f64 {
    let (sender, receiver, to) = sockets();
    receiver.set_read_timeout(Some(SILENCE)).expect("not zero");
    let start = Instant::now();
    let (received, end) = thread::scope(|scope| {
        scope.spawn(|| {
            on_first_core(|| {
                let payload = event(EVENT_BYTES);
                for _ in 0..events {
                    sender.send_to(&payload, to).expect("loopback takes it");
                }
            });
        });
        let (mut buffer, mut received, mut last) = ([0; 2 * EVENT_BYTES], 0, start);
        while received < events && receiver.recv_from(&mut buffer).is_ok() {
            (received, last) = (received + 1, Instant::now());
        }
        (received, last)
    });
    received as f64 / (end - start).as_secs_f64()
}

/// A datagram there and back, half of it: the floor of every event's way.
pub fn ping_pong(trips: u64) -> Percentiles {
    let (near, far, to) = sockets();
    let mut recorder = Recorder::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; EVENT_BYTES];
            for _ in 0..trips {
                let (count, from) = far.recv_from(&mut buffer).expect("it comes");
                far.send_to(&buffer[..count], from).expect("loopback takes it");
            }
        });
        let mut buffer = [0; EVENT_BYTES];
        for _ in 0..trips {
            let start = Instant::now();
            near.send_to(&buffer, to).expect("loopback takes it");
            near.recv_from(&mut buffer).expect("it comes");
            recorder.record(start.elapsed().as_nanos() as u64 / 2);
        }
    });
    recorder.summary("floor: udp, a datagram one way")
}

/// From the moment an event was due to `net_next` of the other bus, at `rate` events a second: the producer sleeps between events.
pub fn to_remote_subscriber(rate: u64, time: Duration) -> Percentiles {
    let (responder, initiator) = pair("full");
    let mut subscriber = Subscriber::from_now(responder);
    let recorder = sleeping::latencies(initiator, &mut subscriber, rate, time, EVENT_BYTES);
    drop(subscriber);
    initiator.stop();
    responder.stop();
    recorder
        .summary(format!("udp: net_ingest_raw → net_next of the peer, {rate} events/s, the producer sleeps"))
}

/// Of `rate` events a second, the percentage that arrives in time while one thread sends strangers' packets to the responder as fast
/// as it can, and how many of those a second.
pub fn flooded(rate: u64, time: Duration) -> (f64, f64) {
    let meeting = Meeting::new();
    let first_message = meeting.first_message();
    // Of no session: all but its header is noise.
    let mut stray = vec![0x5a; 200];
    stray[..16].copy_from_slice(&[4, 0, 0, 1, 9, 9, 9, 9, 1, 0, 0, 0, 0, 0, 0, 0]);
    let server = SocketAddr::from(([127, 0, 0, 1], meeting.port()));
    let (responder, initiator) = meet(&meeting, "full");
    let mut subscriber = Subscriber::from_now(responder);
    let stop = AtomicBool::new(false);
    let (elapsed, said) = thread::scope(|scope| {
        let flood = scope.spawn(|| flood(server, &[&first_message, &stray], &stop));
        let _stops = SetOnDrop(&stop);
        let start = Instant::now();
        sleeping::latencies(initiator, &mut subscriber, rate, time, EVENT_BYTES);
        let elapsed = start.elapsed();
        stop.store(true, Ordering::Release);
        (elapsed, flood.join().expect("it does not panic").said)
    });
    drop(subscriber);
    initiator.stop();
    responder.stop();
    (100.0 * time.as_secs_f64() / elapsed.as_secs_f64(), said as f64 / elapsed.as_secs_f64())
}

/// Nanoseconds to seal and open a packet of `bytes` bytes, of those that the cipher takes alone, and to refuse a stranger's.
pub fn packet_costs(bytes: usize, packets: u64) -> [u64; 3] {
    let (mut packet, mut strangers) = (SealedPacket::new(bytes), Strangers::new(bytes));
    let per_packet = |act: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..packets).for_each(|_| act());
        start.elapsed().as_nanos() as u64 / packets
    };
    let rounds: [[u64; 3]; ROUNDS] = std::array::from_fn(|_| {
        [
            per_packet(&mut || packet.seal_and_open()),
            per_packet(&mut || packet.cipher_alone()),
            per_packet(&mut || strangers.hear()),
        ]
    });
    std::array::from_fn(|which| {
        let mut costs = rounds.map(|round| round[which]);
        costs.sort_unstable();
        costs[ROUNDS / 2]
    })
}

/// Two buses that have met.
fn pair(reliability: &str) -> (Bus, Bus) {
    meet(&Meeting::new(), reliability)
}

fn meet(meeting: &Meeting, reliability: &str) -> (Bus, Bus) {
    let options = format!(r#""reliability":"{reliability}","#);
    // The initiator has the producer's CPU: who receives has more to do than who sends.
    let start = |core: usize, section: String| {
        Bus::start(&format!(
            r#"{{"num_shards":1,"cores":[{core}],"backpressure_mode":"FailProducer","push_wait_us":10000000,"flush_timeout_ms":600000,{section}}}"#
        ))
    };
    let (responder, initiator) =
        (start(1, meeting.responder(&options)), start(0, meeting.initiator(&options)));
    assert!(initiator.ingest(b"first"), "the bus takes an event");
    initiator.flush();
    (responder, initiator)
}

/// A socket to send with, one to receive with, and that one's address.
fn sockets() -> (UdpSocket, UdpSocket, SocketAddr) {
    let [near, far] = [(); 2].map(|()| UdpSocket::bind(("127.0.0.1", 0)).expect("loopback is there"));
    let to = far.local_addr().expect("bound");
    (near, far, to)
}

const EVENT_BYTES: usize = 256;
const ROUNDS: usize = 5;
const REFUSED_PAUSE: Duration = Duration::from_micros(100);
/// Nothing more comes after it.
const SILENCE: Duration = Duration::from_millis(500);
