//! Handles: what the number in a `net_handle_t` means.
//!
//! `magic: 12 | kind: 4 | slot: 16 | generation: 32`. The top bits make it an address that no process can map, so that a
//! caller who dereferences it faults at once, and a pointer passed for a handle is told apart from one.

use engine::bus::Bus;

use crate::abi::net_handle_t;
use crate::fork;
use crate::slot::{Closing, Entered, Key, Refusal, Table};
use crate::status::Failure;

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A `net_handle_t`.
    Bus = 1,
    /// A `net_redis_dedup_t*`.
    Dedup = 2,
    /// A `net_producer_t*`.
    Producer = 3,
    /// A `net_subscription_t*`.
    Subscription = 4,
    /// A `net_redex_t*`.
    Redex = 5,
    /// A `net_redex_file_t*`.
    RedexFile = 6,
    /// A `net_redex_tail_t*`.
    RedexTail = 7,
}

impl Kind {
    /// The number of this kind that carries the low 48 bits of `payload`.
    pub(crate) fn tag(self, payload: u64) -> usize {
        assert!(payload <= PAYLOAD_MAX, "48 bits");
        ((MAGIC << 4 | self as u64) << 48 | payload) as usize
    }

    /// What [`tag`](Kind::tag) put in.
    pub(crate) fn payload(self, value: usize) -> Result<u64, Failure> {
        let value = value as u64;
        if value >> 52 != MAGIC {
            return Err(Failure::NotAHandle);
        }
        match (value >> 48) & 0xf {
            kind if kind == self as u64 => Ok(value & PAYLOAD_MAX),
            1..=7 => Err(Failure::OtherKind),
            _ => Err(Failure::NotAHandle),
        }
    }

    /// The number of this kind for a tenant of a table.
    pub(crate) fn tag_key(self, key: Key) -> usize {
        self.tag(u64::from(key.slot) << 32 | u64::from(key.generation))
    }

    /// What [`tag_key`](Kind::tag_key) put in. Refused in a forked child.
    pub(crate) fn key(self, value: usize) -> Result<Key, Failure> {
        let payload = self.payload(value)?;
        if fork::is_child() {
            return Err(Failure::Forked);
        }
        Ok(Key { slot: (payload >> 32) as u16, generation: payload as u32 })
    }
}

/// Gives a bus its handle.
pub(crate) fn open(bus: Bus) -> Result<net_handle_t, Failure> {
    let key = BUSES.insert(bus).map_err(|_| Failure::HandlesExhausted)?;
    Ok(std::ptr::without_provenance_mut(Kind::Bus.tag_key(key)))
}

/// Enters the bus of a handle. It stays as long as the result is held.
pub(crate) fn enter(handle: net_handle_t) -> Result<Entered<'static, Bus>, Failure> {
    let bus = BUSES.enter(key_of(handle)?)?;
    if bus.is_failed() { Err(Failure::ShardFailed) } else { Ok(bus) }
}

/// Refuses what [`close`] would refuse, and closes nothing.
pub(crate) fn check_closable(handle: net_handle_t) -> Result<(), Failure> {
    match enter(handle) {
        Ok(_) | Err(Failure::Poisoned | Failure::ShardFailed) => Ok(()),
        Err(refused) => Err(refused),
    }
}

/// Closes the bus of a handle; see [`Table::close`].
pub(crate) fn close(handle: net_handle_t) -> Result<Closing<'static, Bus>, Failure> {
    Ok(BUSES.close(key_of(handle)?)?)
}

/// Refuses a handle from here on, on every thread.
#[cold]
pub(crate) fn poison(handle: net_handle_t) {
    if let Ok(key) = key_of(handle) {
        BUSES.poison(key);
        fork::advance();
    }
}

fn key_of(handle: net_handle_t) -> Result<Key, Failure> {
    if handle.is_null() {
        return Err(Failure::NullPointer("handle"));
    }
    Kind::Bus.key(handle.addr())
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::NeverIssued => Failure::NotAHandle,
            Refusal::Closed => Failure::ShutDown,
            Refusal::Poisoned => Failure::Poisoned,
        }
    }
}

/// Not the top bits of any address that a processor translates.
const MAGIC: u64 = 0x4e5;
const PAYLOAD_MAX: u64 = (1 << 48) - 1;

#[cfg(not(loom))]
static BUSES: Table<Bus> = Table::new();
#[cfg(loom)]
static BUSES: std::sync::LazyLock<Table<Bus>> = std::sync::LazyLock::new(Table::new);

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    #[test]
    fn what_is_not_a_handle_is_told_apart() {
        let on_the_stack = 7u8;
        for forged in
            [1, 8, usize::MAX, (&raw const on_the_stack).addr(), Kind::Bus.tag(0), Kind::Bus.tag(77)]
        {
            let refused = enter(ptr::without_provenance_mut(forged)).err();
            assert!(matches!(refused, Some(Failure::NotAHandle)), "{forged:#x}: {refused:?}");
        }
        assert!(matches!(enter(ptr::null_mut()).err(), Some(Failure::NullPointer(_))));
    }

    #[test]
    fn another_kind_is_mismatched() {
        let refused = enter(ptr::without_provenance_mut(Kind::Dedup.tag(1))).err();
        assert!(matches!(refused, Some(Failure::OtherKind)), "{refused:?}");
    }

    #[test]
    fn a_payload_comes_back() {
        for payload in [0, 1, PAYLOAD_MAX] {
            assert_eq!(Kind::Dedup.payload(Kind::Dedup.tag(payload)).ok(), Some(payload));
        }
    }
}
