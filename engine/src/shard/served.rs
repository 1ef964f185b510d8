//! The streams that a shard serves to subscribers: its own, or its part of those that the store shares with others.
//!
//! A stream of its own grows by what the shard stores. Where a shared one ends, the store has to be asked before a subscriber
//! joins, and says by itself while somebody listens.

use std::time::Duration;

use super::delivery::{Delivery, GoneOn};
use super::outbox::Outbox;
use crate::adapter::{AdapterError, ReadBlock, Streams};
use crate::batch::Batch;
use crate::clock::Monotonic;
use crate::counters::ShardStats;
use crate::event::{Sequence, ShardId};
use crate::port::Subscribe;

/// Every stream of one shard.
pub(super) struct Served {
    /// Whether the only stream is the shard's own.
    is_own: bool,
    deliveries: Box<[Delivery]>,
    /// Subscribers to shared streams whose end is being asked for.
    joining: Vec<(u64, Subscribe)>,
}

impl Served {
    /// The streams of shard `id` of `shards`.
    pub(super) fn new(
        id: ShardId,
        shards: u16,
        streams: Streams,
        outbox: &mut Outbox,
        timeout: Duration,
    ) -> Served {
        let deliveries = match streams {
            Streams::Own => vec![Delivery::new(id, outbox.next(), timeout)],
            Streams::Shared(count) => (id.0..count.get())
                .step_by(usize::from(shards))
                .map(|stream| Delivery::new(ShardId(stream), Sequence::FIRST, timeout))
                .collect(),
        };
        Served { is_own: streams == Streams::Own, deliveries: deliveries.into(), joining: Vec::new() }
    }

    /// Takes a subscriber in, at once or when the stream's end is known.
    pub(super) fn join(&mut self, subscribe: Subscribe, outbox: &mut Outbox, now: Monotonic) {
        if self.is_own {
            return self.let_in(subscribe);
        }
        let ticket = outbox.find_end(subscribe.stream, now);
        outbox.follow(subscribe.stream, true, now);
        self.joining.push((ticket, subscribe));
    }

    /// A shared stream ends here now.
    pub(super) fn ended_at(
        &mut self,
        ticket: Option<u64>,
        stream: ShardId,
        result: &Result<Sequence, AdapterError>,
    ) {
        let (Some(delivery), Ok(end)) = (self.of(stream), result) else {
            // Whoever waits to join is told by the channel's end.
            self.joining.retain(|(waiting, _)| Some(*waiting) != ticket);
            return;
        };
        delivery.grown(*end);
        while let Some(at) = self.joining.iter().position(|(waiting, _)| Some(*waiting) == ticket) {
            let (_, subscribe) = self.joining.swap_remove(at);
            self.let_in(subscribe);
        }
    }

    /// Forgets subscribers that have gone, and stops listening where nobody is left.
    pub(super) fn retire(&mut self, outbox: &mut Outbox, now: Monotonic) {
        for delivery in &mut self.deliveries {
            delivery.retire();
            let stream = delivery.stream();
            let is_awaited = || self.joining.iter().any(|(_, subscribe)| subscribe.stream == stream);
            if !self.is_own && !delivery.has_subscribers() && !is_awaited() {
                // Also where the only one could not join. A store that does not follow it has nothing to do.
                outbox.follow(stream, false, now);
            }
        }
    }

    /// A batch of the shard's own is about to come.
    #[inline]
    pub(super) fn ask_ahead(&self) {
        if self.is_own {
            self.deliveries[0].ask_ahead();
        }
    }

    /// A batch is about to be submitted for the first time.
    #[inline]
    pub(super) fn stage(&mut self, batch: &Batch, is_alone: bool) {
        if self.is_own {
            self.deliveries[0].stage(batch, is_alone);
        }
    }

    /// The oldest batch in flight, which ends before `end`, is stored.
    #[inline]
    pub(super) fn stored(&mut self, end: Sequence) {
        if self.is_own {
            self.deliveries[0].stored(end);
        }
    }

    /// The batch in flight, the only one, which ends before `end`, was given up.
    pub(super) fn refused(&mut self, end: Sequence) {
        if self.is_own {
            self.deliveries[0].refused(end);
        }
    }

    /// A read has ended that a subscriber may wait for.
    pub(super) fn absorb(&mut self, ticket: u64, result: Result<ReadBlock, AdapterError>, now: Monotonic) {
        if let Some(delivery) = self.deliveries.iter_mut().find(|delivery| delivery.awaits(ticket)) {
            delivery.absorb(ticket, result, now);
        }
    }

    /// Gives more to the subscribers that are behind.
    #[inline]
    pub(super) fn go_on(&mut self, outbox: &mut Outbox, now: Monotonic) -> GoneOn {
        self.deliveries.iter_mut().fold(GoneOn::default(), |sum, delivery| {
            let gone_on = delivery.go_on(outbox, now);
            GoneOn { moved: sum.moved + gone_on.moved, reads: sum.reads + gone_on.reads }
        })
    }

    /// Whether a subscriber that is behind could be given more.
    #[inline]
    pub(super) fn has_work(&self) -> bool {
        self.deliveries.iter().any(Delivery::has_work)
    }

    /// When a subscriber is to be looked at again although nobody rings.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.deliveries.iter().filter_map(Delivery::due).min()
    }

    /// Writes what subscribers were given, and how far the streams have got, into `stats`.
    pub(super) fn count(&self, stats: &mut ShardStats) {
        self.deliveries.iter().for_each(|delivery| delivery.count(stats));
    }

    fn let_in(&mut self, subscribe: Subscribe) {
        let Subscribe { stream, joining, answer } = subscribe;
        if let Some(delivery) = self.of(stream) {
            // The channel has room for one answer of each stream; a caller that has gone needs none.
            let _ = answer.try_send((stream, delivery.join(joining)));
        }
    }

    fn of(&mut self, stream: ShardId) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| delivery.stream() == stream)
    }
}
