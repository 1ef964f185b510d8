//! Tests: what the functions write, and what they leave alone.

use super::*;
use crate::abi::net_error_t::{NET_ERR_INVALID_ARGUMENT, NET_ERR_SHUTTING_DOWN, NET_SUCCESS};
use crate::lent;
use crate::status::net_last_error;
use crate::strings::net_free_string;
use std::ffi::CStr;
use std::thread;

/// A redex in memory with one file, freed in the end.
struct Stage {
    redex: *mut net_redex_t,
    file: *mut net_redex_file_t,
}

impl Stage {
    fn new() -> Stage {
        // SAFETY: NULL is allowed.
        let redex = unsafe { net_redex_new(ptr::null()) };
        assert!(!redex.is_null());
        let mut file = ptr::null_mut();
        // SAFETY: the texts are NUL-terminated and the output is writable.
        let opened = unsafe { net_redex_open_file(redex, c"file".as_ptr(), ptr::null(), &raw mut file) };
        assert_eq!(opened, NET_SUCCESS as c_int);
        Stage { redex, file }
    }

    fn append(&self, bytes: &[u8]) -> u64 {
        let mut seq = u64::MAX;
        // SAFETY: the bytes are readable and the output is writable.
        let code =
            unsafe { net_redex_file_append(self.file, bytes.as_ptr().cast(), bytes.len(), &raw mut seq) };
        assert_eq!(code, NET_SUCCESS as c_int);
        seq
    }

    fn tail(&self) -> *mut net_redex_tail_t {
        let mut tail = ptr::null_mut();
        // SAFETY: the output is writable.
        assert_eq!(unsafe { net_redex_file_tail(self.file, 0, &raw mut tail) }, NET_SUCCESS as c_int);
        tail
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        assert_eq!(net_redex_free(self.redex), NET_SUCCESS as c_int);
        assert_eq!(net_redex_file_free(self.file), NET_SUCCESS as c_int);
    }
}

fn last_error() -> String {
    // SAFETY: the detail is NUL-terminated and unchanged until the next failure of this thread.
    unsafe { CStr::from_ptr(net_last_error()) }.to_string_lossy().into_owned()
}

/// Looks at a tail once.
fn look(tail: *mut net_redex_tail_t) -> c_int {
    let mut json = ptr::null_mut();
    // SAFETY: the output is writable, and NULL is allowed.
    let count = unsafe { net_redex_tail_next(tail, 0, &raw mut json, ptr::null_mut()) };
    net_free_string(json);
    count
}

#[test]
fn json_has_every_byte_of_every_event() {
    let stage = Stage::new();
    let events: [&[u8]; 4] = [b"", b"\0\xff", b"\"\\", &[7; 1000]];
    for (place, event) in (0..).zip(events) {
        assert_eq!(stage.append(event), place);
    }
    let (mut json, mut len) = (ptr::null_mut(), 0);
    // SAFETY: the outputs are writable.
    let count = unsafe { net_redex_file_read_range(stage.file, 0, 9, &raw mut json, &raw mut len) };
    assert_eq!(count, 4);
    // SAFETY: it was lent just now.
    let text = unsafe { CStr::from_ptr(json) }.to_str().expect("text");
    assert_eq!(text.len(), len);
    let records: Vec<serde_json::Value> = serde_json::from_str(text).expect("JSON");
    for (place, (record, event)) in (0u64..).zip(records.iter().zip(events)) {
        assert_eq!(record["seq"], place);
        assert!(record["ts"].as_u64() > Some(1 << 60), "nanoseconds since 1970");
        let payload = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            record["payload"].as_str().expect("text"),
        );
        assert_eq!(payload.expect("base64"), event);
    }
    net_free_string(json);
}

#[test]
fn raw_records_stay_when_everything_else_is_freed() {
    let stage = Stage::new();
    stage.append(b"first");
    stage.append(b"second");
    let mut records = net_redex_records_t { records: ptr::null_mut(), count: 9 };
    // SAFETY: the output is writable.
    assert_eq!(unsafe { net_redex_file_read_raw(stage.file, 1, 2, &raw mut records) }, 1);
    drop(stage);
    assert_eq!(records.count, 1);
    // SAFETY: it was lent and not given back.
    let record = unsafe { *records.records };
    // SAFETY: as above.
    let payload = unsafe { std::slice::from_raw_parts(record.payload.cast::<u8>(), record.len) };
    assert_eq!((record.seq, payload), (1, &b"second"[..]));
    records.count = 77;
    let address = records.records.addr();
    // SAFETY: the struct is readable and writable.
    assert_eq!(unsafe { net_redex_records_free(&raw mut records) }, NET_SUCCESS as c_int);
    assert!(records.records.is_null() && !lent::take_back(address));
}

#[test]
fn a_cursor_is_used_by_one_thread_at_a_time_and_freed_by_any() {
    let stage = Stage::new();
    let tail = stage.tail();
    let shared = tail.expose_provenance();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            loop {
                let tail = ptr::with_exposed_provenance_mut(shared);
                let mut json = ptr::null_mut();
                // SAFETY: the output is writable, and NULL is allowed.
                let code = unsafe { net_redex_tail_next(tail, -1, &raw mut json, ptr::null_mut()) };
                // The other thread may be inside for a moment.
                if last_error() != "another thread is inside the cursor" {
                    return code;
                }
            }
        });
        while look(tail) != NET_ERR_INVALID_ARGUMENT as c_int {
            thread::yield_now();
        }
        assert_eq!(last_error(), "another thread is inside the cursor");
        assert_eq!(net_redex_tail_free(tail), NET_SUCCESS as c_int);
        assert_eq!(waiting.join().expect("no panic"), NET_ERR_INVALID_ARGUMENT as c_int);
    });
    assert_eq!(look(tail), NET_ERR_INVALID_ARGUMENT as c_int);
    assert_eq!(last_error(), "the handle was freed");
}

#[test]
fn a_second_handle_goes_on_when_the_first_is_freed_and_so_do_its_tails() {
    let stage = Stage::new();
    let mut other = ptr::null_mut();
    // SAFETY: the texts are NUL-terminated and the output is writable.
    let opened =
        unsafe { net_redex_open_file(stage.redex, c"file".as_ptr(), c"{}".as_ptr(), &raw mut other) };
    assert_eq!(opened, NET_SUCCESS as c_int);
    let tail = stage.tail();
    let mut others = ptr::null_mut();
    // SAFETY: the output is writable.
    assert_eq!(unsafe { net_redex_file_tail(other, 0, &raw mut others) }, NET_SUCCESS as c_int);
    assert_eq!(net_redex_file_free(other), NET_SUCCESS as c_int);
    stage.append(b"event");
    assert_eq!((look(tail), look(tail)), (1, 0));
    assert_eq!(look(others), NET_ERR_SHUTTING_DOWN as c_int);
    assert_eq!(net_redex_tail_free(others), NET_SUCCESS as c_int);
    assert_eq!(net_redex_tail_free(tail), NET_SUCCESS as c_int);
}
