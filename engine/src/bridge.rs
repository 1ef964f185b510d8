//! The bridge's watch: one thread, `net-bridge`, that looks at every shard's beat.
//!
//! A shard that is neither moving nor parked while its thread sleeps in the kernel has been let down by its executor;
//! it is rung, and counted. The watch ticks each [`TICK`] while a shard is awake, and sleeps while all are parked.

use std::fs;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::os;
use crate::port::Port;
use crate::shared::Shared;
use crate::sync::{Ordering, heavy_fence};

/// Starts the watch. It ends after [`BridgeBell::stop`](crate::shared::BridgeBell::stop).
pub(crate) fn spawn(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let builder = thread::Builder::new().name("net-bridge".to_owned());
    os::with_signals_blocked(|| builder.spawn(move || watch(&shared)))
}

fn watch(shared: &Shared) {
    shared.bridge().register();
    let mut beats = vec![u64::MAX; shared.ports.len()];
    let mut quiet_ticks = 0;
    while !shared.bridge().is_stopped() {
        let moved = look(shared, &mut beats);
        quiet_ticks = if moved { 0 } else { quiet_ticks + 1 };
        if quiet_ticks < QUIET_TICKS_BEFORE_SLEEP {
            thread::park_timeout(TICK);
        } else {
            sleep(shared);
            quiet_ticks = 0;
        }
    }
}

/// Looks at every shard once; whether any has moved since the last look or is awake.
fn look(shared: &Shared, beats: &mut [u64]) -> bool {
    let mut awake = false;
    for (port, seen) in shared.ports.iter().zip(beats) {
        let beat = port.doorbell.beat();
        let moved = std::mem::replace(seen, beat) != beat;
        let parked = port.doorbell.is_parked();
        awake |= moved || !parked;
        if !moved && !parked && sleeps_in_kernel(port) && port.doorbell.beat() == beat {
            shared.stalls.fetch_add(1, Ordering::Relaxed);
            port.doorbell.wake();
        }
    }
    awake
}

/// Sleeps until a shard rings. A shard that left its park before the mark was set is seen here; one that leaves it
/// later sees the mark.
fn sleep(shared: &Shared) {
    shared.bridge().set_asleep(true);
    heavy_fence();
    if shared.ports.iter().all(|port| port.doorbell.is_parked()) && !shared.bridge().is_stopped() {
        thread::park();
    }
    shared.bridge().set_asleep(false);
}

/// Whether the shard's thread waits in the kernel, as opposed to being kept from its core by others.
fn sleeps_in_kernel(port: &Port) -> bool {
    let thread = port.thread.load(Ordering::Relaxed);
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    // The state is the field behind the name, which is in parentheses and may hold anything.
    stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('S'))
}

const TICK: Duration = Duration::from_millis(10);
const QUIET_TICKS_BEFORE_SLEEP: u32 = 10;
