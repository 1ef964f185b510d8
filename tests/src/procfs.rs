//! What the kernel says of this process and its threads, from `/proc` (proc(5)).

use std::fs;

/// One thread of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: u64,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// The signals it blocks; bit 0 is signal 1.
    pub signals_blocked: u64,
    /// Times it went to sleep by itself.
    pub sleeps: u64,
    /// Time it ran, in nanoseconds.
    pub ran_ns: u64,
}

/// The threads of this process. One that ends meanwhile is left out.
pub fn tasks() -> Vec<Task> {
    let entries = fs::read_dir("/proc/self/task").expect("procfs is mounted");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(task).collect()
}

/// The threads whose name starts with `net-`.
pub fn library_tasks() -> Vec<Task> {
    tasks().into_iter().filter(|task| task.name.starts_with("net-")).collect()
}

/// Number of open file descriptors, the one that counts them included.
pub fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").expect("procfs is mounted").count()
}

/// Memory of this process that is resident, in bytes, without what its files back.
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs is mounted");
    field(&status, "RssAnon:").expect("the kernel counts it").parse::<u64>().expect("a number") << 10
}

fn task(id: u64) -> Option<Task> {
    let folder = format!("/proc/self/task/{id}");
    let status = fs::read_to_string(format!("{folder}/status")).ok()?;
    let ran = fs::read_to_string(format!("{folder}/schedstat")).ok()?;
    Some(Task {
        id,
        name: fs::read_to_string(format!("{folder}/comm")).ok()?.trim_end().to_owned(),
        signals_blocked: u64::from_str_radix(field(&status, "SigBlk:")?, 16).ok()?,
        sleeps: field(&status, "voluntary_ctxt_switches:")?.parse().ok()?,
        ran_ns: ran.split_ascii_whitespace().next()?.parse().ok()?,
    })
}

/// The first word behind `name`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()
}
