//! How long a bus takes to start on a large log: after its process was killed, and after it was closed.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};

use super::{Durability, bus, folder, publish};

/// Times until `net_init` has returned.
#[derive(Clone, Copy, Debug)]
pub struct Reopened {
    /// After the process that wrote the log was killed.
    pub after_kill: Duration,
    /// After a close.
    pub after_close: Duration,
}

/// Opens a log of `bytes` again, twice.
///
/// # Panics
/// When the program that calls this does not hand [`FILL_AND_DIE`] on to [`fill_and_die`].
pub fn reopen(bytes: usize) -> Reopened {
    let folder = folder();
    let program = std::env::current_exe().expect("the system knows this program's file");
    let mut filler = Command::new(program);
    filler.arg(FILL_AND_DIE).arg(folder.path()).arg(bytes.div_ceil(EVENT_BYTES).to_string());
    let status = filler.status().expect("this program starts again");
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "it is killed when the log is filled");
    let after_kill = start(folder.path());
    let after_close = start(folder.path());
    Reopened { after_kill, after_close }
}

/// What [`reopen`] starts in a process of its own: publishes so many events of 32 KiB to a log in `folder`, and kills this
/// process when they are durable.
pub fn fill_and_die(folder: &Path, events: usize) -> ! {
    let bus = bus(folder, Durability::Soon, "");
    publish(bus, events, EVENT_BYTES);
    kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
    unreachable!("SIGKILL is not survived");
}

/// Starts a bus on the log, which has its oldest event, and ends it.
fn start(folder: &Path) -> Duration {
    let start = Instant::now();
    let bus = bus(folder, Durability::Soon, "");
    let time = start.elapsed();
    let (count, _) = bus.poll_each(1, None, |events| assert_eq!(events[0].raw_len, EVENT_BYTES));
    assert_eq!(count, 1, "the log has events");
    bus.stop();
    time
}

/// The first argument of such a process. Its folder and the number of events follow.
pub const FILL_AND_DIE: &str = "--fill-a-log-and-die";
/// Large, so that filling takes as long as the disk does.
const EVENT_BYTES: usize = 32 << 10;
