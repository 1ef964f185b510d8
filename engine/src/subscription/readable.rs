//! Something that is readable or not, and can be slept on until it is: an eventfd; in the models a flag of loom's.

#[cfg(not(loom))]
pub(super) use system::Readable;

#[cfg(loom)]
pub(super) use model::Readable;

#[cfg(not(loom))]
mod system {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd, RawFd};
    use std::time::Duration;

    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
    use rustix::io::{read, write};

    /// An eventfd.
    #[derive(Debug)]
    pub(in crate::subscription) struct Readable(OwnedFd);

    impl Readable {
        /// A readable one.
        pub(in crate::subscription) fn new() -> io::Result<Readable> {
            Ok(Readable(eventfd(1, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
        }

        /// Makes it readable.
        pub(in crate::subscription) fn set(&self) {
            // It fails only when the count is at its end, and then it is readable.
            let _ = write(&self.0, &1u64.to_ne_bytes());
        }

        /// Makes it unreadable. Whether it was readable.
        pub(in crate::subscription) fn clear(&self) -> bool {
            // It fails only when it is not readable.
            read(&self.0, &mut [0u8; 8]).is_ok()
        }

        /// Sleeps until it is readable, a signal handler ran, or `timeout` has passed.
        pub(in crate::subscription) fn wait(&self, timeout: Option<Duration>) {
            let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
            // Whatever ends it, the caller looks again.
            let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], timeout.as_ref());
        }

        pub(in crate::subscription) fn descriptor(&self) -> RawFd {
            self.0.as_raw_fd()
        }
    }
}

#[cfg(loom)]
mod model {
    use std::io;
    use std::os::fd::RawFd;
    use std::time::Duration;

    use crate::sync::{Condvar, Mutex};

    /// A flag that counts how often it was set; nobody's wait times out.
    #[derive(Debug)]
    pub(in crate::subscription) struct Readable {
        flag: Mutex<Flag>,
        set: Condvar,
    }

    #[derive(Debug)]
    struct Flag {
        is_set: bool,
        edges: u64,
    }

    impl Readable {
        pub(in crate::subscription) fn new() -> io::Result<Readable> {
            let flag = Flag { is_set: true, edges: 1 };
            Ok(Readable { flag: Mutex::new(flag), set: Condvar::new() })
        }

        pub(in crate::subscription) fn set(&self) {
            let mut flag = self.flag.lock().expect("no panic");
            flag.is_set = true;
            flag.edges += 1;
            self.set.notify_all();
        }

        #[cfg(test)]
        pub(in crate::subscription) fn is_set(&self) -> bool {
            self.flag.lock().expect("no panic").is_set
        }

        pub(in crate::subscription) fn clear(&self) -> bool {
            std::mem::take(&mut self.flag.lock().expect("no panic").is_set)
        }

        pub(in crate::subscription) fn wait(&self, _: Option<Duration>) {
            let mut flag = self.flag.lock().expect("no panic");
            while !flag.is_set {
                flag = self.set.wait(flag).expect("no panic");
            }
        }

        /// Sleeps until it was set more than `seen` times; how often it was.
        #[cfg(test)]
        pub(in crate::subscription) fn wait_for_edge(&self, seen: u64) -> u64 {
            let mut flag = self.flag.lock().expect("no panic");
            while flag.edges <= seen {
                flag = self.set.wait(flag).expect("no panic");
            }
            flag.edges
        }

        pub(in crate::subscription) fn descriptor(&self) -> RawFd {
            -1
        }
    }
}
