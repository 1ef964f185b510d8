//! The side that is asked: it has the secret key, and keeps nothing of an initiation but what its caller
//! makes of it.

use std::fmt;
use std::net::SocketAddr;

use engine::clock::Monotonic;
use zeroize::Zeroizing;

use super::aead::{Cipher, OpenKey, SealKey};
use super::cookie::CookieSecrets;
use super::entropy::{Entropy, secret};
use super::gate::Gate;
use super::handshake::{
    INITIATION_MAC1_AT, INITIATION_MAC2_AT, INITIATION_MESSAGE_AT, RESPONSE_MAC1_AT, RESPONSE_MESSAGE_AT,
    SessionKeys, SharedKeys, prologue,
};
use super::hello::{Answer, Hello, PAYLOAD_BYTES};
use super::mac::MAC_BYTES;
use super::noise::{Noise, public_key};
use super::packet::{COOKIE_BYTES, INITIATION_BYTES, PREFIX_BYTES, RESPONSE_BYTES, response_prefix};
use super::refused::Refused;

/// One shard of a responder.
pub(super) struct Responder {
    psk: Zeroizing<[u8; 32]>,
    secret: Zeroizing<[u8; 32]>,
    keys: SharedKeys,
    cookies: CookieSecrets,
    gate: Gate,
}

/// An initiation whose sender knows the secrets. It may be an old one that somebody sends again: nothing is
/// to change by it before a data packet has come that is sealed with the keys of its answer.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) hello: Hello,
    pub(super) cipher: Cipher,
    /// The index under which the initiator knows the session.
    pub(super) peer_index: u32,
    noise: Noise,
}

impl Responder {
    pub(super) fn new(
        psk: Zeroizing<[u8; 32]>,
        secret: Zeroizing<[u8; 32]>,
        now: Monotonic,
        entropy: &mut dyn Entropy,
    ) -> Responder {
        let keys = SharedKeys::new(&psk, &public_key(&secret));
        let (cookies, gate) = (CookieSecrets::new(now, entropy), Gate::new(entropy));
        Responder { psk, secret, keys, cookies, gate }
    }

    /// Reads an initiation. `Refused::Cookie`: `cookie` makes the packet that answers it; all others go
    /// unanswered. Up to `Refused::Mac1` nothing is allocated, up to `Refused::RateLimited` no keys are
    /// exchanged.
    pub(super) fn question(
        &mut self,
        packet: &[u8; INITIATION_BYTES],
        from: SocketAddr,
        now: Monotonic,
        entropy: &mut dyn Entropy,
    ) -> Result<Question, Refused> {
        let mac1 = mac1(packet);
        if !self.keys.mac1.is_code(&packet[..INITIATION_MAC1_AT], mac1) {
            return Err(Refused::Mac1);
        }
        let cipher = Cipher::from_code(packet[2]).ok_or(Refused::Cipher)?;
        if !self.gate.is_new(mac1) {
            return Err(Refused::Repeated);
        }
        let (bytes, mac2) = packet.split_last_chunk::<MAC_BYTES>().ok_or(Refused::Malformed)?;
        let claims_address = *mac2 != [0; MAC_BYTES];
        let is_proven = claims_address && self.cookies.is_proven(from, bytes, mac2, now, entropy);
        self.gate.admit(from, is_proven, now)?;

        let mut noise = Noise::responder(cipher, &prologue(packet), &self.psk, &self.secret, secret(entropy));
        let mut payload = [0; PAYLOAD_BYTES];
        noise.read(&packet[INITIATION_MESSAGE_AT..INITIATION_MAC1_AT], &mut payload)?;
        let hello = Hello::read(&payload)?;
        Ok(Question { hello, cipher, peer_index: sender(packet), noise })
    }

    /// The packet that brings a cookie to the sender of an initiation that was refused for want of one.
    pub(super) fn cookie(
        &mut self,
        packet: &[u8; INITIATION_BYTES],
        from: SocketAddr,
        now: Monotonic,
        entropy: &mut dyn Entropy,
    ) -> [u8; COOKIE_BYTES] {
        let cookie = self.cookies.cookie(from, now, entropy);
        cookie.seal(&self.keys.cookie, sender(packet), mac1(packet), entropy)
    }

    /// The response to a question, and the keys of the session that it may become. `index` is the one under
    /// which this side knows it; no other has it.
    pub(super) fn answer(
        &self,
        mut question: Question,
        index: u32,
        answer: &Answer,
    ) -> Result<([u8; RESPONSE_BYTES], SessionKeys), Refused> {
        let mut packet = [0; RESPONSE_BYTES];
        packet[..PREFIX_BYTES].copy_from_slice(&response_prefix(question.peer_index));
        packet[PREFIX_BYTES..RESPONSE_MESSAGE_AT].copy_from_slice(&index.to_le_bytes());
        question.noise.write(&answer.write(), &mut packet[RESPONSE_MESSAGE_AT..RESPONSE_MAC1_AT])?;
        let mac1 = self.keys.mac1.code(&packet[..RESPONSE_MAC1_AT]);
        packet[RESPONSE_MAC1_AT..].copy_from_slice(&mac1);
        let (there, back) = question.noise.split();
        let keys = SessionKeys {
            seal: SealKey::new(question.cipher, &back),
            open: OpenKey::new(question.cipher, &there),
        };
        Ok((packet, keys))
    }
}

impl fmt::Debug for Responder {
    /// Says nothing of its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder")
    }
}

fn mac1(packet: &[u8; INITIATION_BYTES]) -> &[u8; MAC_BYTES] {
    let code = packet[INITIATION_MAC1_AT..INITIATION_MAC2_AT].first_chunk();
    code.expect("an initiation has room for its code")
}

fn sender(packet: &[u8; INITIATION_BYTES]) -> u32 {
    let [_, _, _, _, a, b, c, d, ..] = *packet;
    u32::from_le_bytes([a, b, c, d])
}
