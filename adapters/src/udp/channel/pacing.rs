//! Pacing: a window's worth is spread over the round trip instead of leaving in one burst, as RFC 9002, section 7.7, asks.
//!
//! A bucket fills at the window's rate, and holds what a burst may be. Where a round trip is shorter than a burst lasts, the
//! window is all that limits.

use std::time::Duration;

use engine::clock::Monotonic;

use super::congestion::NewReno;

/// What may leave now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacer {
    packet_bytes: u64,
    credit: u64,
    filled: Monotonic,
    /// When it lets go, after it refused.
    release: Option<Monotonic>,
}

impl Pacer {
    pub(super) fn new(packet_bytes: usize, now: Monotonic) -> Pacer {
        let packet_bytes = packet_bytes as u64;
        Pacer { packet_bytes, credit: BURST_LEAST_PACKETS * packet_bytes, filled: now, release: None }
    }

    /// Whether a packet may leave now.
    pub(super) fn allows(&mut self, now: Monotonic, reno: &NewReno, smoothed: Duration) -> bool {
        if self.credit >= self.packet_bytes {
            return true;
        }
        let gain_percent = if reno.is_slow_start() { 200 } else { 125 };
        let per_second = u128::from(reno.window()) * gain_percent * 10_000_000 / smoothed.as_nanos().max(1);
        let per_second = u64::try_from(per_second).unwrap_or(u64::MAX).max(1);
        let burst = self.burst(per_second);
        let earned = u128::from(per_second) * now.since(self.filled).as_nanos() / NANOS;
        self.credit = burst.min(self.credit + u64::try_from(earned).unwrap_or(u64::MAX).min(burst));
        self.filled = now;
        if self.credit >= self.packet_bytes {
            return true;
        }
        // Half a burst is waited for, so that a timer is worth its while.
        let missing = u128::from((burst / 2).max(self.packet_bytes) - self.credit);
        let wait = missing * NANOS / u128::from(per_second);
        let wait = Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX) + 1);
        self.release = Some(now.after(wait));
        false
    }

    fn burst(&self, per_second: u64) -> u64 {
        let worth = u128::from(per_second) * BURST.as_nanos() / NANOS;
        u64::try_from(worth).unwrap_or(u64::MAX).max(BURST_LEAST_PACKETS * self.packet_bytes)
    }

    pub(super) fn on_sent(&mut self, bytes: u64) {
        self.credit = self.credit.saturating_sub(bytes);
    }

    /// When it lets go, if it refused last.
    pub(super) fn release(&self) -> Option<Monotonic> {
        self.release
    }

    /// Nobody waits for it any more.
    pub(super) fn forget(&mut self) {
        self.release = None;
    }
}

/// What leaves at once may last so long at the window's rate.
const BURST: Duration = Duration::from_millis(1);
const BURST_LEAST_PACKETS: u64 = 10;
const NANOS: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_within(rtt: Duration, time: Duration) -> u64 {
        let reno = NewReno::new(1_000);
        let (mut pacer, mut packets) = (Pacer::new(1_000, Monotonic(0)), 0);
        let (mut now, end) = (Monotonic(0), Monotonic(0).after(time));
        while now < end {
            if pacer.allows(now, &reno, rtt) {
                pacer.on_sent(1_000);
                packets += 1;
            } else {
                let release = pacer.release().unwrap();
                assert!(release > now);
                now = release;
            }
            if packets > 1_000_000 {
                break;
            }
        }
        packets
    }

    #[test]
    fn a_window_is_spread_over_its_round_trip() {
        // 10 packets a round trip, twice that in slow start, and the burst at the beginning.
        let packets = sent_within(Duration::from_millis(100), Duration::from_secs(1));
        assert!((205..=215).contains(&packets), "{packets}");
    }

    #[test]
    fn a_short_round_trip_is_not_slowed_down() {
        let packets = sent_within(Duration::from_micros(50), Duration::from_millis(1));
        assert!(packets >= 200, "{packets}");
    }

    #[test]
    fn a_pause_earns_a_burst_and_no_more() {
        let (reno, rtt) = (NewReno::new(1_000), Duration::from_millis(100));
        let mut pacer = Pacer::new(1_000, Monotonic(0));
        let far = Monotonic(u64::MAX);
        pacer.on_sent(10_000);
        let mut burst = 0;
        while pacer.allows(far, &reno, rtt) {
            pacer.on_sent(1_000);
            burst += 1;
        }
        assert_eq!(burst, 10);
    }
}
