//! The bridge's watch: one thread, `net-bridge`, that looks at every shard's beat.
//!
//! A shard that is neither moving nor parked while its thread sleeps in the kernel has been let down by its executor, or
//! hangs in its store; it is rung, and counted. The watch ticks each [`TICK`] while a shard is awake, and sleeps while all are
//! parked.

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
    let mut pulses: Vec<Pulse> = shared.ports.iter().map(|_| Pulse::default()).collect();
    let mut quiet_ticks = 0;
    while !shared.bridge().is_stopped() {
        let mut awake = false;
        for (port, pulse) in shared.ports.iter().zip(&mut pulses) {
            awake |= pulse.look(port, shared);
        }
        quiet_ticks = if awake { 0 } else { quiet_ticks + 1 };
        if quiet_ticks < QUIET_TICKS_BEFORE_SLEEP {
            thread::park_timeout(TICK);
        } else {
            sleep(shared);
            quiet_ticks = 0;
        }
    }
}

/// What the watch remembers of a shard.
#[derive(Default)]
struct Pulse {
    beat: u64,
    still_ticks: u32,
}

impl Pulse {
    /// Looks at the shard, and rings it if it stands still. Whether it is awake.
    fn look(&mut self, port: &Port, shared: &Shared) -> bool {
        if port.thread.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let beat = port.doorbell.beat();
        let moved = std::mem::replace(&mut self.beat, beat) != beat;
        let parked = port.doorbell.is_parked();
        self.still_ticks = if moved || parked { 0 } else { self.still_ticks + 1 };
        // Not at the first look, when whoever takes the mark of a parked shard may be about to wake it; and ever more
        // seldom, because a shard that hangs in its store hears nothing.
        let due = self.still_ticks >= 2 && self.still_ticks.is_power_of_two();
        if due && sleeps_in_kernel(port) && port.doorbell.beat() == beat {
            shared.stalls.fetch_add(1, Ordering::Relaxed);
            port.doorbell.wake();
        }
        moved || !parked
    }
}

/// Sleeps until a shard rings. A shard that left its park before the mark was set is seen here; one that leaves it
/// later sees the mark.
fn sleep(shared: &Shared) {
    let rests = |port: &Port| port.doorbell.is_parked() || port.thread.load(Ordering::Relaxed) == 0;
    shared.bridge().set_asleep(true);
    heavy_fence();
    if shared.ports.iter().all(rests) && !shared.bridge().is_stopped() {
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
