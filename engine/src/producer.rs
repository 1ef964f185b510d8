//! The producer: one thread's way into the bus.
//!
//! A producer has a lane of its own to each shard it has published to, so publishing takes no lock, no allocation, no
//! system call and no shared read-modify-write. What is done per event is: hash, stamp, copy, and one store that makes
//! it visible. A [`Claim`] saves the copy too: its event is written into the lane by the caller.

mod claim;

use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::clock::Stamper;
use crate::config::Backpressure;
use crate::doorbell::Doorbell;
use crate::event::{EventFlags, Receipt, ShardId};
use crate::lane::record::{Header, key_room};
use crate::lane::{BOXED_FROM_LANE_SHARE, Full, LaneProducer, lane};
use crate::route::{routing_hash, shard_of};
use crate::shared::{Busy, Shared};
use crate::sync::{AtomicUsize, Ordering};

pub use claim::{Claim, CommitError};

/// One thread's way into a bus. May move between threads, and is used by one at a time. Dropping it closes its lanes;
/// what they hold is still stored.
pub struct Producer {
    shared: Arc<Shared>,
    stamper: Stamper,
    lanes: Box<[Option<Way>]>,
    /// Shards with records that this batch has pushed and not published; empty between calls.
    unpublished: Vec<ShardId>,
    shards: u16,
    /// Whether events take their routing keys along.
    carries_keys: bool,
    event_bytes_max: usize,
    boxed_from_bytes: usize,
    /// How long the event that is being published waits for room whatever the shard says, see
    /// [`publish_within`](Producer::publish_within).
    patience: Duration,
    /// Number of this producer in the process; never given again.
    number: u64,
    claims: u64,
    /// From the first lane on.
    busy: Option<Busy>,
}

/// The way to one shard.
struct Way {
    lane: LaneProducer,
    /// Whether this batch has pushed records that it has not published.
    unpublished: bool,
    doorbell: Arc<Doorbell>,
}

/// Why an event was not accepted. The event stays with the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The bus is shutting down. Final.
    #[error("the bus is shutting down")]
    ShuttingDown,
    /// A shard has panicked. Final.
    #[error("a shard of the bus has failed")]
    Failed,
    /// Larger than `max_event_bytes`. Final for this event.
    #[error("an event of {bytes} bytes is larger than max_event_bytes, {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest accepted.
        bytes_max: usize,
    },
    /// With its key, which the store wants, larger than `max_event_bytes`. Final for this event.
    #[error("an event of {bytes} bytes with its key is larger than max_event_bytes, {bytes_max}")]
    TooLargeWithKey {
        /// The size of both together.
        bytes: usize,
        /// The largest accepted.
        bytes_max: usize,
    },
    /// No room within `push_wait_us`; counted as refused. Retry when the store has caught up.
    #[error("the shard is full and the event was refused")]
    Refused,
    /// No room within `push_wait_us` under `DropNewest`; counted as dropped.
    #[error("the shard is full and the event was dropped")]
    Dropped,
    /// Another lane would exceed `lanes_bytes_max`. Retry when other threads have ended, or raise the limit.
    #[error("another lane would exceed lanes_bytes_max")]
    LanesExhausted,
    /// This producer has an open claim on the event's shard. Final until the claim is committed or aborted.
    #[error("a claim on the event's shard is open")]
    ClaimOpen,
}

impl Producer {
    pub(crate) fn new(shared: Arc<Shared>) -> Producer {
        let shards = shared.shards();
        Producer {
            stamper: Stamper::default(),
            lanes: (0..shards).map(|_| None).collect(),
            unpublished: Vec::new(),
            shards,
            carries_keys: shared.kind.wants_keys,
            event_bytes_max: shared.config.max_event_bytes,
            boxed_from_bytes: (shared.config.lane_bytes / BOXED_FROM_LANE_SHARE)
                .min(shared.config.max_event_bytes + 1),
            patience: Duration::ZERO,
            number: PRODUCERS.fetch_add(1, Ordering::Relaxed) as u64,
            claims: 0,
            busy: None,
            shared,
        }
    }

    /// Bytes of an event at most, `max_event_bytes`.
    #[inline]
    pub fn event_bytes_max(&self) -> usize {
        self.event_bytes_max
    }

    /// Publishes one event. `key` routes it: events of one producer with the same key keep their order; without a key
    /// the payload itself is hashed. Where the store wants keys the event takes it along. Waits up to `push_wait_us` for room.
    #[expect(
        clippy::inline_always,
        reason = "an eighth of the instructions of a small event were the calls on its way"
    )]
    #[inline(always)]
    pub fn publish(
        &mut self,
        key: Option<&[u8]>,
        payload: &[u8],
        flags: EventFlags,
    ) -> Result<Receipt, PublishError> {
        if let Some(key) = key
            && self.carries_keys
        {
            return self.publish_keyed(key, payload, flags);
        }
        let hash = routing_hash(key, payload);
        let timestamp_ns = self.stamper.stamp(&self.shared.clock);
        let shard = shard_of(hash, self.shards);
        let header = Header { body_bytes: payload.len() as u32, flags: flags.0, timestamp_ns, hash };
        if let Some(way) = self.push(shard, header, payload) {
            way.publish();
        } else {
            self.push_slowly(shard, header, payload, None)?.publish();
        }
        Ok(Receipt { shard, timestamp_ns })
    }

    /// [`publish`](Producer::publish) of an event that takes its key along. Apart, so that the others do not pay for it.
    #[cold]
    fn publish_keyed(
        &mut self,
        key: &[u8],
        payload: &[u8],
        flags: EventFlags,
    ) -> Result<Receipt, PublishError> {
        let hash = routing_hash(Some(key), payload);
        let timestamp_ns = self.stamper.stamp(&self.shared.clock);
        let shard = shard_of(hash, self.shards);
        let header = Header { body_bytes: 0, flags: flags.0, timestamp_ns, hash };
        self.push_slowly(shard, header, payload, Some(key))?.publish();
        Ok(Receipt { shard, timestamp_ns })
    }

    /// [`publish`](Producer::publish) that waits for room for `patience`, also while the shard's buffer is full, and for
    /// `push_wait_us` if that is longer.
    pub fn publish_within(
        &mut self,
        key: Option<&[u8]>,
        payload: &[u8],
        flags: EventFlags,
        patience: Duration,
    ) -> Result<Receipt, PublishError> {
        self.patience = patience;
        let published = self.publish(key, payload, flags);
        self.patience = Duration::ZERO;
        published
    }

    /// Publishes events routed by their payloads, each lane made visible once. Stops at the first that is not
    /// accepted; returns how many were, and why it stopped. An event that is too large stops it too.
    pub fn publish_batch<'a>(
        &mut self,
        payloads: impl IntoIterator<Item = &'a [u8]>,
        flags: EventFlags,
    ) -> (usize, Option<PublishError>) {
        let mut accepted = 0;
        let mut refused = None;
        let mut timestamp_ns = self.stamper.stamp(&self.shared.clock);
        for payload in payloads {
            let hash = routing_hash(None, payload);
            let shard = shard_of(hash, self.shards);
            let header = Header { body_bytes: payload.len() as u32, flags: flags.0, timestamp_ns, hash };
            let is_first = match self.push(shard, header, payload) {
                Some(way) => !mem::replace(&mut way.unpublished, true),
                None => match self.push_slowly(shard, header, payload, None) {
                    Ok(way) => !mem::replace(&mut way.unpublished, true),
                    Err(error) => {
                        refused = Some(error);
                        break;
                    }
                },
            };
            if is_first {
                self.unpublished.push(shard);
            }
            accepted += 1;
            timestamp_ns = self.stamper.next();
        }
        self.publish_pushed();
        (accepted, refused)
    }

    /// Whether the bus takes no more events.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closing() || self.shared.is_failed()
    }

    /// Whether a shutdown of the bus has begun.
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.shared.is_closing()
    }

    /// Whether a shard of the bus has panicked.
    #[inline]
    pub fn is_failed(&self) -> bool {
        self.shared.is_failed()
    }

    /// Puts one record into its lane; it becomes visible with the lane's next publication. The lane stays entered.
    /// `None` for what [`push_slowly`](Producer::push_slowly) has to do.
    #[expect(
        clippy::inline_always,
        reason = "a fifth of the cost of a small event was passing these arguments"
    )]
    #[inline(always)]
    fn push(&mut self, shard: ShardId, header: Header, payload: &[u8]) -> Option<&mut Way> {
        if payload.len() >= self.boxed_from_bytes || self.shared.is_closing() {
            return None;
        }
        let way = self.lanes[shard.index()].as_mut()?;
        (way.lane.enter() && way.lane.push(header, payload).is_ok()).then_some(way)
    }

    /// The way for a first event to a shard, a full lane, a large event, one that takes its key along, and a bus that ends.
    #[cold]
    fn push_slowly(
        &mut self,
        shard: ShardId,
        header: Header,
        payload: &[u8],
        key: Option<&[u8]>,
    ) -> Result<&mut Way, PublishError> {
        let result = self.push_waiting(shard, header, payload, key);
        let way = self.lanes[shard.index()].as_mut();
        match (result, way) {
            (Ok(()), way) => Ok(way.expect("pushed into it")),
            (Err(error), way) => {
                way.into_iter().for_each(Way::publish);
                Err(error)
            }
        }
    }

    fn push_waiting(
        &mut self,
        shard: ShardId,
        header: Header,
        payload: &[u8],
        key: Option<&[u8]>,
    ) -> Result<(), PublishError> {
        let boxed = self.is_boxed(payload.len(), key);
        self.when_there_is_room(shard, payload.len(), key, |lane| match key {
            Some(key) => lane.push_keyed(header, payload, key, boxed),
            None if boxed => lane.push_boxed(header, payload),
            None => lane.push(header, payload),
        })
    }

    /// Whether an event travels as a block, with the key that it takes along.
    fn is_boxed(&self, payload_bytes: usize, key: Option<&[u8]>) -> bool {
        payload_bytes.saturating_add(key_room(key)) >= self.boxed_from_bytes
    }

    /// Tries `attempt` on the lane to `shard`, for an event of `payload_bytes` bytes that takes `key` along, until it finds
    /// room or it is time to give up. After a success the lane stays entered.
    fn when_there_is_room(
        &mut self,
        shard: ShardId,
        payload_bytes: usize,
        key: Option<&[u8]>,
        mut attempt: impl FnMut(&mut LaneProducer) -> Result<(), Full>,
    ) -> Result<(), PublishError> {
        let bytes_max = self.event_bytes_max;
        let bytes = payload_bytes.saturating_add(key.map_or(0, <[u8]>::len));
        if bytes > bytes_max {
            return Err(match key {
                None => PublishError::TooLarge { bytes, bytes_max },
                Some(_) => PublishError::TooLargeWithKey { bytes, bytes_max },
            });
        }
        if self.is_closed() {
            return Err(self.closed());
        }
        if self.lanes[shard.index()].is_none() {
            self.open_lane(shard)?;
        }
        let mut wait = None;
        let mut attempts = 0u32;
        loop {
            let way = self.lanes[shard.index()].as_mut().expect("opened above");
            if self.shared.is_closing() || !way.lane.enter() {
                return Err(self.closed());
            }
            if way.lane.open_claim().is_some() {
                return Err(PublishError::ClaimOpen);
            }
            if attempt(&mut way.lane).is_ok() {
                return Ok(());
            }
            let now = self.shared.clock.now();
            let Some((congested_until, deadline)) = wait else {
                // Everything pushed so far is made visible, so that the shard has something to make room with.
                way.publish();
                self.publish_pushed();
                let push_wait = self.shared.config.push_wait;
                wait = Some((now.after(self.patience), now.after(self.patience.max(push_wait))));
                continue;
            };
            if now >= deadline || (now >= congested_until && self.shared.port(shard).is_congested()) {
                return Err(self.give_up(shard));
            }
            attempts += 1;
            if attempts < SPINS_BEFORE_SLEEP && self.shared.may_spin() {
                // Longer and longer, because each look takes the lane's line away from the shard.
                (0..attempts.min(PAUSES_MAX)).for_each(|_| std::hint::spin_loop());
            } else {
                way.lane.leave();
                thread::sleep(SLEEP_FOR_ROOM);
            }
        }
    }

    /// Counts an event for which there was no room.
    fn give_up(&self, shard: ShardId) -> PublishError {
        let lane = &self.lanes[shard.index()].as_ref().expect("the lane was full").lane;
        if self.shared.config.backpressure == Backpressure::DropNewest {
            lane.count_dropped();
            PublishError::Dropped
        } else {
            if !crate::planted!("12-refused-are-not-counted") {
                lane.count_refused();
            }
            PublishError::Refused
        }
    }

    fn open_lane(&mut self, shard: ShardId) -> Result<(), PublishError> {
        let port = self.shared.port(shard);
        let (producer, consumer) = lane(self.shared.config.lane_bytes, &self.shared.lane_budget)
            .ok_or(PublishError::LanesExhausted)?;
        port.connect(consumer).map_err(|_| self.closed())?;
        let doorbell = Arc::clone(&port.doorbell);
        self.lanes[shard.index()] = Some(Way { lane: producer, unpublished: false, doorbell });
        self.busy.get_or_insert_with(Busy::count);
        Ok(())
    }

    fn publish_pushed(&mut self) {
        for shard in self.unpublished.drain(..) {
            if let Some(way) = &mut self.lanes[shard.index()] {
                way.publish();
            }
        }
    }

    fn closed(&self) -> PublishError {
        if self.shared.is_failed() { PublishError::Failed } else { PublishError::ShuttingDown }
    }
}

impl Way {
    /// Makes the pushed records visible, leaves the lane, and wakes the shard if it sleeps.
    #[inline]
    fn publish(&mut self) {
        self.unpublished = false;
        self.lane.publish();
        self.lane.leave();
        if !crate::planted!("13-nobody-rings-for-an-event") {
            self.doorbell.ring();
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        for way in self.lanes.iter_mut().filter_map(Option::take) {
            drop(way.lane);
            // The shard retires the lane; a sleeping one is woken for it, so that the memory of threads that ended
            // does not pile up.
            way.doorbell.post();
        }
    }
}

/// Attempts to find room in a lane before the caller's thread sleeps between them.
const SPINS_BEFORE_SLEEP: u32 = 200;
/// Processor pauses between two such attempts, at most.
const PAUSES_MAX: u32 = 32;
const SLEEP_FOR_ROOM: Duration = Duration::from_micros(50);

static PRODUCERS: AtomicUsize = AtomicUsize::new(0);
