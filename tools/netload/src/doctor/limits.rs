//! What the system lets a process have: `io_uring`, locked memory, CPUs.

use std::path::Path;

use super::Finding;
use super::system::{System, listed};
use crate::bus::Bus;

/// Whether a bus starts here. What the library says has the cause and the cure; what may block it is named beside.
pub(super) fn io_uring(system: &System) -> Finding {
    let started = Bus::start(r#"{"num_shards":1}"#).and_then(Bus::shutdown);
    let disabled = system.read("proc/sys/kernel/io_uring_disabled");
    let seccomp = system.status("Seccomp").unwrap_or_default();
    let blockers = format!(
        "kernel.io_uring_disabled {}, seccomp {}",
        if disabled.is_empty() { "not there" } else { &disabled },
        match seccomp.as_str() {
            "0" => "off",
            "2" => "filters",
            _ => "unknown",
        }
    );
    match started {
        Ok(()) => Finding::ok("io_uring", format!("a bus starts ({blockers})")),
        Err(error) => Finding::fail("io_uring", blockers, error.to_string()),
    }
}

impl System {
    pub(super) fn kernel(&self) -> Finding {
        let release = self.read("proc/sys/kernel/osrelease");
        let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version >= KERNEL_MIN {
            return Finding::ok("kernel", release);
        }
        Finding::fail("kernel", format!("{release} is too old"), "run Linux 5.10 or later")
    }

    pub(super) fn memlock(&self) -> Finding {
        let limits = self.read("proc/self/limits");
        let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory")).unwrap_or_default();
        let hard = line.split_ascii_whitespace().nth(1).unwrap_or_default();
        let cure =
            "--ulimit memlock=8388608 for a container, LimitMEMLOCK=8M for a service, ulimit -l for a shell";
        match hard.parse::<u64>() {
            _ if hard == "unlimited" => Finding::ok("memlock", "unlimited"),
            Ok(bytes) if bytes < MEMLOCK_BYTES_MIN => {
                Finding::fail("memlock", format!("{} KiB; a shard needs 512", bytes >> 10), cure)
            }
            Ok(bytes) if bytes < MEMLOCK_BYTES_GOOD => {
                Finding::warn("memlock", format!("{} KiB is enough for few shards", bytes >> 10), cure)
            }
            Ok(bytes) => Finding::ok("memlock", format!("{} MiB", bytes >> 20)),
            Err(_) => Finding::warn("memlock", "the limit cannot be read", "mount /proc"),
        }
    }

    pub(super) fn cpus(&self) -> Finding {
        let list = self.status("Cpus_allowed_list").unwrap_or_default();
        let count = listed(&list).len();
        let cure = "give it a CPU for each shard and each busy producer or reader (taskset, --cpuset-cpus, AllowedCPUs)";
        match count {
            0 => Finding::warn("CPUs", "those allowed cannot be read", "mount /proc"),
            1 => Finding::warn("CPUs", format!("only CPU {list}: shards share it, and never spin"), cure),
            2 => Finding::warn("CPUs", format!("{list}: one for a shard and one for everything else"), cure),
            _ => Finding::ok("CPUs", format!("{count} allowed: {list}")),
        }
    }

    /// The CPU quota of this process's cgroup and of those above it; version 1 is asked where it is usually mounted.
    pub(super) fn quota(&self) -> Finding {
        let groups = self.read("proc/self/cgroup");
        let own = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        let above = Path::new(own.trim_start_matches('/')).ancestors();
        let unified = above.map(|group| Path::new("sys/fs/cgroup").join(group).join("cpu.max"));
        let quotas = unified.map(|path| self.read(path)).chain([format!(
            "{} {}",
            self.read("sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
            self.read("sys/fs/cgroup/cpu/cpu.cfs_period_us")
        )]);
        let cpus = quotas.filter_map(|quota| {
            let (quota, period) = quota.split_once(' ')?;
            let (quota, period) = (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
            (quota > 0.0 && period > 0.0).then_some(quota / period)
        });
        match cpus.min_by(f64::total_cmp) {
            None => Finding::ok("CPU quota", "none"),
            Some(cpus) => Finding::warn(
                "CPU quota",
                format!("{cpus:.2} CPUs: whoever has used them up stands still for the rest of the period"),
                "take the limit away (no --cpus, no limits.cpu, CPUQuota=) and give it CPUs of its own",
            ),
        }
    }
}

const KERNEL_MIN: (u32, u32) = (5, 10);
const MEMLOCK_BYTES_MIN: u64 = 512 << 10;
const MEMLOCK_BYTES_GOOD: u64 = 8 << 20;
