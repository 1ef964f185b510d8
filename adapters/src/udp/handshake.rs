//! The handshake's packets: the messages of the key exchange, with codes before them that cost their reader a
//! hash.
//!
//! ```text
//! initiation, 120 bytes
//! 0-7      header
//! 8-87     Noise message 1, with a Hello
//! 88-103   mac1, of all before it
//! 104-119  mac2, of all before it; zeros without a cookie
//!
//! response, 108 bytes
//! 0-7      header
//! 8-11     index of the responder's session; little endian
//! 12-91    Noise message 2, with an Answer
//! 92-107   mac1, of all before it
//!
//! cookie, 64 bytes
//! 0-7      header
//! 8-31     nonce
//! 32-63    the cookie, sealed
//! ```
//!
//! `mac1` is BLAKE2s with a key that comes of the pre-shared key and the responder's public key. It is
//! checked before anything else is computed, so that who knows neither can buy nothing. The prologue of Noise
//! names the protocol and both roles and has the initiation's header, in which version and cipher are.

use super::aead::{OpenKey, SealKey};
use super::hello::PAYLOAD_BYTES;
use super::mac::{MAC_BYTES, MacKey};
use super::noise::MESSAGE_OVERHEAD_BYTES;
use super::packet::{INITIATION_BYTES, PREFIX_BYTES, RESPONSE_BYTES};

/// The keys of a new session.
#[derive(Debug)]
pub(super) struct SessionKeys {
    /// For what this side sends.
    pub(super) seal: SealKey,
    /// For what the other side sends.
    pub(super) open: OpenKey,
}

/// The keys that come of what both sides know.
#[derive(Debug)]
pub(super) struct SharedKeys {
    /// Of `mac1`.
    pub(super) mac1: MacKey,
    /// What cookies are sealed with.
    pub(super) cookie: MacKey,
}

impl SharedKeys {
    pub(super) fn new(psk: &[u8; 32], responder_public: &[u8; 32]) -> SharedKeys {
        SharedKeys {
            mac1: MacKey::derive(b"libnet udp mac1", psk, responder_public),
            cookie: MacKey::derive(b"libnet udp cookie", psk, responder_public),
        }
    }
}

/// What both sides must have seen alike before they exchange keys.
pub(super) fn prologue(initiation: &[u8; INITIATION_BYTES]) -> [u8; PROLOGUE_BYTES] {
    let mut prologue = [0; PROLOGUE_BYTES];
    prologue[..ROLES.len()].copy_from_slice(ROLES);
    prologue[ROLES.len()..].copy_from_slice(&initiation[..PREFIX_BYTES]);
    prologue
}

const ROLES: &[u8] = b"libnet udp, initiator to responder: ";
const PROLOGUE_BYTES: usize = ROLES.len() + PREFIX_BYTES;

/// Bytes of either message.
pub(super) const MESSAGE_BYTES: usize = PAYLOAD_BYTES + MESSAGE_OVERHEAD_BYTES;

/// Where an initiation's message begins.
pub(super) const INITIATION_MESSAGE_AT: usize = PREFIX_BYTES;

/// Where an initiation's first code stands.
pub(super) const INITIATION_MAC1_AT: usize = INITIATION_MESSAGE_AT + MESSAGE_BYTES;

/// Where its second code stands.
pub(super) const INITIATION_MAC2_AT: usize = INITIATION_MAC1_AT + MAC_BYTES;

/// Where a response's message begins: behind the index of its sender.
pub(super) const RESPONSE_MESSAGE_AT: usize = PREFIX_BYTES + 4;

/// Where a response's code stands.
pub(super) const RESPONSE_MAC1_AT: usize = RESPONSE_MESSAGE_AT + MESSAGE_BYTES;

const _: () = assert!(INITIATION_MAC2_AT + MAC_BYTES == INITIATION_BYTES);
const _: () = assert!(RESPONSE_MAC1_AT + MAC_BYTES == RESPONSE_BYTES);

#[cfg(test)]
mod tests;
