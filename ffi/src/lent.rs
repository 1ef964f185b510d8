//! Memory that is lent to C: poll results, records and strings, each one block, known here by its address.
//!
//! The owner of every block stays in this registry, so that an address that is not lent at the moment frees nothing,
//! and what a caller wrote into a result decides nothing. An address may be lent again once it was given back. One lock
//! per block, none per event. A forked child must not lend: the lock may be held by a thread that it does not have.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::consume::PollResponse;

use crate::abi::{net_event_t, net_poll_result_t};
use crate::fork;

/// Lends the answer of a poll: the events, then their bytes and the cursor.
pub(crate) fn poll_result(response: &PollResponse) -> net_poll_result_t {
    let count = response.len();
    let cursor = response.next_cursor.as_deref();
    let text_bytes = response.events().map(|(_, event)| event.payload.len() + ID_BYTES_MAX).sum::<usize>()
        + cursor.map_or(0, |cursor| cursor.len() + 1);
    let (events, mut text) = Block::lend::<net_event_t>(count, text_bytes);
    let mut digits = itoa::Buffer::new();
    for (index, (shard, event)) in response.events().enumerate() {
        let id = digits.format(event.sequence.0).as_bytes();
        let lent = net_event_t {
            id: text.append(id),
            id_len: id.len(),
            raw: text.append(event.payload),
            raw_len: event.payload.len(),
            insertion_ts: event.timestamp_ns,
            shard_id: shard.0,
        };
        assert!(index < count, "the response is as long as it says");
        // SAFETY: the block has room for `count` events at its start, aligned for them.
        unsafe { events.add(index).write(lent) };
    }
    net_poll_result_t {
        events: if count == 0 { ptr::null_mut() } else { events },
        count,
        next_id: cursor.map_or(ptr::null_mut(), |cursor| text.append_c(cursor).cast_mut()),
        has_more: response.has_more.into(),
    }
}

/// Lends a NUL-terminated string.
pub(crate) fn string(text: &str) -> *mut c_char {
    Block::lend::<u64>(0, text.len() + 1).1.append_c(text).cast_mut()
}

/// Takes a block back by its address. Whether there was one.
pub(crate) fn take_back(address: usize) -> bool {
    // A forked child leaves them be: the lock may have been held by a thread that it does not have.
    !fork::is_child()
        && (engine::planted!("7-whatever-is-given-back-counts-as-lent")
            || blocks().remove(&address).is_some())
}

/// Room for events and text, owned by the registry.
pub(crate) struct Block;

impl Block {
    /// Lends room for `events` structs, and for text behind them.
    pub(crate) fn lend<T>(events: usize, text_bytes: usize) -> (*mut T, Text) {
        const { assert!(align_of::<T>() <= align_of::<u64>() && size_of::<T>().is_multiple_of(size_of::<u64>())) };
        let event_words = events * size_of::<T>() / size_of::<u64>();
        let mut block: Vec<u64> = Vec::with_capacity(event_words + text_bytes.div_ceil(size_of::<u64>()));
        let start = block.as_mut_ptr();
        // SAFETY: the capacity holds that many words, and text behind them.
        let text = Text { at: unsafe { start.add(event_words) }.cast(), left: text_bytes };
        if block.capacity() > 0 {
            // The block moves into the registry, and its memory stays where it is.
            blocks().insert(start.addr(), block);
        }
        (start.cast(), text)
    }
}

/// The part of a block that is still to be filled with text.
pub(crate) struct Text {
    at: *mut u8,
    left: usize,
}

impl Text {
    pub(crate) fn append(&mut self, bytes: &[u8]) -> *const c_char {
        assert!(bytes.len() <= self.left, "the block was measured before");
        let start = self.at;
        // SAFETY: there is room for the bytes at `at`, in memory that is ours alone until it is handed to C.
        unsafe {
            start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            self.at = start.add(bytes.len());
        }
        self.left -= bytes.len();
        start.cast()
    }

    fn append_c(&mut self, text: &str) -> *const c_char {
        let start = self.append(text.as_bytes());
        self.append(b"\0");
        start
    }
}

fn blocks() -> MutexGuard<'static, BTreeMap<usize, Vec<u64>>> {
    LENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Digits of the largest sequence.
const ID_BYTES_MAX: usize = 20;

static LENT: Mutex<BTreeMap<usize, Vec<u64>>> = Mutex::new(BTreeMap::new());

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn a_string_is_taken_back_once() {
        let lent = string("text");
        // SAFETY: it was lent just now.
        assert_eq!(unsafe { CStr::from_ptr(lent) }, c"text");
        assert!(take_back(lent.addr()));
        assert!(!take_back(lent.addr()));
    }

    #[test]
    fn an_address_that_was_never_lent_frees_nothing() {
        let lent = string("some longer text");
        assert!(!take_back(0));
        assert!(!take_back(lent.addr() + 8));
        assert!(take_back(lent.addr()));
    }

    #[test]
    fn an_answer_without_anything_takes_no_memory() {
        let result = poll_result(&PollResponse::default());
        assert!(result.events.is_null() && result.next_id.is_null());
    }

    #[test]
    fn an_answer_without_events_still_lends_its_cursor() {
        let mut response = PollResponse::default();
        response.next_cursor = Some("cursor".to_owned());
        let result = poll_result(&response);
        assert!(result.events.is_null());
        // SAFETY: it was lent just now.
        assert_eq!(unsafe { CStr::from_ptr(result.next_id) }, c"cursor");
        assert!(take_back(result.next_id.addr()));
    }
}
