//! Routing keys: every producer has [`KEYS`] of its own and uses them in turn, so that it loads every shard.

/// Keys of a producer.
pub(crate) const KEYS: usize = 64;

/// Which of its producer's keys an event is published under; `number` counts a producer's events from 0.
#[inline]
pub(crate) fn key_index(number: u64) -> usize {
    (number % KEYS as u64) as usize
}

/// The routing key of a producer's event.
#[inline]
pub(crate) fn key(producer: u16, number: u64) -> [u8; 3] {
    let [low, high] = producer.to_le_bytes();
    [low, high, key_index(number) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_producers_share_a_key() {
        let keys: BTreeSet<[u8; 3]> =
            (0..300).flat_map(|producer| (0..1_000).map(move |number| key(producer, number))).collect();
        assert_eq!(keys.len(), 300 * KEYS);
    }
}
