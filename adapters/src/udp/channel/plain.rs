//! `none`: blocks are sent once, and delivered as they come.

use engine::batch::Batch;
use engine::clock::Monotonic;

use super::Settings;
use super::frame::{Body, Frames, Malformed, PING_BYTES, Ping, Record};
use super::outbound::Outbound;
use super::reassembly::{Outcome, Part, Scattered};
use super::writer::Writer;

/// Both directions' state, besides what goes out.
#[derive(Debug)]
pub(super) struct Plain {
    scattered: Scattered,
    /// One past the highest event that is known.
    end_event: u64,
    pub(super) delivered: u64,
    pub(super) refused: u64,
}

impl Plain {
    pub(super) fn new(settings: &Settings) -> Plain {
        Plain { scattered: Scattered::new(settings.event_bytes_max), end_event: 0, delivered: 0, refused: 0 }
    }

    /// Events that were sent and have not come, those on their way among them.
    pub(super) fn missing(&self) -> u64 {
        self.end_event.saturating_sub(self.delivered + self.refused)
    }

    pub(super) fn write(now: Monotonic, writer: &mut Writer<'_>, outbound: &mut Outbound, ping: &mut bool) {
        if outbound.cut(writer, u32::MAX, now).is_some() {
            outbound.release(outbound.end());
            *ping = false;
        } else if *ping && writer.room() >= PING_BYTES {
            let floor = u32::MAX;
            writer.ping(Ping { next_block: outbound.end(), next_event: outbound.next_event(), floor });
            *ping = false;
        }
    }

    pub(super) fn read(
        &mut self,
        frames: &Frames<'_>,
        now: Monotonic,
        arrived: &mut Batch,
    ) -> Result<(), Malformed> {
        if frames.ack.is_some() || frames.report.is_some() {
            return Err(Malformed);
        }
        if let Some(ping) = frames.ping {
            self.end_event = self.end_event.max(ping.next_event);
        }
        let Some(block) = &frames.block else { return Ok(()) };
        match block.body {
            Body::Events { records, count } => {
                self.end_event = self.end_event.max(block.first_event + u64::from(count));
                self.delivered += u64::from(count);
                let mut rest = records;
                while let Some((record, behind)) = Record::split(rest) {
                    arrived.push(record.timestamp_ns, record.hash, record.flags, record.payload);
                    rest = behind;
                }
            }
            Body::Fragment { offset, total, part } => {
                self.end_event = self.end_event.max(block.first_event + 1);
                let part = Part { event: block.first_event, offset, total, bytes: part };
                match self.scattered.add(part, now) {
                    Outcome::Kept | Outcome::Stray => {}
                    Outcome::Refused => self.refused += 1,
                    Outcome::Whole(record) => {
                        self.delivered += 1;
                        arrived.push(record.timestamp_ns, record.hash, record.flags, record.payload);
                    }
                }
            }
        }
        Ok(())
    }
}
