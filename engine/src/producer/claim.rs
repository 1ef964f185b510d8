//! Claims: events whose bytes the caller writes into the lane itself.
//!
//! A claim is three numbers. The lane holds what is open, so that one that was ended, forged, or made by another
//! producer is refused and leads to no memory.

use super::{Producer, PublishError};
use crate::event::{EventFlags, Receipt, ShardId};
use crate::lane::LaneProducer;
use crate::route::{routing_hash, shard_of};

/// An event's place in a lane, open from [`Producer::claim`] until it is committed or aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    producer: u64,
    number: u64,
    shard: ShardId,
}

/// Why a claim did not become an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The producer has no such claim open. Nothing was changed. Final.
    #[error("no such claim is open")]
    NotOpen,
    /// The bus is shutting down; the claim was aborted. Final.
    #[error("the bus is shutting down")]
    ShuttingDown,
    /// A shard has panicked; the claim was aborted. Final.
    #[error("a shard of the bus has failed")]
    Failed,
}

impl Claim {
    /// The claim as numbers, for who keeps it outside.
    pub fn to_words(self) -> [u64; 3] {
        [self.producer, self.number, u64::from(self.shard.0)]
    }

    /// The claim of these numbers. Any numbers make a claim; one that was never made is not open.
    pub fn from_words([producer, number, shard]: [u64; 3]) -> Claim {
        // A shard that does not fit is no shard's number, and claims are numbered from 1.
        let (number, shard) = u16::try_from(shard).map_or((0, 0), |shard| (number, shard));
        Claim { producer, number, shard: ShardId(shard) }
    }
}

impl Producer {
    /// Claims the place of an event of `payload_bytes` bytes, routed by `key`, which it takes along where the store wants keys.
    /// Waits for room as [`publish`](Producer::publish) does. Until the claim ends this producer's other events to that shard
    /// are refused with [`PublishError::ClaimOpen`]; nothing else is. The memory stays while the producer lives, also when the
    /// bus has ended.
    #[inline]
    pub fn claim(&mut self, key: &[u8], payload_bytes: usize) -> Result<Claim, PublishError> {
        let hash = routing_hash(Some(key), &[]);
        let shard = shard_of(hash, self.shards);
        let number = self.claims + 1;
        if self.carries_keys {
            return self.claim_slowly(shard, number, hash, payload_bytes, Some(key));
        }
        if payload_bytes < self.boxed_from_bytes
            && !self.shared.is_closing()
            && let Some(way) = &mut self.lanes[shard.index()]
            && way.lane.open_claim().is_none()
            && way.lane.enter()
            && way.lane.claim(number, hash, payload_bytes as u32, None).is_ok()
        {
            way.lane.leave();
            self.claims = number;
            return Ok(Claim { producer: self.number, number, shard });
        }
        self.claim_slowly(shard, number, hash, payload_bytes, None)
    }

    /// The way for a first claim on a shard, a full lane, a large event, one that takes its key along, and a bus that ends.
    #[cold]
    fn claim_slowly(
        &mut self,
        shard: ShardId,
        number: u64,
        hash: u64,
        payload_bytes: usize,
        key: Option<&[u8]>,
    ) -> Result<Claim, PublishError> {
        let boxed = self.is_boxed(payload_bytes, key);
        let claimed = self.when_there_is_room(shard, payload_bytes, key, |lane| {
            let bytes = payload_bytes as u32;
            if boxed {
                lane.claim_boxed(number, hash, bytes, key)
            } else {
                lane.claim(number, hash, bytes, key)
            }
        });
        if let Some(way) = &self.lanes[shard.index()] {
            // A shutdown waits for publications, and does not wait for claims.
            way.lane.leave();
        }
        claimed?;
        self.claims = number;
        Ok(Claim { producer: self.number, number, shard })
    }

    /// Whether the claim is an open one of this producer.
    #[inline]
    pub fn is_open(&self, claim: Claim) -> bool {
        let lane = self.lanes.get(claim.shard.index()).and_then(Option::as_ref).map(|way| &way.lane);
        claim.producer == self.number && lane.and_then(LaneProducer::open_claim) == Some(claim.number)
    }

    /// Whether any claim of this producer is open.
    pub fn has_open_claims(&self) -> bool {
        self.lanes.iter().flatten().any(|way| way.lane.open_claim().is_some())
    }

    /// The bytes of an open claim, to be written and looked at. What they hold at first is of no meaning.
    #[inline]
    pub fn claimed_bytes(&mut self, claim: Claim) -> Result<&mut [u8], CommitError> {
        let lane = self.claimed_lane(claim).ok_or(CommitError::NotOpen)?;
        lane.claimed_bytes().ok_or(CommitError::NotOpen)
    }

    /// Publishes the event of a claim, stamped now. The claim has ended, unless it was not open.
    #[inline]
    pub fn commit(&mut self, claim: Claim, flags: EventFlags) -> Result<Receipt, CommitError> {
        if !self.is_open(claim) {
            return Err(CommitError::NotOpen);
        }
        let timestamp_ns = self.stamper.stamp(&self.shared.clock);
        let (is_closed, is_failed) = (self.is_closed(), self.is_failed());
        let way = self.lanes[claim.shard.index()].as_mut().expect("the claim is open");
        if !way.lane.enter() || is_closed {
            way.lane.leave();
            way.lane.abort();
            return Err(if is_failed { CommitError::Failed } else { CommitError::ShuttingDown });
        }
        way.lane.commit(timestamp_ns, flags.0);
        way.publish();
        Ok(Receipt { shard: claim.shard, timestamp_ns })
    }

    /// Gives the place of a claim up; nothing is published. `false` when it was not open.
    pub fn abort(&mut self, claim: Claim) -> bool {
        self.claimed_lane(claim).map(LaneProducer::abort).is_some()
    }

    #[inline]
    fn claimed_lane(&mut self, claim: Claim) -> Option<&mut LaneProducer> {
        if !self.is_open(claim) {
            return None;
        }
        self.lanes[claim.shard.index()].as_mut().map(|way| &mut way.lane)
    }
}
