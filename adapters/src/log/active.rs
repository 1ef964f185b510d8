//! The segment that is written to, and the next one, which is made before it is needed.

use engine::event::Sequence;

use super::catalog::Catalog;
use super::format::header::{HEADER_BYTES, Header};
use super::recovery::reserved_events;

/// What every segment of a shard's log has in its header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) shard: u32,
    pub(super) incarnation: u64,
    pub(super) boot_id: u128,
}

/// The segment that is written to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Active {
    pub(super) number: u64,
    pub(super) salt: u64,
    pub(super) at: u64,
    pub(super) length: u64,
    pub(super) reserved_end: Sequence,
}

/// The next one.
#[derive(Debug)]
pub(super) enum Spare {
    None,
    Making(Active),
    Ready(Active),
}

impl Active {
    pub(super) fn of(header: &Header, length: u64) -> Active {
        let (number, salt) = (header.number, header.salt);
        Active { number, salt, at: HEADER_BYTES as u64, length, reserved_end: header.reserved_end }
    }

    pub(super) fn room(&self) -> u64 {
        self.length.saturating_sub(self.at)
    }
}

/// Header of a segment that may be needed for events from `base` on.
pub(super) fn header(
    identity: Identity,
    number: u64,
    base: Sequence,
    segment_bytes: u64,
    catalog: &Catalog,
    salt: u64,
    wall_ns: u64,
) -> Header {
    Header {
        shard: identity.shard,
        number,
        salt,
        incarnation: identity.incarnation,
        base,
        reserved_end: base.advanced_by(reserved_events(segment_bytes)),
        created_ns: wall_ns,
        boot_id: identity.boot_id,
        jumps: catalog.jumps.as_slice().to_vec(),
    }
}
