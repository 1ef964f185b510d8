//! The initiator's handshakes: one call for each session, repeated until it is answered, and made again when keys are worn.

use std::time::Duration;

use engine::adapter::AdapterError;
use engine::clock::Monotonic;

use super::aead::Cipher;
use super::cookie::CookieJar;
use super::entropy::SystemEntropy;
use super::hello::{Hello, Status};
use super::initiator::{Initiator, Pending, Proposal};
use super::keyring::{Keys, Peer, fresh_index};
use super::packet::{COOKIE_BYTES, RESPONSE_BYTES};
use super::place::Place;
use super::refused::Refused;
use super::resolve::Resolved;
use super::session::{Burst, Session};

/// The calls of one shard.
pub(super) struct Dialer {
    initiator: Initiator,
    cipher: Cipher,
    address: Resolved,
    calls: Vec<Call>,
    entropy: SystemEntropy,
    /// Spreads the attempts of many.
    jitter: fastrand::Rng,
    /// What the responder has against us.
    refusal: Option<Status>,
    error: Option<AdapterError>,
}

/// How far one session's handshake is.
#[derive(Default)]
struct Call {
    /// The initiation that waits for a response, and the index that it was sent with.
    pending: Option<(u32, Pending)>,
    attempts: u64,
    /// Those in a row that had no answer, or a bad one.
    failures: u32,
    /// No other attempt before.
    due: Option<Monotonic>,
    cookies: CookieJar,
}

impl Dialer {
    pub(super) fn new(
        initiator: Initiator,
        cipher: Cipher,
        address: Resolved,
        jitter: fastrand::Rng,
    ) -> Dialer {
        Dialer {
            initiator,
            cipher,
            address,
            calls: Vec::new(),
            entropy: SystemEntropy::new(),
            jitter,
            refusal: None,
            error: None,
        }
    }

    /// Puts an initiation into `buffer`, if one is due.
    pub(super) fn dial(
        &mut self,
        sessions: &[Session],
        place: &Place,
        now: Monotonic,
        buffer: &mut [u8],
    ) -> Option<Burst> {
        self.calls.resize_with(sessions.len(), Call::default);
        let is_due = |(call, session): (&Call, &Session)| {
            call.due.is_none_or(|due| due <= now) && session.wants_keys(place.silence(), now)
        };
        let at = self.calls.iter().zip(sessions).position(is_due)?;
        let (call, session) = (&mut self.calls[at], &sessions[at]);
        call.due = Some(now.after(pause(call.failures, self.jitter.f64())));
        if call.failures >= LOOK_AGAIN_AFTER {
            self.address.look_again();
        }
        // The peer may have moved, and be where it was heard last.
        let heard = session.address().filter(|_| !call.failures.is_multiple_of(2));
        let Some(to) = heard.or_else(|| self.address.get()) else {
            self.error = self.address.take_error().map(AdapterError::Transient);
            return None;
        };
        if call.pending.is_some() {
            self.error = Some(AdapterError::Transient(format!("no answer from {to}")));
        }
        call.failures = call.failures.saturating_add(1);
        call.attempts += 1;
        let hello = Hello {
            instance: place.local.instance,
            attempt: call.attempts,
            shards: place.local.shards,
            session: session.number,
            mtu: place.local.mtu,
            reliability: place.settings.reliability as u8,
            channel: session.channel_number(),
            event_bytes_max: place.settings.event_bytes_max as u32,
        };
        let index = fresh_index(&session.keyring, session.number, &mut self.entropy);
        let proposal = Proposal { steer: session.number as u8, cipher: self.cipher, index, hello };
        let cookie = call.cookies.cookie(now);
        let (pending, packet) = self.initiator.initiate(&proposal, cookie, &mut self.entropy);
        call.pending = Some((index, pending));
        buffer[..packet.len()].copy_from_slice(&packet);
        Some(Burst { to, bytes: packet.len(), segment: packet.len() })
    }

    /// Takes a response: the index of the session, and its keys.
    pub(super) fn hear_response(
        &mut self,
        receiver: u32,
        packet: &[u8; RESPONSE_BYTES],
        place: &Place,
        now: Monotonic,
    ) -> Result<Option<(usize, Keys)>, Refused> {
        let at = self.call_of(receiver)?;
        let call = &mut self.calls[at];
        let Some((index, pending)) = &mut call.pending else { return Err(Refused::Session) };
        let response = self.initiator.complete(pending, packet)?;
        let (local, answer) = (*index, response.answer);
        call.pending = None;
        if answer.session != place.number_of(at) {
            return Err(Refused::Payload);
        }
        if answer.status != Status::Accepted {
            self.refusal = Some(answer.status);
            self.error = Some(error_of(answer.status));
            return Ok(None);
        }
        let peer = Peer::new(answer.instance, answer.shards, answer.mtu)?;
        if at >= place.sessions_with(peer.shards) || answer.channel == 0 {
            return Err(Refused::Payload);
        }
        (call.failures, call.due) = (0, None);
        (self.refusal, self.error) = (None, None);
        let numbers = (local, response.peer_index);
        Ok(Some((at, Keys::new(response.keys, numbers, (peer, call.attempts), answer.channel, now))))
    }

    /// Takes a cookie: the next attempt proves our address with it, and is made at once.
    pub(super) fn hear_cookie(
        &mut self,
        receiver: u32,
        packet: &[u8; COOKIE_BYTES],
        now: Monotonic,
    ) -> Result<(), Refused> {
        let at = self.call_of(receiver)?;
        let call = &mut self.calls[at];
        let Some((_, pending)) = &call.pending else { return Err(Refused::Session) };
        let cookie = self.initiator.take_cookie(pending, packet)?;
        if call.cookies.cookie(now) != Some(cookie) {
            call.due = None;
        }
        call.cookies.put(cookie, now);
        Ok(())
    }

    /// What is answered from now on was asked of another process: every session is called anew.
    pub(super) fn hang_up(&mut self) {
        for call in &mut self.calls {
            (call.pending, call.due) = (None, None);
        }
    }

    /// When a call is due.
    pub(super) fn due(&self, sessions: &[Session], silence: Duration) -> Option<Monotonic> {
        let due = |(at, session): (usize, &Session)| {
            let call_due = self.calls.get(at).and_then(|call| call.due);
            call_due.unwrap_or(Monotonic(0)).max(session.wants_keys_at(silence))
        };
        sessions.iter().enumerate().map(due).min()
    }

    /// Whether the responder refuses us for a reason that does not pass by itself.
    pub(super) fn is_refused(&self) -> bool {
        self.refusal.is_some_and(|status| matches!(error_of(status), AdapterError::Final(_)))
    }

    pub(super) fn take_error(&mut self) -> Option<AdapterError> {
        self.error.take()
    }

    fn call_of(&self, receiver: u32) -> Result<usize, Refused> {
        let is_of = |call: &Call| call.pending.as_ref().is_some_and(|(index, _)| *index == receiver);
        self.calls.iter().position(is_of).ok_or(Refused::Session)
    }
}

/// What the operator is told.
fn error_of(status: Status) -> AdapterError {
    let wrong = |reason: &str| AdapterError::Final(reason.to_owned());
    match status {
        Status::Busy => AdapterError::Transient("the responder talks to another initiator".to_owned()),
        Status::ReliabilityDiffers => wrong("the responder has another `net.reliability`"),
        Status::CipherDiffers => wrong("the responder insists on another `net.cipher`"),
        Status::EventBytesDiffer => wrong("the responder has another `max_event_bytes`"),
        Status::Accepted | Status::WrongSession | Status::Stale => {
            AdapterError::Transient("the responder has taken another handshake".to_owned())
        }
    }
}

/// Between an attempt and the next: 250 ms, doubled each time, at most 4 s, and up to a quarter more or less.
fn pause(failures: u32, jitter: f64) -> Duration {
    let base = PAUSE_MIN.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX);
    base.mul_f64(jitter.mul_add(0.5, 0.75))
}

/// Attempts in a row without an answer before a name is looked up again.
const LOOK_AGAIN_AFTER: u32 = 4;
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(4);
