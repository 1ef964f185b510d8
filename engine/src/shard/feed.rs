//! The feed: one subscriber's lane, on its shard's side.
//!
//! A feed that keeps up gets every batch when it is submitted, and the batch becomes readable when it is stored. One that
//! does not (no room in its lane, or it begins in the past) remembers where it stands and goes on from the store. So
//! a lane holds events in the shard's order, without one twice, and a mark wherever sequences jump.

use std::sync::Arc;
use std::time::Duration;

use super::outbox::Outbox;
use crate::adapter::{ReadBlock, ReadRequest, Resident};
use crate::batch::Batch;
use crate::clock::Monotonic;
use crate::event::{Sequence, ShardId};
use crate::lane::record::{FLAG_MARK, Header};
use crate::lane::{Full, LaneProducer};
use crate::subscription::{Begin, Joining, Signal};
use crate::sync::{Ordering, fence};

/// One subscriber's lane.
pub(super) struct Feed {
    lane: LaneProducer,
    bell: Bell,
    place: Place,
    /// Where it stood before it was given the batch in flight.
    staged: Option<Place>,
    reading: Option<Reading>,
    /// Whether the subscriber was told to ring when there is room.
    waits: bool,
    failures: u32,
    retry_at: Option<Monotonic>,
    /// Events in the lane or read from it, and how many of them the subscriber may have read.
    pushed: u64,
    delivered: u64,
}

/// Where a feed stands.
#[derive(Clone, Copy)]
struct Place {
    /// Sequence of the next event to push; `None` is the oldest there is.
    next: Option<Sequence>,
    /// What the subscriber takes the next record for.
    expected: Option<Sequence>,
    /// Events that are gone, and that the subscriber was not told of.
    lost: u64,
}

/// What a feed was given from the store's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// It moved on.
    pub(super) moved: bool,
    /// Something is to be rung for.
    pub(super) published: bool,
    /// What follows has to be read.
    pub(super) needs_read: bool,
}

/// What went into a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pushed {
    events: usize,
    bytes: usize,
}

/// A read under way.
struct Reading {
    ticket: u64,
    /// What the shard had settled when the read began.
    settled: Sequence,
    deadline: Monotonic,
}

impl Feed {
    /// Takes a subscriber in. `settled` is one past the last sequence that was stored or refused.
    pub(super) fn new(joining: Joining, settled: Sequence) -> Feed {
        let next = match joining.begin {
            Begin::Oldest => None,
            Begin::Now => Some(settled),
            Begin::After(last) => Some(last.advanced_by(1)),
        };
        Feed {
            lane: joining.lane,
            bell: Bell(joining.signal),
            place: Place { next, expected: next, lost: 0 },
            staged: None,
            reading: None,
            waits: false,
            failures: 0,
            retry_at: None,
            pushed: 0,
            delivered: 0,
        }
    }

    /// Events made readable to the subscriber.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Whether the subscriber has gone.
    pub(super) fn is_gone(&self) -> bool {
        self.lane.is_closed()
    }

    /// A batch is about to come, and its memory in the lane is asked for while the adapter is given it.
    #[inline]
    pub(super) fn ask_ahead(&self) {
        self.lane.ask_ahead();
    }

    /// Pushes a batch that is about to be submitted, if it is the next; it becomes readable with
    /// [`publish`](Feed::publish).
    pub(super) fn stage(&mut self, batch: &Batch) {
        if self.place.next == Some(batch.first()) && self.reading.is_none() {
            self.staged = Some(self.place);
            self.push(batch, 0, usize::MAX);
            if crate::planted!("law-5-delivered-before-it-is-stored") {
                self.publish_lane();
            }
        }
    }

    /// What was staged is stored.
    #[inline]
    pub(super) fn publish(&mut self) {
        if self.staged.take().is_some() {
            self.publish_lane();
        }
    }

    /// What was staged was given up.
    pub(super) fn retract(&mut self) {
        if let Some(before) = self.staged.take() {
            self.lane.retract();
            self.pushed = self.delivered;
            self.place = before;
        }
    }

    /// Rings the subscriber, behind the fence that follows a publication.
    pub(super) fn ring(&self) {
        self.bell.0.ring();
    }

    /// Whether it has everything that is settled, nothing is under way for it, and the subscriber knows where it stands.
    #[inline]
    pub(super) fn is_up_to_date(&self, settled: Sequence) -> bool {
        self.has_all(settled) && self.reading.is_none() && !self.jumps()
    }

    /// Whether nothing that is settled is left to push.
    #[inline]
    fn has_all(&self, settled: Sequence) -> bool {
        self.place.next.is_some_and(|next| next >= settled)
    }

    /// Whether it could be given more now, so that the shard does not sleep.
    pub(super) fn wants_more(&self, settled: Sequence) -> bool {
        !self.is_up_to_date(settled)
            && self.reading.is_none()
            && self.retry_at.is_none()
            && self.lane.has_room()
    }

    /// When it is to be looked at again although nobody rings.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.reading.as_ref().map(|reading| reading.deadline).or(self.retry_at)
    }

    /// Gives up what takes too long. Whether it is to be given more now; where only room is missing, the subscriber is told
    /// to ring when there is.
    pub(super) fn prepare(&mut self, settled: Sequence, now: Monotonic) -> bool {
        if self.reading.as_ref().is_some_and(|reading| reading.deadline <= now) {
            self.reading = None;
            self.fail(now);
        }
        self.retry_at.take_if(|retry_at| *retry_at <= now);
        let wants_more = self.wants_more(settled);
        let waits = !wants_more && self.reading.is_none() && self.retry_at.is_none();
        if std::mem::replace(&mut self.waits, waits) != waits {
            self.lane.set_waiting(waits);
        }
        wants_more
    }

    /// The last sequence it has pushed or passed over.
    pub(super) fn position(&self) -> Option<Sequence> {
        self.place.next.map(|next| Sequence(next.0 - 1))
    }

    /// Pushes what follows its position and lies in the store's memory, up to about `bytes_max`.
    pub(super) fn take(
        &mut self,
        outbox: &Outbox,
        stream: ShardId,
        settled: Sequence,
        bytes_max: usize,
        now: Monotonic,
    ) -> Taken {
        let (mut taken, mut bytes_left) = (Taken::default(), bytes_max);
        while bytes_left > 0 && !self.has_all(settled) && self.wants_more(settled) {
            match outbox.resident(stream, self.position()) {
                Resident::Elsewhere => {
                    taken.needs_read = true;
                    break;
                }
                Resident::Nothing { skipped } => {
                    self.count_lost(skipped);
                    self.place.next = self.place.next.max(Some(settled));
                }
                Resident::Events { batch, index, skipped } => {
                    self.jump_to(batch.sequence(index), skipped);
                    let pushed = self.push(batch, index, bytes_left);
                    if pushed.events == 0 {
                        if !taken.moved {
                            self.fail(now);
                        }
                        break;
                    }
                    bytes_left = bytes_left.saturating_sub(pushed.bytes);
                }
            }
            self.failures = 0;
            taken.moved = true;
        }
        if taken.moved || self.jumps() {
            taken.moved = true;
            taken.published = self.publish_position();
        }
        taken
    }

    /// The read that brings what follows its position.
    pub(super) fn read_request(&mut self, stream: ShardId, bytes_max: usize) -> ReadRequest {
        ReadRequest {
            stream,
            after: self.position(),
            events_max: READ_EVENTS_MAX,
            bytes_max: bytes_max.min(self.lane.contiguous_room().max(READ_BYTES_MIN)),
        }
    }

    /// The read that was asked for has begun.
    pub(super) fn reads(&mut self, ticket: u64, settled: Sequence, deadline: Monotonic) {
        self.reading = Some(Reading { ticket, settled, deadline });
    }

    /// Whether it waits for this read.
    pub(super) fn awaits(&self, ticket: u64) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.ticket == ticket)
    }

    /// Takes the answer of its read; `None` when it failed. Whether anything was published.
    pub(super) fn absorb(&mut self, block: Option<ReadBlock>, settled: Sequence, now: Monotonic) -> bool {
        let Some(reading) = self.reading.take() else { return false };
        let Some(block) = block.filter(|block| self.accepts(block)) else {
            self.fail(now);
            return false;
        };
        let pushed = if let Some(first) = (!block.batch.is_empty()).then(|| block.batch.first()) {
            self.jump_to(first, block.skipped);
            self.push(&block.batch, 0, usize::MAX).events
        } else {
            self.count_lost(block.skipped);
            0
        };
        if pushed == block.batch.len() {
            self.failures = 0;
            let through = block.through.map(|through| through.advanced_by(1));
            self.place.next = self.place.next.max(through);
            if !block.more && settled == reading.settled {
                // There is nothing more before `settled`: the store has said what is lost, and refused the rest.
                self.place.next = self.place.next.max(Some(settled));
            }
        } else if pushed == 0 {
            self.fail(now);
            return false;
        }
        self.publish_position()
    }

    fn accepts(&self, block: &ReadBlock) -> bool {
        let begins = block.batch.is_empty() || Some(block.batch.first()) >= self.place.next;
        let tells = block.skipped == 0 || block.through.is_some();
        begins
            && tells
            && (!block.more || block.through.map(|through| through.advanced_by(1)) > self.place.next)
    }

    /// Moves on to `next`; `skipped` events before it are gone.
    fn jump_to(&mut self, next: Sequence, skipped: u64) {
        self.count_lost(skipped);
        self.place.next = Some(next);
    }

    /// Who begins with the oldest event misses none of those before it.
    fn count_lost(&mut self, skipped: u64) {
        let skipped = if crate::planted!("law-8-what-is-overtaken-is-not-counted") { 0 } else { skipped };
        self.place.lost += if self.place.next.is_some() { skipped } else { 0 };
    }

    /// Publishes what was pushed, and where it stands, although no event may have come: the subscriber's cursor moves on, and
    /// it hears what is lost. Whether there was anything.
    fn publish_position(&mut self) -> bool {
        if self.jumps()
            && let Some(next) = self.place.next
        {
            // Where there is no room for it, it comes when there is.
            let _ = self.mark(next);
        }
        self.publish_lane()
    }

    /// Makes what was pushed readable. Whether there was anything.
    fn publish_lane(&mut self) -> bool {
        self.delivered = self.pushed;
        self.lane.publish_any()
    }

    /// Whether the subscriber takes the next record for another one than it is.
    fn jumps(&self) -> bool {
        self.place.expected != self.place.next || self.place.lost > 0
    }

    /// Pushes the events of `batch` from `index` on, the first of which is the next one, as far as there is room and up to
    /// about `bytes_max`. None only where the lane is not half free, or the budget of all lanes is used up.
    fn push(&mut self, batch: &Batch, index: usize, bytes_max: usize) -> Pushed {
        let mut pushed = Pushed::default();
        while index + pushed.events < batch.len() && pushed.bytes < bytes_max {
            let at = index + pushed.events;
            self.place.next = Some(batch.sequence(at));
            if self.jumps() && self.mark(batch.sequence(at)).is_err() {
                break;
            }
            let room = self.lane.contiguous_room();
            let (records, count) = batch.records(at, room.min(bytes_max - pushed.bytes));
            let (events, bytes) = if count > 0 {
                self.lane.push_run(records, count);
                (count, records.len())
            } else if let Ok(bytes) = self.push_event(batch, at) {
                (1, bytes)
            } else {
                break;
            };
            pushed = Pushed { events: pushed.events + events, bytes: pushed.bytes + bytes };
            self.place.next = Some(batch.sequence(at).advanced_by(events as u64));
            self.place.expected = self.place.next;
        }
        self.pushed += pushed.events as u64;
        pushed
    }

    /// Pushes one event that does not fit before the ring wraps. Returns its bytes.
    fn push_event(&mut self, batch: &Batch, index: usize) -> Result<usize, Full> {
        let (header, body) = batch.record(index);
        if body.len() > self.lane.body_bytes_max() {
            self.lane.push_boxed(header, body)?;
        } else {
            self.lane.push(header, body)?;
        }
        Ok(body.len())
    }

    /// Tells the subscriber that the next event is `next`, and how many are lost before it.
    fn mark(&mut self, next: Sequence) -> Result<(), Full> {
        let header = Header { body_bytes: 0, flags: FLAG_MARK, timestamp_ns: next.0, hash: self.place.lost };
        self.lane.push(header, &[])?;
        (self.place.expected, self.place.lost) = (Some(next), 0);
        Ok(())
    }

    fn fail(&mut self, now: Monotonic) {
        let wait = RETRY_MIN.saturating_mul(1 << self.failures.min(10)).min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(now.after(wait));
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // What is not stored is not delivered. The lane, and after it the bell, say that nothing more will be.
        self.lane.retract();
    }
}

/// Rings for the last time when the lane is gone.
struct Bell(Arc<Signal>);

impl Drop for Bell {
    fn drop(&mut self) {
        fence(Ordering::SeqCst);
        self.0.ring();
    }
}

/// Events that one read brings at most.
const READ_EVENTS_MAX: usize = 4096;
/// Bytes that a read asks for at least, although the ring wraps before.
const READ_BYTES_MIN: usize = 4 << 10;
/// Wait before a failed read is repeated, doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(1);
const RETRY_MAX: Duration = Duration::from_secs(1);
