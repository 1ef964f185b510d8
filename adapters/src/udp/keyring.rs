//! The keys of one session: those in use, those before them, and those that the peer has not proved to have yet.
//!
//! New keys are used when they are confirmed: by the response, on the initiator's side; by the first packet that they open, on
//! the responder's. Those before stay for packets that are still on their way; those that were overtaken
//! before anything confirmed them are forgotten. Whoever replays a first message gets keys made that nothing ever confirms.

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
    /// Who the peer said it is, and the number of its attempt.
    pub(super) peer: Peer,
    attempt: u64,
    /// Which channel goes over them.
    pub(super) channel: u32,
    since: Monotonic,
    /// Packets that were opened.
    opened: u64,
}

impl Keys {
    pub(super) fn new(
        SessionKeys { seal, open }: SessionKeys,
        (local, remote): (u32, u32),
        (peer, attempt): (Peer, u64),
        channel: u32,
        now: Monotonic,
    ) -> Keys {
        let window = ReplayWindow::new();
        Keys { seal, open, window, local, remote, peer, attempt, channel, since: now, opened: 0 }
    }

    /// Whether new ones are due.
    fn are_worn(&self, now: Monotonic) -> bool {
        self.seal.sealed().max(self.opened) >= REKEY_AFTER_SEALED || now.since(self.since) >= REKEY_AFTER
    }

    /// Whether nothing may be sealed with them any more.
    fn are_spent(&self, now: Monotonic) -> bool {
        self.seal.sealed() >= SEALED_MAX || self.are_old(now)
    }

    /// Whether nothing may be opened with them any more.
    fn are_old(&self, now: Monotonic) -> bool {
        now.since(self.since) >= REJECT_AFTER
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

    /// Takes keys that the peer has yet to prove that it has, in the place of others of the same peer.
    pub(super) fn expect(&mut self, keys: Keys) {
        if engine::planted!("30-keys-count-before-they-are-proved") {
            return self.use_now(keys);
        }
        self.unproved.retain(|other| other.peer.instance != keys.peer.instance);
        if self.unproved.len() == UNPROVED_MAX {
            self.unproved.remove(0);
        }
        self.unproved.push(keys);
    }

    /// The channel of the keys that `instance` has yet to prove that it has.
    pub(super) fn expected_channel(&self, instance: u64) -> Option<u32> {
        Some(self.unproved.iter().find(|keys| keys.peer.instance == instance)?.channel)
    }

    /// The number of the newest attempt of `instance` that has led to keys.
    pub(super) fn newest_attempt(&self, instance: u64) -> Option<u64> {
        let all = self.current.iter().chain(&self.previous).chain(&self.unproved);
        all.filter(|keys| keys.peer.instance == instance).map(|keys| keys.attempt).max()
    }

    /// Opens a packet in place: its plaintext. The keys that it names may be [unproved](Keyring::unproved) until now.
    pub(super) fn open<'a>(
        &mut self,
        local: u32,
        counter: u64,
        packet: &'a mut [u8],
        now: Monotonic,
    ) -> Result<&'a mut [u8], Refused> {
        let mut all = self.current.iter_mut().chain(&mut self.previous).chain(&mut self.unproved);
        let keys = all.find(|keys| keys.local == local && !keys.are_old(now)).ok_or(Refused::Session)?;
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

    /// The keys of that number are proved: they are in use from now on. Which channel goes over them. Who has kept packets back that
    /// were sealed with older ones does not get those used.
    pub(super) fn promote(&mut self, local: u32) -> Option<u32> {
        let at = self.unproved.iter().position(|keys| keys.local == local)?;
        let keys = self.unproved.drain(..=at).next_back()?;
        let channel = keys.channel;
        self.use_now(keys);
        Some(channel)
    }

    /// Seals a packet in place: room for its header, the plaintext, and room for the tag.
    ///
    /// # Panics
    /// When there are no keys for it: what is not sealed must not go out.
    pub(super) fn seal(&mut self, steer: u8, counter: u64, packet: &mut [u8]) {
        let keys = self.current.as_mut().expect("a session without keys makes no packets");
        let (clear, body) =
            packet.split_first_chunk_mut::<HEADER_BYTES>().expect("a packet has room for its header");
        *clear = data_header(steer, keys.remote, counter);
        keys.seal.seal(counter, clear, body).expect("no more packets are made than may be sealed");
    }

    /// Goes on as if so many packets had been sealed that `left` are left.
    #[cfg(test)]
    pub(super) fn spend(&mut self, left: u64) {
        self.current.as_mut().expect("there are keys").seal.spend(left);
    }

    /// How many packets may still be sealed.
    pub(super) fn sealable(&self) -> u64 {
        self.current.as_ref().map_or(0, |keys| SEALED_MAX - keys.seal.sealed())
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

    /// Forgets all keys of the peer whose are in use: it has gone.
    pub(super) fn forget(&mut self) {
        if let Some(keys) = self.current.take() {
            self.unproved.retain(|other| other.peer.instance != keys.peer.instance);
        }
        self.previous = None;
    }

    /// Forgets the keys before those in use: what comes under them was meant for another channel.
    pub(super) fn forget_previous(&mut self) {
        self.previous = None;
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
/// Peers whose handshake of one session a responder has answered, and that have not confirmed it, at most: old first messages may come
/// before an honest one's confirmation.
const UNPROVED_MAX: usize = 16;

#[cfg(test)]
pub(super) mod tests {
    use zeroize::Zeroizing;

    use super::super::aead::{Cipher, TAG_BYTES};
    use super::*;

    const NOW: Monotonic = Monotonic(1_000);
    const PEER: Peer = Peer { instance: 1, shards: 1, mtu: 1_452 };

    /// Keys with this number, that whoever has the same can seal for and open.
    pub(in crate::udp) fn keys(local: u32, peer: Peer, attempt: u64, channel: u32) -> Keys {
        let key = Zeroizing::new([local as u8; 32]);
        let cipher = Cipher::ChaCha20Poly1305;
        let keys = SessionKeys { seal: SealKey::new(cipher, &key), open: OpenKey::new(cipher, &key) };
        Keys::new(keys, (local, local), (peer, attempt), channel, NOW)
    }

    /// A packet that the peer has sealed with the keys of this number.
    fn sealed(local: u32, counter: u64) -> Vec<u8> {
        let mut ring = Keyring::default();
        ring.use_now(keys(local, PEER, 1, 1));
        let mut packet = vec![0; HEADER_BYTES + 8 + TAG_BYTES];
        ring.seal(0, counter, &mut packet);
        packet
    }

    fn open(ring: &mut Keyring, local: u32, now: Monotonic) -> Result<usize, Refused> {
        ring.open(local, 5, &mut sealed(local, 5), now).map(|plaintext| plaintext.len())
    }

    #[test]
    fn keys_that_were_overtaken_before_anything_proved_them_are_not_used_later() {
        let mut ring = Keyring::default();
        let other = Peer { instance: 2, ..PEER };
        ring.expect(keys(7, PEER, 1, 1));
        ring.expect(keys(8, other, 1, 1));
        ring.expect(keys(9, other, 2, 1));
        assert_eq!(open(&mut ring, 8, NOW), Err(Refused::Session), "the same peer has newer ones");
        assert_eq!(ring.promote(9), Some(1));
        assert_eq!(open(&mut ring, 7, NOW), Err(Refused::Session));
        assert_eq!((open(&mut ring, 9, NOW), ring.promote(7)), (Ok(8), None));
    }

    #[test]
    fn old_keys_open_nothing() {
        let mut ring = Keyring::default();
        for local in [6, 7] {
            ring.use_now(keys(local, PEER, 1, 1));
        }
        ring.expect(keys(8, PEER, 2, 1));
        for local in [6, 7, 8] {
            assert_eq!(open(&mut ring, local, NOW.after(REJECT_AFTER)), Err(Refused::Session));
            assert_eq!(open(&mut ring, local, NOW.after(REJECT_AFTER / 2)), Ok(8));
        }
    }

    #[test]
    fn who_has_left_comes_back_with_new_keys_only() {
        let mut ring = Keyring::default();
        let other = Peer { instance: 2, ..PEER };
        ring.use_now(keys(6, PEER, 1, 1));
        ring.expect(keys(7, PEER, 2, 1));
        ring.expect(keys(8, other, 1, 1));
        ring.forget();
        assert_eq!([6, 7].map(|local| open(&mut ring, local, NOW)), [Err(Refused::Session); 2]);
        assert_eq!(open(&mut ring, 8, NOW), Ok(8));
    }

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
