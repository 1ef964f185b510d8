//! `netload doctor`: what of this machine keeps libnet from running, or from running at its best, and the cure.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bus::Bus;
use crate::exit::ExitStatus;

/// Prints a line for each property of the machine, with the cure where one is needed. Fails where libnet cannot run.
pub(crate) fn doctor() -> ExitStatus {
    let system = System { root: PathBuf::from("/") };
    let mut findings = vec![system.kernel(), io_uring(&system)];
    findings.extend(system.findings());
    for finding in &findings {
        println!("{:5} {:14} {}", finding.level.word(), finding.about, finding.what);
        if let Some(cure) = &finding.cure {
            println!("{:20} → {cure}", "");
        }
    }
    let fails = findings.iter().filter(|finding| finding.level == Level::Fail).count();
    let warnings = findings.iter().filter(|finding| finding.level == Level::Warn).count();
    println!("\n{fails} fail, {warnings} warn, {} ok", findings.len() - fails - warnings);
    if fails > 0 { ExitStatus::Failed } else { ExitStatus::Success }
}

/// What one look found.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    about: &'static str,
    level: Level,
    what: String,
    cure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    /// It runs, and its latencies suffer.
    Warn,
    /// It does not run.
    Fail,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        }
    }
}

impl Finding {
    fn ok(about: &'static str, what: impl Into<String>) -> Finding {
        Finding { about, level: Level::Ok, what: what.into(), cure: None }
    }

    fn warn(about: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { about, level: Level::Warn, what: what.into(), cure: Some(cure.into()) }
    }

    fn fail(about: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { about, level: Level::Fail, what: what.into(), cure: Some(cure.into()) }
    }
}

/// Whether a bus starts here. What the library says has the cause and the cure; what may block it is named beside.
fn io_uring(system: &System) -> Finding {
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

/// The system's files, below a root of their own where they are tested.
struct System {
    root: PathBuf,
}

impl System {
    /// Everything that is read from files, the kernel's release excepted.
    fn findings(&self) -> Vec<Finding> {
        vec![
            self.memlock(),
            self.cpus(),
            self.quota(),
            self.governor(),
            self.clock_source(),
            self.numa(),
            self.mitigations(),
            self.neighbours(),
        ]
    }

    fn kernel(&self) -> Finding {
        let release = self.read("proc/sys/kernel/osrelease");
        let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version >= KERNEL_MIN {
            return Finding::ok("kernel", release);
        }
        Finding::fail("kernel", format!("{release} is too old"), "run Linux 5.10 or later")
    }

    fn memlock(&self) -> Finding {
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

    fn cpus(&self) -> Finding {
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
    fn quota(&self) -> Finding {
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

    fn governor(&self) -> Finding {
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

    fn clock_source(&self) -> Finding {
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

    fn numa(&self) -> Finding {
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
    fn mitigations(&self) -> Finding {
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

    fn neighbours(&self) -> Finding {
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

    /// A value of `/proc/self/status`.
    fn status(&self, name: &str) -> Option<String> {
        let status = self.read("proc/self/status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }

    /// The text of a file without the white space at its ends; empty where it cannot be read.
    fn read(&self, path: impl AsRef<Path>) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_default().trim().to_owned()
    }
}

/// The numbers of a list such as `0-2,5`.
fn listed(list: &str) -> Vec<usize> {
    let ranges = list.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    });
    ranges.flatten().collect()
}

const KERNEL_MIN: (u32, u32) = (5, 10);
const MEMLOCK_BYTES_MIN: u64 = 512 << 10;
const MEMLOCK_BYTES_GOOD: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// The level of the finding about something, on a system of these files.
    fn level(about: &str, files: &[(&str, &str)]) -> Level {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
            fs::write(path, text).expect("writable");
        }
        let system = System { root: folder.path().to_owned() };
        let mut findings = system.findings();
        findings.push(system.kernel());
        let finding = findings.into_iter().find(|finding| finding.about == about).expect("there is one");
        assert_eq!(finding.cure.is_none(), finding.level == Level::Ok, "{finding:?}");
        finding.level
    }

    #[test]
    fn each_file_is_judged_and_what_is_wrong_has_a_cure() {
        let status = ("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-3\n");
        let limits = |hard: &str| format!("Max locked memory  65536  {hard}  bytes\n");
        let governor = "sys/devices/system/cpu/cpu2/cpufreq/scaling_governor";
        let source = "sys/devices/system/clocksource/clocksource0/current_clocksource";
        for (about, files, expected) in [
            ("kernel", vec![("proc/sys/kernel/osrelease", "6.18.5-1")], Level::Ok),
            ("kernel", vec![("proc/sys/kernel/osrelease", "5.4.0-100-generic")], Level::Fail),
            ("memlock", vec![("proc/self/limits", limits("unlimited").as_str())], Level::Ok),
            ("memlock", vec![("proc/self/limits", limits("1048576").as_str())], Level::Warn),
            ("memlock", vec![("proc/self/limits", limits("65536").as_str())], Level::Fail),
            ("CPUs", vec![status], Level::Ok),
            ("CPUs", vec![("proc/self/status", "Cpus_allowed_list:\t1")], Level::Warn),
            ("CPU quota", vec![], Level::Ok),
            ("CPU quota", vec![("sys/fs/cgroup/cpu.max", "max 100000")], Level::Ok),
            ("CPU quota", vec![("sys/fs/cgroup/cpu.max", "150000 100000")], Level::Warn),
            (
                "CPU quota",
                vec![("sys/fs/cgroup/a/cpu.max", "1 1"), ("proc/self/cgroup", "0::/a/b\n")],
                Level::Warn,
            ),
            ("CPU quota", vec![("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1")], Level::Ok),
            ("governor", vec![status], Level::Ok),
            ("governor", vec![status, (governor, "performance\n")], Level::Ok),
            ("governor", vec![status, (governor, "powersave\n")], Level::Warn),
            ("clock source", vec![(source, "tsc")], Level::Ok),
            ("clock source", vec![(source, "hpet")], Level::Warn),
            ("neighbours", vec![status, ("proc/loadavg", "0.5 0.1 0.1")], Level::Ok),
            ("neighbours", vec![status, ("proc/loadavg", "3.5 0.1 0.1")], Level::Warn),
        ] {
            assert_eq!(level(about, &files), expected, "{about} {files:?}");
        }
    }

    #[test]
    fn cpus_of_two_nodes_are_warned_of_and_a_node_without_any_is_not() {
        let node = |cpus| {
            [
                ("proc/self/status", cpus),
                ("sys/devices/system/node/online", "0-1"),
                ("sys/devices/system/node/node0/cpulist", "0-3"),
                ("sys/devices/system/node/node1/cpulist", "4-7"),
            ]
        };
        assert_eq!(level("NUMA", &node("Cpus_allowed_list:\t0-2")), Level::Ok);
        assert_eq!(level("NUMA", &node("Cpus_allowed_list:\t2-5")), Level::Warn);
    }

    #[test]
    fn a_list_of_cpus_is_read_as_the_kernel_writes_it() {
        assert_eq!(listed("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(listed(""), [0; 0]);
    }
}
