//! The round-trip time, estimated as RFC 9002, section 5, says.

use std::time::Duration;

/// What the samples say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rtt {
    smoothed: Duration,
    variation: Duration,
    latest: Duration,
    least: Duration,
    has_sample: bool,
}

impl Rtt {
    pub(super) fn new() -> Rtt {
        Rtt {
            smoothed: RTT_FIRST,
            variation: RTT_FIRST / 2,
            latest: RTT_FIRST,
            least: Duration::MAX,
            has_sample: false,
        }
    }

    /// A packet was acknowledged `sample` after it was sent; of that, the peer says, it kept `delay` back.
    pub(super) fn add(&mut self, sample: Duration, delay: Duration) {
        self.latest = sample;
        self.least = self.least.min(sample);
        if !self.has_sample {
            (self.smoothed, self.variation, self.has_sample) = (sample, sample / 2, true);
            return;
        }
        let delay = delay.min(ACK_DELAY_MAX);
        let adjusted =
            Some(sample.saturating_sub(delay)).filter(|adjusted| *adjusted >= self.least).unwrap_or(sample);
        self.variation = (self.variation * 3 + self.smoothed.abs_diff(adjusted)) / 4;
        self.smoothed = (self.smoothed * 7 + adjusted) / 8;
    }

    pub(super) fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// How long after a later packet's one counts as lost.
    pub(super) fn loss_delay(&self) -> Duration {
        (self.smoothed.max(self.latest) * 9 / 8).max(GRANULARITY)
    }

    /// How long an acknowledgement is waited for.
    pub(super) fn probe_timeout(&self) -> Duration {
        self.smoothed + (self.variation * 4).max(GRANULARITY) + ACK_DELAY_MAX
    }
}

/// Before anything was measured. A first exchange that takes longer costs a probe.
const RTT_FIRST: Duration = Duration::from_millis(100);
/// What timers are good for.
const GRANULARITY: Duration = Duration::from_millis(1);
/// A receiver keeps an acknowledgement back for so long at most.
pub(super) const ACK_DELAY_MAX: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_sample_replaces_the_guess_and_later_ones_move_it() {
        let mut rtt = Rtt::new();
        rtt.add(8 * MS, MS);
        assert_eq!((rtt.smoothed(), rtt.probe_timeout()), (8 * MS, (8 + 16 + 1) * MS));
        rtt.add(16 * MS, Duration::ZERO);
        assert_eq!((rtt.smoothed(), rtt.variation), (9 * MS, 5 * MS));
        assert_eq!(rtt.loss_delay(), 18 * MS);
    }

    #[test]
    fn the_peers_delay_is_taken_off_up_to_its_limit_and_not_below_the_least() {
        let mut rtt = Rtt::new();
        rtt.add(8 * MS, Duration::ZERO);
        rtt.add(17 * MS, 100 * MS);
        assert_eq!(rtt.smoothed(), 9 * MS);
        let mut rtt = Rtt::new();
        rtt.add(8 * MS, Duration::ZERO);
        rtt.add(8 * MS + MS / 2, MS);
        assert_eq!(rtt.smoothed(), 8 * MS + MS / 16);
    }

    #[test]
    fn a_fast_link_is_given_what_timers_can_do() {
        let mut rtt = Rtt::new();
        (0..100).for_each(|_| rtt.add(Duration::from_micros(20), Duration::ZERO));
        assert_eq!(rtt.loss_delay(), GRANULARITY);
        assert!(rtt.probe_timeout() >= GRANULARITY + ACK_DELAY_MAX);
    }
}
