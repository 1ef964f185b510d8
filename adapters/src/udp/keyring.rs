//! The keys of one session: those in use, those before them, and those that the peer has not proved to have yet.
//!
//! New keys are used when they are confirmed: by the response, on the initiator's side; by the first packet that they open, on
//! the responder's. Those before stay for packets that are still on their way. Whoever replays a first message gets
//! keys made that nothing ever confirms.

use std::time::Duration;

use engine::clock::Monotonic;

use super::aead::{OpenKey, REKEY_AFTER_SEALED, SEALED_MAX, SealKey};
use super::entropy::Entropy;
use super::handshake::SessionKeys;
use super::packet::{HEADER_BYTES, data_header};
use super::refused::Refused;
use super::replay::ReplayWindow;

/// One process and its bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Random: another one with each start.
    pub(super) instance: u64,
    pub(super) shards: u16,
    /// The largest packet that it takes.
    pub(super) mtu: u16,
}

impl Peer {
    /// Whom a handshake speaks of. One that no configuration makes is refused, though it knows the keys.
    pub(super) fn new(instance: u64, shards: u16, mtu: u16) -> Result<Peer, Refused> {
        let is_sound = (1..=SHARDS_MAX).contains(&shards) && mtu >= MTU_MIN;
        is_sound.then_some(Peer { instance, shards, mtu }).ok_or(Refused::Payload)
    }
}

/// The keys that one handshake has made.
pub(super) struct Keys {
    seal: SealKey,
    open: OpenKey,
    window: ReplayWindow,
    /// Under which number the peer names them, and we to the peer.
    pub(super) local: u32,
    remote: u32,
    /// Who the peer said it is.
    pub(super) peer: Peer,
    since: Monotonic,
    /// Packets that were opened.
    opened: u64,
}

impl Keys {
    pub(super) fn new(
        SessionKeys { seal, open }: SessionKeys,
        (local, remote): (u32, u32),
        peer: Peer,
        now: Monotonic,
    ) -> Keys {
        Keys { seal, open, window: ReplayWindow::new(), local, remote, peer, since: now, opened: 0 }
    }

    /// Whether new ones are due.
    fn are_worn(&self, now: Monotonic) -> bool {
        self.seal.sealed().max(self.opened) >= REKEY_AFTER_SEALED || now.since(self.since) >= REKEY_AFTER
    }

    /// Whether they may not be used any more.
    fn are_spent(&self, now: Monotonic) -> bool {
        self.seal.sealed() >= SEALED_MAX || now.since(self.since) >= REJECT_AFTER
    }
}

/// Every key of one session.
#[derive(Default)]
pub(super) struct Keyring {
    current: Option<Keys>,
    previous: Option<Keys>,
    /// Newest last.
    unproved: Vec<Keys>,
}

impl Keyring {
    /// Takes keys that the peer has proved to have.
    pub(super) fn use_now(&mut self, keys: Keys) {
        self.previous = self.current.replace(keys);
    }

    /// Takes keys that the peer has yet to prove that it has.
    pub(super) fn expect(&mut self, keys: Keys) {
        if self.unproved.len() == UNPROVED_MAX {
            self.unproved.remove(0);
        }
        self.unproved.push(keys);
    }

    /// Opens a packet in place: its plaintext. The keys that it names may be [unproved](Keyring::unproved) until now.
    pub(super) fn open<'a>(
        &mut self,
        local: u32,
        counter: u64,
        packet: &'a mut [u8],
    ) -> Result<&'a mut [u8], Refused> {
        let mut all = self.current.iter_mut().chain(&mut self.previous).chain(&mut self.unproved);
        let keys = all.find(|keys| keys.local == local).ok_or(Refused::Session)?;
        keys.window.check(counter)?;
        let (header, sealed) = packet.split_first_chunk_mut().ok_or(Refused::Malformed)?;
        let plaintext = keys.open.open(counter, header, sealed).map_err(|_| Refused::Forged)?;
        keys.window.commit(counter);
        keys.opened += 1;
        Ok(plaintext)
    }

    /// Whom the peer says to be that has yet to prove that it has the keys of this number.
    pub(super) fn unproved(&self, local: u32) -> Option<Peer> {
        self.unproved.iter().find(|keys| keys.local == local).map(|keys| keys.peer)
    }

    /// The keys of that number are proved: they are in use from now on.
    pub(super) fn promote(&mut self, local: u32) {
        if let Some(at) = self.unproved.iter().position(|keys| keys.local == local) {
            let keys = self.unproved.remove(at);
            self.use_now(keys);
        }
    }

    /// Seals a packet in place: room for its header, the plaintext, and room for the tag. Whether there were keys for it.
    pub(super) fn seal(&mut self, steer: u8, counter: u64, packet: &mut [u8]) -> bool {
        let Some(keys) = &mut self.current else { return false };
        let Some((clear, body)) = packet.split_first_chunk_mut::<HEADER_BYTES>() else { return false };
        *clear = data_header(steer, keys.remote, counter);
        keys.seal.seal(counter, clear, body).is_ok()
    }

    /// Whether there are keys to seal with.
    pub(super) fn is_open(&self, now: Monotonic) -> bool {
        self.current.as_ref().is_some_and(|keys| !keys.are_spent(now))
    }

    /// Whether new keys are due.
    pub(super) fn is_worn(&self, now: Monotonic) -> bool {
        self.current.as_ref().is_none_or(|keys| keys.are_worn(now))
    }

    /// When new keys will be due, by age.
    pub(super) fn wears_at(&self) -> Monotonic {
        self.current.as_ref().map_or(Monotonic(0), |keys| keys.since.after(REKEY_AFTER))
    }

    /// Whether keys have this number.
    pub(super) fn has(&self, local: u32) -> bool {
        self.current.iter().chain(&self.previous).chain(&self.unproved).any(|keys| keys.local == local)
    }

    /// Whether there are keys in use, though they may be spent.
    pub(super) fn is_any(&self) -> bool {
        self.current.is_some()
    }

    /// Forgets the keys in use and those before.
    pub(super) fn close(&mut self) {
        (self.current, self.previous) = (None, None);
    }

    /// Forgets all keys but those of `peer`.
    pub(super) fn keep_only(&mut self, peer: Peer) {
        let is_other = |keys: &mut Keys| keys.peer != peer;
        self.current.take_if(is_other);
        self.previous.take_if(is_other);
        self.unproved.retain(|keys| keys.peer == peer);
    }
}

/// A number for new keys of session `session`, which it has in its lowest byte. The rest is what a stranger has to guess.
pub(super) fn fresh_index(keyring: &Keyring, session: u16, entropy: &mut dyn Entropy) -> u32 {
    loop {
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes);
        bytes[0] = session as u8;
        let index = u32::from_le_bytes(bytes);
        if !keyring.has(index) {
            return index;
        }
    }
}

/// Shards of a bus at most: a byte names a session.
pub(super) const SHARDS_MAX: u16 = 256;
/// Bytes of the smallest packets that a bus can be told to send: what every host of the Internet takes (RFC 791).
pub(super) const MTU_MIN: u16 = 576;
/// Keys of this age are to be replaced.
const REKEY_AFTER: Duration = Duration::from_mins(2);
/// Keys of this age are not used any more.
const REJECT_AFTER: Duration = Duration::from_mins(3);
/// Handshakes of one session that a responder has answered and that nothing has confirmed, at most.
const UNPROVED_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_no_configuration_makes_is_refused() {
        assert!(Peer::new(1, 1, MTU_MIN).is_ok() && Peer::new(1, SHARDS_MAX, u16::MAX).is_ok());
        for (shards, mtu) in
            [(0, 1_452), (SHARDS_MAX + 1, 1_452), (u16::MAX, 1_452), (1, MTU_MIN - 1), (1, 0)]
        {
            assert_eq!(Peer::new(1, shards, mtu), Err(Refused::Payload), "{shards} shards, {mtu} bytes");
        }
    }
}
