//! Routing: which shard an event goes to.
//!
//! The hash is `xxh3_64` of the routing key, or of the payload where no key is given; Lemire's multiply-shift
//! (D. Lemire, "Fast Random Integer Generation in an Interval", 2019) maps it onto the shards without a division.

use xxhash_rust::xxh3::xxh3_64;

use crate::event::ShardId;

/// Hash that routes an event.
#[inline]
pub fn routing_hash(key: Option<&[u8]>, payload: &[u8]) -> u64 {
    xxh3_64(key.unwrap_or(payload))
}

/// The shard among `shards` that `hash` belongs to.
#[inline]
pub fn shard_of(hash: u64, shards: u16) -> ShardId {
    ShardId(((u128::from(hash) * u128::from(shards)) >> 64) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_gets_its_share() {
        let mut counts = [0u32; 7];
        for key in 0..70_000u32 {
            counts[shard_of(routing_hash(Some(&key.to_le_bytes()), b""), 7).index()] += 1;
        }
        assert!(counts.iter().all(|&count| (9_000..11_000).contains(&count)), "{counts:?}");
    }

    #[test]
    fn the_largest_hash_stays_inside() {
        assert_eq!(shard_of(u64::MAX, 65_535), ShardId(65_534));
        assert_eq!(shard_of(0, 65_535), ShardId(0));
    }
}
