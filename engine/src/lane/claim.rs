//! The claim: one event's place in the lane, written by the producer itself and published when it commits.
//!
//! An open claim reserves memory behind the tail and moves nothing, so that the consumer does not see it and giving it
//! up costs nothing. Until it ends the lane takes no other event. The lane's end on the producer's side owns the memory:
//! it stays when the consumer is gone.

use std::slice;

use super::producer::{Full, LaneProducer, write_header};
use super::record::{
    FLAG_BOXED, FLAG_KEYED, FLAG_PAD, HEADER_WORDS, Header, join_first_word, key_room, record_bytes,
    write_key,
};

/// An open claim.
pub(super) struct Claimed {
    number: u64,
    hash: u64,
    place: Place,
    /// [`LaneProducer::head_seen`] for afterwards.
    head_seen: u64,
}

/// Where the bytes of a claim lie, and behind them those of the key, if the event takes it along; else there are none.
enum Place {
    /// In the ring, in the record at this position.
    Ring { start: u64, payload_bytes: u32, key_bytes: u32 },
    /// In a block that travels by pointer, and is charged already.
    Block { body: Box<[u8]>, key_bytes: u32 },
}

impl LaneProducer {
    /// Reserves the place of an event of `payload_bytes` bytes in the ring, and behind it that of the key, if the event takes
    /// it along. `number` names the claim, and `hash` is for its header. No other claim is open.
    #[inline]
    pub fn claim(
        &mut self,
        number: u64,
        hash: u64,
        payload_bytes: u32,
        key: Option<&[u8]>,
    ) -> Result<(), Full> {
        let key_bytes = key_room(key) as u32;
        let pad = self.find_room(record_bytes((payload_bytes + key_bytes) as usize) as u64)?;
        self.open(number, hash, Place::Ring { start: self.tail + pad, payload_bytes, key_bytes }, key);
        Ok(())
    }

    /// [`claim`](LaneProducer::claim) for an event that is too large for the ring.
    pub fn claim_boxed(
        &mut self,
        number: u64,
        hash: u64,
        payload_bytes: u32,
        key: Option<&[u8]>,
    ) -> Result<(), Full> {
        let key_bytes = key_room(key) as u32;
        let body_bytes = (payload_bytes + key_bytes) as usize;
        self.charge_block(body_bytes)?;
        self.open(number, hash, Place::Block { body: vec![0; body_bytes].into(), key_bytes }, key);
        Ok(())
    }

    /// Writes one record that takes `key` along, as a block if it is `boxed`: a claim that is ended at once.
    pub fn push_keyed(
        &mut self,
        header: Header,
        payload: &[u8],
        key: &[u8],
        boxed: bool,
    ) -> Result<(), Full> {
        let (number, payload_bytes) = (0, payload.len() as u32);
        if boxed {
            self.claim_boxed(number, header.hash, payload_bytes, Some(key))?;
        } else {
            self.claim(number, header.hash, payload_bytes, Some(key))?;
        }
        self.claimed_bytes().expect("claimed above").copy_from_slice(payload);
        self.commit(header.timestamp_ns, header.flags);
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
        self.claimed_place(false)
    }

    /// Ends the open claim and puts its event behind the tail. It becomes readable with the next
    /// [`publish`](LaneProducer::publish). `false` when no claim is open.
    #[inline]
    pub fn commit(&mut self, timestamp_ns: u64, flags: u32) -> bool {
        let Some((hash, place)) = self.end_claim() else { return false };
        let flags = flags & !(FLAG_PAD | FLAG_BOXED);
        match place {
            Place::Ring { start, payload_bytes, key_bytes } => {
                let (body_bytes, flags) = (payload_bytes + key_bytes, flags | keyed(key_bytes));
                let bytes = record_bytes(body_bytes as usize) as u64;
                // The tail has not moved since the claim, and the head moves forward only.
                self.reserve(bytes).expect("the claim found room");
                debug_assert_eq!(self.tail, start);
                self.shared.writes(self.tail, bytes);
                self.put_first_word(join_first_word(body_bytes, flags));
                // SAFETY: `reserve` left the record's bytes at `tail` to this end alone.
                unsafe {
                    let header = Header { body_bytes, flags, timestamp_ns, hash };
                    write_header(self.shared.at(self.tail), header);
                }
                self.tail += bytes;
                self.pushed += 1;
            }
            Place::Block { body, key_bytes } => {
                let header = Header { body_bytes: 0, flags: flags | keyed(key_bytes), timestamp_ns, hash };
                self.send_block(header, body).expect("the claim found room");
            }
        }
        true
    }

    /// Ends the open claim, if there is one, and publishes nothing.
    pub fn abort(&mut self) {
        if let Some((_, Place::Block { body, .. })) = self.end_claim() {
            self.shared.budget.give(body.len() as u64);
        }
    }

    /// The memory of the open claim, with or without that of its key.
    #[inline]
    fn claimed_place(&mut self, with_key: bool) -> Option<&mut [u8]> {
        match &mut self.claimed.as_mut()?.place {
            &mut Place::Ring { start, payload_bytes, key_bytes } => {
                let body_bytes = (payload_bytes + key_bytes) as usize;
                self.shared.writes(start, record_bytes(body_bytes) as u64);
                let bytes = if with_key { body_bytes } else { payload_bytes as usize };
                // SAFETY: `claim` found the record's bytes contiguous at `start` and released by the consumer; the lane
                // writes nothing there until the claim ends. The ring's memory is initialised when it is made.
                Some(unsafe {
                    let body = self.shared.at(start).add(HEADER_WORDS).cast::<u8>();
                    slice::from_raw_parts_mut(body, bytes)
                })
            }
            Place::Block { body, key_bytes } => {
                let bytes = body.len() - if with_key { 0 } else { *key_bytes as usize };
                Some(&mut body[..bytes])
            }
        }
    }

    #[inline]
    fn open(&mut self, number: u64, hash: u64, place: Place, key: Option<&[u8]>) {
        assert!(self.claimed.is_none(), "one claim a lane");
        self.claimed = Some(Claimed { number, hash, place, head_seen: self.head_seen });
        self.head_seen = self.tail.wrapping_sub(self.shared.capacity());
        if let Some(key) = key {
            write_key(self.claimed_place(true).expect("opened above"), key);
        }
    }

    #[inline]
    fn end_claim(&mut self) -> Option<(u64, Place)> {
        let Claimed { hash, place, head_seen, .. } = self.claimed.take()?;
        self.head_seen = head_seen;
        Some((hash, place))
    }
}

/// [`FLAG_KEYED`], if the event takes a key along.
#[inline]
fn keyed(key_bytes: u32) -> u32 {
    if key_bytes > 0 { FLAG_KEYED } else { 0 }
}
