//! Named files: what `net_cortex.h` declares. Here a redex, its start and its end; beside it its files and their tails.
//!
//! A redex, a file and a tail are each a slot and a generation, like a handle: one that was freed, is of another kind or
//! was never given out is refused and touches no memory. A call posts a request to the redex's thread and waits on its own.

mod abi;
mod file;
mod records;
mod tail;
#[cfg(test)]
mod tests;

use std::ffi::{c_char, c_int};
use std::path::Path;
use std::ptr;

use adapters::named::Redex;

pub use abi::*;
pub use file::*;
pub use records::net_redex_records_free;
pub use tail::*;

use crate::fork;
use crate::guard::{self, present, text};
use crate::handle::Kind;
use crate::slot::{Entered, Key, Refusal, Table};
use crate::status::Failure;

/// Opens the named files in a directory, which is made where it is missing and locked: a second redex on it is refused, in
/// this process and in others. NULL keeps every file in memory, and they end with the redex.
///
/// Makes a thread, `net-redex`, and its executor's blocking helper, both with every signal blocked. Opening a persistent file
/// reads the end of its log on that thread.
///
/// Threads: any. Ownership: the caller's until `net_redex_free`; the text is copied. Errors: NULL, with the detail in
/// `net_last_error`: text that is not UTF-8, a directory that cannot be made or is in use, `io_uring` that cannot be
/// used, 65,536 that are open, and in a forked child of a process that started a bus or a redex.
///
/// # Safety
/// `dir` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_redex_new(dir: *const c_char) -> *mut net_redex_t {
    guard::call(ptr::null_mut(), |_| {
        if fork::is_child() {
            return Err(Failure::Forked);
        }
        let directory = if dir.is_null() {
            None
        } else {
            // SAFETY: not NULL, and NUL-terminated by the caller's contract.
            Some(Path::new(text("dir", unsafe { guard::c_bytes(dir) })?))
        };
        guard::install_hook();
        fork::install().map_err(Failure::ForkPage)?;
        let redex = Redex::open(directory).map_err(Failure::RedexOpen)?;
        let key = REDEXES.insert(redex).map_err(|_| Failure::RedexesExhausted)?;
        Ok(ptr::without_provenance_mut(Kind::Redex.tag_key(key)))
    })
    .unwrap_or(ptr::null_mut())
}

/// Ends a redex: what was appended is stored and synced, its tails end, and calls that wait on its files are answered or told
/// that the redex is freed. What is not stored after 5 s is given up; with a store that hangs it takes 25 s, and as long as the
/// calls inside take. NULL and a redex that was freed before do no harm and answer 0.
///
/// Threads: any, also while others use the redex. Of several callers all return only when it has ended. Ownership: the redex
/// ends here; handles on its files and tails stay the caller's until they are freed, and are refused until then. Errors:
/// `NET_ERR_TIMEOUT` (a store did not end in time; the redex is freed nevertheless), `NET_ERR_INVALID_ARGUMENT` (was never a
/// redex), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`, `NET_ERR_FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn net_redex_free(redex: *mut net_redex_t) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        if redex.is_null() {
            return Ok(0);
        }
        match REDEXES.close(key_of(Kind::Redex, "redex", redex)?) {
            Err(Refusal::Closed) => Ok(0),
            Err(refusal) => Err(refused(refusal)),
            Ok(closing) => {
                let ended = closing.end();
                // Waits for the calls inside, which the end has woken.
                drop(closing);
                ended?;
                Ok(0)
            }
        }
    })
}

/// Opens a file by its name, which is made where it is missing, and gives a handle on it. A file that is open already gets
/// one handle more; they see the same events.
///
/// A name has 1 to 255 bytes of `[a-z0-9._/-]`, in components of at most 249 bytes between slashes. None of them is empty, `.` or
/// `..`, and none before a slash ends in `.redex`. The file `a/b` lies in the directory `a/b.redex`, which is locked while it is
/// open: it is refused where another redex or bus has it.
///
/// A persistent file is kept in segments of 4 MiB, or an eighth of `retention_max_bytes` where that is less, but at least 1 MiB;
/// one or two are set aside on the disk while it is open. It takes up to 11 descriptors, and up to 45 MiB of memory under load.
///
/// `config_json` is a JSON object; NULL or an empty string means all defaults, and so does null for a key:
/// - `persistent` (bool): whether the file outlives the redex; default: whether the redex has a directory.
/// - `retention_max_events`, `retention_max_bytes`, `retention_max_age_ms` (numbers above 0): the oldest events beyond are
///   removed, of a persistent file a segment at a time and never the newest. Default: nothing is removed of a persistent file; one in memory keeps
///   1,048,576 events and 256 MiB.
/// - `fsync` (`"never"`, `"every_batch"` or `{"interval_ms":n}`): when a persistent file is synced; default: 50 ms after a
///   write at the latest.
///
/// Threads: any. Ownership: `*file` is the caller's until `net_redex_file_free`; written on success only. Errors:
/// `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_UTF8`, `NET_ERR_REDEX` (a name or a configuration that is refused, its key's path
/// in the detail; open with another configuration; the store refuses; 1,024 files are open), `NET_ERR_TIMEOUT` (after 30 s),
/// `NET_ERR_INVALID_ARGUMENT` (not an open redex; 65,536 handles are open), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_PANIC`,
/// `NET_ERR_FORKED`.
///
/// # Safety
/// `name` and `config_json` are NULL or NUL-terminated; `file` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_redex_open_file(
    redex: *mut net_redex_t,
    name: *const c_char,
    config_json: *const c_char,
    file: *mut *mut net_redex_file_t,
) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        let redex = enter(&REDEXES, Kind::Redex, "redex", redex)?;
        present("name", name)?;
        present("file", file)?;
        // SAFETY: not NULL, and NUL-terminated by the caller's contract.
        let name = text("name", unsafe { guard::c_bytes(name) })?;
        let config = if config_json.is_null() {
            ""
        } else {
            // SAFETY: as above.
            text("config_json", unsafe { guard::c_bytes(config_json) })?
        };
        let handle = file::open(redex.open_file(name, config)?)?;
        // SAFETY: not NULL, aligned, and writable by the caller's contract.
        unsafe { file.write(handle) };
        Ok(0)
    })
}

/// Enters what an address stands for. It stays as long as the result is held.
fn enter<'a, T, H>(
    table: &'a Table<T>,
    kind: Kind,
    name: &'static str,
    handle: *const H,
) -> Result<Entered<'a, T>, Failure> {
    table.enter(key_of(kind, name, handle)?).map_err(refused)
}

fn key_of<H>(kind: Kind, name: &'static str, handle: *const H) -> Result<Key, Failure> {
    if handle.is_null() {
        return Err(Failure::NullPointer(name));
    }
    kind.key(handle.addr())
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Closed => Failure::Freed,
        other => other.into(),
    }
}

#[cfg(not(loom))]
static REDEXES: Table<Redex> = Table::new();
#[cfg(loom)]
static REDEXES: std::sync::LazyLock<Table<Redex>> = std::sync::LazyLock::new(Table::new);
