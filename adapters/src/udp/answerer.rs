//! The responder's handshakes: who asks is answered, at once and with one packet, and nothing changes until the keys are proved.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use engine::clock::Monotonic;

use super::aead::Cipher;
use super::claim::Claim;
use super::entropy::SystemEntropy;
use super::hello::{Answer, Hello, Status};
use super::keyring::{Keys, Peer};
use super::packet::INITIATION_BYTES;
use super::place::Place;
use super::refused::Refused;
use super::responder::{Question, Responder};
use super::role::is_admitted;
use super::session::{Burst, Session};

/// Answers for one shard.
pub(super) struct Answerer {
    responder: Responder,
    claim: Arc<Claim>,
    /// The only cipher that is taken, if there is but one.
    cipher: Option<Cipher>,
    /// The only address that is heard, if there is but one.
    admitted: Option<IpAddr>,
    replies: VecDeque<Reply>,
    pub(super) entropy: SystemEntropy,
}

/// A packet that is to be sent.
struct Reply {
    to: SocketAddr,
    bytes: usize,
    packet: [u8; INITIATION_BYTES],
}

impl Answerer {
    pub(super) fn new(
        responder: Responder,
        claim: Arc<Claim>,
        cipher: Option<Cipher>,
        admitted: Option<IpAddr>,
        entropy: SystemEntropy,
    ) -> Answerer {
        Answerer {
            responder,
            claim,
            cipher,
            admitted,
            replies: VecDeque::with_capacity(REPLIES_MAX),
            entropy,
        }
    }

    /// Whether packets from there are looked at.
    pub(super) fn admits(&self, from: SocketAddr) -> bool {
        is_admitted(self.admitted, from)
    }

    /// Looks at packets from there only.
    #[cfg(test)]
    pub(super) fn admit_only(&mut self, address: IpAddr) {
        self.admitted = Some(address);
    }

    /// Takes an initiation.
    pub(super) fn hear(
        &mut self,
        packet: &[u8; INITIATION_BYTES],
        from: SocketAddr,
        now: Monotonic,
    ) -> Result<Question, Refused> {
        if self.replies.len() == REPLIES_MAX {
            return Err(Refused::RateLimited);
        }
        let question = self.responder.question(packet, from, now, &mut self.entropy);
        if let Err(Refused::Cookie) = question {
            let cookie = self.responder.cookie(packet, from, now, &mut self.entropy);
            self.reply(from, &cookie);
        }
        question
    }

    /// What a question is answered with. `is_ours`: its session is one of this shard's; `session`: the shard has it.
    pub(super) fn judge(
        &self,
        question: &Question,
        is_ours: bool,
        session: Option<&Session>,
        place: &Place,
        now: Monotonic,
    ) -> Status {
        let Hello { instance, attempt, reliability, event_bytes_max, .. } = question.hello;
        if !is_ours {
            return Status::WrongSession;
        }
        if reliability != place.settings.reliability as u8 {
            return Status::ReliabilityDiffers;
        }
        if self.cipher.is_some_and(|cipher| cipher != question.cipher) {
            return Status::CipherDiffers;
        }
        if event_bytes_max as usize != place.settings.event_bytes_max {
            return Status::EventBytesDiffer;
        }
        if !self.claim.admits(instance, place.timeout, now) {
            return Status::Busy;
        }
        let newest = session.and_then(|session| session.keyring.newest_attempt(instance));
        if newest.is_some_and(|newest| newest >= attempt) { Status::Stale } else { Status::Accepted }
    }

    /// Answers a question: the keys of the session that it may become, with their number and the channel's.
    pub(super) fn answer(
        &mut self,
        question: Question,
        to: SocketAddr,
        status: Status,
        (local, channel): (u32, u32),
        place: &Place,
        now: Monotonic,
    ) -> Result<Keys, Refused> {
        let (hello, remote) = (question.hello, question.peer_index);
        let peer = Peer::new(hello.instance, hello.shards, hello.mtu)?;
        let answer = Answer {
            instance: place.local.instance,
            status,
            reliability: place.settings.reliability as u8,
            shards: place.local.shards,
            session: hello.session,
            mtu: place.local.mtu,
            channel,
        };
        let (packet, keys) = self.responder.answer(question, local, &answer)?;
        self.reply(to, &packet);
        Ok(Keys::new(keys, (local, remote), (peer, hello.attempt), channel, now))
    }

    /// Puts the next reply into `buffer`.
    pub(super) fn transmit(&mut self, buffer: &mut [u8]) -> Option<Burst> {
        let Reply { to, bytes, packet } = self.replies.pop_front()?;
        buffer[..bytes].copy_from_slice(&packet[..bytes]);
        Some(Burst { to, bytes, segment: bytes })
    }

    /// `peer` has proved its keys. Whether it is the one from now on.
    pub(super) fn takes(&self, peer: Peer, timeout: Duration, now: Monotonic) -> bool {
        self.claim.take(peer.instance, timeout, now)
    }

    /// The peer was heard.
    pub(super) fn hear_peer(&self, now: Monotonic) {
        self.claim.hear(now);
    }

    /// The peer has taken its leave.
    pub(super) fn let_go(&self, peer: Peer) {
        self.claim.leave(peer.instance);
    }

    fn reply(&mut self, to: SocketAddr, packet: &[u8]) {
        let mut reply = Reply { to, bytes: packet.len(), packet: [0; INITIATION_BYTES] };
        reply.packet[..packet.len()].copy_from_slice(packet);
        self.replies.push_back(reply);
    }
}

/// Replies that wait to be sent, at most.
const REPLIES_MAX: usize = 64;
