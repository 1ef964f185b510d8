//! A connection that is made anew when it ends, after a while that grows as long as none is of use.

use std::time::Duration;

use engine::clock::Monotonic;

use super::link::Link;
use super::session::{Caller, Session};

/// One connection, from session to session.
pub(super) struct Connection<Q> {
    pub(super) session: Option<Session<Q>>,
    /// When to try again.
    retry_at: Monotonic,
    /// Sessions that have ended since one was of use.
    failures: u32,
    /// How many sessions have ended.
    losses: u64,
    is_refused: bool,
    /// What is left of sessions until the kernel has let go of them.
    ended: Vec<Link>,
}

impl<Q: Clone> Connection<Q> {
    pub(super) fn new() -> Connection<Q> {
        Connection {
            session: None,
            retry_at: Monotonic(0),
            failures: 0,
            losses: 0,
            is_refused: false,
            ended: Vec::new(),
        }
    }

    /// Begins a session if there is none and one is due. `kills` are connections that must execute nothing any more.
    pub(super) fn step(&mut self, caller: &Caller, kills: &[i64], now: Monotonic) {
        self.reap();
        if self.due().is_some_and(|due| due <= now) {
            self.session = Some(Session::open(caller, kills));
        }
    }

    /// Forgets what the kernel has let go of.
    pub(super) fn reap(&mut self) {
        self.ended.retain(|link| !link.is_over());
    }

    /// When a session is to be begun.
    pub(super) fn due(&self) -> Option<Monotonic> {
        // One of those that have ended rings when it is over.
        (self.session.is_none() && self.ended.len() < ENDED_MAX).then_some(self.retry_at)
    }

    /// The session that questions may be asked in.
    pub(super) fn open_session(&mut self) -> Option<&mut Session<Q>> {
        self.session.as_mut().filter(|session| session.is_open())
    }

    /// Whether there is a session that questions may be asked in.
    pub(super) fn is_open(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_open)
    }

    /// The server knows who asks.
    pub(super) fn is_let_in(&mut self) {
        self.is_refused = false;
    }

    /// The server has answered what was asked.
    pub(super) fn is_of_use(&mut self) {
        self.failures = 0;
    }

    /// Whether the server has said that trying again is of no use.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// How many sessions have ended by themselves.
    pub(super) fn losses(&self) -> u64 {
        self.losses
    }

    /// Ends the session, if there is one.
    pub(super) fn end(&mut self) {
        self.ended.extend(self.session.take().map(Session::end));
    }

    /// Ends the session, which has failed. The next one comes at once, and then later each time, at a moment of its own, so that
    /// shards and buses do not all come at once.
    pub(super) fn fail(&mut self, now: Monotonic, is_final: bool) {
        self.end();
        self.is_refused = is_final;
        self.losses += 1;
        let wait = RETRY_MIN.saturating_mul(1 << self.failures.min(10)).min(RETRY_MAX);
        let is_first = self.failures == 0 && !is_final;
        self.failures += 1;
        let wait = if is_first { Duration::ZERO } else { wait.mul_f64(fastrand::f64() / 2.0 + 0.5) };
        self.retry_at = now.after(wait);
    }

    /// Whether the kernel is asked for anything.
    pub(super) fn is_outstanding(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_waiting) || !self.ended.is_empty()
    }

    /// Ends it, and gives what the kernel has to let go of.
    pub(super) fn close(&mut self) -> Vec<Link> {
        self.end();
        std::mem::take(&mut self.ended)
    }
}

/// Sessions that are over and that the kernel has not let go of.
const ENDED_MAX: usize = 64;
const RETRY_MIN: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_secs(1);
