//! What a thread keeps between its calls: the producers it has used, its last failure, and whether it is in a call.
//!
//! It has no destructor of its own, so that a call finds it whatever the thread is doing, also while thread-locals are
//! being destroyed; a second thread-local, [`Ending`], empties it when the thread ends.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char};
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::producer::Producer;

use crate::abi::{net_error_t, net_handle_t};
use crate::status::Failure;
use crate::{fork, handle};

/// One thread's state.
pub(crate) struct Thread {
    in_call: Cell<bool>,
    /// The [`fork::epoch`] under which `producers` was filled.
    epoch: Cell<u32>,
    /// By handle value, the last used first.
    producers: RefCell<Vec<(usize, Producer)>>,
    detail: RefCell<Cow<'static, CStr>>,
    ended: Cell<bool>,
}

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
    /// table; after that a producer answers for itself, shutdown included.
    #[inline]
    pub(crate) fn with_producer<R>(
        &self,
        handle: net_handle_t,
        body: impl FnOnce(&mut Producer) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let Ok(mut producers) = self.producers.try_borrow_mut() else { return Err(Failure::Reentered) };
        let current = self.epoch.get() == fork::epoch();
        let mut passing;
        let producer = match producers.first_mut() {
            Some((of, _)) if *of == handle.addr() && current => &mut producers[0].1,
            _ => match self.bring_forward(&mut producers, handle)? {
                None => &mut producers[0].1,
                Some(temporary) => {
                    passing = temporary;
                    &mut passing
                }
            },
        };
        body(producer)
    }

    /// Puts the producer of `handle` first, or gives one for this call alone when the thread is ending.
    #[cold]
    fn bring_forward(
        &self,
        producers: &mut Vec<(usize, Producer)>,
        handle: net_handle_t,
    ) -> Result<Option<Producer>, Failure> {
        let epoch = fork::epoch();
        if epoch != self.epoch.get() && epoch != fork::FORKED {
            producers.clear();
            self.epoch.set(epoch);
        }
        let known = producers.iter().position(|(of, _)| *of == handle.addr());
        if let Some(at) = known.filter(|_| epoch != fork::FORKED) {
            producers.swap(0, at);
            return Ok(None);
        }
        let producer = handle::enter(handle)?.producer();
        producers.retain(|(_, producer)| !producer.is_closed());
        // Touching it registers its destructor, and fails once that has run.
        if ENDING.try_with(|_| ()).is_err() {
            return Ok(Some(producer));
        }
        producers.push((handle.addr(), producer));
        let last = producers.len() - 1;
        producers.swap(0, last);
        Ok(None)
    }

    /// Keeps the detail of a failure, and gives its code.
    #[cold]
    pub(crate) fn fail(&self, failure: &Failure) -> net_error_t {
        let detail = match failure.detail() {
            // Once the thread's destructors ran, nobody would free it.
            Cow::Owned(_) if self.ended.get() || ENDING.try_with(|_| ()).is_err() => {
                Cow::Borrowed(c"no detail: the thread is ending")
            }
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
            let producers = thread.producers.take();
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
            detail: RefCell::new(Cow::Borrowed(c"")),
            ended: Cell::new(false),
        })
    };
    static ENDING: Ending = const { Ending };
}
