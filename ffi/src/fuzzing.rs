//! What fuzzing tries of this crate: calls of the C ABI in any order, on handles that are open, closed, of another kind or forged.
//!
//! The bytes are the calls and their arguments. Whatever is called, the answer is a code that the header names, with a detail.

use std::ffi::{CStr, CString, c_int};
use std::ptr;

use super::*;

/// A target's name, which its corpus has too, and what it does.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub const TARGETS: &[Target] = &[("c_calls", c_calls)];

/// Whether a call on a bus worked.
fn c_calls(bytes: &[u8]) -> bool {
    let mut host = Host { script: bytes, ..Host::default() };
    host.open_bus();
    let mut worked = false;
    for _ in 0..CALLS_MAX {
        let Some(call) = host.next() else { break };
        worked |= host.call(call);
    }
    host.end();
    worked
}

/// A program that uses the library.
#[derive(Default)]
struct Host<'a> {
    script: &'a [u8],
    /// Every handle that was ever given out, of all kinds.
    handles: Vec<usize>,
    open_buses: Vec<usize>,
    claims: Vec<net_claim_t>,
    redexes: Vec<usize>,
}

impl Host<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.script.split_first()?;
        self.script = rest;
        Some(first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }

    /// Up to 255 bytes.
    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()).min(self.script.len());
        let (bytes, rest) = self.script.split_at(length);
        self.script = rest;
        bytes.to_vec()
    }

    /// A text without a NUL in it.
    fn text(&mut self) -> CString {
        let bytes = self.bytes().into_iter().filter(|&byte| byte != 0).collect::<Vec<u8>>();
        CString::new(bytes).expect("there is no NUL")
    }

    /// A handle: one that was given out, most often, or nothing like it.
    fn handle<T>(&mut self) -> *mut T {
        let choice = usize::from(self.byte());
        let number = match choice {
            0xff => 0,
            0xfe => usize::MAX,
            0xfd => 0xdead_beef,
            0xfc => self.handles.first().map_or(1, |handle| handle ^ 1 << 40),
            choice => self.handles.get(choice % self.handles.len().max(1)).copied().unwrap_or_default(),
        };
        ptr::without_provenance_mut(number)
    }

    fn open_bus(&mut self) {
        if self.open_buses.len() == BUSES_MAX {
            return;
        }
        let config = CONFIGS[usize::from(self.byte()) % CONFIGS.len()];
        let mut handle = ptr::null_mut();
        // SAFETY: the text is NUL-terminated, and the handle writable.
        let code = unsafe { net_init_ex(config.as_ptr(), &raw mut handle) };
        assert_eq!(code, 0, "{config:?}: {}", last_error());
        self.handles.push(handle.addr());
        self.open_buses.push(handle.addr());
    }

    fn call(&mut self, call: u8) -> bool {
        match call % 8 {
            0 | 1 => self.publish(),
            2 => self.read(),
            3 => self.subscribe(),
            4 => self.claim(),
            5 => self.end_something(),
            6 => self.look(),
            _ => self.name_files(),
        }
    }

    fn publish(&mut self) -> bool {
        let (kind, handle) = (self.byte(), self.handle());
        let (bytes, key) = (self.bytes(), self.bytes());
        let text = self.text();
        let at = bytes.as_ptr().cast();
        let mut receipt = net_receipt_t { shard_id: 0, timestamp: 0 };
        let (mut failed, mut failed_len) = ([0; 2], 2);
        let (texts, lens) = ([at, ptr::null()], [bytes.len(), usize::MAX]);
        // SAFETY: lengths are those of what is there, outputs are writable, and texts are NUL-terminated.
        let code = unsafe {
            match kind % 7 {
                0 => net_ingest(handle, at, bytes.len()),
                1 => net_ingest_raw(handle, at, bytes.len()),
                2 => net_ingest_raw_ex(handle, at, bytes.len(), &raw mut receipt),
                3 => {
                    net_ingest_keyed(handle, key.as_ptr().cast(), key.len(), at, bytes.len(), ptr::null_mut())
                }
                4 => net_ingest_batch(handle, text.as_ptr()),
                5 => net_ingest_raw_batch_ex(
                    handle,
                    texts.as_ptr(),
                    lens.as_ptr(),
                    2,
                    failed.as_mut_ptr(),
                    &raw mut failed_len,
                ),
                _ => net_producer_ingest(handle.cast(), ptr::null(), 0, at, bytes.len(), 1, &raw mut receipt),
            }
        };
        assert!(failed_len <= 2, "{failed_len} entries of two");
        is_good(code)
    }

    fn read(&mut self) -> bool {
        let (kind, handle, text) = (self.byte(), self.handle(), self.text());
        let mut out = [0; 1024];
        if kind % 2 == 0 {
            // SAFETY: the request is NUL-terminated, and the buffer has the length that is said.
            return is_good(unsafe { net_poll(handle, text.as_ptr(), out.as_mut_ptr(), out.len()) });
        }
        let mut page =
            net_poll_result_t { events: ptr::null_mut(), count: 0, next_id: ptr::null_mut(), has_more: 0 };
        let cursor = if text.is_empty() { ptr::null() } else { text.as_ptr() };
        // SAFETY: the cursor is NULL or NUL-terminated, and the page writable.
        let code = unsafe { net_poll_ex(handle, usize::from(kind), cursor, &raw mut page) };
        // What a caller writes over in its copy is nothing to the library.
        page.count = usize::MAX;
        for _ in 0..2 {
            // SAFETY: the page is writable.
            unsafe { net_free_poll_result(&raw mut page) };
        }
        is_good(code)
    }

    fn subscribe(&mut self) -> bool {
        let (kind, handle, text) = (self.byte(), self.handle::<net_subscription_t>(), self.text());
        // SAFETY: an event may be anything before it is written.
        let mut events: [net_event_t; 4] = unsafe { std::mem::zeroed() };
        let (mut out, mut skipped, mut subscription) = ([0; 64], 0, ptr::null_mut());
        // SAFETY: outputs are writable and as long as is said, and the request is NUL-terminated.
        let code = unsafe {
            match kind % 4 {
                0 => net_subscribe(handle.cast(), text.as_ptr(), &raw mut subscription),
                1 => net_next(handle, events.as_mut_ptr(), 4, c_int::from(kind % 3)),
                2 => net_subscription_fd(handle),
                _ => net_subscription_cursor(handle, out.as_mut_ptr(), out.len(), &raw mut skipped),
            }
        };
        self.keep(subscription.addr());
        is_good(code)
    }

    fn claim(&mut self) -> bool {
        let (kind, handle, key) = (self.byte(), self.handle(), self.bytes());
        let length = usize::from(self.byte());
        let mut claim = net_claim_t { data: ptr::null_mut(), len: 0, reserved: [0; 4] };
        if kind % 3 == 0 {
            // SAFETY: the key has the length that is said, and the claim is writable.
            let code = unsafe { net_claim(handle, key.as_ptr().cast(), key.len(), length, &raw mut claim) };
            if code == 0 {
                // SAFETY: the claim has so many bytes, which are this thread's until it ends the claim.
                unsafe { claim.data.cast::<u8>().write_bytes(b'x', claim.len) };
                self.claims.push(claim);
            }
            return is_good(code);
        }
        let index = usize::from(kind / 3) % self.claims.len().max(1);
        claim = self.claims.get(index).copied().unwrap_or(claim);
        if length == 0xff {
            claim.reserved[usize::from(kind) % 4] ^= 1;
        }
        if kind % 3 == 1 {
            // SAFETY: the claim is readable and writable.
            return is_good(unsafe { net_commit(&raw mut claim, ptr::null_mut()) });
        }
        // SAFETY: as above.
        unsafe { net_abort(&raw mut claim) };
        false
    }

    fn end_something(&mut self) -> bool {
        let (kind, handle) = (self.byte(), self.handle::<net_producer_t>());
        let mut producer = ptr::null_mut();
        // SAFETY: outputs are writable; a handle may be anything.
        let code = unsafe {
            match kind % 6 {
                0 => {
                    self.open_buses.retain(|&bus| bus != handle.addr());
                    net_shutdown_within(handle.cast(), c_int::from(kind), ptr::null_mut())
                }
                1 => {
                    self.open_bus();
                    return false;
                }
                2 => net_producer_open(handle.cast(), &raw mut producer),
                3 => net_producer_close(handle),
                4 => net_unsubscribe(handle.cast()),
                _ => net_flush(handle.cast()),
            }
        };
        self.keep(producer.addr());
        is_good(code)
    }

    fn look(&mut self) -> bool {
        let (kind, handle) = (self.byte(), self.handle());
        let mut out = [0; 256];
        let length = usize::from(kind);
        let mut stats = net_stats_t { events_ingested: 0, events_dropped: 0, batches_dispatched: 0 };
        // SAFETY: outputs are writable and at least as long as is said.
        let code = unsafe {
            match kind % 4 {
                0 => net_stats(handle, out.as_mut_ptr(), length),
                1 => net_stats_ex(handle, &raw mut stats),
                2 => net_metrics(handle, out.as_mut_ptr(), length),
                _ => c_int::from(net_num_shards(handle)),
            }
        };
        is_good(code)
    }

    /// Named files, in memory.
    fn name_files(&mut self) -> bool {
        let (kind, handle, text) = (self.byte(), self.handle::<net_redex_file_t>(), self.text());
        let (mut file, mut tail, mut json, mut number) =
            (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0);
        let mut records = net_redex_records_t { records: ptr::null_mut(), count: 0 };
        // SAFETY: texts are NUL-terminated, lengths are those of what is there, and outputs are writable.
        let code = unsafe {
            match kind % 10 {
                0 if self.redexes.is_empty() => {
                    let redex = net_redex_new(ptr::null()).addr();
                    self.redexes.push(redex);
                    self.keep(redex);
                    0
                }
                0 => net_redex_file_len(handle, &raw mut number),
                1 => net_redex_open_file(handle.cast(), text.as_ptr(), c"{}".as_ptr(), &raw mut file),
                2 | 3 => net_redex_file_append(handle, text.as_ptr(), text.count_bytes(), &raw mut number),
                4 => net_redex_file_read_range(handle, 0, u64::from(kind), &raw mut json, ptr::null_mut()),
                5 => net_redex_file_read_raw(handle, 0, u64::MAX, &raw mut records),
                6 => net_redex_file_tail(handle, 0, &raw mut tail),
                7 => net_redex_tail_next(handle.cast(), 1, &raw mut json, ptr::null_mut()),
                8 => net_redex_file_close(handle),
                _ => net_redex_tail_free(handle.cast()),
            }
        };
        self.keep(file.addr());
        self.keep(tail.addr());
        for _ in 0..2 {
            // SAFETY: what was not lent, or no more, frees nothing.
            unsafe {
                net_free_string(json);
                net_redex_records_free(&raw mut records);
            }
        }
        is_good(code)
    }

    fn keep(&mut self, handle: usize) {
        if handle != 0 {
            self.handles.push(handle);
        }
    }

    /// Ends everything, whatever is still open.
    fn end(&mut self) {
        for redex in self.redexes.drain(..) {
            assert!(matches!(net_redex_free(ptr::without_provenance_mut(redex)), 0 | SHUTTING_DOWN));
        }
        for &handle in &self.open_buses {
            // SAFETY: nothing is to be written.
            let code =
                unsafe { net_shutdown_within(ptr::without_provenance_mut(handle), 5_000, ptr::null_mut()) };
            assert!(matches!(code, 0 | TIMEOUT), "{code}: {}", last_error());
        }
        for &handle in &self.open_buses {
            assert_eq!(net_flush(ptr::without_provenance_mut(handle)), SHUTTING_DOWN);
        }
    }
}

/// Whether a call worked. If not, its code has a name, and this thread a detail.
fn is_good(code: c_int) -> bool {
    if code >= 0 {
        return true;
    }
    // SAFETY: the name is NUL-terminated and static.
    let name = unsafe { CStr::from_ptr(net_strerror(code)) };
    assert!(name != c"no such code" || code == net_error_t::NET_ERR_UNKNOWN as c_int, "{code} has no name");
    assert!(!last_error().is_empty(), "{code} has no detail");
    assert_ne!(code, net_error_t::NET_ERR_PANIC as c_int, "{}", last_error());
    false
}

fn last_error() -> String {
    // SAFETY: the detail is NUL-terminated and unchanged until this thread's next failing call.
    unsafe { CStr::from_ptr(net_last_error()) }.to_string_lossy().into_owned()
}

/// Buses that one script has open at a time.
const BUSES_MAX: usize = 2;
/// Of one script.
const CALLS_MAX: usize = 64;
const SHUTTING_DOWN: c_int = net_error_t::NET_ERR_SHUTTING_DOWN as c_int;
const TIMEOUT: c_int = net_error_t::NET_ERR_TIMEOUT as c_int;
const CONFIGS: [&CStr; 4] = [
    cr#"{"num_shards":1,"idle":"park","flush_timeout_ms":200}"#,
    cr#"{"num_shards":3,"ring_buffer_capacity":1024,"idle":"park","flush_timeout_ms":200,"backpressure_mode":"FailProducer"}"#,
    cr#"{"num_shards":1,"noop":{},"idle":"park","flush_timeout_ms":200,"backpressure_mode":{"Sample":{"rate":2}}}"#,
    cr#"{"num_shards":2,"lane_bytes":4096,"max_event_bytes":100,"memory":{"retention_events":8},"idle":"park","flush_timeout_ms":200}"#,
];

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;
