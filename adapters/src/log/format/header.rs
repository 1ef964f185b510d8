//! The header of a segment: which shard's it is, what its sequences may be, and where earlier sequences jump. It is there
//! twice, each copy in a page of its own, so that one bad page costs no segment.

use engine::event::Sequence;

use super::{PAGE_BYTES, checksum, put_u32, put_u64, u32_at, u64_at};

/// Bytes of both copies; the first block follows.
pub(in crate::log) const HEADER_BYTES: usize = 2 * PAGE_BYTES;

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::log) struct Header {
    pub(in crate::log) shard: u32,
    /// The segment's place among those of its shard, which its name has too.
    pub(in crate::log) number: u64,
    /// Random, and part of every checksum in the segment.
    pub(in crate::log) salt: u64,
    /// Of the whole log; cursors carry it.
    pub(in crate::log) incarnation: u64,
    /// No event here has a sequence below this.
    pub(in crate::log) base: Sequence,
    /// No event here has a sequence at or above this. Who finds nothing behind the segment goes on here, above whatever was shown.
    pub(in crate::log) reserved_end: Sequence,
    /// When it was made, nanoseconds since the Unix epoch.
    pub(in crate::log) created_ns: u64,
    /// Of the machine when it was made.
    pub(in crate::log) boot_id: u128,
    /// Where sequences jump before this segment, ascending: the latest ones.
    pub(in crate::log) jumps: Vec<Jump>,
}

/// Sequences that no event has, or none any more: the log ended before `end`, and went on with `next`. What is found between them is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct Jump {
    pub(in crate::log) end: Sequence,
    pub(in crate::log) next: Sequence,
}

impl Header {
    /// Both copies.
    pub(in crate::log) fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; PAGE_BYTES];
        page[..8].copy_from_slice(MAGIC);
        put_u32(&mut page, 8, VERSION);
        put_u32(&mut page, 12, self.shard);
        put_u64(&mut page, 16, self.number);
        put_u64(&mut page, 24, self.salt);
        put_u64(&mut page, 32, self.incarnation);
        put_u64(&mut page, 40, self.base.0);
        put_u64(&mut page, 48, self.reserved_end.0);
        put_u64(&mut page, 56, self.created_ns);
        page[64..80].copy_from_slice(&self.boot_id.to_le_bytes());
        let latest = &self.jumps[self.jumps.len().saturating_sub(JUMPS_MAX)..];
        put_u32(&mut page, 80, latest.len() as u32);
        for (at, jump) in (JUMPS_AT..).step_by(JUMP_BYTES).zip(latest) {
            put_u64(&mut page, at, jump.end.0);
            put_u64(&mut page, at + 8, jump.next.0);
        }
        let sum = checksum(&page[..CHECKSUM_AT], 0);
        put_u64(&mut page, CHECKSUM_AT, sum);
        page.repeat(2)
    }

    /// What the first good copy says; `None` where neither is good.
    pub(in crate::log) fn decode(bytes: &[u8]) -> Option<Header> {
        bytes.chunks_exact(PAGE_BYTES).take(2).find_map(Header::decode_page)
    }

    fn decode_page(page: &[u8]) -> Option<Header> {
        let sum = u64_at(page, CHECKSUM_AT)?;
        if !page.starts_with(MAGIC) || checksum(&page[..CHECKSUM_AT], 0) != sum || u32_at(page, 8)? != VERSION
        {
            return None;
        }
        let jump = |at: usize| {
            Some(Jump { end: Sequence(u64_at(page, at)?), next: Sequence(u64_at(page, at + 8)?) })
        };
        let count = (u32_at(page, 80)? as usize).min(JUMPS_MAX);
        let jumps = (JUMPS_AT..).step_by(JUMP_BYTES).take(count).map(jump).collect::<Option<Vec<_>>>()?;
        Some(Header {
            shard: u32_at(page, 12)?,
            number: u64_at(page, 16)?,
            salt: u64_at(page, 24)?,
            incarnation: u64_at(page, 32)?,
            base: Sequence(u64_at(page, 40)?),
            reserved_end: Sequence(u64_at(page, 48)?),
            created_ns: u64_at(page, 56)?,
            boot_id: page.get(64..80)?.first_chunk().map(|bytes| u128::from_le_bytes(*bytes))?,
            jumps,
        })
    }
}

const MAGIC: &[u8; 8] = b"libnetlg";
const VERSION: u32 = 1;
const JUMPS_AT: usize = 96;
const JUMP_BYTES: usize = 16;
/// Jumps that a header has room for.
pub(in crate::log) const JUMPS_MAX: usize = 128;
const CHECKSUM_AT: usize = PAGE_BYTES - 8;
const _: () = assert!(JUMPS_AT + JUMPS_MAX * JUMP_BYTES <= CHECKSUM_AT);

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let jump = |at| Jump { end: Sequence(at), next: Sequence(at + 10) };
        Header {
            shard: 3,
            number: 7,
            salt: 0x0123_4567_89ab_cdef,
            incarnation: 11,
            base: Sequence(100),
            reserved_end: Sequence(900),
            created_ns: 5,
            boot_id: 1 << 100,
            jumps: vec![jump(1), jump(50)],
        }
    }

    #[test]
    fn one_bad_page_costs_no_header() {
        let bytes = header().encode();
        for at in [0, 20, 100, PAGE_BYTES - 1] {
            let mut first_bad = bytes.clone();
            first_bad[at] ^= 1;
            assert_eq!(Header::decode(&first_bad), Some(header()));
            first_bad[PAGE_BYTES + at] ^= 1;
            assert_eq!(Header::decode(&first_bad), None, "both bad at {at}");
        }
        assert_eq!(Header::decode(&bytes[..PAGE_BYTES]), Some(header()), "one copy is enough");
        assert_eq!(Header::decode(&bytes[..100]), None);
    }

    #[test]
    fn the_latest_jumps_stay() {
        let jumps: Vec<Jump> = (0..200).map(|at| Jump { end: Sequence(at), next: Sequence(at) }).collect();
        let decoded = Header::decode(&Header { jumps: jumps.clone(), ..header() }.encode());
        assert_eq!(decoded.expect("it is good").jumps, jumps[200 - JUMPS_MAX..]);
    }
}
