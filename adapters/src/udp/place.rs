//! Which shard of which process an endpoint is, which sessions it has, and what both sides agree on.

use std::time::Duration;

use super::aead::TAG_BYTES;
use super::channel::{Settings, WINDOW_BLOCKS_MIN};
use super::keyring::Peer;
use super::packet::HEADER_BYTES;

/// Which shard of which process an endpoint is, and how it is to behave.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) shard: u16,
    pub(super) local: Peer,
    pub(super) settings: Settings,
    /// How long a session is silent before it gives a sign.
    pub(super) heartbeat: Duration,
    /// Without a packet for so long a session is over.
    pub(super) timeout: Duration,
}

impl Place {
    /// After so long a silence a peer is called again: one that lives has given a sign before.
    pub(super) fn silence(&self) -> Duration {
        (self.heartbeat + self.timeout) / 2
    }

    /// How many sessions this shard has with a peer of `shards` shards.
    pub(super) fn sessions_with(&self, shards: u16) -> usize {
        let all = self.local.shards.max(shards);
        usize::from((all - self.shard).div_ceil(self.local.shards))
    }

    /// The number of the session at `index`.
    pub(super) fn number_of(&self, index: usize) -> u16 {
        self.shard + index as u16 * self.local.shards
    }

    /// Where session `number` is among the first `count` of this shard.
    pub(super) fn index_of(&self, number: u16, count: usize) -> Option<usize> {
        let above = number.checked_sub(self.shard)?;
        let index = usize::from(above / self.local.shards);
        (above % self.local.shards == 0 && index < count).then_some(index)
    }

    /// Bytes of a packet that both sides take; without a peer, that we do.
    pub(super) fn mtu_with(&self, peer: Option<Peer>) -> usize {
        usize::from(peer.map_or(self.local.mtu, |peer| peer.mtu.min(self.local.mtu)))
    }

    /// A channel's, of which there is one for each session: what a shard keeps is divided among them.
    pub(super) fn settings_with(&self, peer: Option<Peer>) -> Settings {
        let sessions = peer.map_or(1, |peer| self.sessions_with(peer.shards));
        Settings {
            plaintext_max: self.mtu_with(peer) - HEADER_BYTES - TAG_BYTES,
            window_blocks: (self.settings.window_blocks / sessions as u32).max(WINDOW_BLOCKS_MIN),
            kept_bytes_max: self.settings.kept_bytes_max / sessions,
            ..self.settings
        }
    }
}
