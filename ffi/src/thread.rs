//! What a thread keeps between its calls: the producers it has used with the claims that are open in them, its last
//! failure, and whether it is in a call.
//!
//! It has no destructor of its own, so that a call finds it whatever the thread is doing, also while thread-locals are
//! being destroyed; a second thread-local, [`Ending`], empties it when the thread ends.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char};
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::producer::{Claim, Producer};

use crate::abi::{net_error_t, net_handle_t};
use crate::status::Failure;
use crate::{fork, handle};

/// One thread's state.
pub(crate) struct Thread {
    in_call: Cell<bool>,
    /// The [`fork::epoch`] under which `producers` was filled.
    epoch: Cell<u32>,
    /// By handle, the last used first.
    producers: RefCell<Producers>,
    /// Producers that take no event any more, kept because the memory of their open claims is in C's hands.
    held: RefCell<Producers>,
    detail: RefCell<Cow<'static, CStr>>,
    ended: Cell<bool>,
}

type Producers = Vec<(net_handle_t, Producer)>;

/// Runs `body` with the calling thread's state.
#[inline]
pub(crate) fn with<R>(body: impl FnOnce(&Thread) -> R) -> R {
    THREAD.with(|thread| body(thread))
}

impl Thread {
    /// Marks that the thread is in a call of this library; gives the mark that was there.
    #[inline]
    pub(crate) fn mark_call(&self, in_call: bool) -> bool {
        self.in_call.replace(in_call)
    }

    /// Whether the thread is in a call of this library.
    pub(crate) fn is_in_call(&self) -> bool {
        self.in_call.get()
    }

    /// Runs `body` with this thread's producer for the bus of `handle`. Only the first call on a handle looks at the
    /// table; after that a producer answers for itself. One that answers `NET_ERR_SHUTTING_DOWN` is given up, with the
    /// memory of its lanes, and the table answers from then on. Details of failures are left here and by `body`.
    #[inline]
    pub(crate) fn with_producer<R>(
        &self,
        handle: net_handle_t,
        body: impl FnOnce(&mut Producer) -> Result<R, net_error_t>,
    ) -> Result<R, net_error_t> {
        let Ok(mut producers) = self.producers.try_borrow_mut() else {
            return Err(self.fail(&Failure::Reentered));
        };
        let current = self.epoch.get() == fork::epoch();
        let mut passing = false;
        if !producers.first().is_some_and(|(of, _)| *of == handle && current) {
            passing = self.bring_forward(&mut producers, handle).map_err(|failure| self.fail(&failure))?;
        }
        let answer = body(&mut producers[0].1);
        if passing || matches!(answer, Err(net_error_t::NET_ERR_SHUTTING_DOWN)) {
            self.give_first_up(&mut producers);
        }
        answer
    }

    /// Runs `body` with the producer that this thread used last, if `claim` is open in it and its bus takes events. `None`
    /// where [`with_claim`](Thread::with_claim) has to look closer.
    #[inline]
    pub(crate) fn with_claim_at_hand<R>(
        &self,
        handle: net_handle_t,
        claim: Claim,
        body: impl FnOnce(&mut Producer) -> Option<R>,
    ) -> Option<R> {
        let mut producers = self.producers.try_borrow_mut().ok()?;
        let (of, producer) = producers.first_mut()?;
        let at_hand = *of == handle && self.epoch.get() == fork::epoch();
        if at_hand && producer.is_open(claim) && !producer.is_closed() { body(producer) } else { None }
    }

    /// Runs `body` with the producer in which this thread has `claim` open, and with why its bus takes no more events,
    /// if it does not.
    pub(crate) fn with_claim<R>(
        &self,
        handle: net_handle_t,
        claim: Claim,
        body: impl FnOnce(&mut Producer, Result<(), Failure>) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        if fork::is_child() {
            return Err(Failure::Forked);
        }
        let mut producers = self.producers.try_borrow_mut().map_err(|_| Failure::Reentered)?;
        self.follow_epoch(&mut producers);
        let is_its_own = |(of, producer): &(_, Producer)| *of == handle && producer.is_open(claim);
        if let Some(at) = producers.iter().position(is_its_own) {
            let producer = &mut producers[at].1;
            let standing = if producer.is_closed() { Err(Failure::ended(producer)) } else { Ok(()) };
            let answer = body(producer, standing);
            if matches!(answer, Err(Failure::ShutDown)) {
                self.give_up(producers.swap_remove(at));
            }
            return answer;
        }
        let standing = handle::enter(handle).map(drop);
        let mut held = self.held.borrow_mut();
        if let Some(at) = held.iter().position(is_its_own) {
            let answer = body(&mut held[at].1, standing.and(Err(Failure::ShutDown)));
            held.retain(|(_, producer)| producer.has_open_claims());
            return answer;
        }
        Err(match standing {
            Ok(()) | Err(Failure::NullPointer(_)) => Failure::NotAClaim,
            Err(refused) => refused,
        })
    }

    /// Whether the thread still keeps anything for later calls; not while its thread-locals are being destroyed.
    /// Asking registers the destructor that empties it.
    pub(crate) fn lasts(&self) -> bool {
        !self.ended.get() && ENDING.try_with(|_| ()).is_ok()
    }

    /// Puts the producer of `handle` first. Whether it is there for this call alone, because the thread is ending.
    #[cold]
    fn bring_forward(&self, producers: &mut Producers, handle: net_handle_t) -> Result<bool, Failure> {
        self.follow_epoch(producers);
        let known = producers.iter().position(|(of, _)| *of == handle);
        if let Some(at) = known.filter(|_| !fork::is_child()) {
            producers.swap(0, at);
            return Ok(false);
        }
        let producer = handle::enter(handle)?.producer();
        producers.extract_if(.., |(_, producer)| producer.is_closed()).for_each(|ended| self.give_up(ended));
        producers.push((handle, producer));
        let last = producers.len() - 1;
        producers.swap(0, last);
        Ok(!self.lasts())
    }

    /// Gives the producers up whose buses are refused since the last look.
    fn follow_epoch(&self, producers: &mut Producers) {
        let epoch = fork::epoch();
        if epoch != self.epoch.get() && epoch != fork::FORKED {
            // Those of other buses stay: what a thread publishes with one key has an order only within one lane.
            let refused = producers.extract_if(.., |(of, _)| handle::enter(*of).is_err());
            refused.for_each(|refused| self.give_up(refused));
            self.epoch.set(epoch);
        }
    }

    #[cold]
    fn give_first_up(&self, producers: &mut Producers) {
        self.give_up(producers.swap_remove(0));
        if producers.is_empty() {
            // Once the thread's destructors ran, nobody would free its memory.
            *producers = Producers::new();
        }
    }

    /// Drops a producer, or keeps it until its last claim has ended.
    #[cold]
    fn give_up(&self, producer: (net_handle_t, Producer)) {
        if producer.1.has_open_claims() {
            self.held.borrow_mut().push(producer);
        }
    }

    /// Keeps the detail of a failure, and gives its code.
    #[cold]
    pub(crate) fn fail(&self, failure: &Failure) -> net_error_t {
        let detail = match failure.detail() {
            // Once the thread's destructors ran, nobody would free it.
            Cow::Owned(_) if !self.lasts() => Cow::Borrowed(c"no detail: the thread is ending"),
            detail => detail,
        };
        self.detail.replace(detail);
        failure.code()
    }

    /// The detail of the last failure. Stays until the next [`fail`](Thread::fail).
    pub(crate) fn detail(&self) -> *const c_char {
        self.detail.borrow().as_ptr()
    }
}

/// Empties the thread's state when the thread ends.
struct Ending;

impl Drop for Ending {
    fn drop(&mut self) {
        with(|thread| {
            thread.ended.set(true);
            thread.detail.replace(Cow::Borrowed(c""));
            // Claims that are open are aborted with their producers.
            let producers = (thread.producers.take(), thread.held.take());
            if fork::is_child() {
                // Their lanes belong to shards that run in the parent.
                mem::forget(producers);
                return;
            }
            // A panic out of a thread-local's destructor would end the process.
            let before = thread.mark_call(true);
            let _ = catch_unwind(AssertUnwindSafe(|| drop(producers)));
            thread.mark_call(before);
        });
    }
}

thread_local! {
    static THREAD: ManuallyDrop<Thread> = const {
        ManuallyDrop::new(Thread {
            in_call: Cell::new(false),
            epoch: Cell::new(fork::FORKED),
            producers: RefCell::new(Vec::new()),
            held: RefCell::new(Vec::new()),
            detail: RefCell::new(Cow::Borrowed(c"")),
            ended: Cell::new(false),
        })
    };
    static ENDING: Ending = const { Ending };
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::abi::net_claim_t;
    use crate::claim::{net_claim, net_commit};
    use crate::ingest::net_ingest_raw;
    use crate::lifecycle::{net_init, net_shutdown};

    fn start() -> net_handle_t {
        // SAFETY: the text is NUL-terminated.
        let bus = unsafe { net_init(c"{\"num_shards\":1}".as_ptr()) };
        // SAFETY: one byte is readable.
        assert_eq!(unsafe { net_ingest_raw(bus, c"x".as_ptr(), 1) }, 0);
        bus
    }

    fn remembers(bus: net_handle_t) -> bool {
        with(|thread| thread.producers.borrow().iter().any(|(of, _)| *of == bus))
    }

    #[test]
    fn a_poisoned_bus_takes_no_other_bus_its_producers() {
        let (healthy, poisoned, last) = (start(), start(), start());
        handle::poison(poisoned);
        // SAFETY: one byte is readable.
        assert_eq!(unsafe { net_ingest_raw(last, c"x".as_ptr(), 1) }, 0);
        assert!(remembers(healthy) && remembers(last));
        assert!(!remembers(poisoned));
        for bus in [healthy, poisoned, last] {
            assert_eq!(net_shutdown(bus), 0);
        }
    }

    #[test]
    fn the_memory_of_a_claim_outlives_its_poisoned_bus_until_it_is_ended() {
        let (poisoned, other) = (start(), start());
        let mut claim = net_claim_t { data: ptr::null_mut(), len: 0, reserved: [0; 4] };
        // SAFETY: the key is readable and the claim writable.
        assert_eq!(unsafe { net_claim(poisoned, c"k".as_ptr().cast(), 1, 100, &raw mut claim) }, 0);
        handle::poison(poisoned);
        // SAFETY: one byte is readable.
        assert_eq!(unsafe { net_ingest_raw(other, c"x".as_ptr(), 1) }, 0);
        assert!(!remembers(poisoned));
        let held = || with(|thread| thread.held.borrow().len());
        assert_eq!(held(), 1);
        // SAFETY: a claim that was not ended is writable, and nobody writes there after this.
        unsafe { claim.data.cast::<u8>().write_bytes(b'x', claim.len) };
        // SAFETY: as above.
        assert_eq!(unsafe { net_commit(&raw mut claim, ptr::null_mut()) }, -16);
        assert_eq!((held(), claim.data), (0, ptr::null_mut()));
        assert_eq!((net_shutdown(poisoned), net_shutdown(other)), (0, 0));
    }

    #[test]
    fn the_first_call_after_a_shutdown_gives_the_producer_up() {
        let bus = start();
        assert_eq!(net_shutdown(bus), 0);
        for _ in 0..2 {
            // SAFETY: one byte is readable.
            assert_eq!(unsafe { net_ingest_raw(bus, c"x".as_ptr(), 1) }, -8);
            assert!(!remembers(bus));
        }
    }
}
