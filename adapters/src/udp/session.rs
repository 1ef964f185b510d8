//! The session: what joins one of our shards with one of the peer's. Its keys wear out and its peer may vanish; its channel
//! outlives both, as long as the same two processes meet again.

use std::net::SocketAddr;
use std::time::Duration;

use engine::batch::Batch;
use engine::clock::Monotonic;

use super::aead::TAG_BYTES;
use super::channel::{Channel, Load, Malformed, PADDING, Settings};
use super::keyring::{Keyring, Keys, Peer};
use super::packet::HEADER_BYTES;

/// One session.
pub(super) struct Session {
    pub(super) number: u16,
    pub(super) keyring: Keyring,
    pub(super) channel: Channel,
    /// Where the peer was heard last.
    address: Option<SocketAddr>,
    /// Number of the next packet. It goes on over keys, so that a channel never sees one twice.
    next_number: u64,
    newest_heard: u64,
    heard_at: Monotonic,
    sent_at: Monotonic,
    /// The peer is to hear from us though there may be nothing to say.
    owes_sign: bool,
}

/// Packets of one size, one behind the other, but for the last, which may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Burst {
    pub(super) to: SocketAddr,
    pub(super) bytes: usize,
    pub(super) segment: usize,
}

/// What a packet had in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Something for the channel, or nothing.
    Content,
    /// The peer's leave.
    Leave,
}

impl Session {
    pub(super) fn new(number: u16, settings: &Settings, now: Monotonic) -> Session {
        Session {
            number,
            keyring: Keyring::default(),
            channel: Channel::new(settings, now),
            address: None,
            next_number: 1,
            newest_heard: 0,
            heard_at: now,
            sent_at: now,
            owes_sign: false,
        }
    }

    /// Whether events can be sent.
    pub(super) fn is_open(&self, now: Monotonic) -> bool {
        self.address.is_some() && self.keyring.is_open(now)
    }

    /// Uses new keys, with the peer at `address`.
    pub(super) fn begin(&mut self, keys: Keys, address: SocketAddr, now: Monotonic) {
        let has_lapsed = !self.is_open(now);
        self.keyring.use_now(keys);
        self.has_begun(has_lapsed, address, now);
    }

    /// The peer, at `address`, has proved to have the keys of this number.
    pub(super) fn prove(&mut self, local: u32, address: SocketAddr, now: Monotonic) {
        let has_lapsed = !self.is_open(now);
        self.keyring.promote(local);
        self.has_begun(has_lapsed, address, now);
    }

    fn has_begun(&mut self, has_lapsed: bool, address: SocketAddr, now: Monotonic) {
        if has_lapsed {
            self.channel.reconnected(now);
        }
        self.address = Some(address);
        self.heard_at = now;
        self.owes_sign = true;
    }

    /// The peer is another process than before: forgets what joined us with that. Gives back what was not settled with it.
    pub(super) fn meet(&mut self, peer: Peer, settings: &Settings, now: Monotonic) -> Vec<Load> {
        self.keyring.keep_only(peer);
        self.address = None;
        self.newest_heard = 0;
        std::mem::replace(&mut self.channel, Channel::new(settings, now)).into_unsettled()
    }

    /// Takes the plaintext of an authentic packet.
    pub(super) fn read(
        &mut self,
        number: u64,
        plaintext: &[u8],
        from: SocketAddr,
        now: Monotonic,
        arrived: &mut Batch,
    ) -> Result<Heard, Malformed> {
        self.heard_at = now;
        if number >= self.newest_heard {
            // An older packet may come from where the peer is no more.
            self.newest_heard = number;
            self.address = Some(from);
        }
        if plaintext == LEAVE {
            self.keyring.close();
            return Ok(Heard::Leave);
        }
        self.channel.read(number, plaintext, now, arrived)?;
        Ok(Heard::Content)
    }

    /// Forgets a peer that was not heard for too long. Whether it did.
    pub(super) fn lapse(&mut self, timeout: Duration, now: Monotonic) -> bool {
        let lapses = self.keyring.is_any() && now.since(self.heard_at) >= timeout;
        if lapses {
            self.keyring.close();
        }
        lapses
    }

    /// Whether new keys are due: there are none, they are worn, or the peer is silent and may not have them any more.
    pub(super) fn wants_keys(&self, timeout: Duration, now: Monotonic) -> bool {
        self.keyring.is_worn(now) || now.since(self.heard_at) >= timeout / 2
    }

    /// When they will be due, if nothing happens before.
    pub(super) fn wants_keys_at(&self, timeout: Duration) -> Monotonic {
        self.keyring.wears_at().min(self.heard_at.after(timeout / 2))
    }

    /// Does what is due. Events that this makes deliverable are put behind `arrived`.
    pub(super) fn on_time(&mut self, heartbeat: Duration, now: Monotonic, arrived: &mut Batch) {
        if !self.keyring.is_any() {
            return;
        }
        if now.since(self.sent_at) >= heartbeat && !self.owes_sign {
            self.owes_sign = true;
            self.channel.ping();
        }
        if self.channel.due().is_some_and(|due| due <= now) {
            self.channel.tick(now, arrived);
        }
    }

    /// When something is due.
    pub(super) fn due(&self, heartbeat: Duration, timeout: Duration) -> Option<Monotonic> {
        if !self.keyring.is_any() {
            return None;
        }
        let signs = self.sent_at.after(heartbeat);
        let lapses = self.heard_at.after(timeout);
        self.channel.due().into_iter().chain([signs, lapses]).min()
    }

    /// Puts the next packets into `buffer`, each of `mtu` bytes but the last. `None` when there is nothing to send now.
    pub(super) fn burst(&mut self, buffer: &mut [u8], mtu: usize, now: Monotonic) -> Option<Burst> {
        let to = self.address.filter(|_| self.keyring.is_open(now))?;
        let first = self.next_number;
        let mut end = 0;
        for (packet, at) in (0..buffer.len() / mtu).map(|packet| packet * mtu).enumerate() {
            let room = &mut buffer[at + HEADER_BYTES..at + mtu - TAG_BYTES];
            let written = self.channel.write(self.next_number, now, room);
            let Some(plaintext) = written.or_else(|| self.owes_sign.then_some(0)) else { break };
            self.owes_sign = false;
            if packet > 0 {
                // Every packet before the last is as long as the first.
                buffer[end..at - TAG_BYTES].fill(PADDING);
                self.seal(self.next_number - 1, &mut buffer[at - mtu..at]);
            }
            end = at + HEADER_BYTES + plaintext;
            self.next_number += 1;
        }
        let last = (self.next_number - first).checked_sub(1)? as usize * mtu;
        let bytes = end + TAG_BYTES;
        self.seal(self.next_number - 1, &mut buffer[last..bytes]);
        self.sent_at = now;
        Some(Burst { to, bytes, segment: mtu.min(bytes) })
    }

    /// Puts the last packet of all into `buffer`: the peer need not wait for us any more. `None` where there is no peer.
    pub(super) fn leave(&mut self, buffer: &mut [u8], now: Monotonic) -> Option<Burst> {
        let to = self.address.filter(|_| self.keyring.is_open(now))?;
        let bytes = HEADER_BYTES + LEAVE.len() + TAG_BYTES;
        buffer[HEADER_BYTES..HEADER_BYTES + LEAVE.len()].copy_from_slice(LEAVE);
        self.seal(self.next_number, &mut buffer[..bytes]);
        self.keyring.close();
        Some(Burst { to, bytes, segment: bytes })
    }

    fn seal(&mut self, number: u64, packet: &mut [u8]) {
        // Where the keys are spent meanwhile, the packet is lost like any other.
        let _ = self.keyring.seal(self.number as u8, number, packet);
    }
}

/// The content of a leave: a frame that channels do not have.
const LEAVE: &[u8] = &[255];
