//! A connection that is made anew when it ends: at once at first, and after a while that grows as long as none is of use. In a
//! cluster it goes where its key is, and leaves a node that does not answer for one that may know better.

use std::time::Duration;

use engine::clock::Monotonic;

use super::cluster::{Redirect, Route, is_astray};
use super::link::Link;
use super::session::{Caller, Heard, Session};
use super::suspects::Suspect;

/// One connection, from session to session.
pub(super) struct Connection<Q> {
    pub(super) session: Option<Session<Q>>,
    route: Route,
    /// When to try again.
    retry_at: Monotonic,
    /// Sessions that have failed since one was of use.
    failures: u32,
    /// Sessions that a node has sent elsewhere since one was of use.
    redirects: u32,
    /// Since when the server has owed an answer and said nothing.
    quiet_since: Option<Monotonic>,
    /// Whether the node has said that it cannot do what it is asked.
    is_astray: bool,
    /// Whether the session ends as soon as nothing is owed to it.
    is_leaving: bool,
    /// When the session began.
    begun_at: Monotonic,
    /// How many sessions have ended.
    losses: u64,
    is_refused: bool,
    /// What is left of sessions until the kernel has let go of them.
    ended: Vec<Link>,
}

impl<Q: Clone> Connection<Q> {
    /// For what is kept in this slot of a cluster, or at the one server.
    pub(super) fn new(slot: Option<u16>) -> Connection<Q> {
        Connection {
            session: None,
            route: Route::new(slot),
            retry_at: Monotonic(0),
            failures: 0,
            redirects: 0,
            quiet_since: None,
            is_astray: false,
            is_leaving: false,
            begun_at: Monotonic(0),
            losses: 0,
            is_refused: false,
            ended: Vec::new(),
        }
    }

    /// Slot of a cluster that it is for.
    pub(super) fn slot(&self) -> Option<u16> {
        self.route.slot
    }

    /// Begins a session if there is none and one is due. `suspects` are connections that must execute nothing any more.
    pub(super) fn step(&mut self, caller: &Caller, suspects: &[Suspect], now: Monotonic) {
        self.reap();
        self.is_leaving |= self.leaves_at().is_some_and(|at| at <= now);
        if self.session.is_none() && self.begins_at().is_some_and(|due| due <= now) {
            self.begin(Session::open(caller, self.goes_to(caller), suspects), now);
        }
    }

    /// Where the next session goes.
    pub(super) fn goes_to(&self, caller: &Caller) -> Redirect {
        self.route.next(&caller.cluster, self.failures)
    }

    /// Goes on with this session.
    pub(super) fn begin(&mut self, session: Session<Q>, now: Monotonic) {
        (self.session, self.begun_at) = (Some(session), now);
        (self.quiet_since, self.is_astray, self.is_leaving) = (None, false, false);
    }

    /// The next that has come. A node that does not have the key, as far as it knows, is left before anything is asked.
    pub(super) fn hear(&mut self, caller: &mut Caller, now: Monotonic) -> Option<Heard<Q>> {
        let session = self.session.as_mut()?;
        let heard = session.hear();
        if session.take_received() {
            self.quiet_since = None;
        }
        if heard.is_none() {
            return self.hear_nothing(caller, now);
        }
        self.quiet_since = None;
        match &heard {
            Some(Heard::Open) => {}
            Some(Heard::Reply(_, reply)) => {
                self.is_astray |= caller.config.is_cluster && is_astray(reply);
                return heard;
            }
            _ => return heard,
        }
        self.is_refused = false;
        if let Some(slots) = session.take_slots() {
            caller.cluster.learn(&slots, session.address());
        }
        match self.route.elsewhere(&caller.cluster, session.address()) {
            Some(redirect) if !session.is_asking() => {
                self.redirect(redirect, now);
                None
            }
            _ => heard,
        }
    }

    /// Whether the session is over because nothing comes.
    fn hear_nothing(&mut self, caller: &Caller, now: Monotonic) -> Option<Heard<Q>> {
        let ended = |reason: &str| Some(Heard::Ended { reason: reason.to_owned(), is_final: false });
        if self.session.as_ref().is_some_and(Session::is_waiting) {
            self.quiet_since.get_or_insert(now);
            let is_over = self.silence_ends_at(caller).is_some_and(|end| end <= now);
            return if is_over { ended("the node does not answer") } else { None };
        }
        self.quiet_since = None;
        if !self.is_leaving {
            return None;
        }
        if !self.is_asking() {
            return ended("the node cannot do what it is asked");
        }
        self.route.forget();
        Some(Heard::Redirected(None, self.route.next(&caller.cluster, 0)))
    }

    /// Sends what was said.
    pub(super) fn flush(&mut self) {
        if let Some(session) = &mut self.session {
            session.flush();
        }
    }

    /// Forgets what the kernel has let go of.
    pub(super) fn reap(&mut self) {
        self.ended.retain(|link| !link.is_over());
    }

    /// When there is something to do although nothing comes.
    pub(super) fn due(&self, caller: &Caller) -> Option<Monotonic> {
        match &self.session {
            None => self.begins_at(),
            Some(session) if session.is_waiting() => self.silence_ends_at(caller),
            Some(_) => self.leaves_at(),
        }
    }

    /// The session that questions may be asked in.
    pub(super) fn open_session(&mut self) -> Option<&mut Session<Q>> {
        if self.is_leaving { None } else { self.session.as_mut().filter(|session| session.is_open()) }
    }

    /// Whether there is a session that questions may be asked in.
    pub(super) fn is_open(&self) -> bool {
        !self.is_leaving && self.session.as_ref().is_some_and(Session::is_open)
    }

    /// The server has answered what was asked.
    pub(super) fn is_of_use(&mut self) {
        (self.failures, self.redirects) = (0, 0);
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
        self.route.forget();
        self.is_refused = is_final;
        self.losses += 1;
        let is_first = self.failures == 0 && !is_final;
        self.retry_at = if is_first { now } else { now.after(pause(self.failures)) };
        self.failures += 1;
    }

    /// Ends the session, which a node has sent elsewhere. The next one comes at once, unless nodes send it on and on.
    pub(super) fn redirect(&mut self, redirect: Redirect, now: Monotonic) {
        self.end();
        self.route.send(redirect);
        self.losses += 1;
        let more = self.redirects.checked_sub(REDIRECTS_AT_ONCE);
        self.retry_at = more.map_or(now, |more| now.after(pause(more)));
        self.redirects += 1;
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

    /// When a session is to be begun, where there is none.
    fn begins_at(&self) -> Option<Monotonic> {
        // One of those that have ended rings when it is over.
        (self.ended.len() < ENDED_MAX).then_some(self.retry_at)
    }

    /// When a session is to end as soon as it is owed nothing: one that asks leave goes back to the owner of the slot, who says
    /// whether that has moved for good.
    fn leaves_at(&self) -> Option<Monotonic> {
        if self.is_astray {
            Some(self.begun_at)
        } else {
            self.is_asking().then(|| self.begun_at.after(ASKING_MAX))
        }
    }

    fn is_asking(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_asking)
    }

    /// When a session that is owed something has been quiet for too long: before it is open, as it may be at a server that is no
    /// more behind its name; and in a cluster, where others can be asked.
    fn silence_ends_at(&self, caller: &Caller) -> Option<Monotonic> {
        let config = &caller.config;
        let silence = config.connect_timeout.max(BLOCK_MAX) + BLOCK_MAX;
        let is_limited = config.is_cluster || !self.is_open();
        self.quiet_since.filter(|_| is_limited).map(|since| since.after(silence))
    }
}

/// How long to wait after so many failures, half of it by chance.
fn pause(failures: u32) -> Duration {
    let wait = RETRY_MIN.saturating_mul(1 << failures.min(10)).min(RETRY_MAX);
    wait.mul_f64(fastrand::f64() / 2.0 + 0.5)
}

/// How long a node is asked to wait for an entry. In a cluster that has an end, because a key that goes to another node is not
/// missed by who waits for it at the old one.
pub(super) const BLOCK_MAX: Duration = Duration::from_secs(1);
/// How long a session that asks leave lasts, about.
const ASKING_MAX: Duration = Duration::from_secs(1);
/// Redirects in a row that are followed without a pause.
const REDIRECTS_AT_ONCE: u32 = 4;
/// Sessions that are over and that the kernel has not let go of.
const ENDED_MAX: usize = 64;
const RETRY_MIN: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_secs(1);
