//! The endpoint: one shard's sessions with the peer. Takes datagrams and events, gives datagrams; knows neither sockets nor
//! stores.
//!
//! There are as many sessions as the side with more shards has shards; number `k` joins the initiator's shard `k % n` with the
//! responder's `k % m`. A key's events stay in one of them, and so in order.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use engine::adapter::{AdapterError, AdapterState};
use engine::batch::Batch;
use engine::clock::Monotonic;

use super::aead::TAG_BYTES;
use super::answerer::Answerer;
use super::channel::{Events, Load, Mark, Settings};
use super::counts::Counts;
use super::dialer::Dialer;
use super::hello::Status;
use super::keyring::{Keys, Peer, fresh_index};
use super::packet::{HEADER_BYTES, INITIATION_BYTES, Packet};
use super::refused::Refused;
use super::session::{Burst, Heard, Session};
use super::split::split;

/// One shard's sessions.
pub(super) struct Endpoint {
    side: Side,
    place: Place,
    /// Whom we have met last.
    peer: Option<Peer>,
    /// Number `place.shard`, and every `place.local.shards`-th from there. The first `active` are those that we have with
    /// the peer; others wait for somebody else to prove the keys of one.
    sessions: Vec<Session>,
    active: usize,
    /// Whose turn it is to send.
    turn: usize,
    counts: Counts,
}

/// What the two roles do differently.
pub(super) enum Side {
    Initiator(Dialer),
    Responder(Answerer),
}

/// Which shard of which process an endpoint is, and how it is to behave.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) shard: u16,
    pub(super) local: Peer,
    pub(super) settings: Settings,
    /// How long a session is silent before it gives a sign.
    pub(super) heartbeat: Duration,
    /// Without a packet for so long a session is over.
    pub(super) timeout: Duration,
}

impl Endpoint {
    pub(super) fn new(side: Side, place: Place, now: Monotonic) -> Endpoint {
        let first = Session::new(place.shard, &place.settings_with(None), now);
        let counts = Counts::default();
        Endpoint { side, place, peer: None, sessions: vec![first], active: 1, turn: 0, counts }
    }

    /// Takes a datagram. Events that are complete, and in order where there is one, are put behind `arrived`.
    #[inline]
    pub(super) fn receive(
        &mut self,
        packet: &mut [u8],
        from: SocketAddr,
        now: Monotonic,
        arrived: &mut Batch,
    ) {
        let taken = match (Packet::parse(packet), &mut self.side) {
            (Ok(Packet::Data { receiver, counter }), _) => {
                self.receive_data(receiver, counter, packet, from, now, arrived)
            }
            (Ok(Packet::Initiation(packet)), Side::Responder(_)) => self.answer(packet, from, now),
            (Ok(Packet::Response { receiver, packet }), Side::Initiator(dialer)) => {
                let heard = dialer.hear_response(receiver, packet, &self.place, now);
                heard.map(|keys| keys.into_iter().for_each(|(at, keys)| self.begin(at, keys, from, now)))
            }
            (Ok(Packet::Cookie { receiver, packet }), Side::Initiator(dialer)) => {
                dialer.hear_cookie(receiver, packet, now)
            }
            (Ok(_), _) => Err(Refused::Malformed),
            (Err(refused), _) => Err(refused),
        };
        if let Err(refused) = taken {
            self.counts.refuse(refused);
        }
    }

    /// Takes the events of a batch, to be sent.
    pub(super) fn take(&mut self, batch: &Rc<Batch>) {
        let count = batch.len() as u32;
        if self.active == 1 {
            let load = Load { batch: Rc::clone(batch), events: Events::Range(0..count) };
            return self.sessions[0].channel.take(load);
        }
        self.distribute(batch, 0..count);
    }

    /// Whether nothing is left to be done for the events that were taken.
    pub(super) fn is_settled(&self) -> bool {
        self.active().iter().all(|session| session.channel.is_settled())
    }

    /// How far the sessions have delivered.
    pub(super) fn marks(&self, marks: &mut Vec<Mark>) {
        marks.clear();
        marks.extend(self.active().iter().map(|session| session.channel.mark()));
    }

    /// What they had delivered up to `marks` is stored.
    pub(super) fn stored(&mut self, marks: &[Mark], now: Monotonic) {
        for (session, &mark) in self.sessions[..self.active].iter_mut().zip(marks) {
            session.channel.stored(mark, now);
        }
    }

    /// Whether events can be sent through every session.
    pub(super) fn is_open(&self, now: Monotonic) -> bool {
        self.peer.is_some() && self.active().iter().all(|session| session.is_open(now))
    }

    /// How it stands to the peer.
    pub(super) fn state(&self, now: Monotonic) -> AdapterState {
        match &self.side {
            _ if self.is_open(now) => AdapterState::Up,
            Side::Initiator(dialer) if dialer.is_refused() => AdapterState::Down,
            _ => AdapterState::Connecting,
        }
    }

    /// Why there is no session, if that was not asked before.
    pub(super) fn take_error(&mut self) -> Option<AdapterError> {
        match &mut self.side {
            Side::Initiator(dialer) => dialer.take_error(),
            Side::Responder(_) => None,
        }
    }

    /// Does what is due. Events that this makes deliverable are put behind `arrived`.
    pub(super) fn on_time(&mut self, now: Monotonic, arrived: &mut Batch) {
        let Place { heartbeat, timeout, .. } = self.place;
        for session in &mut self.sessions[..self.active] {
            if session.lapse(timeout, now) {
                self.counts.timeouts += 1;
            }
            session.on_time(heartbeat, now, arrived);
        }
    }

    /// When something is due.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let Place { heartbeat, timeout, .. } = self.place;
        let sessions = self.active().iter().filter_map(|session| session.due(heartbeat, timeout));
        let calls = match &self.side {
            Side::Initiator(dialer) => dialer.due(self.active(), timeout),
            Side::Responder(_) => None,
        };
        sessions.chain(calls).min()
    }

    /// Puts the next packets into `buffer`. `None` when there is nothing to send now.
    pub(super) fn transmit(&mut self, buffer: &mut [u8], now: Monotonic) -> Option<Burst> {
        let handshake = match &mut self.side {
            Side::Initiator(dialer) => dialer.dial(&self.sessions[..self.active], &self.place, now, buffer),
            Side::Responder(answerer) => answerer.transmit(buffer),
        };
        if handshake.is_some() {
            return handshake;
        }
        let mtu = self.place.mtu_with(self.peer);
        for _ in 0..self.active {
            self.turn = (self.turn + 1) % self.active;
            if let Some(burst) = self.sessions[self.turn].burst(buffer, mtu, now) {
                self.counts.sent += burst.bytes.div_ceil(burst.segment) as u64;
                return Some(burst);
            }
        }
        None
    }

    /// Puts a leave into `buffer`, of one session after the other, so that the peer need not wait for a timeout. Nothing is sent
    /// after it.
    pub(super) fn leave(&mut self, buffer: &mut [u8], now: Monotonic) -> Option<Burst> {
        self.sessions[..self.active].iter_mut().find_map(|session| session.leave(buffer, now))
    }

    /// The kernel did not take a packet.
    pub(super) fn count_send_error(&mut self) {
        self.counts.send_errors += 1;
    }

    /// What was counted.
    pub(super) fn counts(&self) -> Counts {
        self.active().iter().fold(self.counts, |counts, session| counts.with(session.channel.counts()))
    }

    #[inline]
    fn receive_data(
        &mut self,
        receiver: u32,
        counter: u64,
        packet: &mut [u8],
        from: SocketAddr,
        now: Monotonic,
        arrived: &mut Batch,
    ) -> Result<(), Refused> {
        let number = receiver as u8;
        let at = self.place.index_of(number.into(), self.sessions.len()).ok_or(Refused::Session)?;
        let plaintext = self.sessions[at].keyring.open(receiver, counter, packet)?;
        if let Some(peer) = self.sessions[at].keyring.unproved(receiver) {
            if !self.admit(peer, now) {
                return Ok(());
            }
            self.sessions[at].prove(receiver, from, now);
        }
        self.counts.received += 1;
        if let Side::Responder(answerer) = &self.side {
            answerer.is_heard(now);
        }
        let heard = self.sessions[at].read(counter, plaintext, from, now, arrived);
        if heard.map_err(|_| Refused::Payload)? == Heard::Leave
            && let (Side::Responder(answerer), Some(peer)) = (&self.side, self.peer)
        {
            answerer.has_left(peer);
        }
        Ok(())
    }

    /// The responder, at `address`, has answered: its keys are used from now on.
    fn begin(&mut self, at: usize, keys: Keys, address: SocketAddr, now: Monotonic) {
        self.meet(keys.peer, now);
        self.counts.handshakes += 1;
        self.sessions[at].begin(keys, address, now);
    }

    /// `peer` has proved to have keys that we have answered with. Whether it is the one we talk to from now on.
    fn admit(&mut self, peer: Peer, now: Monotonic) -> bool {
        if let Side::Responder(answerer) = &self.side
            && !answerer.takes(peer, self.place.timeout, now)
        {
            self.counts.not_admitted += 1;
            return false;
        }
        self.meet(peer, now);
        self.counts.handshakes += 1;
        true
    }

    /// Answers an initiation.
    fn answer(
        &mut self,
        packet: &[u8; INITIATION_BYTES],
        from: SocketAddr,
        now: Monotonic,
    ) -> Result<(), Refused> {
        let Side::Responder(answerer) = &mut self.side else { return Err(Refused::Malformed) };
        let question = answerer.hear(packet, from, now)?;
        let hello = question.hello;
        let peer = Peer::new(hello.instance, hello.shards, hello.mtu)?;
        let all = self.place.sessions_with(peer.shards);
        let at = self.place.index_of(hello.session, all);
        let status = answerer.judge(&question, at, &self.place, now);
        let (Status::Accepted, Some(at)) = (status, at) else {
            self.counts.not_admitted += 1;
            return answerer.answer(question, from, status, 0, &self.place, now).map(drop);
        };
        while self.sessions.len() <= at {
            let number = self.place.number_of(self.sessions.len());
            self.sessions.push(Session::new(number, &self.place.settings_with(None), now));
        }
        let keyring = &mut self.sessions[at].keyring;
        let index = fresh_index(keyring, hello.session, &mut answerer.entropy);
        keyring.expect(answerer.answer(question, from, status, index, &self.place, now)?);
        Ok(())
    }

    /// The peer is this process from now on. If it was another one, everything that was not settled with that goes to this one.
    fn meet(&mut self, peer: Peer, now: Monotonic) {
        if self.peer == Some(peer) {
            return;
        }
        self.counts = self.counts();
        self.peer = Some(peer);
        let settings = self.place.settings_with(self.peer);
        let mut unsettled = Vec::new();
        for session in &mut self.sessions {
            unsettled.extend(session.meet(peer, &settings, now));
        }
        self.active = self.place.sessions_with(peer.shards);
        while self.sessions.len() < self.active {
            let number = self.place.number_of(self.sessions.len());
            self.sessions.push(Session::new(number, &settings, now));
        }
        self.sessions.truncate(self.active);
        let Some(batch) = unsettled.first().map(|load| Rc::clone(&load.batch)) else { return };
        let mut indices: Vec<u32> = unsettled.iter().flat_map(|load| load.events.indices()).collect();
        indices.sort_unstable();
        self.distribute(&batch, indices.into_iter());
    }

    fn distribute(&mut self, batch: &Rc<Batch>, indices: impl Iterator<Item = u32>) {
        let mut parts: Vec<Vec<u32>> =
            self.sessions[..self.active].iter_mut().map(|session| session.channel.spare_list()).collect();
        split(batch, indices, &mut parts);
        for (session, part) in self.sessions.iter_mut().zip(parts) {
            session.channel.take(Load { batch: Rc::clone(batch), events: Events::List(part) });
        }
    }

    fn active(&self) -> &[Session] {
        &self.sessions[..self.active]
    }
}

impl Place {
    /// How many sessions this shard has with a peer of `shards` shards.
    pub(super) fn sessions_with(&self, shards: u16) -> usize {
        let all = self.local.shards.max(shards);
        usize::from((all - self.shard).div_ceil(self.local.shards))
    }

    /// The number of the session at `index`.
    pub(super) fn number_of(&self, index: usize) -> u16 {
        self.shard + index as u16 * self.local.shards
    }

    /// Where session `number` is among the first `count` of this shard.
    fn index_of(&self, number: u16, count: usize) -> Option<usize> {
        let above = number.checked_sub(self.shard)?;
        let index = usize::from(above / self.local.shards);
        (above % self.local.shards == 0 && index < count).then_some(index)
    }

    /// Bytes of a packet that both sides take; without a peer, that we do.
    pub(super) fn mtu_with(&self, peer: Option<Peer>) -> usize {
        usize::from(peer.map_or(self.local.mtu, |peer| peer.mtu.min(self.local.mtu)))
    }

    fn settings_with(&self, peer: Option<Peer>) -> Settings {
        let plaintext_max = self.mtu_with(peer) - HEADER_BYTES - TAG_BYTES;
        Settings { plaintext_max, ..self.settings }
    }
}

#[cfg(test)]
mod simulation;
