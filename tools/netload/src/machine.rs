//! The machine that a result comes from, as the system describes it.

use std::{fs, thread};

use serde::Serialize;

/// What a reader needs to know to compare.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// Model of the processor.
    pub(crate) processor: String,
    /// CPUs that the process may use.
    pub(crate) cpus: usize,
    /// Whether a hypervisor lies below.
    pub(crate) virtualized: bool,
    /// Release of the kernel.
    pub(crate) kernel: String,
    pub(crate) memory_gib: u64,
    /// The kernel's clock source.
    pub(crate) clock_source: String,
    /// The frequency governor; empty where there is none.
    pub(crate) governor: String,
    /// Runnable threads, averaged over the last minute.
    pub(crate) load_average: String,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn describe() -> Machine {
        let processor = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = processor.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = read("/proc/meminfo");
        let memory_kib = memory.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
        Machine {
            processor: field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cpus: thread::available_parallelism().map_or(1, usize::from),
            virtualized: field("flags").is_some_and(|flags| flags.contains(" hypervisor")),
            kernel: read("/proc/sys/kernel/osrelease"),
            memory_gib: memory_kib.unwrap_or(0) >> 20,
            clock_source: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            load_average: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

/// The text of a file without the white space at its ends; empty where it cannot be read.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
