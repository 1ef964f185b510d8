//! What the Redis store costs, beside the same server asked by hand and by its own load generator in the same run.

use std::ffi::CString;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use harness::redis::Redis;

use crate::percentiles::{Percentiles, Recorder};
use crate::subscriber::Subscriber;
use crate::{Bus, event, on_first_core, sleeping};

/// A bus in front of a server of its own.
pub struct Redised {
    server: Redis,
    bus: Bus,
}

impl Redised {
    /// Starts both; `options` are more of the bus's.
    pub fn start(options: &str) -> Redised {
        let server = Redis::start();
        let bus = Bus::start(&format!(r#"{{"num_shards":1,{options}{}}}"#, server.section()));
        Redised { server, bus }
    }

    /// Publishes so many events. One that finds no room comes again after a while, in which the server has the CPU.
    fn publish(&self, events: usize) {
        on_first_core(|| {
            let payload = event(EVENT_BYTES);
            for _ in 0..events {
                while !self.bus.ingest(&payload) {
                    thread::sleep(REFUSED_PAUSE);
                }
            }
        });
    }

    /// Ends both.
    pub fn stop(self) {
        self.bus.stop();
    }
}

/// Events a second until the server has them all.
pub fn append(events: usize) -> f64 {
    let redised = Redised::start(
        r#""backpressure_mode":"FailProducer","push_wait_us":10000000,"flush_timeout_ms":600000,"#,
    );
    let start = Instant::now();
    redised.publish(events);
    redised.bus.flush();
    let rate = events as f64 / start.elapsed().as_secs_f64();
    assert_eq!(redised.server.len("net:shard:0"), events as u64);
    redised.stop();
    rate
}

/// The same entries a second by `redis-benchmark` with a hundred in its pipeline, over its 50 connections.
pub fn append_by_redis_benchmark(events: usize) -> f64 {
    let payload = String::from_utf8(event(EVENT_BYTES)).expect("letters");
    let words = ["XADD", "net:shard:0", "*", "d", &payload, "t", "1800000000000000000", "dedup_id"];
    let words = [words.as_slice(), &["0123456789abcdef:0:1234567:123"]].concat();
    redis_benchmark(&Redis::start(), &["-P", "100", "-n", &events.to_string()], &words)
}

/// Commands a second of `redis-benchmark`.
///
/// # Panics
/// When it is not there, or says something else than a rate.
fn redis_benchmark(server: &Redis, options: &[&str], words: &[&str]) -> f64 {
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", &server.port().to_string(), "--csv"]).args(options).args(words);
    let output = command.output().expect("redis-benchmark comes with redis-server");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = text.lines().last().and_then(|line| line.rsplit("\",\"").nth(6)?.parse().ok());
    rate.unwrap_or_else(|| panic!("redis-benchmark said {text}"))
}

/// Events a second that polls of a thousand bring from a full stream.
pub fn poll(events: usize) -> f64 {
    let redised = filled(events);
    let start = Instant::now();
    let (mut cursor, mut read): (Option<CString>, usize) = (None, 0);
    while read < events {
        let (count, next) = redised.bus.poll(POLL_LIMIT, cursor.as_deref());
        (cursor, read) = (next, read + count);
    }
    let rate = events as f64 / start.elapsed().as_secs_f64();
    redised.stop();
    rate
}

/// Entries a second that `redis-benchmark` is sent by `XRANGE` of a thousand over one connection, and does not look at.
pub fn range(events: usize) -> f64 {
    let redised = filled(POLL_LIMIT);
    let calls = events.div_ceil(POLL_LIMIT).to_string();
    let words = ["XRANGE", "net:shard:0", "-", "+", "COUNT", "1000"];
    let rate = redis_benchmark(&redised.server, &["-c", "1", "-n", &calls], &words);
    redised.stop();
    rate * POLL_LIMIT as f64
}

fn filled(events: usize) -> Redised {
    let redised = Redised::start(
        r#""backpressure_mode":"FailProducer","push_wait_us":10000000,"flush_timeout_ms":600000,"#,
    );
    redised.publish(events);
    redised.bus.flush();
    redised
}

/// From the moment an event was due to `net_next`, at `rate` events a second: the producer sleeps between events, and the
/// subscriber waits in the call, so that the server has a CPU.
pub fn to_subscriber(rate: u64, time: Duration) -> Percentiles {
    let redised = Redised::start("");
    let mut subscriber = Subscriber::from_now(redised.bus);
    let recorder = sleeping::latencies(redised.bus, &mut subscriber, rate, time, EVENT_BYTES);
    drop(subscriber);
    redised.stop();
    recorder.summary(format!("redis: net_ingest_raw → net_next, {rate} events/s, the producer sleeps"))
}

/// A `PING` there and back, and an `XADD` on one connection until an `XREAD` that waits on another has it.
pub fn by_hand(trips: u64) -> [Percentiles; 2] {
    let server = Redis::start();
    let (mut writer, mut reader) = (Client::connect(&server), Client::connect(&server));
    let payload = String::from_utf8(event(EVENT_BYTES)).expect("letters");
    let (mut pings, mut adds) = (Recorder::new(), Recorder::new());
    for _ in 0..trips {
        let start = Instant::now();
        writer.say(&["PING"]);
        writer.hear_until(b"\r\n", 1);
        pings.record(start.elapsed().as_nanos() as u64);
    }
    for _ in 0..trips {
        reader.say(&["XREAD", "BLOCK", "0", "STREAMS", "key", "$"]);
        // It waits at the server before the other writes.
        writer.say(&["PING"]);
        writer.hear_until(b"\r\n", 1);
        let start = Instant::now();
        writer.say(&["XADD", "key", "*", "d", &payload]);
        writer.hear_until(b"\r\n", 2);
        reader.hear_until(payload.as_bytes(), 1);
        adds.record(start.elapsed().as_nanos() as u64);
    }
    [
        pings.summary("floor: redis, PING by hand"),
        adds.summary("floor: redis, XADD to a waiting XREAD by hand"),
    ]
}

/// A connection whose replies are looked through for their end only.
struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    fn connect(server: &Redis) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).expect("it listens");
        stream.set_nodelay(true).expect("a TCP connection");
        Client { stream, received: Vec::new() }
    }

    fn say(&mut self, words: &[&str]) {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            let _ = write!(command, "${}\r\n{word}\r\n", word.len());
        }
        self.received.clear();
        self.stream.write_all(command.as_bytes()).expect("the server reads");
    }

    /// Reads until `mark` has come so often, and what is left of that reply.
    fn hear_until(&mut self, mark: &[u8], times: usize) {
        let mut buffer = [0; 4 << 10];
        loop {
            let found = self.received.windows(mark.len()).filter(|window| *window == mark).count();
            if found >= times && self.received.ends_with(b"\r\n") {
                return;
            }
            let count = self.stream.read(&mut buffer).expect("the server answers");
            self.received.extend_from_slice(&buffer[..count]);
        }
    }
}

/// About a hundredth of what the shard's buffer holds is stored in that time, so that it never runs empty, and the server's CPU is
/// seldom taken away.
const REFUSED_PAUSE: Duration = Duration::from_millis(20);
const EVENT_BYTES: usize = 100;
const POLL_LIMIT: usize = 1_000;
