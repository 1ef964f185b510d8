//! The subscription: a cursor that the shards push into. This is its receiving end; the shards' is `shard::feed`.
//!
//! Each shard has a lane to the subscriber, in which events lie in the shard's order, and the subscriber reads them in
//! place. A slow subscriber stalls nobody: the shard remembers where it stands and goes on from the store.

mod errors;
#[cfg(all(test, loom))]
mod model;
mod patience;
mod progress;
mod readable;
mod signal;
mod source;
mod turns;

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use crate::consume::cursor::{Cursor, Store};
use crate::consume::filter::FilterScratch;
use crate::consume::request::shard_ids;
use crate::consume::subscribe::{From, SubscribeRequest};
use crate::event::{Event, Sequence, ShardId};
use crate::gather::gather;
use crate::lane::{LaneProducer, lane};
use crate::port::{Joined, Mail, Subscribe};
use crate::shared::Shared;
use crate::sync::light_fence;
pub use errors::{SubscribeError, SubscriptionEnded};
use patience::Patience;
pub(crate) use progress::Progress;
pub(crate) use signal::Signal;
pub(crate) use source::Source;
use source::Wanted;
use turns::Turns;

/// A subscription. May move between threads, and is used by one at a time. Dropping it ends it.
pub struct Subscription {
    shared: Arc<Shared>,
    /// Where the subscription began; how far each shard was read since is known to `sources`.
    cursor: Cursor,
    /// Ascending by shard.
    sources: Vec<Source>,
    turns: Turns,
    /// The source that was read last.
    last: usize,
    /// Whether memory of that source is lent to the caller.
    lent: bool,
    signal: Arc<Signal>,
    /// Beside `sources`, for the statistics.
    progress: Arc<Progress>,
    wanted: Wanted,
    skipped: u64,
    /// Whether the subscriber waits on the descriptor by itself, so that it has to be right after every call.
    descriptor_given: bool,
}

/// Where the shards answer that a subscriber is let in.
pub(crate) type Answers = Receiver<(ShardId, Joined)>;

/// What a shard is told of a subscriber.
pub(crate) struct Joining {
    pub(crate) lane: LaneProducer,
    pub(crate) signal: Arc<Signal>,
    pub(crate) begin: Begin,
}

/// Where a subscription begins on one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With the oldest event that is still there.
    Oldest,
    /// With the next batch that is stored.
    Now,
    /// Behind this event.
    After(Sequence),
}

/// Ends a subscription that another thread may be waiting in.
#[derive(Clone)]
pub struct Closer(Arc<Signal>);

impl Closer {
    /// Makes [`Subscription::next`] return, now and ever after.
    pub fn close(&self) {
        self.0.close();
    }
}

/// Events that a subscriber was given, borrowed where they lie.
pub struct Events<'a> {
    source: Option<&'a Source>,
    index: usize,
}

impl<'a> Iterator for Events<'a> {
    type Item = (ShardId, Event<'a>);

    #[inline]
    fn next(&mut self) -> Option<(ShardId, Event<'a>)> {
        let source = self.source.filter(|source| self.index < source.picked_count())?;
        self.index += 1;
        Some((source.shard, source.event(self.index - 1)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.source.map_or(0, |source| source.picked_count() - self.index);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Events<'_> {}

impl Subscription {
    pub(crate) fn open(
        shared: &Arc<Shared>,
        store: Store,
        request: SubscribeRequest,
    ) -> Result<Subscription, SubscribeError> {
        let (mut subscription, answers) = Subscription::ask(shared, store, request)?;
        let deadline = shared.clock.now().after(shared.config.adapter_timeout);
        let is_over = || shared.is_closing() || shared.is_failed();
        let joined = gather(&shared.clock, &answers, subscription.sources.len(), deadline, is_over);
        if joined.len() < subscription.sources.len() {
            return Err(match (shared.is_failed(), shared.is_closing()) {
                (true, _) => SubscribeError::Failed,
                (_, true) => SubscribeError::ShuttingDown,
                _ => SubscribeError::Unanswered,
            });
        }
        subscription.begin(joined);
        Ok(subscription)
    }

    /// Asks every shard to let a subscriber in, which [begins](Subscription::begin) when all of them have.
    pub(crate) fn ask(
        shared: &Arc<Shared>,
        store: Store,
        request: SubscribeRequest,
    ) -> Result<(Subscription, Answers), SubscribeError> {
        let shards =
            shard_ids(request.shards, shared.stream_count()).map_err(SubscribeError::UnknownShard)?;
        let cursor = match &request.from {
            From::Cursor(text) => Cursor::parse(text, store).map_err(SubscribeError::Cursor)?,
            From::Start | From::Now => Cursor::new(store),
        };
        let mut subscription = Subscription {
            shared: Arc::clone(shared),
            cursor,
            sources: Vec::with_capacity(shards.len()),
            turns: Turns::new(shared.kind.layouts.clone()),
            last: 0,
            lent: false,
            signal: Arc::new(Signal::new().map_err(SubscribeError::Descriptor)?),
            progress: shared.number_subscription(&shards),
            wanted: request.filter.map(|filter| (filter, FilterScratch::default())),
            skipped: 0,
            descriptor_given: false,
        };
        let answers = subscription.join(&shards, &request.from)?;
        Ok((subscription, answers))
    }

    /// Every shard has said where the subscriber begins.
    pub(crate) fn begin(&mut self, joined: Vec<(ShardId, Joined)>) {
        for (shard, joined) in joined {
            let at = self.sources.binary_search_by_key(&shard, |source| source.shard);
            let at = at.expect("only these were asked");
            self.sources[at].begin(joined);
            self.progress.note(at, joined.last);
        }
        self.turns.go_on(&mut self.sources);
        self.shared.watch(&self.signal, &self.progress);
    }

    /// Makes a lane from every shard, and asks where each begins.
    fn join(&mut self, shards: &[ShardId], from: &From) -> Result<Answers, SubscribeError> {
        let shared = Arc::clone(&self.shared);
        let lane_bytes = shared.config.lane_bytes * LANE_SHARE;
        // A lane that waits for its layout keeps what is in it, and leaves the others what they need to come to the end of theirs.
        let begins_earlier = |&shard: &ShardId| self.turns.has_before(shard, self.cursor.position(shard));
        let waits = *from != From::Now && shards.iter().any(begins_earlier);
        let kept_bytes = if waits { shared.config.max_event_bytes.max(lane_bytes) } else { 0 };
        let taken = shared.lane_budget.bytes() + ((lane_bytes + kept_bytes) * shards.len()) as u64;
        if taken > shared.config.lanes_bytes_max / 2 {
            return Err(SubscribeError::LanesExhausted);
        }
        let (answer, answers) = bounded(shards.len());
        for &shard in shards {
            let begin = match (from, self.cursor.position(shard)) {
                (From::Now, _) => Begin::Now,
                (_, Some(position)) => Begin::After(position),
                (_, None) => Begin::Oldest,
            };
            let (producer, consumer) =
                lane(lane_bytes, &shared.lane_budget).ok_or(SubscribeError::LanesExhausted)?;
            self.sources.push(Source::new(shard, consumer));
            let joining = Joining { lane: producer, signal: Arc::clone(&self.signal), begin };
            let subscribe = Subscribe { stream: shard, joining, answer: answer.clone() };
            let posted = shared.port_of_stream(shard).post(Mail::Subscribe(subscribe));
            posted.map_err(|_| SubscribeError::Unanswered)?;
        }
        Ok(answers)
    }

    /// Waits for events and gives up to `events_max` of them (at least 1), of one shard, in its order. They are borrowed in
    /// place, until the next call. No events when `timeout` has passed first: zero looks once, and no timeout waits for ever.
    /// With a filter a look ends after 1,024 events that are not wanted, whether or not there are more. Looks
    /// for `spin_us` before it sleeps, where the idle policy is not `park` and CPUs are left.
    pub fn next(
        &mut self,
        events_max: usize,
        timeout: Option<Duration>,
    ) -> Result<Events<'_>, SubscriptionEnded> {
        self.give_back();
        let found = self.wait_for_events(events_max.max(1), timeout)?;
        Ok(Events { source: found.then(|| &self.sources[self.last]), index: 0 })
    }

    /// A descriptor that is readable when there may be events, until [`next`](Subscription::next) has returned none; for
    /// `epoll` and its like. It is this subscription's, and closed when every shard has heard that it ended.
    pub fn descriptor(&mut self) -> RawFd {
        self.descriptor_given = true;
        self.signal.descriptor()
    }

    /// Where the subscriber stands: behind every event that [`next`](Subscription::next) has returned or the filter has
    /// rejected. To be subscribed from, or polled from, later.
    pub fn cursor(&self) -> String {
        let mut cursor = self.cursor.clone();
        for source in &self.sources {
            if let Some(position) = source.position() {
                cursor.set(source.shard, position);
            }
        }
        cursor.to_string()
    }

    /// Events that retention removed before this subscriber got them, since the last call.
    pub fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }

    /// Events that retention removed before this subscriber got them, since [`take_skipped`](Subscription::take_skipped).
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// What ends this subscription from another thread.
    pub fn closer(&self) -> Closer {
        Closer(Arc::clone(&self.signal))
    }

    /// Gives back the memory of what was read last.
    fn give_back(&mut self) {
        if !std::mem::take(&mut self.lent) {
            return;
        }
        let source = &mut self.sources[self.last];
        source.give_back();
        self.progress.note(self.last, source.position());
        // Pairs with the heavy fence in `Doorbell::park`: a shard that goes to sleep sees the room, or this thread sees
        // that it waits.
        light_fence();
        if source.owes_a_ring() {
            self.shared.port_of_stream(source.shard).doorbell.ring();
        }
    }

    /// Waits until the source `last` has events; false at the timeout.
    fn wait_for_events(
        &mut self,
        events_max: usize,
        timeout: Option<Duration>,
    ) -> Result<bool, SubscriptionEnded> {
        let mut patience = None;
        loop {
            // Before the look, so that what was pushed before the end is found.
            let ended = self.ended();
            let look = self.look(events_max);
            if look == Look::Found {
                self.signal.ring();
                return Ok(true);
            }
            // Behind what the filter has rejected so far there may be more, which only a closer cuts off.
            let is_over =
                |ended: &SubscriptionEnded| look == Look::Nothing || *ended == SubscriptionEnded::Closed;
            if let Some(ended) = ended.filter(is_over) {
                self.signal.ring();
                return Err(ended);
            }
            if timeout == Some(Duration::ZERO) && !self.descriptor_given {
                return Ok(false);
            }
            let now = self.shared.clock.now();
            let patience = patience.get_or_insert_with(|| Patience::new(&self.shared, now, timeout));
            let left = patience.left(now);
            if look == Look::Unfinished {
                if left == Some(Duration::ZERO) {
                    if self.descriptor_given {
                        self.signal.repeat();
                    }
                    return Ok(false);
                }
            } else if now < patience.spins_until {
                std::hint::spin_loop();
            } else if !self.signal.arm() {
                if left == Some(Duration::ZERO) {
                    return Ok(false);
                }
                patience.spinner = None;
                self.signal.wait(left);
            }
        }
    }

    /// Looks for events in every lane, the one that was read last coming last.
    fn look(&mut self, events_max: usize) -> Look {
        let mut records_left = LOOK_RECORDS_MAX;
        loop {
            let look = self.look_around(events_max, &mut records_left);
            if look != Look::Nothing || !self.turns.go_on(&mut self.sources) {
                return look;
            }
        }
    }

    /// Looks for events of the layout whose turn it is.
    fn look_around(&mut self, events_max: usize, records_left: &mut usize) -> Look {
        let (count, last) = (self.sources.len(), self.last);
        for turn in 1..=count {
            self.last = (last + turn) % count;
            loop {
                let records_max = if self.wanted.is_some() { *records_left } else { events_max };
                let source = &mut self.sources[self.last];
                let records = source.read(records_max.min(events_max), &mut self.wanted, &mut self.skipped);
                if records == 0 {
                    break;
                }
                self.lent = true;
                if source.picked_count() > 0 {
                    return Look::Found;
                }
                self.give_back();
                *records_left = records_left.saturating_sub(records);
                if *records_left == 0 {
                    return Look::Unfinished;
                }
            }
        }
        Look::Nothing
    }

    /// Why nothing more will be pushed, if that is so.
    fn ended(&self) -> Option<SubscriptionEnded> {
        if self.signal.is_closed() {
            return Some(SubscriptionEnded::Closed);
        }
        if self.shared.is_failed() {
            return Some(SubscriptionEnded::Failed);
        }
        let over =
            self.shared.is_closing() && (self.shared.has_ended() || self.sources.iter().all(Source::is_gone));
        over.then_some(SubscriptionEnded::ShutDown)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        for source in self.sources.drain(..) {
            let shard = source.shard;
            drop(source);
            // The shard forgets the lane, and is woken for it, so that its memory does not pile up.
            self.shared.port_of_stream(shard).doorbell.post();
        }
    }
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Events, in the source that was read last.
    Found,
    /// None anywhere.
    Nothing,
    /// None that the filter lets through, so far.
    Unfinished,
}

/// Records without a wanted event that one look goes through, so that a filter cannot hold a call up past its timeout.
const LOOK_RECORDS_MAX: usize = 1024;
/// A subscription's lane is this many times as large as a producer's: a whole batch fits into half of it.
const LANE_SHARE: usize = 2;
