//! A subscription behind the C ABI, used as a C program would use it.

use std::ffi::{CString, c_int};
use std::ptr;

use net::{
    net_event_t, net_next, net_subscribe, net_subscription_cursor, net_subscription_t, net_unsubscribe,
};

use crate::open_loop::Reader;
use crate::{Bus, bytes_of, last_error};

/// An open subscription and the place its events are lent in. Ends when it is dropped.
pub struct Subscriber {
    subscription: *mut net_subscription_t,
    events: Vec<net_event_t>,
}

// SAFETY: a subscription may be used from any thread, one at a time, and so may what it lends.
unsafe impl Send for Subscriber {}

impl Subscriber {
    /// Subscribes to everything that is stored from now on.
    ///
    /// # Panics
    /// When it is refused.
    pub fn from_now(bus: Bus) -> Subscriber {
        Subscriber::subscribe(bus, r#"{"from":"now"}"#)
    }

    /// Subscribes to everything that the store holds and will hold.
    ///
    /// # Panics
    /// When it is refused.
    pub fn from_start(bus: Bus) -> Subscriber {
        Subscriber::subscribe(bus, r#"{"from":"start"}"#)
    }

    fn subscribe(bus: Bus, request: &str) -> Subscriber {
        let request = CString::new(request).expect("no NUL in it");
        let mut subscription = ptr::null_mut();
        // SAFETY: the request is NUL-terminated, and `subscription` is writable.
        let code = unsafe { net_subscribe(bus.0, request.as_ptr(), &raw mut subscription) };
        assert_eq!(code, 0, "{}", last_error());
        Subscriber { subscription, events: Vec::with_capacity(EVENTS_A_CALL) }
    }

    /// Up to 1,024 events; none when none came in time. 0 looks once, negative waits for ever.
    ///
    /// # Panics
    /// When the call fails.
    #[inline]
    pub fn next(&mut self, timeout_ms: c_int) -> &[net_event_t] {
        self.events.clear();
        let room = self.events.spare_capacity_mut();
        // SAFETY: that many entries are writable; whoever has the last events borrows `self`, so nobody has them any more.
        let count = unsafe { net_next(self.subscription, room.as_mut_ptr().cast(), room.len(), timeout_ms) };
        let count = usize::try_from(count).unwrap_or_else(|_| panic!("{}", last_error()));
        // SAFETY: the call has written that many.
        unsafe { self.events.set_len(count) };
        &self.events
    }

    /// How many events retention removed before they were given.
    ///
    /// # Panics
    /// When the call fails.
    pub fn skipped(&mut self) -> u64 {
        let (mut cursor, mut skipped) = ([0; CURSOR_BYTES_MAX], 0);
        // SAFETY: `cursor` has that many writable bytes, and `skipped` is writable.
        let written = unsafe {
            net_subscription_cursor(
                self.subscription,
                cursor.as_mut_ptr(),
                CURSOR_BYTES_MAX,
                &raw mut skipped,
            )
        };
        assert!(written > 0, "{}", last_error());
        skipped
    }
}

impl Reader for Subscriber {
    #[inline]
    fn read(&mut self, wait: bool, mut visit: impl FnMut(&[u8])) {
        for event in self.next(if wait { -1 } else { 0 }) {
            // SAFETY: the events stay until the next call, which needs `self`.
            visit(unsafe { bytes_of(event) });
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        net_unsubscribe(self.subscription);
    }
}

const EVENTS_A_CALL: usize = 1_024;
const CURSOR_BYTES_MAX: usize = 4_096;
