//! What a packet costs besides the kernel's work, for the benches: one that is sealed and opened, and a stranger's.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use engine::batch::Batch;
use engine::clock::Monotonic;
use zeroize::Zeroizing;

use super::aead::{Aead, Cipher, KEY_BYTES, OpenKey, REKEY_AFTER_SEALED, SealKey, TAG_BYTES};
use super::answerer::Answerer;
use super::channel::{Reliability, Settings};
use super::claim::Claim;
use super::endpoint::{Endpoint, Side};
use super::entropy::SystemEntropy;
use super::handshake::SessionKeys;
use super::keyring::{Keyring, Keys, Peer};
use super::packet::{HEADER_BYTES, data_header};
use super::place::Place;
use super::responder::Responder;

/// A packet that is sealed and opened again and again.
pub struct SealedPacket {
    sender: Keyring,
    receiver: Keyring,
    bare: Aead,
    counter: u64,
    packet: Vec<u8>,
}

impl SealedPacket {
    /// One of `bytes` bytes, with the cipher that this CPU is fastest with.
    pub fn new(bytes: usize) -> SealedPacket {
        let packet = vec![0x5a; bytes];
        let bare = Aead::new(Cipher::auto(), &[7; KEY_BYTES]);
        SealedPacket { sender: keyring(), receiver: keyring(), bare, counter: 0, packet }
    }

    /// Seals and opens it as a session does: header, keys by their number, window of what came before.
    ///
    /// # Panics
    /// When it does not open, which is a bug.
    pub fn seal_and_open(&mut self) {
        self.counter += 1;
        if self.counter.is_multiple_of(REKEY_AFTER_SEALED) {
            (self.sender, self.receiver) = (keyring(), keyring());
        }
        self.sender.seal(0, self.counter, &mut self.packet);
        let text = self.receiver.open(INDEX, self.counter, &mut self.packet, START);
        black_box(text.expect("it is as it was sealed"));
    }

    /// The same bytes through the cipher alone.
    ///
    /// # Panics
    /// When it does not open, which is a bug.
    pub fn cipher_alone(&mut self) {
        self.counter += 1;
        let (header, body) = self.packet.split_first_chunk_mut::<HEADER_BYTES>().expect("it has a header");
        self.bare.seal(self.counter, header, body);
        black_box(self.bare.open(self.counter, header, body).expect("it is as it was sealed"));
    }
}

fn keyring() -> Keyring {
    let key = Zeroizing::new([7; KEY_BYTES]);
    let cipher = Cipher::auto();
    let keys = SessionKeys { seal: SealKey::new(cipher, &key), open: OpenKey::new(cipher, &key) };
    let mut keyring = Keyring::default();
    keyring.use_now(Keys::new(keys, (INDEX, INDEX), (PEER, 1), 1, START));
    keyring
}

/// A responder that hears packets of a session that it does not have.
pub struct Strangers {
    endpoint: Endpoint,
    packet: Vec<u8>,
    arrived: Batch,
}

impl Strangers {
    /// Packets of `bytes` bytes.
    pub fn new(bytes: usize) -> Strangers {
        let key = || Zeroizing::new([7; KEY_BYTES]);
        let mut entropy = SystemEntropy::new();
        let responder = Responder::new(key(), key(), START, &mut entropy);
        let answerer = Answerer::new(responder, Arc::new(Claim::default()), None, None, entropy);
        let settings = Settings {
            reliability: Reliability::Full,
            plaintext_max: usize::from(PEER.mtu) - HEADER_BYTES - TAG_BYTES,
            window_blocks: 64,
            event_bytes_max: 1 << 20,
            kept_bytes_max: 0,
        };
        let (heartbeat, timeout) = (Duration::from_secs(1), Duration::from_secs(5));
        let place = Place { shard: 0, local: PEER, settings, heartbeat, timeout };
        let mut packet = vec![0x5a; bytes];
        packet[..HEADER_BYTES].copy_from_slice(&data_header(0, INDEX, 1));
        let endpoint = Endpoint::new(Side::Responder(answerer), place, START);
        Strangers { endpoint, packet, arrived: Batch::with_capacity(0, 0) }
    }

    /// Hears one.
    pub fn hear(&mut self) {
        let from = ([127, 0, 0, 1], 9).into();
        self.endpoint.receive(&mut self.packet, from, START, &mut self.arrived);
    }
}

const PEER: Peer = Peer { instance: 1, shards: 1, mtu: 1_452 };
const INDEX: u32 = 0x0100_0000;
const START: Monotonic = Monotonic(1);
