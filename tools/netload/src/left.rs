//! What is left of a synthetic run for one producer.

use std::time::Duration;

use crate::config::Limit;

/// Counts down to the end of the run.
pub(crate) enum Left {
    Events(u64),
    Until(Duration),
}

impl Left {
    /// The share of `producer` (counted from 0) of `producers`.
    pub(crate) fn new(limit: Limit, producers: u16, producer: u16) -> Left {
        let producers = u64::from(producers);
        match limit {
            Limit::Events(events) => {
                Left::Events(events / producers + u64::from(u64::from(producer) < events % producers))
            }
            Limit::Duration(duration) => Left::Until(duration),
        }
    }

    /// How many of `count` events are left to publish, time not considered.
    pub(crate) fn at_most(&self, count: usize) -> usize {
        match self {
            Left::Events(events) => count.min(usize::try_from(*events).unwrap_or(usize::MAX)),
            Left::Until(_) => count,
        }
    }

    /// Takes `count` events; false when the run is over. `in_time` says whether a run of this length still goes on, and
    /// `warm` whether the warm-up, of which nothing is counted, is over.
    #[inline]
    pub(crate) fn take(&mut self, count: u64, warm: bool, in_time: impl FnOnce(Duration) -> bool) -> bool {
        match self {
            Left::Events(events) if warm => {
                let enough = *events >= count;
                *events = events.saturating_sub(count);
                enough
            }
            Left::Events(_) => true,
            Left::Until(duration) => in_time(*duration),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_share_out_every_event_and_no_more() {
        let mut taken = 0;
        for producer in 0..3 {
            let mut left = Left::new(Limit::Events(11), 3, producer);
            assert!(left.take(1, false, |_| unreachable!("the run is counted")));
            while left.take(1, true, |_| unreachable!("the run is counted")) {
                taken += 1;
            }
        }
        assert_eq!(taken, 11);
    }
}
