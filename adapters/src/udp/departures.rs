//! Departures: packets on their way to the kernel. What it did not take is kept and goes first, and nothing is made meanwhile.

use std::time::Duration;

use engine::adapter::AdapterError;
use engine::clock::Monotonic;

use super::burst::Refusal;
use super::endpoint::Endpoint;
use super::session::Burst;
use super::socket::Socket;

/// What one shard sends.
pub(super) struct Departures {
    buffer: Box<[u8]>,
    /// What lies there and is not sent, and how many bytes of it are.
    burst: Option<(Burst, usize)>,
    failures: u32,
    retry_at: Option<Monotonic>,
    error: Option<AdapterError>,
}

impl Departures {
    /// With room for packets of up to `mtu` bytes.
    pub(super) fn new(mtu: usize) -> Departures {
        let packets = (BURST_BYTES_MAX / mtu).clamp(1, BURST_PACKETS_MAX);
        Departures {
            buffer: vec![0; packets * mtu].into(),
            burst: None,
            failures: 0,
            retry_at: None,
            error: None,
        }
    }

    /// Sends what there is to send now. Whether there may be more.
    pub(super) fn send(&mut self, endpoint: &mut Endpoint, socket: &mut Socket, now: Monotonic) -> bool {
        if self.retry_at.is_some_and(|retry_at| retry_at > now) {
            return false;
        }
        self.retry_at = None;
        for _ in 0..BURSTS_MAX {
            let next = self.burst.take().or_else(|| Some((endpoint.transmit(&mut self.buffer, now)?, 0)));
            let Some((burst, sent)) = next else { return false };
            if !self.hand_over(burst, sent, endpoint, socket, now) {
                return false;
            }
        }
        true
    }

    /// Tells the peer what it is owed, and takes leave.
    pub(super) fn leave(&mut self, endpoint: &mut Endpoint, socket: &mut Socket, now: Monotonic) {
        endpoint.hurry(now);
        self.retry_at = None;
        self.send(endpoint, socket, now);
        if !self.is_empty() {
            // It would be written over.
            return;
        }
        while let Some(burst) = endpoint.leave(&mut self.buffer, now) {
            // Whoever does not hear it waits for the timeout.
            socket.send(&self.buffer[..burst.bytes], burst.segment, burst.to);
        }
    }

    /// Whether the kernel was given everything that was made.
    pub(super) fn is_empty(&self) -> bool {
        self.burst.is_none()
    }

    /// When what waits is tried again.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.retry_at
    }

    /// Why the kernel did not take something, if that was not asked before.
    pub(super) fn take_error(&mut self) -> Option<AdapterError> {
        self.error.take()
    }

    /// Whether all of it has gone.
    fn hand_over(
        &mut self,
        burst: Burst,
        sent: usize,
        endpoint: &mut Endpoint,
        socket: &mut Socket,
        now: Monotonic,
    ) -> bool {
        let result = socket.send(&self.buffer[sent..burst.bytes], burst.segment, burst.to);
        endpoint.count_sent(result.bytes.div_ceil(burst.segment));
        let Some(refusal) = result.refusal else {
            self.failures = 0;
            return true;
        };
        self.retry_at = Some(now.after(pause(self.failures)));
        self.failures = self.failures.saturating_add(1);
        let reason = match refusal {
            Refusal::Full => {
                self.burst = Some((burst, sent + result.bytes));
                return false;
            }
            Refusal::TooLarge => {
                format!("{} bytes are too many for a packet to {}: see `net.mtu`", burst.segment, burst.to)
            }
            Refusal::Failed(error) => format!("nothing can be sent to {}: {error}", burst.to),
        };
        // The rest is lost like packets on the way.
        endpoint.count_send_errors((burst.bytes - sent - result.bytes).div_ceil(burst.segment));
        self.error = Some(AdapterError::Transient(reason));
        false
    }
}

/// Between two attempts: 50 µs, doubled each time, at most 100 ms.
fn pause(failures: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX)
}

/// What the kernel takes with one call.
const BURST_BYTES_MAX: usize = 65_487;
const BURST_PACKETS_MAX: usize = 64;
/// Bursts before the shard looks at other things.
const BURSTS_MAX: usize = 8;
const PAUSE_MIN: Duration = Duration::from_micros(50);
const PAUSE_MAX: Duration = Duration::from_millis(100);
