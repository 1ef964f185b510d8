//! What a shard's sessions count besides events.

use engine::counters::{ADAPTER_COUNTS_MAX, AdapterCounts, CountName};

use super::channel;
use super::refused::Refused;

/// Counts since the bus started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Keys agreed on: sessions that have begun, and those that got new keys.
    pub(super) handshakes: u64,
    /// Sessions that have ended because the peer was silent.
    pub(super) timeouts: u64,
    /// Handshakes with a peer that is not to be talked to: a second initiator, or one with other settings.
    pub(super) not_admitted: u64,
    /// Packets sent.
    pub(super) sent: u64,
    /// Packets received and opened.
    pub(super) received: u64,
    /// Times that the kernel did not take a packet, its queue being full excepted.
    pub(super) send_errors: u64,
    /// What channels have counted: packets lost and blocks sent again, events that the peer has given up, those that we have
    /// and those too large for us, blocks that came more than once and those beyond what was asked for.
    pub(super) channels: [u64; 7],
    /// Packets refused, by [reason](Refused).
    pub(super) refused: [u64; Refused::COUNT],
}

impl Counts {
    pub(super) fn refuse(&mut self, why: Refused) {
        self.refused[why.index()] += 1;
    }

    /// With what a channel has counted.
    pub(super) fn with(mut self, channel: channel::Counts) -> Counts {
        let theirs = [
            channel.lost_packets,
            channel.retransmitted,
            channel.given_up_sent,
            channel.given_up_received,
            channel.refused,
            channel.duplicates,
            channel.overruns,
        ];
        self.channels.iter_mut().zip(theirs).for_each(|(sum, count)| *sum += count);
        self.refused[Refused::Payload.index()] += channel.malformed;
        self
    }

    /// All numbers in the order of [`NAMES`].
    pub(super) fn all(&self) -> AdapterCounts {
        let Counts { handshakes, timeouts, not_admitted, sent, received, send_errors, channels, refused } =
            *self;
        let ours = [handshakes, timeouts, not_admitted, sent, received, send_errors];
        let mut all = AdapterCounts::default();
        let counts = ours.into_iter().chain(channels).chain(refused);
        all.iter_mut().zip(counts).for_each(|(word, count)| *word = count);
        all
    }
}

/// Their names in the statistics.
pub(super) const NAMES: [CountName; OURS.len() + Refused::COUNT] = {
    let mut names = [OURS[0]; OURS.len() + Refused::COUNT];
    let mut at = 0;
    while at < names.len() {
        names[at] = if at < OURS.len() { OURS[at] } else { Refused::NAMES[at - OURS.len()] };
        at += 1;
    }
    names
};

const OURS: [CountName; 13] = [
    CountName::new("handshakes", "Keys agreed on: sessions that began, and those that got new keys."),
    CountName::new("session_timeouts", "Sessions that ended because the peer was silent."),
    CountName::new(
        "peers_not_admitted",
        "Handshakes with a peer that is not to be talked to: a second initiator while the first is alive, other settings.",
    ),
    CountName::new("packets_sent", "Packets sent."),
    CountName::new("packets_received", "Packets received and found genuine."),
    CountName::new("send_errors", "Packets that the kernel did not take, a full queue excepted."),
    CountName::new("packets_lost", "Packets of ours that count as lost (`full`)."),
    CountName::new("blocks_retransmitted", "Packets' contents that were sent once more."),
    CountName::new("events_given_up_by_peer", "Events of the peer lost for good (`light`, `none`)."),
    CountName::new("events_given_up", "Events of ours lost for good (`light`)."),
    CountName::new(
        "events_too_large",
        "Events of the peer beyond `max_event_bytes` here, which were left out.",
    ),
    CountName::new("blocks_duplicate", "Packets' contents that came more than once, and were taken once."),
    CountName::new("blocks_overrun", "Packets' contents beyond what this side had room for."),
];

const _: () = assert!(NAMES.len() <= ADAPTER_COUNTS_MAX);
