//! The congestion window: `NewReno` as RFC 9002, section 7, has it, in bytes of plaintext.
//!
//! One thing differs: a loss takes the window down to that of the beginning at most, and only persistent congestion below it. Two
//! processes own their path, and at 5 % loss the two packets of the RFC cost more than half the rate.

use engine::clock::Monotonic;

/// How much may be in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewReno {
    packet_bytes: u64,
    window: u64,
    slow_start_threshold: u64,
    /// Acknowledged since the window grew last, outside slow start.
    acked_bytes: u64,
    /// What was sent up to here says nothing new about congestion.
    recovery_start: Option<Monotonic>,
}

impl NewReno {
    pub(super) fn new(packet_bytes: usize) -> NewReno {
        let packet_bytes = packet_bytes as u64;
        NewReno {
            packet_bytes,
            window: WINDOW_FIRST_PACKETS * packet_bytes,
            slow_start_threshold: u64::MAX,
            acked_bytes: 0,
            recovery_start: None,
        }
    }

    /// Bytes that may be in flight.
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    pub(super) fn is_slow_start(&self) -> bool {
        self.window < self.slow_start_threshold
    }

    /// `bytes` sent at `sent` have come. `is_limited`: the window was what held more back.
    pub(super) fn on_ack(&mut self, bytes: u64, sent: Monotonic, is_limited: bool) {
        if !is_limited || self.recovery_start.is_some_and(|start| sent <= start) {
            return;
        }
        if self.is_slow_start() {
            self.window += bytes;
        } else {
            self.acked_bytes += bytes;
            if self.acked_bytes >= self.window {
                self.acked_bytes -= self.window;
                self.window += self.packet_bytes;
            }
        }
        self.window = self.window.min(WINDOW_BYTES_MAX);
    }

    /// Something sent at `sent` is lost.
    pub(super) fn on_loss(&mut self, sent: Monotonic, now: Monotonic) {
        if self.recovery_start.is_some_and(|start| sent <= start) {
            return;
        }
        self.recovery_start = Some(now);
        self.window = (self.window / 2).max(WINDOW_FIRST_PACKETS * self.packet_bytes).min(self.window);
        self.slow_start_threshold = self.window;
        self.acked_bytes = 0;
    }

    /// Nothing has come for so long that nothing is known of the path any more.
    pub(super) fn on_persistent_congestion(&mut self) {
        self.window = WINDOW_LEAST_PACKETS * self.packet_bytes;
        self.recovery_start = None;
    }
}

const WINDOW_FIRST_PACKETS: u64 = 10;
const WINDOW_LEAST_PACKETS: u64 = 2;
/// The receive window ends long before; this keeps the arithmetic finite.
const WINDOW_BYTES_MAX: u64 = 1 << 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_until_a_loss_and_then_grows_by_a_packet_each_round() {
        let mut reno = NewReno::new(1_000);
        reno.on_ack(10_000, Monotonic(1), true);
        reno.on_ack(20_000, Monotonic(1), true);
        assert_eq!(reno.window(), 40_000);
        reno.on_loss(Monotonic(2), Monotonic(5));
        assert_eq!((reno.window(), reno.is_slow_start()), (20_000, false));
        reno.on_ack(19_999, Monotonic(6), true);
        assert_eq!(reno.window(), 20_000);
        reno.on_ack(1, Monotonic(6), true);
        assert_eq!(reno.window(), 21_000);
    }

    #[test]
    fn one_round_of_losses_halves_it_once() {
        let mut reno = NewReno::new(1_000);
        reno.on_ack(40_000, Monotonic(0), true);
        (0..5).for_each(|sent| reno.on_loss(Monotonic(sent), Monotonic(5 + sent)));
        assert_eq!(reno.window(), 25_000);
        reno.on_ack(25_000, Monotonic(5), true);
        assert_eq!(reno.window(), 25_000);
        reno.on_loss(Monotonic(6), Monotonic(9));
        assert_eq!(reno.window(), 12_500);
        reno.on_loss(Monotonic(10), Monotonic(11));
        reno.on_loss(Monotonic(12), Monotonic(13));
        assert_eq!(reno.window(), 10_000);
    }

    #[test]
    fn it_does_not_grow_while_it_holds_nothing_back() {
        let mut reno = NewReno::new(1_000);
        reno.on_ack(10_000, Monotonic(1), false);
        assert_eq!(reno.window(), 10_000);
        reno.on_persistent_congestion();
        assert_eq!(reno.window(), 2_000);
        reno.on_loss(Monotonic(2), Monotonic(3));
        assert_eq!(reno.window(), 2_000);
    }
}
