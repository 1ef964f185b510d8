//! The guard that every export runs behind: the panic barrier, and the checks of what C hands over.
//!
//! Checks are made in one order (handle, pointers, lengths, UTF-8, JSON); the functions here are named so that an
//! export reads in that order.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::Once;

use crate::abi::{net_error_t, net_handle_t};
use crate::handle;
use crate::status::Failure;
use crate::thread::{self, Thread};

/// Runs the body of an export. A failure leaves its detail with the thread; a panic does too, and `handle` is refused
/// from then on.
#[inline]
pub(crate) fn call<R>(
    handle: net_handle_t,
    body: impl FnOnce(&Thread) -> Result<R, Failure>,
) -> Result<R, net_error_t> {
    run(handle, |thread| body(thread).map_err(|failure| thread.fail(&failure)))
}

/// [`call`], for a body that leaves the details of its failures itself. The functions that publish do: a `Failure` is
/// large, and an answer that could hold one is copied through memory at every event.
#[inline]
pub(crate) fn run<R>(
    handle: net_handle_t,
    body: impl FnOnce(&Thread) -> Result<R, net_error_t>,
) -> Result<R, net_error_t> {
    thread::with(|thread| {
        let before = thread.mark_call(true);
        let answer = catch_unwind(AssertUnwindSafe(|| body(thread)));
        thread.mark_call(before);
        answer.unwrap_or_else(|panic| Err(panicked(thread, handle, panic)))
    })
}

/// [`call`], for exports that return a count or a code.
#[inline]
pub(crate) fn code(handle: net_handle_t, body: impl FnOnce(&Thread) -> Result<c_int, Failure>) -> c_int {
    call(handle, body).unwrap_or_else(|code| code as c_int)
}

/// Keeps panics that the barrier catches, and those of the bus's own threads, off the host's standard error; every
/// other panic goes to the hook that was there before.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !thread::with(Thread::is_in_call) && !engine::bus::owns_current_thread() {
                previous(info);
            }
        }));
    });
}

/// Refuses NULL, and an address where no `T` can lie.
#[inline]
pub(crate) fn present<T>(name: &'static str, pointer: *const T) -> Result<(), Failure> {
    if pointer.is_null() {
        Err(Failure::NullPointer(name))
    } else if pointer.is_aligned() {
        Ok(())
    } else {
        Err(Failure::Misaligned(name))
    }
}

/// [`present`], for a pointer that may be NULL.
#[inline]
pub(crate) fn absent_or_present<T>(name: &'static str, pointer: *const T) -> Result<(), Failure> {
    if pointer.is_null() { Ok(()) } else { present(name, pointer) }
}

/// Refuses a length that no object can have.
#[inline]
pub(crate) fn length(name: &'static str, len: usize) -> Result<(), Failure> {
    if isize::try_from(len).is_ok() { Ok(()) } else { Err(Failure::Length(name)) }
}

/// The bytes at `pointer`.
///
/// # Safety
/// `pointer` is not NULL, `len` passed [`length`], and the bytes are readable for `'a`.
#[inline]
pub(crate) unsafe fn bytes<'a>(pointer: *const c_char, len: usize) -> &'a [u8] {
    // SAFETY: the caller's contract is that of `from_raw_parts`; bytes have no alignment.
    unsafe { slice::from_raw_parts(pointer.cast(), len) }
}

/// Refuses bytes that are not UTF-8.
#[expect(clippy::inline_always, reason = "an answer that could hold a failure is passed through memory")]
#[inline(always)]
pub(crate) fn text<'a>(name: &'static str, bytes: &'a [u8]) -> Result<&'a str, Failure> {
    if is_ascii(bytes) {
        // SAFETY: ASCII is UTF-8.
        return Ok(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    text_beyond_ascii(name, bytes)
}

fn text_beyond_ascii<'a>(name: &'static str, bytes: &'a [u8]) -> Result<&'a str, Failure> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Failure::InvalidUtf8(name))
}

/// Whether no byte has its highest bit set: most events are ASCII, and short. Blocks are folded without a branch, and
/// the last one overlaps the one before instead of going on byte by byte.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    const BLOCK: usize = 16;
    let Some(last) = bytes.last_chunk::<BLOCK>() else {
        return bytes.iter().fold(0, |seen, byte| seen | byte) < 0x80;
    };
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let seen = blocks.iter().fold(*last, |mut seen, block| {
        // Byte by byte, so that it becomes one instruction on a vector.
        seen.iter_mut().zip(block).for_each(|(seen, byte)| *seen |= byte);
        seen
    });
    seen.iter().all(|byte| *byte < 0x80)
}

/// The bytes of a NUL-terminated string, without the NUL.
///
/// # Safety
/// `pointer` is not NULL and leads to a NUL-terminated string that is readable for `'a`.
pub(crate) unsafe fn c_bytes<'a>(pointer: *const c_char) -> &'a [u8] {
    // SAFETY: the caller's contract is that of `CStr::from_ptr`.
    unsafe { CStr::from_ptr(pointer) }.to_bytes()
}

/// Writes `text` and a NUL, and gives the bytes written without the NUL.
///
/// # Safety
/// `out` is not NULL and leads to `len` writable bytes.
pub(crate) unsafe fn put_text(out: *mut c_char, len: usize, text: &[u8]) -> Result<c_int, Failure> {
    let written = c_int::try_from(text.len()).map_err(|_| Failure::IntOverflow(text.len()))?;
    if text.len() >= len {
        return Err(Failure::BufferTooSmall { len, required: text.len() + 1 });
    }
    // SAFETY: the buffer is writable and longer than the text, which is ours and therefore does not overlap it.
    unsafe {
        out.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len());
        out.add(text.len()).write(0);
    }
    Ok(written)
}

#[cold]
fn panicked(thread: &Thread, handle: net_handle_t, panic: Box<dyn Any + Send>) -> net_error_t {
    if !engine::planted!("9-a-panic-refuses-nothing") {
        handle::poison(handle);
    }
    let message = match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => match panic.downcast::<&'static str>() {
            Ok(message) => (*message).to_owned(),
            Err(other) => {
                // Its own drop might panic.
                std::mem::forget(other);
                "a panic without a message".to_owned()
            }
        },
    };
    thread.fail(&Failure::Panicked(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::ptr;

    fn last_error() -> String {
        let detail = thread::with(Thread::detail);
        // SAFETY: the detail is NUL-terminated and unchanged until the next failure of this thread.
        unsafe { CStr::from_ptr(detail) }.to_string_lossy().into_owned()
    }

    #[test]
    fn a_panic_becomes_a_code_and_leaves_its_message() {
        install_hook();
        let answer = code(ptr::null_mut(), |_| panic!("position {}", 7));
        assert_eq!(answer, net_error_t::NET_ERR_PANIC as c_int);
        assert_eq!(last_error(), "the library failed inside: position 7");
        assert!(!thread::with(Thread::is_in_call));
    }

    #[test]
    fn a_caught_panic_prints_nothing() {
        let this = std::env::current_exe().expect("a test has a path");
        let panics = "guard::tests::a_panic_becomes_a_code_and_leaves_its_message";
        let run = Command::new(this).args(["--exact", panics, "--nocapture"]).output().expect("it runs");
        assert!(run.status.success());
        let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(out.contains("1 passed"), "{out}");
        assert!(!err.contains("panicked") && !out.contains("panicked"), "{err}{out}");
    }

    #[test]
    fn a_success_keeps_the_detail_of_the_failure_before() {
        assert_eq!(code(ptr::null_mut(), |_| Err(Failure::NullPointer("json"))), -1);
        assert_eq!(code(ptr::null_mut(), |_| Ok(3)), 3);
        assert_eq!(last_error(), "`json` is NULL");
    }

    #[test]
    fn the_details_of_two_threads_are_apart() {
        assert_eq!(code(ptr::null_mut(), |_| Err(Failure::NullPointer("mine"))), -1);
        std::thread::spawn(|| {
            assert_eq!(last_error(), "");
            code(ptr::null_mut(), |_| Err(Failure::NullPointer("theirs")));
        })
        .join()
        .expect("no panic");
        assert_eq!(last_error(), "`mine` is NULL");
    }

    #[test]
    fn only_lengths_that_an_object_can_have_pass() {
        assert!(length("len", isize::MAX as usize).is_ok());
        assert!(length("len", isize::MAX as usize + 1).is_err());
        assert!(length("len", usize::MAX).is_err());
    }

    #[test]
    fn an_output_is_written_whole_or_not_at_all() {
        let mut out = *b"xxxx";
        // SAFETY: the buffer has the length that is said.
        let short = unsafe { put_text(out.as_mut_ptr().cast(), 3, b"abc") };
        assert!(matches!(short, Err(Failure::BufferTooSmall { len: 3, required: 4 })), "{short:?}");
        assert_eq!(&out, b"xxxx");
        // SAFETY: as above.
        assert_eq!(unsafe { put_text(out.as_mut_ptr().cast(), 4, b"abc") }.ok(), Some(3));
        assert_eq!(&out, b"abc\0");
    }

    #[test]
    fn a_high_bit_is_found_wherever_it_is() {
        for length in 0..70 {
            assert!(is_ascii(&vec![0x7f; length]));
            for at in 0..length {
                let mut bytes = vec![b'a'; length];
                bytes[at] = 0x80;
                assert!(!is_ascii(&bytes), "{at} of {length}");
                assert!(text("bytes", &bytes).is_err());
            }
        }
    }

    #[test]
    fn an_address_where_no_value_can_lie_is_refused() {
        let words = [0u64; 2];
        let odd = words.as_ptr().wrapping_byte_add(1);
        assert!(matches!(present("out", odd), Err(Failure::Misaligned("out"))));
        assert!(matches!(absent_or_present("out", odd), Err(Failure::Misaligned("out"))));
        assert!(present("out", words.as_ptr()).is_ok());
        assert!(absent_or_present::<u64>("out", ptr::null()).is_ok());
    }
}
