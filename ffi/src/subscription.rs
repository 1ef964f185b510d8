//! Subscriptions: cursors that the shards push into.
//!
//! A `net_subscription_t*` is a slot and a generation, like a handle. The events that `net_next` gives lie where their
//! shard has put them; only their identities are written here, into memory of the subscription that is used again.

use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use engine::consume::subscribe::SubscribeRequest;
use engine::subscription::{Closer, Subscription};

use crate::abi::{net_event_t, net_handle_t, net_subscription_t};
use crate::decimal::{Decimal, Digits};
use crate::guard::{self, absent_or_present, length, present, text};
use crate::handle::{self, Kind};
use crate::slot::{Entered, Key, Refusal, Table};
use crate::status::Failure;

/// Subscribes. The request is an object with `from` (`"now"`, which is the default, `"start"`, or a cursor of a poll or
/// a subscription), `filter` and `shards`, as in `net_poll`. From now on means: every event that is stored after this
/// call has returned.
///
/// Every shard pushes what it has stored into a lane to the subscriber, of twice `lane_bytes`. A subscriber that does
/// not keep up stalls nobody: the shard goes on from the store when there is room again, and what retention has removed
/// by then is counted. Each event costs its shard one copy a subscriber.
///
/// Threads: any. Ownership: `*out` is the caller's until `net_unsubscribe`, also when the bus is shut down before;
/// written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (a shard that is not there),
/// `NET_ERR_INVALID_UTF8`, `NET_ERR_INVALID_JSON` (an unknown key, a wrong type), `NET_ERR_POLL_FAILED` (a cursor that is
/// not one of this store; 65,536 subscriptions are open; half of `lanes_bytes_max` or the process's descriptors are used
/// up; a shard does not answer), `NET_ERR_SHUTTING_DOWN`, and those of any handle.
///
/// # Safety
/// `request_json` is NULL or NUL-terminated; `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_subscribe(
    handle: net_handle_t,
    request_json: *const c_char,
    out: *mut *mut net_subscription_t,
) -> c_int {
    guard::code(handle, |_| {
        let bus = handle::enter(handle)?;
        present("request_json", request_json)?;
        present("out", out)?;
        // SAFETY: not NULL, and NUL-terminated by the caller's contract.
        let request = text("request_json", unsafe { guard::c_bytes(request_json) })?;
        let request = SubscribeRequest::parse(request).map_err(Failure::Request)?;
        let subscription = bus.subscribe(request)?;
        let closer = subscription.closer();
        let seat = Seat { closer, subscriber: Mutex::new(Subscriber { subscription, ids: Vec::new() }) };
        let key = SUBSCRIPTIONS.insert(seat).map_err(|_| Failure::SubscriptionsExhausted)?;
        // SAFETY: not NULL, aligned, and writable by the caller's contract.
        unsafe { out.write(ptr::without_provenance_mut(Kind::Subscription.tag_key(key))) };
        Ok(0)
    })
}

/// Waits for events, writes up to `max` of them to `events`, and returns how many; 0 when none came within `timeout_ms`
/// milliseconds. 0 milliseconds look once; negative ones wait for ever. The events of one call are of one shard, in its
/// order. A call that waits looks for `spin_us` and then sleeps. With a filter a look ends after 1,024 events that are not
/// wanted, so 0 may be returned although there are more; the descriptor stays readable then. A `max` above `INT_MAX` is
/// taken for it.
///
/// Threads: any, one at a time: a call while another thread is inside is refused. Ownership: the events and their bytes
/// are read-only, and stay until the next `net_next` or `net_unsubscribe` of this subscription, also when the bus is
/// shut down meanwhile. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an open subscription, one in
/// use or unsubscribed meanwhile, a `max` of 0), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_SHUTTING_DOWN` (the bus is shut
/// down, and everything its shards had pushed was given but for what waits for events from before a change of `num_shards`), `NET_ERR_PANIC` and `NET_ERR_FORKED`.
///
/// # Safety
/// `events` is NULL or has room for `max` entries.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_next(
    subscription: *mut net_subscription_t,
    events: *mut net_event_t,
    max: usize,
    timeout_ms: c_int,
) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        let seat = enter(subscription)?;
        let mut subscriber = seat.subscriber()?;
        present("events", events)?;
        if max == 0 {
            return Err(Failure::OutOfRange { name: "max", value: 0 });
        }
        let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        let Subscriber { subscription, ids } = &mut *subscriber;
        let next = subscription.next(max.min(c_int::MAX as usize), timeout)?;
        let count = next.len();
        ids.clear();
        // Once for all of them, because their addresses are given away one by one.
        ids.reserve(count);
        let mut id = Decimal::of(0);
        for (index, (shard, event)) in next.enumerate() {
            id.follow(event.sequence.0);
            let (digits, start) = id.place();
            ids.push(digits);
            let lent = net_event_t {
                id: ids[index][start..].as_ptr().cast(),
                id_len: digits.len() - start,
                raw: event.payload.as_ptr().cast(),
                raw_len: event.payload.len(),
                insertion_ts: event.timestamp_ns,
                shard_id: shard.0,
            };
            assert!(index < max, "no more are given than were asked for");
            // SAFETY: not NULL, aligned, and with room for `max` entries by the caller's contract.
            unsafe { events.add(index).write(lent) };
        }
        c_int::try_from(count).map_err(|_| Failure::IntOverflow(count))
    })
}

/// A descriptor that is readable when there may be events, for `epoll` and its like. It is readable from the start, and
/// until `net_next` has returned 0, which makes it unreadable until a shard pushes again. So an event loop calls
/// `net_next` with a timeout of 0 once for every time the descriptor is reported, and misses nothing; with edge
/// triggering it calls until the answer is 0. It stays readable when the bus has ended. Only to be waited for: the
/// library alone reads and closes it. It is to be taken out of an `epoll` before `net_unsubscribe`, because it closes only
/// when every shard has let go of it.
///
/// ```c
/// int epoll = epoll_create1(EPOLL_CLOEXEC);
/// struct epoll_event wanted = { .events = EPOLLIN, .data.ptr = subscription };
/// epoll_ctl(epoll, EPOLL_CTL_ADD, net_subscription_fd(subscription), &wanted);
/// for (;;) {
///     struct epoll_event ready;
///     if (epoll_wait(epoll, &ready, 1, -1) != 1) continue;
///     net_event_t events[256];
///     int count = net_next(ready.data.ptr, events, 256, 0);
///     if (count < 0) break;                       // NET_ERR_SHUTTING_DOWN: everything was given
///     for (int i = 0; i < count; i++) handle(&events[i]);
/// }
/// epoll_ctl(epoll, EPOLL_CTL_DEL, net_subscription_fd(subscription), NULL);
/// net_unsubscribe(subscription);
/// ```
///
/// Threads: as `net_next`. Ownership: the library's, closed after `net_unsubscribe`. Errors: `NET_ERR_NULL_POINTER`,
/// `NET_ERR_INVALID_ARGUMENT`, `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn net_subscription_fd(subscription: *mut net_subscription_t) -> c_int {
    guard::code(ptr::null_mut(), |_| Ok(enter(subscription)?.subscriber()?.subscription.descriptor()))
}

/// Writes the subscription's position as a cursor, NUL-terminated, and returns its bytes without the NUL: it is behind
/// every event that `net_next` has given or the filter has rejected, and good for `net_subscribe`, `net_poll` and
/// `net_poll_ex`. `*skipped`, if it is not NULL, becomes the number of events that retention had removed before this
/// subscriber got them, since the last call of this function that succeeded with it.
///
/// Threads: as `net_next`; also after a shutdown. Ownership: `out` and `skipped` are written on success only. Errors:
/// `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT`, `NET_ERR_BUFFER_TOO_SMALL`, `NET_ERR_MISMATCHED_HANDLES`,
/// `NET_ERR_FORKED`.
///
/// # Safety
/// `out` is NULL or has `len` writable bytes; `skipped` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_subscription_cursor(
    subscription: *mut net_subscription_t,
    out: *mut c_char,
    len: usize,
    skipped: *mut u64,
) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        let seat = enter(subscription)?;
        let mut subscriber = seat.subscriber()?;
        present("out", out)?;
        absent_or_present("skipped", skipped)?;
        length("len", len)?;
        let cursor = subscriber.subscription.cursor();
        // SAFETY: `out` is not NULL and has `len` writable bytes by the caller's contract.
        let written = unsafe { guard::put_text(out, len, cursor.as_bytes()) }?;
        if !skipped.is_null() {
            // SAFETY: not NULL, aligned, and writable by the caller's contract.
            unsafe { skipped.write(subscriber.subscription.take_skipped()) };
        }
        Ok(written)
    })
}

/// Ends a subscription. A `net_next` that another thread is waiting in returns `NET_ERR_INVALID_ARGUMENT`.
///
/// Threads: any; waits for a call that is inside the subscription. Ownership: the subscription, its descriptor and the
/// events it has given end here, also after a shutdown of its bus. Errors: `NET_ERR_NULL_POINTER`,
/// `NET_ERR_INVALID_ARGUMENT` (not a subscription, or ended before), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn net_unsubscribe(subscription: *mut net_subscription_t) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        let closing = SUBSCRIPTIONS.close(key_of(subscription)?).map_err(refused)?;
        closing.closer.close();
        drop(closing);
        Ok(0)
    })
}

/// What a subscription is made of.
struct Seat {
    closer: Closer,
    subscriber: Mutex<Subscriber>,
}

struct Subscriber {
    subscription: Subscription,
    /// The identities of the events that were given last, as text.
    ids: Vec<Digits>,
}

impl Seat {
    fn subscriber(&self) -> Result<MutexGuard<'_, Subscriber>, Failure> {
        self.subscriber.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Failure::SubscriptionInUse,
            TryLockError::Poisoned(_) => Failure::Poisoned,
        })
    }
}

fn enter(subscription: *const net_subscription_t) -> Result<Entered<'static, Seat>, Failure> {
    SUBSCRIPTIONS.enter(key_of(subscription)?).map_err(refused)
}

fn key_of(subscription: *const net_subscription_t) -> Result<Key, Failure> {
    if subscription.is_null() {
        return Err(Failure::NullPointer("subscription"));
    }
    Kind::Subscription.key(subscription.addr())
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Closed => engine::subscription::SubscriptionEnded::Closed.into(),
        other => other.into(),
    }
}

#[cfg(not(loom))]
static SUBSCRIPTIONS: Table<Seat> = Table::new();
#[cfg(loom)]
static SUBSCRIPTIONS: std::sync::LazyLock<Table<Seat>> = std::sync::LazyLock::new(Table::new);
