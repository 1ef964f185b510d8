//! `full`: everything arrives, once and in order, and is settled when the peer has stored it.

use engine::batch::Batch;
use engine::clock::Monotonic;

use super::acks::{Acks, Wish};
use super::frame::{Ack, Frames, Malformed, PING_BYTES, Ping, floor_below};
use super::inbound::{Inbound, Verdict};
use super::outbound::Outbound;
use super::recovery::Recovery;
use super::writer::Writer;
use super::{Settings, WINDOW_BLOCKS_MIN};

/// Both directions' state, besides what goes out.
#[derive(Debug)]
pub(super) struct Full {
    pub(super) recovery: Recovery,
    acks: Acks,
    pub(super) inbound: Inbound,
    /// Blocks below are in our store.
    stored: u64,
    /// Blocks from here on the peer must not send yet; and we must not.
    window_end: u64,
    peer_window_end: u64,
    window_blocks: u64,
    pub(super) acks_of_unsent: u64,
}

impl Full {
    pub(super) fn new(settings: &Settings, now: Monotonic) -> Full {
        Full {
            recovery: Recovery::new(settings.plaintext_max, now),
            acks: Acks::new(now),
            inbound: Inbound::new(settings.window_blocks, settings.event_bytes_max),
            stored: 0,
            window_end: u64::from(settings.window_blocks),
            peer_window_end: u64::from(WINDOW_BLOCKS_MIN),
            window_blocks: u64::from(settings.window_blocks),
            acks_of_unsent: 0,
        }
    }

    /// Writes a packet, if there is something to send and it may go.
    pub(super) fn write(
        &mut self,
        number: u64,
        now: Monotonic,
        writer: &mut Writer<'_>,
        outbound: &mut Outbound,
        ping: &mut bool,
    ) {
        let has_block = outbound.has_lost() || self.may_cut(outbound);
        let is_probing = self.recovery.is_probing();
        let sends_block = has_block && self.recovery.allows(now);
        if !has_block {
            self.recovery.has_nothing();
        }
        let is_due = self.acks.due().is_some_and(|due| due <= now);
        if is_due || self.acks.is_pending() && (sends_block || is_probing || *ping) {
            self.acks.write(writer, now, self.stored, self.window_end);
        }
        let floor = floor_below(number, self.recovery.floor(number));
        let mut written = None;
        if sends_block {
            written = outbound.write_lost(writer, floor);
            if written.is_none() && !outbound.has_lost() && self.may_cut(outbound) {
                written = outbound.cut(writer, floor, now);
            }
        }
        if is_probing && !has_block {
            written = outbound.write_oldest(writer, floor);
        }
        if let Some(written) = written {
            let falls_silent =
                !outbound.has_lost() && !self.may_cut(outbound) || self.recovery.is_full(writer.len());
            if falls_silent || is_probing {
                writer.ask_at_once(written.start);
            }
            *ping = false;
            self.recovery.on_sent(number, now, writer.len(), Some(written.number));
        } else if (*ping || is_probing && !has_block) && writer.room() >= PING_BYTES {
            writer.ping(Ping { next_block: outbound.end(), next_event: outbound.next_event(), floor });
            *ping = false;
            self.recovery.on_sent(number, now, writer.len(), None);
        } else if writer.len() > 0 {
            self.recovery.on_sent_unasked(number);
        }
    }

    /// Whether the peer takes a block of new events.
    fn may_cut(&self, outbound: &Outbound) -> bool {
        outbound.has_new() && outbound.end() < self.peer_window_end
    }

    pub(super) fn read(
        &mut self,
        number: u64,
        frames: &Frames<'_>,
        now: Monotonic,
        outbound: &mut Outbound,
        arrived: &mut Batch,
    ) -> Result<(), Malformed> {
        if frames.report.is_some() {
            return Err(Malformed);
        }
        if let Some(ack) = &frames.ack {
            self.on_ack(ack, now, outbound);
        }
        let (mut wish, mut floor) = (Wish::Never, None);
        if let Some(ping) = frames.ping {
            (wish, floor) = (Wish::AtOnce, Some(ping.floor));
        }
        if let Some(block) = &frames.block {
            if block.number >= self.window_end || self.inbound.accept(block, arrived) == Verdict::Beyond {
                self.inbound.counts.overruns += 1;
                return Ok(());
            }
            let is_at_once = block.at_once || wish == Wish::AtOnce;
            (wish, floor) = (if is_at_once { Wish::AtOnce } else { Wish::Soon }, Some(block.floor));
            self.open_window();
        }
        self.acks.add(number, now, wish, floor);
        Ok(())
    }

    fn on_ack(&mut self, ack: &Ack<'_>, now: Monotonic, outbound: &mut Outbound) {
        if ack.stored_through > outbound.end() {
            self.acks_of_unsent += 1;
            return;
        }
        if !self.recovery.on_ack(ack, now, outbound) {
            return;
        }
        if ack.stored_through > outbound.base() || ack.window_end > self.peer_window_end {
            self.recovery.on_progress(now);
        }
        outbound.release(ack.stored_through);
        self.peer_window_end = self.peer_window_end.max(ack.window_end);
    }

    /// Blocks below `through` are stored.
    pub(super) fn stored(&mut self, through: u64, now: Monotonic) {
        if through > self.stored {
            self.stored = through.min(self.inbound.settled_block());
            self.open_window();
            self.acks.want(now, self.stored == self.inbound.settled_block());
        }
    }

    /// The peer hears with the next packet what it is owed.
    pub(super) fn hurry(&mut self, now: Monotonic) {
        self.acks.hurry(now);
    }

    /// Delivered blocks that are not stored take their part of the window; those of an event that is put together do not.
    fn open_window(&mut self) {
        let unstored = self.inbound.settled_block() - self.stored;
        let end = self.inbound.next_block() + self.window_blocks.saturating_sub(unstored);
        self.window_end = self.window_end.max(end);
    }

    pub(super) fn due(&self, outbound: &Outbound) -> Option<Monotonic> {
        let timers = [self.acks.due(), self.recovery.due(is_waiting(outbound))];
        timers.into_iter().flatten().min()
    }

    pub(super) fn tick(&mut self, now: Monotonic, outbound: &mut Outbound) {
        self.recovery.tick(now, is_waiting(outbound), outbound);
    }

    pub(super) fn reconnected(&mut self, now: Monotonic, outbound: &mut Outbound) {
        self.recovery.restart(now, outbound);
        self.acks.want(now, true);
    }
}

/// Whether the peer has something to store or to allow yet.
fn is_waiting(outbound: &Outbound) -> bool {
    outbound.len() > 0 || outbound.has_new()
}
