//! The one door to atomics and fences.
//!
//! [`light_fence`] and [`heavy_fence`] are the two halves of an asymmetric Dekker handshake: the frequent side orders
//! its store before its load with a compiler fence, the rare side with `membarrier(PRIVATE_EXPEDITED)`, which makes
//! every running thread of the process pass a full barrier. Either the rare side sees the store, or the frequent side
//! sees the rare side's.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering, fence};

use std::io;

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
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// The rare side's fence: a full barrier on every running thread of the process. Some microseconds.
pub(crate) fn heavy_fence() {
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
