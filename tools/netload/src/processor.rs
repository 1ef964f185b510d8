//! Processor time, of a thread or of the whole process.

use std::time::Duration;

use libc::{CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, clock_gettime, clockid_t, timespec};

/// What the calling thread has used.
pub(crate) fn of_thread() -> Duration {
    read(CLOCK_THREAD_CPUTIME_ID)
}

/// What all threads of the process have used.
pub(crate) fn of_process() -> Duration {
    read(CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: clockid_t) -> Duration {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours and writable. Where the call fails, it stays zero.
    unsafe { clock_gettime(clock, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
