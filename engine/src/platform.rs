//! What the kernel must allow before the first executor is made, and what to do where it does not.

use std::fs;
use std::io;
use std::thread;

use crate::os;
use crate::sync::register_heavy_fence;

/// Why the kernel does not let a bus run here, and the cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}; {cure}")]
pub struct PlatformError {
    /// What a bus cannot do without.
    pub missing: Missing,
    /// What is missing or forbidden, and by what.
    pub cause: String,
    /// What to change.
    pub cure: String,
}

/// What a bus cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// `io_uring`, or the memory it must lock.
    IoUring,
    /// The system call `membarrier`.
    Membarrier,
}

/// Starts a thread of the bus's own, named, with every signal blocked.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    os::with_signals_blocked(|| thread::Builder::new().name(name.to_owned()).spawn(run))
}

/// Checks `io_uring`, the limit of locked memory (whose soft limit is raised to the hard one) and `membarrier`.
pub(crate) fn check() -> Result<(), PlatformError> {
    match os::raise_memlock() {
        Ok(bytes) if bytes < MEMLOCK_BYTES_MIN => {
            return Err(error(
                format!(
                    "the limit of locked memory (RLIMIT_MEMLOCK) is {bytes} bytes, and io_uring needs {MEMLOCK_BYTES_MIN}"
                ),
                "raise it: `ulimit -l 8192`, LimitMEMLOCK=8M in a systemd unit, or --ulimit memlock=8388608 for a container",
            ));
        }
        _ => {}
    }
    probe_io_uring().map_err(|error| io_uring_error(&error, &Kernel::read()))?;
    register_heavy_fence().map_err(|failure| {
        let error = error(
            format!("the system call membarrier failed ({failure})"),
            "allow it in the seccomp profile; it needs Linux 4.14 with CONFIG_MEMBARRIER",
        );
        PlatformError { missing: Missing::Membarrier, ..error }
    })
}

/// Whether a ring can be made. On a thread of its own: some time after a ring was closed, the kernel interrupts the thread
/// that made it, whose `epoll_wait` then fails with `EINTR` although no signal came.
fn probe_io_uring() -> io::Result<()> {
    let probe = thread::Builder::new().name("net-probe".to_owned());
    match os::with_signals_blocked(|| probe.spawn(|| os::probe_io_uring(PROBE_ENTRIES))) {
        Ok(probe) => probe.join().expect("a system call does not panic"),
        // Where no thread can be made the shards' will say so.
        Err(_) => os::probe_io_uring(PROBE_ENTRIES),
    }
}

/// What the kernel says about itself, for a diagnosis.
struct Kernel {
    /// `kernel.io_uring_disabled`: 0 allowed, 1 for a group, 2 for nobody.
    io_uring_disabled: Option<u32>,
    /// Whether a seccomp filter is on this process.
    seccomp: bool,
}

impl Kernel {
    fn read() -> Kernel {
        let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let seccomp =
            status.lines().any(|line| line.starts_with("Seccomp:") && line.trim_end().ends_with('2'));
        Kernel { io_uring_disabled: disabled.trim().parse().ok(), seccomp }
    }
}

fn io_uring_error(failure: &io::Error, kernel: &Kernel) -> PlatformError {
    let disabled = kernel.io_uring_disabled.unwrap_or(0);
    match failure.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) if disabled > 0 => error(
            format!("io_uring is forbidden by kernel.io_uring_disabled = {disabled}"),
            "set it to 0 with `sysctl kernel.io_uring_disabled=0`, or to 1 and name the process's group in kernel.io_uring_group",
        ),
        Some(libc::ENOMEM) => error(
            format!("io_uring could not lock its memory ({failure})"),
            "raise the limit of locked memory: `ulimit -l 8192`, or LimitMEMLOCK=8M in a systemd unit",
        ),
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS) if kernel.seccomp => error(
            format!("io_uring is forbidden by a seccomp filter ({failure})"),
            "allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile",
        ),
        Some(libc::ENOSYS) => error(
            format!("this kernel has no io_uring ({failure})"),
            "use Linux 5.10 or later, built with CONFIG_IO_URING",
        ),
        _ => error(
            format!("io_uring_setup failed ({failure})"),
            "check the kernel's log, the limits on open files and locked memory, and the security modules",
        ),
    }
}

fn error(cause: String, cure: &str) -> PlatformError {
    PlatformError { missing: Missing::IoUring, cause, cure: cure.to_owned() }
}

/// glommio refuses to start below this.
const MEMLOCK_BYTES_MIN: u64 = 512 << 10;
const PROBE_ENTRIES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(errno: i32, io_uring_disabled: Option<u32>, seccomp: bool) -> String {
        io_uring_error(&io::Error::from_raw_os_error(errno), &Kernel { io_uring_disabled, seccomp }).cause
    }

    #[test]
    fn each_cause_is_told_apart() {
        assert!(cause(libc::EPERM, Some(2), true).contains("kernel.io_uring_disabled"));
        assert!(cause(libc::EPERM, Some(0), true).contains("seccomp"));
        assert!(cause(libc::ENOSYS, None, true).contains("seccomp"));
        assert!(cause(libc::ENOSYS, None, false).contains("no io_uring"));
        assert!(cause(libc::ENOMEM, Some(0), false).contains("lock"));
    }
}
