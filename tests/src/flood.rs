//! A flood of packets that nobody honest sends: random bytes, and such as were sent before, changed or not, from many addresses.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::Random;

/// What a flood has said, and what was said to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answered {
    /// Datagrams.
    pub said: usize,
    /// Bytes of theirs.
    pub said_bytes: usize,
    /// Bytes of answers.
    pub heard_bytes: usize,
}

/// Says random bytes and what `others` have said until `stop`, but at least 10,000 times.
///
/// # Panics
/// When the machine has no sockets.
pub fn flood(server: SocketAddr, others: &[&[u8]], stop: &AtomicBool) -> Answered {
    let socket = || UdpSocket::bind(("127.0.0.1", 0)).expect("loopback is there");
    let sockets: Vec<UdpSocket> = (0..ADDRESSES).map(|_| socket()).collect();
    for socket in &sockets {
        socket.set_nonblocking(true).expect("a socket");
    }
    let (mut random, mut answered) = (Random::new(5), Answered::default());
    let mut buffer = [0; 2_048];
    while !stop.load(Ordering::Acquire) || answered.said <= SAID_MIN {
        let socket = &sockets[random.below(ADDRESSES) as usize];
        let mut bytes = match random.below(3) {
            0 => (0..random.below(1_500)).map(|_| random.word() as u8).collect(),
            _ => others[random.below(others.len() as u64) as usize].to_vec(),
        };
        if random.below(2) == 0 && bytes.len() > 8 {
            let at = 4 + random.below(bytes.len() as u64 - 4) as usize;
            bytes[at] ^= 1;
        }
        if socket.send_to(&bytes, server).is_ok() {
            (answered.said, answered.said_bytes) = (answered.said + 1, answered.said_bytes + bytes.len());
        }
        while let Ok((count, _)) = socket.recv_from(&mut buffer) {
            answered.heard_bytes += count;
        }
        if answered.said % 256 == 0 {
            thread::yield_now();
        }
    }
    answered
}

const ADDRESSES: u64 = 64;
const SAID_MIN: usize = 10_000;
