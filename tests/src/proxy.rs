//! A proxy on loopback that is as bad as a network: it cuts connections at random bytes, and stalls. What it does follows from
//! its seed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::Random;

/// A running proxy. Ended when it is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    server: u16,
    seed: u64,
    /// Bytes after which a connection is cut, about; 0 is never.
    cut_after: AtomicU64,
    cuts: AtomicU64,
    /// How long every answer that is stalled is; 0 is none.
    stall_ms: AtomicU64,
    stalls: AtomicU64,
    ended: AtomicBool,
}

impl Proxy {
    /// In front of the server on this port of loopback.
    pub fn start(server: u16, seed: u64) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback is there");
        let port = listener.local_addr().expect("bound").port();
        let shared = Arc::new(Shared {
            server,
            seed,
            cut_after: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            stall_ms: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let listener = thread::spawn(move || accept(&listener, &accepting));
        Proxy { port, shared, listener: Some(listener) }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on new connections are cut after about so many bytes in one direction; 0 is never.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.cut_after.store(bytes, Ordering::Relaxed);
    }

    /// From now on one in fifty pieces of what the server says is held back for so long; 0 is never.
    pub fn stall_answers(&self, time: Duration) {
        self.shared.stall_ms.store(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// How many pieces it has held back.
    pub fn stalls(&self) -> u64 {
        self.shared.stalls.load(Ordering::Relaxed)
    }

    /// How many connections it has cut.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // So that the listener looks.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(listener) = self.listener.take() {
            listener.join().expect("it does not panic");
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, client) in (0_u64..).zip(listener.incoming()) {
        if shared.ended.load(Ordering::Relaxed) {
            return;
        }
        let Ok(client) = client else { continue };
        let Ok(server) = TcpStream::connect(("127.0.0.1", shared.server)) else { continue };
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("a TCP connection");
        }
        for (direction, (from, to)) in (0..).zip([(&client, &server), (&server, &client)]) {
            let (from, to) = (from.try_clone().expect("open"), to.try_clone().expect("open"));
            let (shared, random) = (Arc::clone(shared), Random::new(shared.seed ^ (number * 2 + direction)));
            let is_answer = direction == 1;
            thread::spawn(move || carry(from, to, is_answer, &shared, random));
        }
    }
}

/// Carries one direction until its end, or until it is cut.
fn carry(mut from: TcpStream, mut to: TcpStream, is_answer: bool, shared: &Shared, mut random: Random) {
    let cut_after = shared.cut_after.load(Ordering::Relaxed);
    let mut left = if cut_after == 0 { u64::MAX } else { random.below(2 * cut_after) };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let passes = (count as u64).min(left) as usize;
        if random.below(200) == 0 {
            // As a network that is busy elsewhere.
            thread::sleep(Duration::from_millis(random.below(20)));
        }
        let stall_ms = shared.stall_ms.load(Ordering::Relaxed);
        if is_answer && stall_ms > 0 && random.below(50) == 0 {
            shared.stalls.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(stall_ms));
        }
        if to.write_all(&buffer[..passes]).is_err() {
            break;
        }
        left -= passes as u64;
        if left == 0 {
            shared.cuts.fetch_add(1, Ordering::Relaxed);
            break;
        }
    }
    // One that is shut already cannot be shut again.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
