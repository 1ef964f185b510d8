//! The side that begins: it knows the responder's public key, sends initiations, and makes keys of the
//! response.

use std::fmt;

use zeroize::Zeroizing;

use super::aead::{Cipher, OpenKey, SealKey};
use super::cookie::Cookie;
use super::entropy::{Entropy, secret};
use super::handshake::{
    INITIATION_MAC1_AT, INITIATION_MAC2_AT, INITIATION_MESSAGE_AT, RESPONSE_MAC1_AT, RESPONSE_MESSAGE_AT,
    SessionKeys, SharedKeys, prologue,
};
use super::hello::{Answer, Hello, PAYLOAD_BYTES};
use super::mac::MAC_BYTES;
use super::noise::{Noise, is_weak};
use super::packet::{COOKIE_BYTES, INITIATION_BYTES, PREFIX_BYTES, RESPONSE_BYTES, initiation_prefix};
use super::refused::Refused;

/// What an initiator knows, for all its handshakes.
pub(super) struct Initiator {
    psk: Zeroizing<[u8; 32]>,
    responder_public: [u8; 32],
    keys: SharedKeys,
}

/// What one initiation asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proposal {
    /// The responder's shard.
    pub(super) steer: u8,
    /// What data packets are to be sealed with.
    pub(super) cipher: Cipher,
    /// The index under which this side knows the session; no other handshake or session has it.
    pub(super) index: u32,
    pub(super) hello: Hello,
}

/// An initiation that waits for its response. A retry is a new one, with other keys; the old one may be
/// dropped.
#[derive(Debug)]
pub(super) struct Pending {
    noise: Noise,
    cipher: Cipher,
    mac1: [u8; MAC_BYTES],
}

/// What a response says.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) answer: Answer,
    /// The index under which the responder knows the session.
    pub(super) peer_index: u32,
    /// They count if the answer is `Accepted`.
    pub(super) keys: SessionKeys,
}

impl Initiator {
    /// `Refused::Point`: the key is no responder's, whatever its secret key. For the operator.
    pub(super) fn new(psk: Zeroizing<[u8; 32]>, responder_public: [u8; 32]) -> Result<Initiator, Refused> {
        if is_weak(&responder_public) {
            return Err(Refused::Point);
        }
        let keys = SharedKeys::new(&psk, &responder_public);
        Ok(Initiator { psk, responder_public, keys })
    }

    /// A new initiation, and the packet to send.
    pub(super) fn initiate(
        &self,
        proposal: &Proposal,
        cookie: Option<Cookie>,
        entropy: &mut dyn Entropy,
    ) -> (Pending, [u8; INITIATION_BYTES]) {
        let mut packet = [0; INITIATION_BYTES];
        packet[..PREFIX_BYTES].copy_from_slice(&initiation_prefix(
            proposal.steer,
            proposal.cipher,
            proposal.index,
        ));
        let prologue = prologue(&packet);
        let mut noise =
            Noise::initiator(proposal.cipher, &prologue, &self.psk, &self.responder_public, secret(entropy));
        let message = &mut packet[INITIATION_MESSAGE_AT..INITIATION_MAC1_AT];
        noise.write(&proposal.hello.write(), message).expect("the responder's key is a good one");
        let mac1 = self.keys.mac1.code(&packet[..INITIATION_MAC1_AT]);
        packet[INITIATION_MAC1_AT..INITIATION_MAC2_AT].copy_from_slice(&mac1);
        if let Some(cookie) = cookie {
            let mac2 = cookie.mac2(&packet[..INITIATION_MAC2_AT]);
            packet[INITIATION_MAC2_AT..].copy_from_slice(&mac2);
        }
        (Pending { noise, cipher: proposal.cipher, mac1 }, packet)
    }

    /// Reads the response that was sent to a pending initiation's index. One that is refused leaves it
    /// pending; one that is taken ends it, and no other is.
    pub(super) fn complete(
        &self,
        pending: &mut Pending,
        packet: &[u8; RESPONSE_BYTES],
    ) -> Result<Response, Refused> {
        let (bytes, mac1) = packet.split_last_chunk().ok_or(Refused::Malformed)?;
        if !self.keys.mac1.is_code(bytes, mac1) {
            return Err(Refused::Mac1);
        }
        let mut payload = [0; PAYLOAD_BYTES];
        pending.noise.read(&packet[RESPONSE_MESSAGE_AT..RESPONSE_MAC1_AT], &mut payload)?;
        let answer = Answer::read(&payload)?;
        let [.., a, b, c, d] = *packet.first_chunk::<RESPONSE_MESSAGE_AT>().ok_or(Refused::Malformed)?;
        let (there, back) = pending.noise.split();
        let keys = SessionKeys {
            seal: SealKey::new(pending.cipher, &there),
            open: OpenKey::new(pending.cipher, &back),
        };
        Ok(Response { answer, peer_index: u32::from_le_bytes([a, b, c, d]), keys })
    }

    /// Reads the cookie that was sent to a pending initiation's index. It is for the next one to the same
    /// shard.
    pub(super) fn take_cookie(
        &self,
        pending: &Pending,
        packet: &[u8; COOKIE_BYTES],
    ) -> Result<Cookie, Refused> {
        Cookie::open(&self.keys.cookie, packet, &pending.mac1)
    }
}

impl fmt::Debug for Initiator {
    /// Says nothing of its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Initiator")
    }
}
