//! The shard: one thread's share of the bus, as a synchronous state machine that takes `now`.
//!
//! It owns its lanes' reading ends, its buffer and its adapter, and nothing of it is shared but its port. A round is a
//! list of stages: mail, drain, submit, acknowledge, deliver, barriers, books.

mod barrier;
mod books;
mod buffer;
mod delivery;
mod feed;
mod intake;
mod outbox;
mod served;
#[cfg(feature = "tampered")]
mod tampered;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::adapter::{self, Adapter};
use crate::clock::Monotonic;
use crate::config::Idle;
use crate::duty::{Duty, Round};
use crate::event::ShardId;
use crate::port::{Mail, Port};
use crate::shared::Shared;
use crate::sync::{Ordering, heavy_fence};
use barrier::Barriers;
use books::Books;
use buffer::Buffer;
use intake::Intake;
use outbox::{News, Outbox};
use served::Served;

/// One shard.
pub(crate) struct Shard {
    id: ShardId,
    shared: Arc<Shared>,
    inbox: Receiver<Mail>,
    mail_seen: u64,
    intake: Intake,
    buffer: Buffer,
    outbox: Outbox,
    served: Served,
    barriers: Barriers,
    closing: Option<Closing>,
    dropped_at_shutdown: u64,
    books: Books,
    #[cfg(feature = "tampered")]
    stalls: tampered::Stalls,
}

/// A shutdown under way.
#[derive(Default)]
struct Closing {
    sync: Option<u64>,
    synced: bool,
}

impl Shard {
    pub(crate) fn new(
        id: ShardId,
        shared: Arc<Shared>,
        inbox: Receiver<Mail>,
        adapter: Box<dyn Adapter>,
    ) -> Shard {
        let mut outbox = Outbox::new(adapter, &shared.config);
        let timeout = shared.config.adapter_timeout;
        let served = Served::new(id, shared.shards(), shared.kind.streams, &mut outbox, timeout);
        Shard {
            id,
            inbox,
            mail_seen: 0,
            intake: Intake::new(shared.config.backpressure),
            buffer: Buffer::new(&shared.config),
            served,
            outbox,
            barriers: Barriers::new(id),
            closing: None,
            dropped_at_shutdown: 0,
            books: Books::default(),
            #[cfg(feature = "tampered")]
            stalls: tampered::Stalls::default(),
            shared,
        }
    }

    fn port(&self) -> &Port {
        self.shared.port(self.id)
    }

    /// Stage: takes new lanes and requests.
    #[inline]
    fn receive(&mut self, now: Monotonic) -> usize {
        let posted = self.port().doorbell.posted();
        if posted == self.mail_seen {
            return 0;
        }
        self.mail_seen = posted;
        self.receive_mail(now)
    }

    #[cold]
    fn receive_mail(&mut self, now: Monotonic) -> usize {
        self.outbox.expire_reads(now);
        let mut received = 1;
        while let Ok(mail) = self.inbox.try_recv() {
            // A request speaks of every lane that was connected before it was posted.
            self.adopt_arrivals();
            self.answer(mail, now);
            received += 1;
            if received > ROUND_REQUESTS_MAX {
                // The rest waits for the next round, which this makes sure of.
                self.mail_seen = self.mail_seen.wrapping_sub(1);
                break;
            }
        }
        self.adopt_arrivals();
        self.served.retire(&mut self.outbox, now);
        if let Some(question) = self.port().inquiry.open() {
            self.publish_snapshot(now);
            self.port().inquiry.answer(question);
        }
        received
    }

    fn answer(&mut self, mail: Mail, now: Monotonic) {
        match mail {
            Mail::Read { request, deadline, answer } => {
                // The channel has room for one answer of each shard; a caller that has gone needs none.
                let stream = request.stream;
                let answer = move |result| drop(answer.try_send((stream, result)));
                self.outbox.read(request, deadline, Box::new(answer), now);
            }
            Mail::Subscribe(subscribe) => self.served.join(subscribe, &mut self.outbox, now),
            Mail::Flush { deadline, answer } => self.barriers.set(&self.intake, deadline, answer),
        }
    }

    /// Stage: reads lanes into the buffer, or says that it cannot.
    #[inline]
    fn drain(&mut self, now: Monotonic) -> usize {
        let drained = self.intake.drain(&mut self.buffer, now);
        if drained > 0 {
            self.books.note_held(self.buffer.held());
        }
        let congested = self.intake.is_congested();
        if congested != self.port().is_congested() {
            self.port().congested.store(congested, Ordering::Relaxed);
        }
        drained
    }

    /// Stage: hands the adapter what it takes.
    #[inline]
    fn submit(&mut self, now: Monotonic) -> bool {
        let is_over = self.shared.shutdown().is_some_and(|shutdown| shutdown.deadline <= now);
        if is_over && !crate::planted!("28-a-batch-is-written-after-the-end") {
            // What is left was reported, or is about to be, as not stored.
            return false;
        }
        let urgent = self.closing.is_some() || !self.barriers.is_empty();
        self.outbox
            .submit(&mut self.buffer, now, urgent, |batch, is_alone| self.served.stage(batch, is_alone))
    }

    /// Stage: hears what became of it.
    #[inline]
    fn acknowledge(&mut self, now: Monotonic) -> usize {
        let mut synced = Vec::new();
        let news = self.outbox.acknowledge(&mut self.buffer, now, |news| match news {
            News::Stored { end } => {
                #[cfg(feature = "tampered")]
                self.stalls.after(self.id, end);
                self.served.stored(end);
            }
            News::Refused { end } => self.served.refused(end),
            News::Read { ticket, result } => self.served.absorb(ticket, result, now),
            News::End { ticket, stream, result } => self.served.ended_at(ticket, stream, &result),
            News::Synced { ticket, result } => synced.push((ticket, result)),
        });
        for (ticket, result) in synced {
            if self.closing.as_ref().is_some_and(|closing| closing.sync == Some(ticket)) {
                self.closing.iter_mut().for_each(|closing| closing.synced = true);
            } else {
                self.barriers.synced(ticket, &result, self.outbox.refused_count());
            }
        }
        news
    }

    /// Stage: moves the barriers. Whether a sync was started.
    #[inline]
    fn advance(&mut self, now: Monotonic) -> bool {
        !self.barriers.is_empty() && self.barriers.advance(&self.intake, &self.buffer, &mut self.outbox, now)
    }

    /// Refuses lanes and publications from now on, and sees all that began before.
    #[cold]
    fn start_closing(&mut self) {
        self.port().close_arrivals();
        self.intake.close();
        self.adopt_arrivals();
        heavy_fence();
        self.closing = Some(Closing::default());
    }

    /// Stage of a shutdown: whether it is complete. At the deadline what is left is dropped and counted.
    fn close(&mut self, now: Monotonic) -> bool {
        let (Some(closing), Some(shutdown)) = (&mut self.closing, self.shared.shutdown()) else {
            return false;
        };
        let stored = self.intake.is_finished() && self.buffer.held().events == 0;
        if stored && closing.sync.is_none() {
            closing.sync = Some(self.outbox.sync(now));
        }
        if !(stored && closing.synced) {
            let gives_up = now >= shutdown.deadline
                && !crate::planted!("3-a-shutdown-has-no-deadline")
                && (self.intake.is_quiescent() || now >= shutdown.deadline.after(PUBLICATION_GRACE));
            if !gives_up {
                return false;
            }
        }
        let in_flight = self.outbox.discard(&mut self.buffer, now);
        let left = in_flight + self.buffer.discard() + self.intake.discard();
        self.dropped_at_shutdown +=
            if crate::planted!("10-what-a-shutdown-leaves-is-not-counted") { 0 } else { left };
        self.publish_snapshot(now);
        true
    }

    fn adopt_arrivals(&mut self) {
        let arrivals = self.port().take_arrivals();
        self.intake.adopt(arrivals);
    }
}

impl Duty for Shard {
    #[inline]
    fn round(&mut self, now: Monotonic) -> Round {
        if self.closing.is_none() && self.shared.is_closing() {
            self.start_closing();
        }
        let mail = self.receive(now);
        let drained = self.drain(now);
        if drained > 0 {
            self.served.ask_ahead();
        }
        let submitted = self.submit(now);
        let news = self.acknowledge(now);
        let gone_on = self.served.go_on(&mut self.outbox, now);
        let synced = self.advance(now);
        let work = mail + drained + usize::from(submitted) + news + gone_on.moved + gone_on.reads;
        let finished = self.closing.is_some() && self.close(now);
        if self.books.are_due(now) {
            self.publish_snapshot(now);
        }
        Round { work, submitted: submitted || gone_on.reads > 0 || synced || mail > 0, finished }
    }

    fn has_work(&self) -> bool {
        self.port().doorbell.posted() != self.mail_seen || self.intake.has_work() || self.served.has_work()
    }

    fn due(&self) -> Option<Monotonic> {
        let closing = self.closing.as_ref().map(|_| self.books.published_at.after(CLOSING_PERIOD));
        [self.outbox.due(&self.buffer), self.served.due(), self.barriers.due(), closing]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_outstanding(&self) -> bool {
        self.outbox.is_outstanding()
    }

    fn spin_budget(&self) -> Duration {
        match self.shared.config.idle {
            Idle::Park => Duration::ZERO,
            _ if !self.shared.may_spin() => Duration::ZERO,
            Idle::Adaptive => self.shared.config.spin,
            Idle::Spin => SPIN_MAX,
        }
    }

    /// A snapshot that is read while it sleeps is up to date.
    fn rest(&mut self, now: Monotonic) {
        self.books.count_park();
        self.outbox.rest();
        self.publish_snapshot(now);
    }

    fn woken(&self) {
        self.shared.bridge().ring();
    }

    /// Says how many events it did not store.
    fn end(self) -> Option<adapter::Closing> {
        let shutdown = self.shared.shutdown().expect("a shard finishes when it is told to");
        // The channel has room for every shard; a caller that has gone needs no answer.
        let _ = shutdown.answer.try_send((self.id, self.dropped_at_shutdown));
        self.outbox.close()
    }
}

/// How long a shard that is to spin goes without a pass over its executor's reactor.
const SPIN_MAX: Duration = Duration::from_hours(1);
/// Requests that one round answers at most.
const ROUND_REQUESTS_MAX: usize = 16;
/// How much longer than its deadline a shutdown waits for publications under way, so that they are counted.
const PUBLICATION_GRACE: Duration = Duration::from_millis(100);
/// How often a closing shard that sleeps looks for publications that have ended.
const CLOSING_PERIOD: Duration = Duration::from_millis(1);
