//! The one door to atomics, fences, and what else the models watch: the system's, or loom's under `cfg(loom)`.
//!
//! `light_fence` and `heavy_fence` are the two halves of an asymmetric Dekker handshake: the frequent side orders
//! its store before its load with a compiler fence, the rare side with `membarrier(PRIVATE_EXPEDITED)`, which makes
//! every running thread of the process pass a full barrier. Either the rare side sees the store, or the frequent side
//! sees the rare side's. To loom both are sequentially consistent fences, which is what the pair amounts to.
//!
//! `cargo xtask loom` runs the models; each lies beside its code, in a file `model.rs`.
//! Not part of the interface: public for the C ABI's table of slots only.

#[cfg(loom)]
pub use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence},
    sync::{Condvar, Mutex, MutexGuard},
    thread::yield_now,
};
/// For counts that live in statics, where loom's cannot, and that order nothing.
pub(crate) use std::sync::atomic::AtomicUsize;
#[cfg(not(loom))]
pub use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence},
    sync::{Condvar, Mutex, MutexGuard},
    thread::yield_now,
};

use std::io;
use std::ops::Range;

use crate::os::membarrier;

/// Keeps what it holds on cache lines of its own: 128 bytes, because the adjacent-line prefetcher pulls pairs.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(crate) struct CachePadded<T>(pub(crate) T);

impl<T> std::ops::Deref for CachePadded<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// The frequent side's fence: stops the compiler, and leaves the processor to [`heavy_fence`].
#[inline]
pub(crate) fn light_fence() {
    #[cfg(not(loom))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}

/// The rare side's fence: a full barrier on every running thread of the process. Some microseconds.
pub(crate) fn heavy_fence() {
    if cfg!(loom) {
        return fence(Ordering::SeqCst);
    }
    let answer = membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    assert!(answer == 0, "membarrier was registered when the bus started");
}

/// Registers the process for [`heavy_fence`]. The first call may take tens of milliseconds; fails where the system
/// call is missing or forbidden.
pub(crate) fn register_heavy_fence() -> io::Result<()> {
    if membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0
        && membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0
    {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Tells loom who touches memory that is reached through raw pointers; nothing at all elsewhere.
#[derive(Debug)]
pub(crate) struct Touched {
    #[cfg(loom)]
    words: Box<[loom::cell::UnsafeCell<()>]>,
}

impl Touched {
    /// For memory of `words` words.
    #[cfg_attr(not(loom), expect(unused_variables, reason = "only loom asks"))]
    pub(crate) fn new(words: usize) -> Touched {
        Touched {
            #[cfg(loom)]
            words: (0..words).map(|_| loom::cell::UnsafeCell::new(())).collect(),
        }
    }

    /// The caller reads these words, or takes a reference to them.
    #[inline]
    #[cfg_attr(not(loom), expect(unused_variables, clippy::unused_self, reason = "only loom asks"))]
    pub(crate) fn read(&self, words: Range<usize>) {
        #[cfg(loom)]
        self.words[words].iter().for_each(|word| word.with(|_| ()));
    }

    /// The caller writes these words.
    #[inline]
    #[cfg_attr(not(loom), expect(unused_variables, clippy::unused_self, reason = "only loom asks"))]
    pub(crate) fn written(&self, words: Range<usize>) {
        #[cfg(loom)]
        self.words[words].iter().for_each(|word| word.with_mut(|_| ()));
    }
}
