//! What a bus costs that has nothing to do, as the kernel counts it: time and wake-ups of the library's threads
//! (proc(5): `schedstat`, `voluntary_ctxt_switches`).

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Bus, event, on_first_core};

/// The cost of a parked bus.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IdleCost {
    /// Share of one core, in hundredths.
    pub core_percent: f64,
    /// Times a second that a thread of the library went to sleep again.
    pub wakes_per_second: f64,
}

/// Watches a bus with one parked shard, which stored an event before, for `watched`.
pub fn parked(watched: Duration) -> IdleCost {
    let bus = Bus::start(r#"{"num_shards":1,"idle":"park"}"#);
    on_first_core(|| {
        assert!(bus.ingest(&event(100)));
        bus.flush();
    });
    // The retired lane of that thread, and the bridge's last look, are not idling.
    thread::sleep(SETTLING);
    let (before, start) = (Usage::now(), Instant::now());
    thread::sleep(watched);
    let (after, seconds) = (Usage::now(), start.elapsed().as_secs_f64());
    bus.stop();
    IdleCost {
        core_percent: 100.0 * (after.ran_ns - before.ran_ns) as f64 / 1e9 / seconds,
        wakes_per_second: (after.sleeps - before.sleeps) as f64 / seconds,
    }
}

/// What the library's threads have used so far.
#[derive(Clone, Copy, Default)]
struct Usage {
    ran_ns: u64,
    sleeps: u64,
}

impl Usage {
    fn now() -> Usage {
        let tasks = fs::read_dir("/proc/self/task").expect("procfs is mounted");
        let used = tasks.filter_map(|task| Usage::of(&task.ok()?.path()));
        used.fold(Usage::default(), |sum, one| Usage {
            ran_ns: sum.ran_ns + one.ran_ns,
            sleeps: sum.sleeps + one.sleeps,
        })
    }

    /// `None` for threads of others, and for one that has just ended.
    fn of(task: &Path) -> Option<Usage> {
        fs::read_to_string(task.join("comm")).ok()?.starts_with("net-").then_some(())?;
        let ran = fs::read_to_string(task.join("schedstat")).ok()?;
        let status = fs::read_to_string(task.join("status")).ok()?;
        let sleeps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some(Usage {
            ran_ns: ran.split_ascii_whitespace().next()?.parse().ok()?,
            sleeps: sleeps.trim().parse().ok()?,
        })
    }
}

const SETTLING: Duration = Duration::from_millis(200);
