//! A channel: both directions of one session above its keys. It outlives keys and reconnects.
//!
//! Sans-IO: plaintexts of packets go in and out, and time is an argument. What it guarantees depends on [`Reliability`]:
//!
//! | | a packet is lost | order | settled when |
//! |---|---|---|---|
//! | `None` | its events are, and are counted by the receiver | as they come | handed out |
//! | `Light` | asked for again for half a second, then given up, and counted on both sides | as sent | handed out |
//! | `Full` | sent again until the channel ends | as sent | the peer has stored it |
//!
//! In no case is an event delivered twice, provided that no packet number is read twice.

mod acks;
mod congestion;
mod frame;
mod full;
mod gaps;
mod inbound;
mod light;
mod loads;
mod outbound;
mod pacing;
mod plain;
mod ranges;
mod reassembly;
mod recovery;
mod rtt;
mod writer;

use engine::batch::Batch;
use engine::clock::Monotonic;
use serde::Deserialize;

use frame::Frames;
pub(in crate::udp) use frame::Malformed;
use full::Full;
use light::Light;
pub(in crate::udp) use loads::{Events, Load};
use outbound::Outbound;
use plain::Plain;
use writer::Writer;

/// What becomes of events whose packet is lost. Both sides have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::udp) enum Reliability {
    /// Its events are lost, and nothing has an order.
    None,
    /// They are asked for for half a second and then given up; what arrives is in order.
    Light,
    /// They are sent again until the peer has stored them; each arrives once and in order.
    Full,
}

/// What a channel is made with.
#[derive(Clone, Copy, Debug)]
pub(in crate::udp) struct Settings {
    pub(in crate::udp) reliability: Reliability,
    /// Bytes of frames in a packet, [`PLAINTEXT_MIN`] to [`PLAINTEXT_MAX`].
    pub(in crate::udp) plaintext_max: usize,
    /// Blocks that may be on their way to our store, which are the buffers for those that come too early; at least
    /// [`WINDOW_BLOCKS_MIN`]. With `Light` also the blocks that are kept to be sent again.
    pub(in crate::udp) window_blocks: u32,
    /// Payload bytes of a received event that came in parts, up to 64 MiB.
    pub(in crate::udp) event_bytes_max: usize,
    /// `Light`: bytes of blocks that are kept to be sent again.
    pub(in crate::udp) kept_bytes_max: usize,
}

/// Bytes of a packet: a header, an acknowledgement and some bytes of an event fit.
pub(in crate::udp) const PLAINTEXT_MIN: usize = 256;
/// A block's length is told in 16 bits, and no UDP payload has room for more.
pub(in crate::udp) const PLAINTEXT_MAX: usize = 65_475;
/// A sender who has heard nothing yet sends no more.
pub(in crate::udp) const WINDOW_BLOCKS_MIN: u32 = 16;
/// The rest of a packet is filled with this byte, where packets of the same size are wanted.
pub(in crate::udp) const PADDING: u8 = frame::PADDING;

/// A place in what was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::udp) struct Mark(u64);

/// What has been counted since the channel began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::udp) struct Counts {
    /// Events handed out.
    pub(in crate::udp) sent: u64,
    /// Events that have arrived.
    pub(in crate::udp) delivered: u64,
    /// Events that the peer has given up (`Light`).
    pub(in crate::udp) given_up_sent: u64,
    /// Events that did not come (`None`: so far), or did not come in time (`Light`).
    pub(in crate::udp) given_up_received: u64,
    /// Events larger than is taken.
    pub(in crate::udp) refused: u64,
    /// Blocks that were sent again.
    pub(in crate::udp) retransmitted: u64,
    /// Packets that count as lost (`Full`).
    pub(in crate::udp) lost_packets: u64,
    /// Blocks that had come already.
    pub(in crate::udp) duplicates: u64,
    /// Blocks beyond the receive window.
    pub(in crate::udp) overruns: u64,
    /// Blocks that break the format, and acknowledgements of what was never sent, in packets that are in order otherwise.
    pub(in crate::udp) malformed: u64,
}

/// One session's two directions.
#[derive(Debug)]
pub(in crate::udp) struct Channel {
    plaintext_max: usize,
    outbound: Outbound,
    way: Way,
    ping: bool,
}

#[derive(Debug)]
enum Way {
    None(Plain),
    Light(Box<Light>),
    Full(Box<Full>),
}

impl Channel {
    /// # Panics
    /// When a setting is out of its range.
    pub(in crate::udp) fn new(settings: &Settings, now: Monotonic) -> Channel {
        assert!((PLAINTEXT_MIN..=PLAINTEXT_MAX).contains(&settings.plaintext_max));
        assert!(settings.window_blocks >= WINDOW_BLOCKS_MIN && settings.event_bytes_max <= EVENT_BYTES_MAX);
        Channel {
            plaintext_max: settings.plaintext_max,
            outbound: Outbound::new(settings.plaintext_max),
            way: match settings.reliability {
                Reliability::None => Way::None(Plain::new(settings)),
                Reliability::Light => Way::Light(Box::new(Light::new(settings, now))),
                Reliability::Full => Way::Full(Box::new(Full::new(settings, now))),
            },
            ping: false,
        }
    }

    /// Takes events to be sent, in order. How many may wait is the caller's to bound.
    pub(in crate::udp) fn take(&mut self, load: Load) {
        self.outbound.take(load);
    }

    /// Loads that are not settled: of which some event was not handed out, or with `Full` is not stored by the peer.
    pub(in crate::udp) fn unsettled(&self) -> usize {
        if self.is_full() { self.outbound.unreleased() } else { self.outbound.uncut() }
    }

    pub(in crate::udp) fn is_settled(&self) -> bool {
        self.unsettled() == 0
    }

    /// An empty list for a load; its memory is that of a load that is settled, where there is one.
    pub(in crate::udp) fn spare_list(&mut self) -> Vec<u32> {
        self.outbound.spare_list()
    }

    /// The next packet has something to say, whatever there is to send: the peer answers, except with `None`.
    pub(in crate::udp) fn ping(&mut self) {
        self.ping = true;
    }

    /// Writes the plaintext of the next packet, which goes out as `number`: above all before, gaps may be. Returns its bytes; `None`
    /// where there is nothing to send now, and the number is not used.
    ///
    /// # Panics
    /// When `out` is shorter than a packet may be.
    pub(in crate::udp) fn write(&mut self, number: u64, now: Monotonic, out: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(&mut out[..self.plaintext_max]);
        match &mut self.way {
            Way::None(_) => Plain::write(now, &mut writer, &mut self.outbound, &mut self.ping),
            Way::Light(light) => light.write(now, &mut writer, &mut self.outbound, &mut self.ping),
            Way::Full(full) => full.write(number, now, &mut writer, &mut self.outbound, &mut self.ping),
        }
        Some(writer.len()).filter(|&len| len > 0)
    }

    /// When [`tick`](Channel::tick) has something to do, or [`write`](Channel::write) after it.
    pub(in crate::udp) fn due(&self) -> Option<Monotonic> {
        match &self.way {
            Way::None(_) => None,
            Way::Light(light) => light.due(&self.outbound),
            Way::Full(full) => full.due(&self.outbound),
        }
    }

    /// Does what is due. What waited for something that is given up is pushed onto `arrived`.
    pub(in crate::udp) fn tick(&mut self, now: Monotonic, arrived: &mut Batch) {
        match &mut self.way {
            Way::None(_) => {}
            Way::Light(light) => light.tick(now, &mut self.outbound, arrived, &mut self.ping),
            Way::Full(full) => full.tick(now, &mut self.outbound),
        }
    }

    /// Takes the plaintext of a packet that is authentic, and of whose number none was read before. What can be delivered is pushed
    /// onto `arrived`.
    pub(in crate::udp) fn read(
        &mut self,
        number: u64,
        plaintext: &[u8],
        now: Monotonic,
        arrived: &mut Batch,
    ) -> Result<(), Malformed> {
        let frames = Frames::parse(plaintext)?;
        match &mut self.way {
            Way::None(plain) => plain.read(&frames, now, arrived),
            Way::Light(light) => light.read(&frames, now, &mut self.outbound, arrived, &mut self.ping),
            Way::Full(full) => full.read(number, &frames, now, &mut self.outbound, arrived),
        }
    }

    /// Everything that was pushed onto `arrived` up to now lies below it.
    pub(in crate::udp) fn mark(&self) -> Mark {
        Mark(match &self.way {
            Way::None(_) => 0,
            Way::Light(light) => light.inbound.settled_block(),
            Way::Full(full) => full.inbound.settled_block(),
        })
    }

    /// Everything below the mark is in our store; with `Full` the peer is told.
    pub(in crate::udp) fn stored(&mut self, mark: Mark, now: Monotonic) {
        if let Way::Full(full) = &mut self.way {
            full.stored(mark.0, now);
        }
    }

    /// What the peer is owed is told with the next packet: there may be no other.
    pub(in crate::udp) fn hurry(&mut self, now: Monotonic) {
        if let Way::Full(full) = &mut self.way {
            full.hurry(now);
        }
    }

    /// The peer has gone, or is not heard any more: events that wait for others (`Light`) wait no longer.
    pub(in crate::udp) fn peer_is_gone(&mut self, arrived: &mut Batch) {
        if let Way::Light(light) = &mut self.way {
            light.peer_is_gone(arrived);
        }
    }

    /// The session was dead and has new keys: what was in flight does not come any more. Packet numbers go on.
    pub(in crate::udp) fn reconnected(&mut self, now: Monotonic) {
        if let Way::Full(full) = &mut self.way {
            full.reconnected(now, &mut self.outbound);
        }
    }

    /// The loads that are not settled, each from its first such event on: for a new channel, when the peer is another process.
    pub(in crate::udp) fn into_unsettled(self) -> Vec<Load> {
        if self.is_full() {
            self.outbound.into_unreleased().collect()
        } else {
            self.outbound.into_uncut().collect()
        }
    }

    pub(in crate::udp) fn counts(&self) -> Counts {
        let mut counts = Counts {
            sent: self.outbound.next_event(),
            retransmitted: self.outbound.retransmitted,
            ..Counts::default()
        };
        let inbound = match &self.way {
            Way::None(plain) => {
                (counts.delivered, counts.refused) = (plain.delivered, plain.refused);
                counts.given_up_received = plain.missing();
                return counts;
            }
            Way::Light(light) => {
                counts.given_up_sent = light.given_up_sent;
                &light.inbound.counts
            }
            Way::Full(full) => {
                counts.lost_packets = full.recovery.lost_packets;
                counts.malformed = full.acks_of_unsent + full.recovery.acks_of_unsent;
                &full.inbound.counts
            }
        };
        counts.delivered = inbound.delivered;
        counts.given_up_received = inbound.given_up;
        counts.refused = inbound.refused;
        counts.duplicates = inbound.duplicates;
        counts.overruns = inbound.overruns;
        counts.malformed += inbound.malformed;
        counts
    }

    fn is_full(&self) -> bool {
        matches!(self.way, Way::Full(_))
    }
}

/// What the bus takes at most.
const EVENT_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
