//! One shard's store: what it is given goes to the peer, and what comes from the peer goes into the store behind it, from where it
//! is read. The only place where the socket, the sessions and that store meet.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use engine::adapter::{Adapter, AdapterError, AdapterState, Closing, Outcome, ReadRequest, Resident};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::counters::AdapterCounts;
use engine::event::{Sequence, ShardId};

use super::arrivals::Arrivals;
use super::departures::Departures;
use super::endpoint::Endpoint;
use super::readiness::Readiness;
use super::socket::Socket;

/// One shard's store.
pub(super) struct UdpStore {
    endpoint: Endpoint,
    socket: Socket,
    /// `None` when it was closed.
    readiness: Option<Readiness>,
    arrivals: Arrivals,
    departures: Departures,
    /// What the peer is being given, and the sequence of its first event.
    batch: Option<(Sequence, Rc<Batch>)>,
    news: VecDeque<Outcome>,
    /// Datagrams may be left in the socket for the next round.
    has_left: bool,
    /// Something may be to be sent, and was put off to the next round.
    owes_send: bool,
    /// The socket has failed: it is not read before, and why is to be told.
    deaf_until: Monotonic,
    error: Option<AdapterError>,
    /// When the last round was, and when the next is due although nothing comes.
    now: Monotonic,
    due: Monotonic,
}

impl UdpStore {
    pub(super) fn new(
        endpoint: Endpoint,
        socket: Socket,
        readiness: Readiness,
        arrivals: Arrivals,
        departures: Departures,
    ) -> UdpStore {
        UdpStore {
            endpoint,
            socket,
            readiness: Some(readiness),
            arrivals,
            departures,
            batch: None,
            news: VecDeque::new(),
            has_left: false,
            owes_send: false,
            deaf_until: Monotonic(0),
            error: None,
            now: Monotonic(0),
            due: Monotonic(0),
        }
    }

    /// Moves on whatever can be.
    #[inline]
    fn step(&mut self, now: Monotonic) {
        let is_next_round = std::mem::replace(&mut self.now, now) < now;
        let has_stored = self.arrivals.hear(&mut self.endpoint, &mut self.news, now);
        let is_deaf = self.deaf_until > now;
        let is_readable = !is_deaf
            && (self.has_left && is_next_round
                || self.readiness.as_ref().is_some_and(|readiness| readiness.is_due(now)));
        if is_readable || has_stored || self.due <= now {
            self.go_on(is_readable, now);
        }
    }

    fn go_on(&mut self, is_readable: bool, now: Monotonic) {
        if is_readable {
            self.has_left = self.receive(now);
        }
        self.endpoint.on_time(now, self.arrivals.waiting());
        self.arrivals.store(&mut self.endpoint, &mut self.news, now);
        if !self.news.is_empty() && !self.owes_send {
            // Readers hear of it before the peer does, which wakes more slowly and is in no hurry.
            (self.owes_send, self.due) = (true, now.after(Duration::from_nanos(1)));
            return;
        }
        self.send(now);
    }

    /// Takes what has come, a batch or two. Whether there may be more.
    fn receive(&mut self, now: Monotonic) -> bool {
        let UdpStore { endpoint, socket, arrivals, news, .. } = self;
        let (mut is_more, mut has_stored) = (false, false);
        for _ in 0..LOOKS_MAX {
            let received = socket.receive(|packet, from| {
                endpoint.receive(packet, from, now, arrivals.waiting());
                if arrivals.is_full() {
                    arrivals.store(endpoint, news, now);
                    has_stored = true;
                }
            });
            is_more = match received {
                Ok(received) => received.more,
                Err(error) => {
                    self.deaf_until = now.after(DEAF);
                    self.error = Some(AdapterError::Transient(format!("nothing can be received: {error}")));
                    false
                }
            };
            // Readers come before more is read.
            if !is_more || has_stored {
                break;
            }
        }
        let _ = socket.merge(endpoint.may_merge());
        is_more
    }

    /// Sends what there is to send, and settles what needed no more than that.
    fn send(&mut self, now: Monotonic) {
        self.owes_send = false;
        let is_more = self.departures.send(&mut self.endpoint, &mut self.socket, now);
        if self.endpoint.is_settled()
            && self.departures.is_empty()
            && let Some((first, batch)) = self.batch.take()
        {
            self.news.push_back(Outcome::Stored { first, spent: Rc::try_unwrap(batch).ok() });
        }
        // While the kernel takes nothing, nothing is due that has to be sent.
        let retry_at = self.departures.due();
        let sessions = self.endpoint.due().map(|due| retry_at.map_or(due, |retry_at| due.max(retry_at)));
        let is_more = is_more || self.has_left;
        let hears_at = Some(self.deaf_until).filter(|&at| at > now);
        let due = [sessions, self.arrivals.due(), retry_at, hears_at, is_more.then_some(now)];
        self.due = due.into_iter().flatten().min().unwrap_or(NEVER);
    }
}

impl Adapter for UdpStore {
    fn ready(&self) -> bool {
        self.batch.is_none() && self.endpoint.is_open(self.now)
    }

    fn submit(&mut self, batch: Batch, now: Monotonic) {
        let (first, batch) = (batch.first(), Rc::new(batch));
        self.endpoint.take(&batch);
        self.batch = Some((first, batch));
        self.send(now);
    }

    #[inline]
    fn outcome(&mut self, now: Monotonic) -> Option<Outcome> {
        if self.news.is_empty() {
            self.step(now);
        }
        self.news.pop_front()
    }

    fn cancel(&mut self, _: Monotonic) -> Option<Batch> {
        // It goes on by itself, under the same numbers, until the peer has everything.
        None
    }

    fn read(&mut self, ticket: u64, request: ReadRequest, now: Monotonic) {
        self.arrivals.read(ticket, request, now);
    }

    fn resident(&self, _: ShardId, after: Option<Sequence>) -> Resident<'_> {
        self.arrivals.resident(after)
    }

    fn follow(&mut self, _: ShardId, wanted: bool, _: Monotonic) {
        self.arrivals.follow(wanted);
    }

    fn find_end(&mut self, ticket: u64, _: ShardId, _: Monotonic) {
        self.news.push_back(self.arrivals.end_of_stream(Some(ticket)));
    }

    fn sync(&mut self, ticket: u64, _: Monotonic) {
        // What is stored is stored at the peer, as durably as its store can.
        self.news.push_back(Outcome::Synced { ticket, result: Ok(()) });
    }

    fn due(&self) -> Option<Monotonic> {
        Some(self.due).filter(|&due| due < NEVER)
    }

    fn rest(&mut self) {
        // What is left, or has come since, makes it ready at once.
        if self.deaf_until <= self.now {
            self.readiness.iter().for_each(Readiness::rearm);
        }
    }

    fn counts(&self) -> AdapterCounts {
        self.endpoint.counts().all()
    }

    fn state(&self) -> AdapterState {
        self.endpoint.state(self.now)
    }

    fn take_error(&mut self) -> Option<AdapterError> {
        let unsent = self.departures.take_error();
        let unheard = self.error.take();
        self.endpoint.take_error().or(unsent).or(unheard)
    }

    fn close(&mut self) -> Option<Closing> {
        self.departures.leave(&mut self.endpoint, &mut self.socket, self.now);
        let readiness = self.readiness.take()?;
        Some(Box::pin(readiness.end()))
    }
}

/// Looks at the socket in a row, before the shard looks at other things.
const LOOKS_MAX: usize = 8;
/// After an error of the socket.
const DEAF: Duration = Duration::from_millis(10);
const NEVER: Monotonic = Monotonic(u64::MAX);
