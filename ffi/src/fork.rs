//! The epoch: one word, read by every call, that changes when what a thread remembers of a handle no longer holds.
//!
//! It lies on a page that the kernel wipes in a forked child (`MADV_WIPEONFORK`, madvise(2), Linux 4.14), so that a
//! child reads zero without a system call per event and without a hook at fork. Where a handle is poisoned, the word
//! is counted up, and every thread looks at the table of handles again.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What a forked child reads.
pub(crate) const FORKED: u32 = 0;

/// The epoch, or [`FORKED`]. Before [`install`] it is 1.
#[inline]
pub(crate) fn epoch() -> u32 {
    // Relaxed: the wipe happens before the child runs, and a poisoned handle is refused by the table, which has its
    // own acquire; this word only says that it is time to look.
    WORD.get().map_or(1, |word| word.load(Ordering::Relaxed))
}

/// Whether this process is a fork of the one that used the library.
#[inline]
pub(crate) fn is_child() -> bool {
    epoch() == FORKED
}

/// Makes every thread look at the table of handles again.
pub(crate) fn advance() {
    if let Some(word) = WORD.get() {
        // In a child the word stays zero.
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |epoch| {
            (epoch != FORKED).then(|| epoch.checked_add(1).unwrap_or(1))
        });
    }
}

/// Sets the page up; once per process, and before the first handle is given out. Fails where the kernel cannot wipe
/// pages on fork or has no memory.
pub(crate) fn install() -> io::Result<()> {
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if WORD.get().is_none() {
        let word = wiped_on_fork()?;
        word.store(1, Ordering::Relaxed);
        WORD.set(word).expect("the lock is held");
    }
    Ok(())
}

/// A word at the start of a page of its own, never unmapped.
fn wiped_on_fork() -> io::Result<&'static AtomicU32> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no memory of anybody.
    let page = unsafe { libc::mmap(ptr::null_mut(), PAGE_BYTES, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `page` is the mapping made above, of this length, and nobody else knows of it.
    if unsafe { libc::madvise(page, PAGE_BYTES, libc::MADV_WIPEONFORK) } != 0 {
        let error = io::Error::last_os_error();
        // SAFETY: as above; it is not used after this.
        unsafe { libc::munmap(page, PAGE_BYTES) };
        return Err(error);
    }
    // SAFETY: the page is zeroed, readable, writable, aligned, and stays mapped as long as the process lives.
    Ok(unsafe { &*page.cast::<AtomicU32>() })
}

/// Less than a page is mapped and wiped as a whole page.
const PAGE_BYTES: usize = 4096;

static WORD: OnceLock<&'static AtomicU32> = OnceLock::new();
static INSTALLING: Mutex<()> = Mutex::new(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_reads_it_and_the_parent_does_not() {
        install().expect("the kernel wipes pages on fork");
        assert!(!is_child());
        // SAFETY: the child only reads a word and ends with `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the child without running anything of the test's.
            unsafe { libc::_exit(if is_child() { 42 } else { 1 }) };
        }
        assert!(child > 0, "{}", io::Error::last_os_error());
        let mut status = 0;
        // SAFETY: `status` is writable and `child` is our own.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(waited, child);
        assert!(libc::WIFEXITED(status));
        assert_eq!(libc::WEXITSTATUS(status), 42);
        assert!(!is_child());
    }

    #[test]
    fn an_advance_is_seen_and_is_not_taken_for_a_fork() {
        install().expect("the kernel wipes pages on fork");
        let before = epoch();
        advance();
        assert_ne!(epoch(), before);
        assert!(!is_child());
    }
}
