//! What fuzzing tries of what a stranger sends, of what a peer with the keys says, and of the section `net`.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::rc::Rc;

use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::event::EventFlags;
use zeroize::Zeroizing;

use super::aead::Cipher;
use super::channel::{Channel, Events, Load, Reliability, Settings};
use super::config::UdpConfig;
use super::entropy::Entropy;
use super::hello::{Answer, Hello, PAYLOAD_BYTES};
use super::initiator::{Initiator, Proposal};
use super::keys::{KeyPair, Psk, PublicKey, SecretKey};
use super::noise::{MESSAGE_OVERHEAD_BYTES, Noise, public_key};
use super::packet::{INITIATION_BYTES, Packet};
use super::responder::Responder;
use crate::fuzzing::json;

/// The section.
pub(crate) fn config(bytes: &[u8]) -> bool {
    let Some(options) = json(bytes) else { return false };
    match UdpConfig::parse(options, NonZeroU16::MIN) {
        Ok(_) => true,
        Err(error) => {
            assert!(error.path.starts_with("net") || error.path == "num_shards", "{error}");
            false
        }
    }
}

/// Keys as they are written down.
pub(crate) fn keys(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let _ = (SecretKey::from_hex(text).is_ok(), Psk::from_hex(text).is_ok());
    if let Ok(public) = PublicKey::from_hex(text) {
        assert_eq!(public.to_string(), text.to_ascii_lowercase());
    }
    let Ok(pair) = KeyPair::from_json(text) else { return false };
    let again = KeyPair::from_json(&pair.to_json());
    assert!(again.is_ok_and(|again| again.public() == pair.public()), "what is written can be read");
    true
}

/// A datagram of a stranger, for a responder that has never heard of it and for an initiator that waits for an answer: it changes
/// nothing.
pub(crate) fn packet(bytes: &[u8]) -> bool {
    let Ok(packet) = Packet::parse(bytes) else { return false };
    let (now, from) = (Monotonic(1), SocketAddr::from(([127, 0, 0, 1], 9)));
    let mut entropy = Counting(1);
    let mut responder = Responder::new(Zeroizing::new(PSK), Zeroizing::new(SECRET), now, &mut entropy);
    let initiator = Initiator::new(Zeroizing::new(PSK), public_key(&SECRET)).expect("a good key");
    let (mut pending, _) = initiator.initiate(&proposal(), None, &mut entropy);
    match packet {
        Packet::Initiation(packet) => {
            let asked = responder.question(packet, from, now, &mut entropy);
            assert!(asked.is_err(), "it does not know the key");
            assert!(responder.cookie(packet, from, now, &mut entropy).len() <= INITIATION_BYTES);
        }
        Packet::Response { packet, .. } => {
            assert!(initiator.complete(&mut pending, packet).is_err(), "it does not know the keys");
        }
        Packet::Cookie { packet, .. } => {
            assert!(initiator.take_cookie(&pending, packet).is_err(), "it does not know the key");
        }
        Packet::Data { .. } => {}
    }
    true
}

fn proposal() -> Proposal {
    let hello = Hello {
        instance: 1,
        attempt: 1,
        shards: 1,
        session: 0,
        mtu: 1_452,
        reliability: 2,
        channel: 1,
        event_bytes_max: 1 << 20,
    };
    Proposal { steer: 0, cipher: Cipher::ChaCha20Poly1305, index: 7, hello }
}

/// Bytes in place of an initiator's message; then what an initiator with the keys may say in one.
pub(crate) fn handshake(bytes: &[u8]) -> bool {
    let (cipher, said) = match bytes.split_first() {
        Some((first, said)) if first % 2 == 0 => (Cipher::Aes256Gcm, said),
        Some((_, said)) => (Cipher::ChaCha20Poly1305, said),
        None => return false,
    };
    let mut responder = Noise::responder(cipher, b"", &PSK, &SECRET, Zeroizing::new([3; 32]));
    let mut heard = [0; PAYLOAD_BYTES];
    assert!(responder.read(said, &mut heard).is_err(), "it does not know the keys");

    let mut payload = [0; PAYLOAD_BYTES];
    let taken = said.len().min(PAYLOAD_BYTES);
    payload[..taken].copy_from_slice(&said[..taken]);
    let mut initiator = Noise::initiator(cipher, b"", &PSK, &public_key(&SECRET), Zeroizing::new([5; 32]));
    let mut message = [0; PAYLOAD_BYTES + MESSAGE_OVERHEAD_BYTES];
    initiator.write(&payload, &mut message).expect("it has the keys");
    responder.read(&message, &mut heard).expect("what was refused before has changed nothing");
    assert_eq!(heard, payload);
    let hello = Hello::read(&heard).inspect(|hello| assert_eq!(hello.write(), heard));
    let answer = Answer::read(&heard).inspect(|answer| assert_eq!(answer.write(), heard));
    hello.is_ok() || answer.is_ok()
}

/// Plaintexts from a peer with the keys, each behind its length, into a channel that sends events too.
pub(crate) fn frames(bytes: &[u8]) -> bool {
    let Some((&kind, mut script)) = bytes.split_first() else { return false };
    let reliability = [Reliability::None, Reliability::Light, Reliability::Full][usize::from(kind % 3)];
    let settings = Settings {
        reliability,
        plaintext_max: PLAINTEXT_BYTES,
        window_blocks: 64,
        event_bytes_max: 64 << 10,
        kept_bytes_max: 1 << 20,
    };
    let mut channel = Channel::new(&settings, Monotonic(0));
    channel.take(load());
    let (mut arrived, mut out, mut sent, mut taken) = (Batch::default(), [0; PLAINTEXT_BYTES], 0, false);
    for number in 0..PACKETS_MAX {
        let Some((&[low, high], rest)) = script.split_first_chunk() else { break };
        let (plaintext, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes([low, high]))));
        script = rest;
        let now = Monotonic(number * 7_000_000);
        taken |= channel.read(number, plaintext, now, &mut arrived).is_ok();
        if number % 3 == 0 {
            let mark = channel.mark();
            channel.stored(mark, now);
        }
        channel.tick(now, &mut arrived);
        for _ in 0..4 {
            let Some(len) = channel.write(sent, now, &mut out) else { break };
            assert!(len <= PLAINTEXT_BYTES);
            sent += 1;
        }
    }
    channel.peer_is_gone(&mut arrived);
    let counts = channel.counts();
    assert!(arrived.len() as u64 <= counts.delivered, "{counts:?}");
    assert!(
        arrived.events().all(|event| event.payload.len() <= settings.event_bytes_max.max(PLAINTEXT_BYTES))
    );
    taken
}

fn load() -> Load {
    let mut batch = Batch::default();
    (0..20).for_each(|index| batch.push(index, index, EventFlags::NONE, &[7; 300]));
    Load { batch: Rc::new(batch), events: Events::Range(0..20) }
}

/// Bytes that are the same each time.
struct Counting(u8);

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
    }
}

const PSK: [u8; 32] = [1; 32];
const SECRET: [u8; 32] = [2; 32];
const PLAINTEXT_BYTES: usize = 1_428;
/// Of one input.
const PACKETS_MAX: u64 = 64;
