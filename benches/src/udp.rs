//! What exchanging events over UDP costs: two buses on loopback, beside bare sockets in the same run.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::SetOnDrop;
use harness::pair::Meeting;

use crate::percentiles::{Percentiles, Recorder};
use crate::subscriber::Subscriber;
use crate::{Bus, bytes_of, event, on_first_core};

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
    let events = (time.as_nanos() * u128::from(rate) / 1_000_000_000) as u64;
    let mut subscriber = Subscriber::from_now(responder);
    let mut recorder = Recorder::new();
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut payload = event(EVENT_BYTES);
            for number in 0..events {
                let due = Duration::from_nanos(number * 1_000_000_000 / rate);
                thread::sleep(due.saturating_sub(start.elapsed()));
                payload[..16].copy_from_slice(format!("{:016x}", due.as_nanos() as u64).as_bytes());
                assert!(initiator.ingest(&payload), "the bus takes events");
            }
        });
        let mut received = 0;
        while received < events {
            for event in subscriber.next(-1) {
                // SAFETY: the events stay until the next call.
                let digits = unsafe { &bytes_of(event)[..16] };
                let text = std::str::from_utf8(digits).expect("digits");
                let due = u64::from_str_radix(text, 16).expect("digits");
                recorder.record((start.elapsed().as_nanos() as u64).saturating_sub(due));
                received += 1;
            }
        }
    });
    drop(subscriber);
    initiator.stop();
    responder.stop();
    recorder
        .summary(format!("udp: net_ingest_raw → net_next of the peer, {rate} events/s, the producer sleeps"))
}

/// Two buses that have met.
fn pair(reliability: &str) -> (Bus, Bus) {
    let meeting = Meeting::new();
    let options = format!(r#""reliability":"{reliability}","#);
    let start = |section: String| {
        Bus::start(&format!(
            r#"{{"num_shards":1,"backpressure_mode":"FailProducer","push_wait_us":10000000,"flush_timeout_ms":600000,{section}}}"#
        ))
    };
    let (responder, initiator) = (start(meeting.responder(&options)), start(meeting.initiator(&options)));
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
const REFUSED_PAUSE: Duration = Duration::from_micros(100);
/// Nothing more comes after it.
const SILENCE: Duration = Duration::from_millis(500);
