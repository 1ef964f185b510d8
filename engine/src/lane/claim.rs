//! The claim: one event's place in the lane, written by the producer itself and published when it commits.
//!
//! An open claim reserves memory behind the tail and moves nothing, so that the consumer does not see it and giving it
//! up costs nothing. Until it ends the lane takes no other event. The lane's end on the producer's side owns the memory:
//! it stays when the consumer is gone.

use std::slice;

use super::producer::{Full, LaneProducer, write_header};
use super::record::{FLAG_BOXED, FLAG_PAD, HEADER_WORDS, Header, join_first_word, record_bytes};

/// An open claim.
pub(super) struct Claimed {
    number: u64,
    hash: u64,
    place: Place,
    /// [`LaneProducer::head_seen`] for afterwards.
    head_seen: u64,
}

/// Where the bytes of a claim lie.
enum Place {
    /// In the ring, in the record at this position.
    Ring { start: u64, payload_bytes: u32 },
    /// In a block that travels by pointer, and is charged already.
    Block(Box<[u8]>),
}

impl LaneProducer {
    /// Reserves the place of an event of `payload_bytes` bytes in the ring. `number` names the claim, and `hash` is for
    /// its header. No other claim is open.
    #[inline]
    pub fn claim(&mut self, number: u64, hash: u64, payload_bytes: u32) -> Result<(), Full> {
        let pad = self.find_room(record_bytes(payload_bytes as usize) as u64)?;
        self.open(number, hash, Place::Ring { start: self.tail + pad, payload_bytes });
        Ok(())
    }

    /// [`claim`](LaneProducer::claim) for an event that is too large for the ring.
    pub fn claim_boxed(&mut self, number: u64, hash: u64, payload_bytes: u32) -> Result<(), Full> {
        self.charge_block(payload_bytes as usize)?;
        self.open(number, hash, Place::Block(vec![0; payload_bytes as usize].into()));
        Ok(())
    }

    /// Number of the open claim.
    #[inline]
    pub fn open_claim(&self) -> Option<u64> {
        self.claimed.as_ref().map(|claimed| claimed.number)
    }

    /// The bytes of the open claim; what they hold before they are written is of no meaning.
    #[inline]
    pub fn claimed_bytes(&mut self) -> Option<&mut [u8]> {
        match &mut self.claimed.as_mut()?.place {
            &mut Place::Ring { start, payload_bytes } => {
                self.shared.writes(start, record_bytes(payload_bytes as usize) as u64);
                // SAFETY: `claim` found the record's bytes contiguous at `start` and released by the consumer; the lane
                // writes nothing there until the claim ends. The ring's memory is initialised when it is made.
                Some(unsafe {
                    let payload = self.shared.at(start).add(HEADER_WORDS).cast::<u8>();
                    slice::from_raw_parts_mut(payload, payload_bytes as usize)
                })
            }
            Place::Block(block) => Some(block),
        }
    }

    /// Ends the open claim and puts its event behind the tail. It becomes readable with the next
    /// [`publish`](LaneProducer::publish). `false` when no claim is open.
    #[inline]
    pub fn commit(&mut self, timestamp_ns: u64, flags: u32) -> bool {
        let Some((hash, place)) = self.end_claim() else { return false };
        let flags = flags & !(FLAG_PAD | FLAG_BOXED);
        match place {
            Place::Ring { start, payload_bytes } => {
                let bytes = record_bytes(payload_bytes as usize) as u64;
                // The tail has not moved since the claim, and the head moves forward only.
                self.reserve(bytes).expect("the claim found room");
                debug_assert_eq!(self.tail, start);
                self.shared.writes(self.tail, bytes);
                self.put_first_word(join_first_word(payload_bytes, flags));
                // SAFETY: `reserve` left the record's bytes at `tail` to this end alone.
                unsafe {
                    let header = Header { payload_bytes, flags, timestamp_ns, hash };
                    write_header(self.shared.at(self.tail), header);
                }
                self.tail += bytes;
                self.pushed += 1;
            }
            Place::Block(block) => {
                let header = Header { payload_bytes: 0, flags, timestamp_ns, hash };
                self.send_block(header, block).expect("the claim found room");
            }
        }
        true
    }

    /// Ends the open claim, if there is one, and publishes nothing.
    pub fn abort(&mut self) {
        if let Some((_, Place::Block(block))) = self.end_claim() {
            self.shared.budget.give(block.len() as u64);
        }
    }

    #[inline]
    fn open(&mut self, number: u64, hash: u64, place: Place) {
        assert!(self.claimed.is_none(), "one claim a lane");
        self.claimed = Some(Claimed { number, hash, place, head_seen: self.head_seen });
        self.head_seen = self.tail.wrapping_sub(self.shared.capacity());
    }

    #[inline]
    fn end_claim(&mut self) -> Option<(u64, Place)> {
        let Claimed { hash, place, head_seen, .. } = self.claimed.take()?;
        self.head_seen = head_seen;
        Some((hash, place))
    }
}
