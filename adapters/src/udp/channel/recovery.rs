//! Packets in flight: what has come of them, what is lost, and when it is time to ask. RFC 9002 in its order.
//!
//! A packet is lost when a later one was acknowledged and it lies three numbers below, or was sent a round trip and an eighth ago.
//! Where nothing is acknowledged any more, a probe goes out, and then others with twice the wait each.

use std::collections::VecDeque;
use std::time::Duration;

use engine::clock::Monotonic;

use super::congestion::NewReno;
use super::frame::Ack;
use super::outbound::Outbound;
use super::pacing::Pacer;
use super::rtt::Rtt;

/// The sender's view of the path.
#[derive(Debug)]
pub(super) struct Recovery {
    /// By number. Those at the front are in flight.
    sent: VecDeque<Packet>,
    in_flight_bytes: u64,
    /// One past the highest number sent.
    next_number: u64,
    largest_acked: Option<u64>,
    rtt: Rtt,
    reno: NewReno,
    pacer: Pacer,
    packet_bytes: usize,
    /// When the next packet counts as lost by its age.
    loss_at: Option<Monotonic>,
    /// When something was sent last that is to be acknowledged.
    last_sent: Monotonic,
    /// When the peer stored or allowed something last.
    progress: Monotonic,
    /// Probes since something was acknowledged, and since the peer stored or allowed something.
    probe_count: u32,
    wait_count: u32,
    /// Packets that may go whatever the window says.
    probes: u32,
    /// Whether the window holds something back.
    is_limited: bool,
    pub(super) lost_packets: u64,
    pub(super) acks_of_unsent: u64,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    number: u64,
    sent: Monotonic,
    bytes: u32,
    fate: Fate,
    block: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    InFlight,
    Acked,
    Lost,
}

impl Recovery {
    pub(super) fn new(packet_bytes: usize, now: Monotonic) -> Recovery {
        Recovery {
            sent: VecDeque::new(),
            in_flight_bytes: 0,
            next_number: 0,
            largest_acked: None,
            rtt: Rtt::new(),
            reno: NewReno::new(packet_bytes),
            pacer: Pacer::new(packet_bytes, now),
            packet_bytes,
            loss_at: None,
            last_sent: now,
            progress: now,
            probe_count: 0,
            wait_count: 0,
            probes: 0,
            is_limited: false,
            lost_packets: 0,
            acks_of_unsent: 0,
        }
    }

    /// Whether a probe is to go out.
    pub(super) fn is_probing(&self) -> bool {
        self.probes > 0
    }

    /// Whether a packet with a block may go now. Asked when there is one.
    pub(super) fn allows(&mut self, now: Monotonic) -> bool {
        self.pacer.forget();
        if self.is_probing() {
            return true;
        }
        let allows = !self.is_full(0) && self.pacer.allows(now, &self.reno, self.rtt.smoothed());
        self.is_limited |= !allows;
        allows
    }

    /// Whether no further packet could go once `bytes` more are in flight.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        self.in_flight_bytes + (bytes + self.packet_bytes) as u64 > self.reno.window()
    }

    /// There is nothing that the window could hold back.
    pub(super) fn has_nothing(&mut self) {
        self.is_limited = false;
        self.pacer.forget();
    }

    /// The oldest packet whose fate is open; `number` where there is none.
    pub(super) fn floor(&self, number: u64) -> u64 {
        self.sent.front().map_or(number, |packet| packet.number)
    }

    /// A packet goes out that needs no acknowledgement.
    pub(super) fn on_sent_unasked(&mut self, number: u64) {
        debug_assert!(number >= self.next_number, "packet numbers rise");
        self.next_number = number + 1;
    }

    /// A packet goes out that is to be acknowledged.
    pub(super) fn on_sent(&mut self, number: u64, now: Monotonic, bytes: usize, block: Option<u64>) {
        self.on_sent_unasked(number);
        self.sent.push_back(Packet { number, sent: now, bytes: bytes as u32, fate: Fate::InFlight, block });
        self.in_flight_bytes += bytes as u64;
        self.pacer.on_sent(bytes as u64);
        self.last_sent = now;
        self.probes = self.probes.saturating_sub(1);
    }

    /// An acknowledgement has come. Whether it can be one of ours.
    pub(super) fn on_ack(&mut self, ack: &Ack<'_>, now: Monotonic, outbound: &mut Outbound) -> bool {
        if ack.largest >= self.next_number {
            self.acks_of_unsent += 1;
            return false;
        }
        let mut acked = 0;
        for (low, high) in ack.ranges() {
            let at = self.sent.partition_point(|packet| packet.number < low);
            for packet in self.sent.range_mut(at..) {
                if packet.number > high {
                    break;
                }
                if packet.fate != Fate::InFlight {
                    // It was late, and not lost.
                    if let Some(block) = packet.block.filter(|_| packet.fate == Fate::Lost) {
                        outbound.has_come(block);
                    }
                    continue;
                }
                packet.fate = Fate::Acked;
                acked += 1;
                self.in_flight_bytes -= u64::from(packet.bytes);
                self.reno.on_ack(u64::from(packet.bytes), packet.sent, self.is_limited);
                if let Some(block) = packet.block {
                    outbound.has_come(block);
                }
                if packet.number == ack.largest {
                    let delay = Duration::from_micros(u64::from(ack.delay_us));
                    self.rtt.add(now.since(packet.sent), delay);
                }
            }
        }
        self.largest_acked = self.largest_acked.max(Some(ack.largest));
        if acked > 0 {
            (self.probe_count, self.probes) = (0, 0);
            self.find_lost(now, outbound);
        }
        true
    }

    /// The peer has stored or allowed something.
    pub(super) fn on_progress(&mut self, now: Monotonic) {
        self.progress = now;
        self.wait_count = 0;
    }

    /// When there is something to do. `is_waiting`: something is open although nothing may be in flight.
    pub(super) fn due(&self, is_waiting: bool) -> Option<Monotonic> {
        let timer = self.loss_at.or_else(|| self.probe_at()).or_else(|| self.wait_at(is_waiting));
        [timer, self.pacer.release()].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Monotonic, is_waiting: bool, outbound: &mut Outbound) {
        if self.loss_at.is_some_and(|at| at <= now) {
            self.find_lost(now, outbound);
        }
        if self.loss_at.is_some() {
            return;
        }
        // Where everything that was in flight is lost, another timer may have run out before.
        if let Some(at) = self.probe_at() {
            if at <= now {
                self.probes = PROBES;
                self.probe_count += 1;
            }
        } else if self.wait_at(is_waiting).is_some_and(|at| at <= now) {
            self.probes = self.probes.max(1);
            self.wait_count += 1;
        }
    }

    /// The keys are new: nothing that was in flight will be acknowledged, and the path may be another.
    pub(super) fn restart(&mut self, now: Monotonic, outbound: &mut Outbound) {
        for packet in self.sent.drain(..) {
            if let Some(block) = packet.block.filter(|_| packet.fate == Fate::InFlight) {
                outbound.lose(block);
            }
        }
        let (next_number, largest_acked) = (self.next_number, self.largest_acked);
        let (lost_packets, acks_of_unsent) = (self.lost_packets, self.acks_of_unsent);
        let new = Recovery::new(self.packet_bytes, now);
        let sent = std::mem::take(&mut self.sent);
        *self = Recovery { sent, next_number, largest_acked, lost_packets, acks_of_unsent, ..new };
    }

    fn find_lost(&mut self, now: Monotonic, outbound: &mut Outbound) {
        self.loss_at = None;
        let Some(largest_acked) = self.largest_acked else { return };
        let delay = self.rtt.loss_delay();
        let mut run: Option<(Monotonic, Monotonic)> = None;
        let mut is_persistent = false;
        let mut last_lost = None;
        for packet in &mut self.sent {
            if packet.number >= largest_acked {
                break;
            }
            match packet.fate {
                Fate::Acked => run = None,
                Fate::Lost => {}
                Fate::InFlight => {
                    let is_old = packet.sent.after(delay) <= now;
                    if !is_old && largest_acked - packet.number < REORDERED_MAX {
                        self.loss_at = Some(packet.sent.after(delay));
                        break;
                    }
                    packet.fate = Fate::Lost;
                    self.lost_packets += 1;
                    self.in_flight_bytes -= u64::from(packet.bytes);
                    if let Some(block) = packet.block {
                        outbound.lose(block);
                    }
                    let (first, _) = run.unwrap_or((packet.sent, packet.sent));
                    run = Some((first, packet.sent));
                    last_lost = Some(packet.sent);
                    is_persistent |=
                        packet.sent.since(first) > self.rtt.probe_timeout() * PERSISTENT_TIMEOUTS;
                }
            }
        }
        while self.sent.front().is_some_and(|packet| packet.fate != Fate::InFlight) {
            self.sent.pop_front();
        }
        if let Some(sent) = last_lost {
            self.reno.on_loss(sent, now);
        }
        if is_persistent {
            self.reno.on_persistent_congestion();
        }
    }

    fn probe_at(&self) -> Option<Monotonic> {
        (self.in_flight_bytes > 0).then(|| self.last_sent.after(self.backed_off(self.probe_count)))
    }

    fn wait_at(&self, is_waiting: bool) -> Option<Monotonic> {
        let since = self.last_sent.max(self.progress);
        (is_waiting && self.in_flight_bytes == 0).then(|| since.after(self.backed_off(self.wait_count)))
    }

    fn backed_off(&self, count: u32) -> Duration {
        (self.rtt.probe_timeout() * (1 << count.min(16))).min(PROBE_WAIT_MAX)
    }
}

/// A packet so many numbers below an acknowledged one is lost. RFC 9002: 3.
const REORDERED_MAX: u64 = 3;
/// Losses over so many probe timeouts, with nothing acknowledged between, are persistent congestion. RFC 9002: 3.
const PERSISTENT_TIMEOUTS: u32 = 3;
/// Packets of a probe.
const PROBES: u32 = 2;
/// The longest wait between two probes.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
