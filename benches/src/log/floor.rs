//! The same disk used by hand: the floors of appending and of reading.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::SetOnDrop;
use rustix::fs::{FallocateFlags, fallocate};

use super::append::Appended;
use super::{Durability, folder};
use crate::on_first_core;
use crate::throughput::rate;

/// Events a second whose bytes `dd` writes past the page cache: as many bytes as the log has, as much at once.
///
/// # Panics
/// When `dd` is not there, or the file system knows no `O_DIRECT`.
pub fn dd(appended: Appended) -> f64 {
    let folder = folder();
    let write_bytes = appended.write_bytes();
    let writes = appended.bytes.div_ceil(write_bytes as u64);
    let file = folder.path().join("zeros");
    let start = Instant::now();
    let output = Command::new("dd")
        .args(["if=/dev/zero", "oflag=direct", &format!("of={}", file.display())])
        .args([format!("bs={write_bytes}"), format!("count={writes}")])
        .output()
        .expect("dd is part of the system");
    let seconds = start.elapsed().as_secs_f64();
    assert!(output.status.success(), "dd said {}", String::from_utf8_lossy(&output.stderr));
    writes as f64 * write_bytes as f64 / appended.event_bytes() / seconds
}

/// Events a second where each batch of the log is one write past the page cache, into a file whose space was set aside, with an
/// `fdatasync` behind each, or from another thread every 50 ms.
///
/// # Panics
/// When the file system knows no `O_DIRECT`.
pub fn by_hand(durability: Durability, appended: Appended) -> f64 {
    let folder = folder();
    let (write_bytes, length) = (appended.write_bytes(), appended.batches * appended.write_bytes() as u64);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).custom_flags(libc::O_DIRECT);
    let file = options.open(folder.path().join("letters")).expect("the file system knows O_DIRECT");
    fallocate(&file, FallocateFlags::empty(), 0, length).expect("there is space");
    let sync = || file.sync_data().expect("the disk takes it");
    sync();
    let write = || {
        let memory = vec![b'a'; write_bytes + PAGE_BYTES];
        // As `O_DIRECT` wants it.
        let begin = memory.as_ptr().align_offset(PAGE_BYTES);
        let pages = &memory[begin..begin + write_bytes];
        let start = Instant::now();
        for at in (0..length).step_by(write_bytes) {
            file.write_all_at(pages, at).expect("space is set aside");
            if durability == Durability::EveryBatch {
                sync();
            }
        }
        sync();
        rate(appended.events, start)
    };
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ends = SetOnDrop(&is_over);
        if durability == Durability::Soon {
            scope.spawn(|| {
                while !is_over.load(Ordering::Acquire) {
                    let start = Instant::now();
                    sync();
                    thread::sleep(SYNC_PERIOD.saturating_sub(start.elapsed()));
                }
            });
        }
        on_first_core(write)
    })
}

/// Events a second of a log with `events` whose segments are read with a plain `read`, 256 KiB at a time. Whoever does it twice
/// reads from the page cache.
///
/// # Panics
/// When a file cannot be read.
pub fn read(folder: &Path, events: usize) -> f64 {
    let segments = segments(folder);
    on_first_core(|| {
        let mut buffer = vec![0; READ_BYTES];
        let start = Instant::now();
        for segment in &segments {
            let mut file = File::open(segment).expect("it is there");
            while file.read(&mut buffer).expect("it is readable") > 0 {
                black_box(&mut buffer);
            }
        }
        rate(events, start)
    })
}

/// The segments of the first shard, the oldest first.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("shard-00000")).expect("the log has a shard");
    let paths = entries.map(|entry| entry.expect("the folder is readable").path());
    let mut segments: Vec<PathBuf> = paths.filter(|path| path.extension() == Some("seg".as_ref())).collect();
    segments.sort();
    segments
}

/// What the log writes is a multiple of it.
pub const PAGE_BYTES: usize = 4_096;
const READ_BYTES: usize = 256 << 10;
const SYNC_PERIOD: Duration = Duration::from_millis(50);
