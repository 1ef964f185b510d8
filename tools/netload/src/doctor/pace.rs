//! What makes a machine slow, or its latencies uneven.

use std::fs;

use super::Finding;
use super::system::{System, listed};

impl System {
    pub(super) fn governor(&self) -> Finding {
        let list = self.status("Cpus_allowed_list").unwrap_or_default();
        let path = |cpu: usize| format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        let mut governors: Vec<String> = listed(&list).into_iter().map(|cpu| self.read(path(cpu))).collect();
        governors.retain(|governor| !governor.is_empty());
        governors.sort_unstable();
        governors.dedup();
        match governors.as_slice() {
            [] => Finding::ok("governor", "none: the frequency is not this system's affair"),
            [only] if only == "performance" => Finding::ok("governor", "performance"),
            _ => Finding::warn(
                "governor",
                format!("{}: frequencies follow the load, late", governors.join(", ")),
                "cpupower frequency-set --governor performance",
            ),
        }
    }

    pub(super) fn clock_source(&self) -> Finding {
        let source = self.read("sys/devices/system/clocksource/clocksource0/current_clocksource");
        match source.as_str() {
            "tsc" | "arch_sys_counter" | "kvm-clock" => Finding::ok("clock source", source),
            "" => Finding::warn("clock source", "cannot be read", "mount /sys"),
            _ => Finding::warn(
                "clock source",
                format!("{source}: reading the time is a system call"),
                "choose tsc or kvm-clock, if available_clocksource has one (the boot log says why it was given up)",
            ),
        }
    }

    pub(super) fn numa(&self) -> Finding {
        let allowed = listed(&self.status("Cpus_allowed_list").unwrap_or_default());
        let nodes = listed(&self.read("sys/devices/system/node/online"));
        let has_allowed = |node: &&usize| {
            let cpus = listed(&self.read(format!("sys/devices/system/node/node{node}/cpulist")));
            cpus.iter().any(|cpu| allowed.contains(cpu))
        };
        match nodes.iter().filter(has_allowed).count() {
            0 | 1 => Finding::ok("NUMA", "the allowed CPUs are of one node"),
            count => Finding::warn(
                "NUMA",
                format!("the allowed CPUs are of {count} nodes: a line takes longer between them"),
                "numactl --cpunodebind=0 --membind=0",
            ),
        }
    }

    /// Mitigations are for the operator to judge: they cost where system calls are, which is not on the way in.
    pub(super) fn mitigations(&self) -> Finding {
        let folder = self.root.join("sys/devices/system/cpu/vulnerabilities");
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        let states: Vec<String> = files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
        let count = |word: &str| states.iter().filter(|state| state.starts_with(word)).count();
        let (active, open) = (count("Mitigation"), count("Vulnerable"));
        let what = format!("{active} active, {open} open, of {} known", states.len());
        if self.read("proc/cmdline").split(' ').any(|word| word == "mitigations=off") {
            return Finding::ok("mitigations", format!("off at boot: {what}"));
        }
        Finding::ok(
            "mitigations",
            format!("{what}; they slow down system calls, of which parking and waking make some"),
        )
    }

    pub(super) fn neighbours(&self) -> Finding {
        let load: f64 =
            self.read("proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
        let cpus = listed(&self.status("Cpus_allowed_list").unwrap_or_default()).len().max(1);
        if load > cpus as f64 / 2.0 {
            return Finding::warn(
                "neighbours",
                format!("the load average is {load:.2} on {cpus} CPUs"),
                "measure when nothing else runs; /proc/pressure/cpu tells when that is",
            );
        }
        Finding::ok("neighbours", format!("the load average is {load:.2}"))
    }
}
