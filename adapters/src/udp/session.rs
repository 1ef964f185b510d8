//! The session: what joins one of our shards with one of the peer's. Its keys wear out and its peer may vanish; its channel
//! outlives both, as long as the same two processes meet again.

use std::net::SocketAddr;
use std::time::Duration;

use engine::batch::Batch;
use engine::clock::Monotonic;

use super::aead::TAG_BYTES;
use super::channel::{Channel, Load, Malformed, PADDING, Settings};
use super::entropy::Entropy;
use super::keyring::{Keyring, Keys, Peer};
use super::packet::HEADER_BYTES;

/// One session.
pub(super) struct Session {
    pub(super) number: u16,
    pub(super) keyring: Keyring,
    pub(super) channel: Channel,
    /// Which channel it is; both sides have the same. 0 is none yet.
    channel_number: u32,
    /// Where the peer was heard last.
    address: Option<SocketAddr>,
    /// Number of the next packet. It goes on over keys, so that a channel never sees one twice.
    next_number: u64,
    newest_heard: u64,
    heard_at: Monotonic,
    sent_at: Monotonic,
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
            channel_number: 0,
            address: None,
            next_number: 1,
            newest_heard: 0,
            heard_at: now,
            sent_at: now,
        }
    }

    /// Whether events can be sent.
    pub(super) fn is_open(&self, now: Monotonic) -> bool {
        self.address.is_some() && self.keyring.is_open(now)
    }

    /// Where the peer was heard last.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Which channel there is with the peer; 0 is none.
    pub(super) fn channel_number(&self) -> u32 {
        self.channel_number
    }

    /// The channel that a responder offers to `instance`, which has `theirs`: the same, where it was offered that before, or is
    /// whom we have ours with; else a new one.
    pub(super) fn offer(&self, instance: u64, is_peer: bool, theirs: u32, entropy: &mut dyn Entropy) -> u32 {
        let ours = [self.keyring.expected_channel(instance), is_peer.then_some(self.channel_number)];
        if theirs != 0 && ours.contains(&Some(theirs)) {
            return theirs;
        }
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes);
        u32::from_le_bytes(bytes).max(1)
    }

    /// Uses new keys, with the peer at `address`.
    pub(super) fn begin(
        &mut self,
        keys: Keys,
        address: SocketAddr,
        settings: &Settings,
        now: Monotonic,
        arrived: &mut Batch,
    ) {
        let (has_lapsed, channel) = (!self.is_open(now), keys.channel);
        self.keyring.use_now(keys);
        self.address = Some(address);
        self.has_begun(has_lapsed, channel, settings, now, arrived);
    }

    /// The peer has proved to have the keys of this number.
    pub(super) fn prove(&mut self, local: u32, settings: &Settings, now: Monotonic, arrived: &mut Batch) {
        let has_lapsed = !self.is_open(now);
        if let Some(channel) = self.keyring.promote(local) {
            self.has_begun(has_lapsed, channel, settings, now, arrived);
        }
    }

    fn has_begun(
        &mut self,
        has_lapsed: bool,
        channel: u32,
        settings: &Settings,
        now: Monotonic,
        arrived: &mut Batch,
    ) {
        if channel != self.channel_number {
            // One of us has met somebody else in between, and has no more what we had.
            self.channel_number = channel;
            self.keyring.forget_previous();
            for load in self.begin_anew(settings, now, arrived) {
                self.channel.take(load);
            }
        } else if has_lapsed {
            self.channel.reconnected(now);
        }
        self.heard_at = now;
        // It hears from us, and so has our keys.
        self.channel.ping();
    }

    /// The peer is another process than before: forgets what joined us with that. Gives back what was not settled with it.
    pub(super) fn meet(
        &mut self,
        peer: Peer,
        settings: &Settings,
        now: Monotonic,
        arrived: &mut Batch,
    ) -> Vec<Load> {
        self.keyring.keep_only(peer);
        self.address = None;
        self.newest_heard = 0;
        self.channel_number = 0;
        self.begin_anew(settings, now, arrived)
    }

    /// Another channel. Gives back what was not settled with the one before.
    fn begin_anew(&mut self, settings: &Settings, now: Monotonic, arrived: &mut Batch) -> Vec<Load> {
        self.channel.peer_is_gone(arrived);
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
        if number >= self.newest_heard || self.address.is_none() {
            // An older packet may come from where the peer is no more.
            self.newest_heard = number;
            self.address = Some(from);
        }
        if plaintext == LEAVE {
            self.keyring.forget();
            self.channel.peer_is_gone(arrived);
            return Ok(Heard::Leave);
        }
        self.channel.read(number, plaintext, now, arrived)?;
        Ok(Heard::Content)
    }

    /// Forgets a peer that was not heard for too long, or did not agree on new keys before the last ones were spent. Whether it did.
    pub(super) fn lapse(&mut self, timeout: Duration, now: Monotonic, arrived: &mut Batch) -> bool {
        let lapses =
            self.keyring.is_any() && (now.since(self.heard_at) >= timeout || !self.keyring.is_open(now));
        if lapses {
            self.keyring.close();
            self.channel.peer_is_gone(arrived);
        }
        lapses
    }

    /// Whether new keys are due: there are none, they are worn, or the peer was silent for so long that it may not have them any more.
    pub(super) fn wants_keys(&self, silence: Duration, now: Monotonic) -> bool {
        self.keyring.is_worn(now) || now.since(self.heard_at) >= silence
    }

    /// When they will be due, if nothing happens before.
    pub(super) fn wants_keys_at(&self, silence: Duration) -> Monotonic {
        self.keyring.wears_at().min(self.heard_at.after(silence))
    }

    /// Does what is due. Events that this makes deliverable are put behind `arrived`.
    pub(super) fn on_time(&mut self, heartbeat: Duration, now: Monotonic, arrived: &mut Batch) {
        if !self.keyring.is_any() {
            return;
        }
        if now.since(self.sent_at) >= heartbeat {
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
        let (first, mut end) = (self.next_number, 0);
        let packets_max = self.keyring.sealable().min((buffer.len() / mtu) as u64) as usize;
        for (packet, at) in (0..packets_max).map(|packet| (packet, packet * mtu)) {
            let room = &mut buffer[at + HEADER_BYTES..at + mtu - TAG_BYTES];
            let Some(plaintext) = self.channel.write(self.next_number, now, room) else { break };
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
        self.keyring.seal(self.number as u8, number, packet);
    }
}

/// The content of a leave: a frame that channels do not have.
const LEAVE: &[u8] = &[255];

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use engine::event::EventFlags;

    use super::super::channel::{Events, Reliability};
    use super::super::keyring::tests::keys;
    use super::*;

    const NOW: Monotonic = Monotonic(1_000);
    const PEER: Peer = Peer { instance: 1, shards: 1, mtu: 600 };

    fn session(reliability: Reliability) -> Session {
        let settings = settings(reliability);
        let mut session = Session::new(0, &settings, NOW);
        let from = SocketAddr::from(([192, 0, 2, 1], 700));
        session.begin(keys(3, PEER, 1, 1), from, &settings, NOW, &mut Batch::default());
        session
    }

    fn settings(reliability: Reliability) -> Settings {
        let (window_blocks, kept_bytes_max) = (64, 1 << 20);
        Settings { reliability, plaintext_max: 568, window_blocks, event_bytes_max: 1 << 20, kept_bytes_max }
    }

    fn publish(session: &mut Session, count: u32) {
        let mut batch = Batch::default();
        (0..count).for_each(|_| batch.push(1, 1, EventFlags::NONE, PAYLOAD));
        session.channel.take(Load { batch: Rc::new(batch), events: Events::Range(0..count) });
    }

    #[test]
    fn nothing_goes_out_that_its_key_may_not_seal() {
        let mut session = session(Reliability::None);
        publish(&mut session, 100);
        session.keyring.spend(3);
        let mut buffer = vec![0; 20 * 600];
        let burst = session.burst(&mut buffer, 600, NOW).expect("three packets may be sealed");
        assert_eq!((burst.bytes.div_ceil(burst.segment), session.keyring.sealable()), (3, 0));
        let is_clear = |bytes: &[u8]| bytes.windows(PAYLOAD.len()).any(|window| window == PAYLOAD);
        assert!(!is_clear(&buffer[..burst.bytes]));
        assert_eq!(session.burst(&mut buffer, 600, NOW), None);
        assert!(session.lapse(Duration::from_secs(9), NOW, &mut Batch::default()), "it is over");
    }

    #[test]
    fn new_keys_are_used_at_once_in_a_packet_that_can_be_acknowledged() {
        let settings = settings(Reliability::Full);
        let (mut near, mut far) = (session(Reliability::Full), session(Reliability::Full));
        let (mut buffer, from) = (vec![0; 600], SocketAddr::from(([192, 0, 2, 1], 700)));
        // The first with the first keys; then a rekey, while there is nothing else to say.
        for local in [3, 4] {
            if local == 4 {
                for session in [&mut near, &mut far] {
                    session.begin(keys(4, PEER, 2, 1), from, &settings, NOW, &mut Batch::default());
                }
            }
            for _ in 0..2 {
                let burst = near.burst(&mut buffer, 600, NOW).expect("it has something to say");
                let counter = u64::from_le_bytes(*buffer[8..].first_chunk().expect("a counter"));
                let plaintext = far.keyring.open(local, counter, &mut buffer[..burst.bytes], NOW);
                far.read(counter, plaintext.expect("it is genuine"), from, NOW, &mut Batch::default())
                    .expect("it is in order");
                std::mem::swap(&mut near, &mut far);
            }
        }
        assert_eq!([near, far].map(|session| session.channel.counts().malformed), [0, 0]);
    }

    #[test]
    fn what_has_come_behind_a_gap_is_delivered_when_the_peer_leaves() {
        let (mut sender, mut receiver) = (session(Reliability::Light), session(Reliability::Light));
        publish(&mut sender, 100);
        let (mut buffer, mut arrived) = (vec![0; 20 * 600], Batch::default());
        let from = SocketAddr::from(([192, 0, 2, 1], 700));
        let hear = |receiver: &mut Session, packet: &mut [u8], arrived: &mut Batch| {
            let counter = u64::from_le_bytes(*packet[8..].first_chunk().expect("a counter"));
            let plaintext = receiver.keyring.open(3, counter, packet, NOW).expect("it is genuine");
            receiver.read(counter, plaintext, from, NOW, arrived).expect("it is in order")
        };
        let burst = sender.burst(&mut buffer, 600, NOW).expect("there is something to send");
        for (number, packet) in buffer[..burst.bytes].chunks_mut(burst.segment).enumerate() {
            if number != 1 {
                hear(&mut receiver, packet, &mut arrived);
            }
        }
        let before = arrived.len();
        let leave = sender.leave(&mut buffer, NOW).expect("it has a peer");
        assert_eq!(hear(&mut receiver, &mut buffer[..leave.bytes], &mut arrived), Heard::Leave);
        let (sent, came) = (sender.channel.counts().sent, receiver.channel.counts());
        assert!(before < arrived.len() && came.given_up_received > 0, "{came:?}");
        assert_eq!(arrived.len() as u64 + came.given_up_received, sent, "{came:?}");
        assert!(!receiver.is_open(NOW));
    }

    const PAYLOAD: &[u8] = b"an event that nobody else is to read";
}
