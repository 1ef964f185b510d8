//! The machine that a report comes from, as the system describes it.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// What a reader needs to know to compare.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// CPUs that the process may use.
    pub cpus: usize,
    /// Whether a hypervisor lies below.
    pub virtual_machine: bool,
    /// Release of the kernel.
    pub kernel: String,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// The kernel's clock source.
    pub clock_source: String,
    /// The frequency governor, where there is one.
    pub governor: Option<String>,
    /// The compiler.
    pub compiler: String,
    /// The commit that was measured; with `+` where the tree differs from it.
    pub commit: String,
    /// Runnable threads, averaged over the minute before the run.
    pub load_before: String,
}

impl Machine {
    /// This machine, now.
    pub fn describe() -> Machine {
        let processor = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = processor.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = read("/proc/meminfo");
        let memory_kib = memory.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
        Machine {
            processor: field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            virtual_machine: field("flags").is_some_and(|flags| flags.contains(" hypervisor")),
            kernel: read("/proc/sys/kernel/osrelease"),
            memory_gib: memory_kib.unwrap_or(0) >> 20,
            clock_source: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            governor: Some(read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))
                .filter(|governor| !governor.is_empty()),
            compiler: said_by("rustc", &["--version"]),
            commit: commit(),
            load_before: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }

    /// One paragraph of it.
    pub fn sentence(&self) -> String {
        format!(
            "{}{}, {} CPUs, {} GiB; Linux {}, clock source {}, {}; {}; commit {}. Load average before the run: {}.",
            if self.virtual_machine { "A virtual machine on " } else { "" },
            self.processor,
            self.cpus,
            self.memory_gib,
            self.kernel,
            self.clock_source,
            self.governor
                .as_ref()
                .map_or("no frequency governor".to_owned(), |name| format!("governor {name}")),
            self.compiler,
            self.commit,
            self.load_before,
        )
    }
}

/// Time that the hypervisor kept from this machine's CPUs since it started, in hundredths of a second.
pub fn stolen_ticks() -> u64 {
    let line = read("/proc/stat");
    line.split_ascii_whitespace().nth(STEAL_FIELD).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

fn commit() -> String {
    let commit = said_by("git", &["rev-parse", "--short", "HEAD"]);
    // The report itself is written by the run.
    let changes = said_by("git", &["status", "--porcelain", "--", ":/", ":(top,exclude)benches/FIGURES.md"]);
    if changes.is_empty() { commit } else { commit + "+" }
}

/// The text of a file without the white space at its end; empty where there is none.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim_end().to_owned()
}

/// What a program prints; empty where it does not run.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim_end().to_owned()).unwrap_or_default()
}

/// Of the first line of `/proc/stat`, the label counted (proc(5)).
const STEAL_FIELD: usize = 8;
