//! `light`: what is lost is asked for again for a while; what does not come then is given up, and counted on both sides.

use std::time::Duration;

use engine::batch::Batch;
use engine::clock::Monotonic;

use super::Settings;
use super::frame::{Frames, Malformed, PING_BYTES, Ping, REPORT_BYTES, Report, floor_below, floor_of};
use super::gaps::{GAP_AGE_MAX, Gaps};
use super::inbound::{Inbound, Verdict};
use super::outbound::Outbound;
use super::writer::Writer;

/// Both directions' state, besides what goes out.
#[derive(Debug)]
pub(super) struct Light {
    pub(super) inbound: Inbound,
    gaps: Gaps,
    window_blocks: u64,
    kept_bytes_max: usize,
    /// Where the sender stands, as far as he has said: next block, next event.
    peer_end: (u64, u64),
    report_at: Option<Monotonic>,
    reported: Monotonic,
    reported_block: u64,
    /// When the end of what was sent is said, and how often it was.
    tail_at: Option<Monotonic>,
    tail_count: u32,
    /// What the peer says it has given up.
    pub(super) given_up_sent: u64,
}

impl Light {
    pub(super) fn new(settings: &Settings, now: Monotonic) -> Light {
        Light {
            inbound: Inbound::new(settings.window_blocks, settings.event_bytes_max),
            gaps: Gaps::default(),
            window_blocks: u64::from(settings.window_blocks),
            kept_bytes_max: settings.kept_bytes_max,
            peer_end: (0, 0),
            report_at: None,
            reported: now,
            reported_block: 0,
            tail_at: None,
            tail_count: 0,
            given_up_sent: 0,
        }
    }

    /// Writes a packet, if there is something to send.
    pub(super) fn write(
        &mut self,
        now: Monotonic,
        writer: &mut Writer<'_>,
        outbound: &mut Outbound,
        ping: &mut bool,
    ) {
        if self.report_at.is_some_and(|at| at <= now) && writer.room() >= REPORT_BYTES {
            let through = self.inbound.next_block();
            let asked = writer.report(through, self.inbound.counts.given_up, self.gaps.wanted());
            self.gaps.are_asked(asked);
            (self.report_at, self.reported, self.reported_block) = (None, now, through);
            if self.gaps.wanted().next().is_some() {
                self.want_report(now);
            }
        }
        let floor = floor_below(outbound.end(), outbound.base());
        if outbound.has_lost() {
            // A ping that is wanted follows in a packet of its own: only it says what is not kept any more.
            outbound.write_lost(writer, u32::MAX);
        } else if outbound.cut(writer, floor, now).is_some() {
            self.keep(outbound);
            (self.tail_at, self.tail_count) = (Some(now.after(TAIL_AFTER)), 0);
            *ping = false;
        } else if *ping && writer.room() >= PING_BYTES {
            writer.ping(Ping { next_block: outbound.end(), next_event: outbound.next_event(), floor });
            *ping = false;
        }
    }

    /// Forgets blocks beyond what is kept.
    fn keep(&self, outbound: &mut Outbound) {
        while outbound.len() as u64 > self.window_blocks
            || outbound.bytes() > self.kept_bytes_max && outbound.len() > 1
        {
            outbound.release(outbound.base() + 1);
        }
    }

    pub(super) fn read(
        &mut self,
        frames: &Frames<'_>,
        now: Monotonic,
        outbound: &mut Outbound,
        arrived: &mut Batch,
        ping: &mut bool,
    ) -> Result<(), Malformed> {
        if frames.ack.is_some() {
            return Err(Malformed);
        }
        if let Some(report) = &frames.report {
            self.on_report(report, outbound, ping)?;
        }
        let given_up = self.inbound.counts.given_up;
        if let Some(peer) = frames.ping {
            self.peer_end = self.peer_end.max((peer.next_block, peer.next_event));
            self.gaps.ends_at(peer.next_block, now);
            let floor = floor_of(peer.next_block, peer.floor).unwrap_or(0);
            self.skip_to(floor.max(self.least(peer.next_block)), arrived);
            self.want_report(now);
        }
        if let Some(block) = &frames.block {
            let floor = floor_of(block.number, block.floor).unwrap_or(0);
            self.skip_to(floor.max(self.least(block.number + 1)), arrived);
            let verdict = self.inbound.accept(block, arrived);
            debug_assert_ne!(verdict, Verdict::Beyond, "the window has moved");
            self.gaps.has_come(block.number, now);
            self.skip_to(self.inbound.next_block(), arrived);
        }
        while let Some(block) = self.gaps.given_up(now) {
            self.skip_to(block, arrived);
        }
        let is_far = self.inbound.next_block() - self.reported_block >= REPORT_BLOCKS;
        if is_far || self.inbound.counts.given_up > given_up {
            self.want_report(now);
        }
        Ok(())
    }

    /// The lowest block that the window leaves when it ends at `end`.
    fn least(&self, end: u64) -> u64 {
        end.saturating_sub(self.window_blocks)
    }

    /// Gives up what has not come below `block`.
    fn skip_to(&mut self, block: u64, arrived: &mut Batch) {
        self.inbound.skip_to(block, arrived);
        self.gaps.forget_below(self.inbound.next_block());
        self.inbound.ends_at(self.peer_end.0, self.peer_end.1);
    }

    /// The peer has gone: what is missing does not come any more, and what waits for it need not.
    pub(super) fn peer_is_gone(&mut self, arrived: &mut Batch) {
        self.skip_to(self.gaps.end(), arrived);
    }

    fn on_report(
        &mut self,
        report: &Report<'_>,
        outbound: &mut Outbound,
        ping: &mut bool,
    ) -> Result<(), Malformed> {
        if report.through > outbound.end() {
            return Err(Malformed);
        }
        self.given_up_sent = self.given_up_sent.max(report.given_up);
        outbound.release(report.through);
        if report.through == outbound.end() {
            self.tail_at = None;
        }
        let mut asked = 0;
        for (first, count) in report.ranges() {
            let end = first.saturating_add(u64::from(count)).min(outbound.end());
            // What is not kept any more is said with the next ping.
            *ping |= first < outbound.base();
            for block in first.max(outbound.base())..end {
                outbound.ask_again(block, RESENDS_MAX);
                asked += 1;
            }
            if asked > self.window_blocks {
                return Err(Malformed);
            }
        }
        Ok(())
    }

    fn want_report(&mut self, now: Monotonic) {
        let at = now.max(self.reported.after(REPORT_INTERVAL));
        self.report_at = Some(self.report_at.map_or(at, |other| other.min(at)));
    }

    pub(super) fn due(&self, outbound: &Outbound) -> Option<Monotonic> {
        let expiry = outbound.oldest().map(|sent| sent.after(KEPT_FOR));
        [self.report_at, self.gaps.due(), self.tail_at, expiry].into_iter().flatten().min()
    }

    pub(super) fn tick(
        &mut self,
        now: Monotonic,
        outbound: &mut Outbound,
        arrived: &mut Batch,
        ping: &mut bool,
    ) {
        let given_up = self.inbound.counts.given_up;
        while let Some(block) = self.gaps.given_up(now) {
            self.skip_to(block, arrived);
        }
        if self.gaps.ask(now) || self.inbound.counts.given_up > given_up {
            self.want_report(now);
        }
        if self.tail_at.is_some_and(|at| at <= now) {
            *ping = true;
            self.tail_count += 1;
            let wait = TAIL_AFTER * (1 << self.tail_count);
            self.tail_at = (self.tail_count < TAILS_MAX).then(|| now.after(wait));
        }
        while outbound.oldest().is_some_and(|sent| sent.after(KEPT_FOR) <= now) {
            outbound.release(outbound.base() + 1);
        }
    }
}

/// Reports are at least so far apart.
const REPORT_INTERVAL: Duration = Duration::from_millis(1);
/// The sender may forget blocks when it hears of so many.
const REPORT_BLOCKS: u64 = 256;
/// A block is sent again so often at most.
const RESENDS_MAX: u8 = 8;
/// After so long a silence it is said where the blocks end, so that the last of them are missed; doubled each time.
const TAIL_AFTER: Duration = Duration::from_millis(5);
const TAILS_MAX: u32 = 4;
/// A block is kept so long after it was sent: a peer has given it up by then, or is about to.
const KEPT_FOR: Duration = Duration::from_millis(2 * GAP_AGE_MAX.as_millis() as u64);
