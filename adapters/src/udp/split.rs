//! Which session an event goes through: events of one key stay together, and so in order.

use engine::batch::Batch;
use engine::route::shard_of;

/// The session, among `sessions`, of an event with this hash. The hash has chosen the shard by its upper half already.
pub(super) fn session_of(hash: u64, sessions: u16) -> usize {
    shard_of(hash.rotate_left(32), sessions).index()
}

/// Splits the events at `indices` over as many sessions as there are parts; in each they are in order.
pub(super) fn split(batch: &Batch, indices: impl Iterator<Item = u32>, parts: &mut [Vec<u32>]) {
    let sessions = parts.len() as u16;
    for index in indices {
        parts[session_of(batch.event(index as usize).hash, sessions)].push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::event::EventFlags;

    #[test]
    fn each_session_of_each_shard_gets_its_share_and_a_key_stays_in_one() {
        let mut batch = Batch::default();
        let mut seed = 1_u64;
        while batch.len() < 30_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let hash = seed ^ seed >> 29;
            // What reaches the second of three shards.
            if shard_of(hash, 3).0 == 1 {
                batch.push(0, hash, EventFlags::NONE, b"");
            }
        }
        let mut parts = vec![Vec::new(); 3];
        split(&batch, 0..30_000, &mut parts);
        assert!(parts.iter().all(|part| (9_000..11_000).contains(&part.len())));
        assert!(parts.iter().all(|part| part.is_sorted()));
        for (at, part) in parts.iter().enumerate() {
            assert!(part.iter().all(|&index| session_of(batch.event(index as usize).hash, 3) == at));
        }
    }
}
