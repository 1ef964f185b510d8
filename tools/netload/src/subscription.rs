//! A subscription of the C ABI behind a safe type, and the ways to wait for it.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;
use std::ptr;

use clap::ValueEnum;
use net::{net_event_t, net_subscription_t};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::bus::{Bus, BusError, Event, checked};

/// An open subscription, for one thread at a time. Ends when it is dropped.
pub(crate) struct Subscription {
    handle: *mut net_subscription_t,
    events: Vec<net_event_t>,
    wait: Wait,
}

// SAFETY: the ABI allows a subscription on any thread, one at a time, and so what it lends.
unsafe impl Send for Subscription {}

/// How a subscriber waits for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wait {
    /// It looks again and again.
    Spin,
    /// `net_next` waits: it looks for a while and then sleeps.
    Block,
    /// It waits for the subscription's descriptor, as an event loop does.
    Fd,
}

impl Subscription {
    /// Subscribes to everything that is stored from now on.
    pub(crate) fn open(bus: &Bus, wait: Wait) -> Result<Subscription, BusError> {
        Subscription::begin(bus, wait, c"{\"from\":\"now\"}")
    }

    /// Subscribes to everything that is stored, and was.
    pub(crate) fn of_everything(bus: &Bus, wait: Wait) -> Result<Subscription, BusError> {
        Subscription::begin(bus, wait, c"{\"from\":\"start\"}")
    }

    fn begin(bus: &Bus, wait: Wait, request: &CStr) -> Result<Subscription, BusError> {
        let mut handle = ptr::null_mut();
        // SAFETY: the request is NUL-terminated, and `handle` is ours.
        let code = unsafe { net::net_subscribe(bus.handle(), request.as_ptr(), &raw mut handle) };
        checked("net_subscribe", code)?;
        Ok(Subscription { handle, events: Vec::with_capacity(EVENTS_A_CALL), wait })
    }

    /// Waits for events, and for no more than a tenth of a second.
    pub(crate) fn next(&mut self) -> Result<impl Iterator<Item = Event<'_>>, BusError> {
        if self.wait == Wait::Fd {
            self.wait_for_descriptor()?;
        }
        let timeout_ms = if self.wait == Wait::Block { TIMEOUT_MS } else { 0 };
        self.events.clear();
        let room = self.events.spare_capacity_mut();
        // SAFETY: that many entries are writable; whoever was given the last events borrows `self`, so nobody has them any more.
        let count = unsafe { net::net_next(self.handle, room.as_mut_ptr().cast(), room.len(), timeout_ms) };
        let count = checked("net_next", count)?;
        // SAFETY: the call has written that many.
        unsafe { self.events.set_len(count) };
        Ok(self.events.iter().map(Event::of))
    }

    /// How many events retention removed before they were given, since the last time it was asked.
    pub(crate) fn skipped(&mut self) -> Result<u64, BusError> {
        self.stand().map(|(_, skipped)| skipped)
    }

    /// Where it stands.
    pub(crate) fn cursor(&mut self) -> Result<CString, BusError> {
        self.stand().map(|(cursor, _)| cursor)
    }

    fn stand(&mut self) -> Result<(CString, u64), BusError> {
        let (mut cursor, mut skipped) = (vec![0_u8; CURSOR_BYTES_MAX], 0);
        // SAFETY: `cursor` has that many writable bytes, and `skipped` is ours.
        let code = unsafe {
            net::net_subscription_cursor(
                self.handle,
                cursor.as_mut_ptr().cast(),
                cursor.len(),
                &raw mut skipped,
            )
        };
        checked("net_subscription_cursor", code)?;
        let cursor = CStr::from_bytes_until_nul(&cursor).map(CStr::to_owned).unwrap_or_default();
        Ok((cursor, skipped))
    }

    fn wait_for_descriptor(&self) -> Result<(), BusError> {
        let descriptor = net::net_subscription_fd(self.handle);
        checked("net_subscription_fd", descriptor)?;
        // SAFETY: the descriptor is the library's until `net_unsubscribe`, which takes `self`.
        let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(TIMEOUT_MS) * 1_000_000 };
        // A wait that a signal ends is one that brought nothing: the caller looks again.
        let _ = poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&timeout));
        Ok(())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        net::net_unsubscribe(self.handle);
    }
}

const EVENTS_A_CALL: usize = 1_024;
const CURSOR_BYTES_MAX: usize = 1 << 20;
const TIMEOUT_MS: i32 = 100;
