//! The responder's handshakes: who asks is answered, at once and with one packet, and nothing changes until the keys are proved.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use engine::clock::Monotonic;

use super::aead::Cipher;
use super::claim::Claim;
use super::endpoint::Place;
use super::entropy::SystemEntropy;
use super::hello::{Answer, Hello, Status};
use super::keyring::{Keys, Peer};
use super::packet::INITIATION_BYTES;
use super::refused::Refused;
use super::responder::{Question, Responder};
use super::role::is_admitted;
use super::session::Burst;

/// Answers for one shard.
pub(super) struct Answerer {
    responder: Responder,
    claim: Arc<Claim>,
    /// The only cipher that is taken, if there is but one.
    cipher: Option<Cipher>,
    /// The only address that is heard, if there is but one.
    admitted: Option<IpAddr>,
    /// Instance and newest attempt of each session's last question.
    attempts: Vec<(u64, u64)>,
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
            attempts: Vec::new(),
            replies: VecDeque::with_capacity(REPLIES_MAX),
            entropy,
        }
    }

    /// Takes an initiation.
    pub(super) fn hear(
        &mut self,
        packet: &[u8; INITIATION_BYTES],
        from: SocketAddr,
        now: Monotonic,
    ) -> Result<Question, Refused> {
        if !is_admitted(self.admitted, from) || self.replies.len() == REPLIES_MAX {
            return Err(Refused::RateLimited);
        }
        let question = self.responder.question(packet, from, now, &mut self.entropy);
        if let Err(Refused::Cookie) = question {
            let cookie = self.responder.cookie(packet, from, now, &mut self.entropy);
            self.reply(from, &cookie);
        }
        question
    }

    /// What a question is answered with. `index` is where its session is among those of the shard.
    pub(super) fn judge(
        &mut self,
        question: &Question,
        index: Option<usize>,
        place: &Place,
        now: Monotonic,
    ) -> Status {
        let Hello { instance, attempt, reliability, .. } = question.hello;
        let Some(index) = index else { return Status::WrongSession };
        if reliability != place.settings.reliability as u8 {
            return Status::ReliabilityDiffers;
        }
        if self.cipher.is_some_and(|cipher| cipher != question.cipher) {
            return Status::CipherDiffers;
        }
        if !self.claim.admits(instance, place.timeout, now) {
            return Status::Busy;
        }
        if self.attempts.len() <= index {
            self.attempts.resize(index + 1, (0, 0));
        }
        let newest = &mut self.attempts[index];
        if newest.0 == instance && newest.1 >= attempt {
            return Status::Stale;
        }
        *newest = (instance, attempt);
        Status::Accepted
    }

    /// Answers a question: the keys of the session that it may become.
    pub(super) fn answer(
        &mut self,
        question: Question,
        to: SocketAddr,
        status: Status,
        local: u32,
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
        };
        let (packet, keys) = self.responder.answer(question, local, &answer)?;
        self.reply(to, &packet);
        Ok(Keys::new(keys, (local, remote), peer, now))
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
    pub(super) fn is_heard(&self, now: Monotonic) {
        self.claim.is_heard(now);
    }

    /// The peer has taken its leave.
    pub(super) fn has_left(&self, peer: Peer) {
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
