//! The endpoint: one shard's sessions with the peer. Takes datagrams and events, gives datagrams; knows neither sockets nor
//! stores.
//!
//! There are as many sessions as the side with more shards has shards; number `k` joins the initiator's shard `k % n` with the
//! responder's `k % m`. A key's events stay in one of them, and so in order.

use std::net::SocketAddr;
use std::rc::Rc;

use engine::adapter::{AdapterError, AdapterState};
use engine::batch::Batch;
use engine::clock::Monotonic;

use super::answerer::Answerer;
use super::channel::{Events, Load, Mark};
use super::counts::Counts;
use super::dialer::Dialer;
use super::hello::Status;
use super::keyring::{Keys, Peer, fresh_index};
use super::packet::{INITIATION_BYTES, Packet};
use super::place::Place;
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
    was_handshake: bool,
    counts: Counts,
}

/// What the two roles do differently.
pub(super) enum Side {
    Initiator(Dialer),
    Responder(Answerer),
}

impl Endpoint {
    pub(super) fn new(side: Side, place: Place, now: Monotonic) -> Endpoint {
        let first = Session::new(place.shard, &place.settings_with(None), now);
        let counts = Counts::default();
        Endpoint {
            side,
            place,
            peer: None,
            sessions: vec![first],
            active: 1,
            turn: 0,
            was_handshake: false,
            counts,
        }
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
            (_, Side::Responder(answerer)) if !answerer.admits(from) => Err(Refused::Address),
            (Ok(Packet::Data { receiver, counter }), _) => {
                self.receive_data(receiver, counter, packet, from, now, arrived)
            }
            (Ok(Packet::Initiation(packet)), Side::Responder(_)) => self.answer(packet, from, now),
            (Ok(Packet::Response { receiver, packet }), Side::Initiator(dialer)) => {
                let heard = dialer.hear_response(receiver, packet, &self.place, now);
                heard.map(|keys| {
                    if let Some((at, keys)) = keys {
                        self.begin(at, keys, from, now, arrived);
                    }
                })
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
            if session.lapse(timeout, now, arrived) {
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
            Side::Initiator(dialer) => dialer.due(self.active(), self.place.silence()),
            Side::Responder(_) => None,
        };
        sessions.chain(calls).min()
    }

    /// Puts the next packets into `buffer`. `None` when there is nothing to send now.
    pub(super) fn transmit(&mut self, buffer: &mut [u8], now: Monotonic) -> Option<Burst> {
        // They take turns, so that who asks for handshakes without end keeps no session from speaking.
        let is_turn_of_handshakes = !std::mem::take(&mut self.was_handshake);
        let first = if is_turn_of_handshakes { self.handshake(buffer, now) } else { None };
        let burst = first.or_else(|| self.session_burst(buffer, now));
        if burst.is_some() || is_turn_of_handshakes { burst } else { self.handshake(buffer, now) }
    }

    fn handshake(&mut self, buffer: &mut [u8], now: Monotonic) -> Option<Burst> {
        let packet = match &mut self.side {
            Side::Initiator(dialer) => dialer.dial(&self.sessions[..self.active], &self.place, now, buffer),
            Side::Responder(answerer) => answerer.transmit(buffer),
        };
        self.was_handshake = packet.is_some();
        packet
    }

    fn session_burst(&mut self, buffer: &mut [u8], now: Monotonic) -> Option<Burst> {
        let mtu = self.place.mtu_with(self.peer);
        for _ in 0..self.active {
            self.turn = (self.turn + 1) % self.active;
            if let Some(burst) = self.sessions[self.turn].burst(buffer, mtu, now) {
                return Some(burst);
            }
        }
        None
    }

    /// The peer hears what it is owed with the next packets: its flush need not wait for a timeout.
    pub(super) fn hurry(&mut self, now: Monotonic) {
        self.sessions[..self.active].iter_mut().for_each(|session| session.channel.hurry(now));
    }

    /// Puts a leave into `buffer`, of one session after the other, so that the peer need not wait for a timeout. Nothing is sent
    /// after it.
    pub(super) fn leave(&mut self, buffer: &mut [u8], now: Monotonic) -> Option<Burst> {
        self.sessions[..self.active].iter_mut().find_map(|session| session.leave(buffer, now))
    }

    /// The kernel took so many packets.
    pub(super) fn count_sent(&mut self, packets: usize) {
        self.counts.sent += packets as u64;
    }

    /// The kernel did not take so many packets, and they are lost.
    pub(super) fn count_send_errors(&mut self, packets: usize) {
        self.counts.send_errors += packets as u64;
    }

    /// Whether the packets that come from one address are all for this shard.
    pub(super) fn may_merge(&self) -> bool {
        let Place { local, .. } = self.place;
        let is_alone = matches!(self.side, Side::Initiator(_)) || local.shards == 1;
        is_alone || self.peer.is_some_and(|peer| peer.shards >= local.shards)
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
        let plaintext = self.sessions[at].keyring.open(receiver, counter, packet, now)?;
        if let Some(peer) = self.sessions[at].keyring.unproved(receiver) {
            if !self.admit(peer, now, arrived) {
                return Ok(());
            }
            let settings = self.place.settings_with(self.peer);
            self.sessions[at].prove(receiver, &settings, now, arrived);
        }
        self.counts.received += 1;
        if let Side::Responder(answerer) = &self.side {
            answerer.hear_peer(now);
        }
        let heard = self.sessions[at].read(counter, plaintext, from, now, arrived);
        if heard.map_err(|_| Refused::Payload)? == Heard::Leave
            && let (Side::Responder(answerer), Some(peer)) = (&self.side, self.peer)
        {
            answerer.let_go(peer);
        }
        Ok(())
    }

    /// The responder, at `address`, has answered: its keys are used from now on.
    fn begin(&mut self, at: usize, keys: Keys, address: SocketAddr, now: Monotonic, arrived: &mut Batch) {
        if let Side::Initiator(dialer) = &mut self.side
            && self.peer.is_some_and(|peer| peer != keys.peer)
        {
            dialer.hang_up();
        }
        self.meet(keys.peer, now, arrived);
        self.counts.handshakes += 1;
        let settings = self.place.settings_with(self.peer);
        self.sessions[at].begin(keys, address, &settings, now, arrived);
    }

    /// `peer` has proved to have keys that we have answered with. Whether it is the one we talk to from now on.
    fn admit(&mut self, peer: Peer, now: Monotonic, arrived: &mut Batch) -> bool {
        if let Side::Responder(answerer) = &self.side
            && !answerer.takes(peer, self.place.timeout, now)
        {
            self.counts.not_admitted += 1;
            return false;
        }
        self.meet(peer, now, arrived);
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
        let known = at.and_then(|at| self.sessions.get(at));
        let status = answerer.judge(&question, at.is_some(), known, &self.place, now);
        let (Status::Accepted, Some(at)) = (status, at) else {
            match status {
                Status::Stale => self.counts.refuse(Refused::Repeated),
                _ => self.counts.not_admitted += 1,
            }
            return answerer.answer(question, from, status, (0, 0), &self.place, now).map(drop);
        };
        while self.sessions.len() <= at {
            let number = self.place.number_of(self.sessions.len());
            self.sessions.push(Session::new(number, &self.place.settings_with(None), now));
        }
        let session = &mut self.sessions[at];
        let is_peer = self.peer == Some(peer);
        let channel = session.offer(hello.instance, is_peer, hello.channel, &mut answerer.entropy);
        let index = fresh_index(&session.keyring, hello.session, &mut answerer.entropy);
        session.keyring.expect(answerer.answer(
            question,
            from,
            status,
            (index, channel),
            &self.place,
            now,
        )?);
        Ok(())
    }

    /// The peer is this process from now on. If it was another one, everything that was not settled with that goes to this one.
    fn meet(&mut self, peer: Peer, now: Monotonic, arrived: &mut Batch) {
        if self.peer == Some(peer) {
            return;
        }
        self.counts = self.counts();
        self.peer = Some(peer);
        let settings = self.place.settings_with(self.peer);
        let mut unsettled = Vec::new();
        for session in &mut self.sessions {
            unsettled.extend(session.meet(peer, &settings, now, arrived));
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

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
