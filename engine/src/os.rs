//! The raw system calls for which there is no safe wrapper: each in a function that is safe to call.

use std::io;

/// Runs `membarrier` with `command`; 0 or more on success.
pub(crate) fn membarrier(command: libc::c_int) -> libc::c_long {
    // SAFETY: `membarrier` takes plain integers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }
}

/// Asks the kernel for an `io_uring` of `entries` and closes it again.
pub(crate) fn probe_io_uring(entries: u32) -> io::Result<()> {
    let mut parameters = [0u8; IO_URING_PARAMS_BYTES];
    // SAFETY: `parameters` is as large as `struct io_uring_params`, zeroed as the call wants it, and outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, parameters.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made above and nobody else has it.
    unsafe { libc::close(fd as libc::c_int) };
    Ok(())
}

/// Raises the soft limit of locked memory to the hard one, and returns the soft limit in force.
pub(crate) fn raise_memlock() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get the address of a valid `rlimit` on this stack.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) != 0 {
            return Err(io::Error::last_os_error());
        }
        if limit.rlim_cur < limit.rlim_max {
            let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
            if libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const raised) == 0 {
                limit = raised;
            }
        }
    }
    Ok(limit.rlim_cur)
}

/// Number of the calling thread, as `/proc/self/task` knows it.
pub(crate) fn thread_id() -> u64 {
    // SAFETY: `gettid` has no arguments and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid).cast_unsigned() }
}

/// Runs `spawn` with every signal blocked, so that the threads it makes inherit the mask, and restores the caller's.
pub(crate) fn with_signals_blocked<T>(spawn: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are valid and local; `pthread_sigmask` changes the calling thread's mask only.
    let before = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    };
    let made = spawn();
    // SAFETY: `before` was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    made
}

/// Size of `struct io_uring_params` in `linux/io_uring.h`.
const IO_URING_PARAMS_BYTES: usize = 120;
