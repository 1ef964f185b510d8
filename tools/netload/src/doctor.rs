//! `netload doctor`: what of this machine keeps libnet from running, or from running at its best, and the cure.

mod limits;
mod pace;
mod system;

use std::path::PathBuf;

use crate::exit::ExitStatus;
use limits::io_uring;
use system::System;

/// Prints a line for each property of the machine, with the cure where one is needed. Fails where libnet cannot run.
pub(crate) fn doctor() -> ExitStatus {
    let system = System { root: PathBuf::from("/") };
    let mut findings = system.findings();
    findings.insert(1, io_uring(&system));
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

impl System {
    /// Everything that files alone tell.
    fn findings(&self) -> Vec<Finding> {
        vec![
            self.kernel(),
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The level of the finding about something, on a system of these files.
    fn level(about: &str, files: &[(&str, &str)]) -> Level {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
            fs::write(path, text).expect("writable");
        }
        let system = System { root: folder.path().to_owned() };
        let finding =
            system.findings().into_iter().find(|finding| finding.about == about).expect("there is one");
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
}
