//! What the benches share: a bus behind the C ABI, threads on the cores that callers have, and the floors; and the
//! figures, which hold each measurement beside its target and its floor.
//!
//! `figures` measures by `throughput`, `latency`, `crowd`, `scrape`, `idle`, `redis`, `udp`, `log` and `curves` on the ground of `floor` and `open_loop`, and gives a
//! `report`. `check` is its short form, on ratios alone.

pub mod check;
pub mod crowd;
pub mod curves;
pub mod figures;
pub mod floor;
pub mod idle;
pub mod latency;
pub mod log;
pub mod machine;
pub mod open_loop;
pub mod percentiles;
pub mod quantity;
pub mod redis;
pub mod report;
pub mod scrape;
pub mod sleeping;
pub mod subscriber;
pub mod throughput;
pub mod udp;

use std::ffi::{CStr, CString, c_char};
use std::hint::black_box;
use std::{ptr, slice};

use floor::Core;
use net::{
    net_claim, net_claim_t, net_commit, net_event_t, net_flush, net_free_poll_result, net_handle_t,
    net_ingest_keyed, net_ingest_raw, net_ingest_raw_batch, net_init, net_last_error, net_poll_ex,
    net_poll_result_t, net_shutdown, net_stats, net_stats_ex, net_stats_t,
};

/// A running bus, used as a C program would use it.
#[derive(Clone, Copy, Debug)]
pub struct Bus(net_handle_t);

// SAFETY: a handle may be used from any thread.
unsafe impl Send for Bus {}
// SAFETY: as above.
unsafe impl Sync for Bus {}

impl Bus {
    /// Starts a bus.
    ///
    /// # Panics
    /// When it does not start; the message says why.
    pub fn start(config: &str) -> Bus {
        let config = CString::new(config).expect("no NUL in it");
        // SAFETY: the document is NUL-terminated.
        let handle = unsafe { net_init(config.as_ptr()) };
        assert!(!handle.is_null(), "the bus did not start: {}", last_error());
        Bus(handle)
    }

    /// Publishes one event; whether it was accepted.
    #[inline]
    pub fn ingest(self, event: &[u8]) -> bool {
        // SAFETY: the slice has that many readable bytes.
        unsafe { net_ingest_raw(self.0, event.as_ptr().cast(), event.len()) == 0 }
    }

    /// Publishes a batch; how many were accepted.
    #[inline]
    pub fn ingest_batch(self, events: &[*const c_char], lengths: &[usize]) -> usize {
        assert_eq!(events.len(), lengths.len());
        // SAFETY: both have that many entries, and the entries are made from slices that the caller keeps.
        let accepted =
            unsafe { net_ingest_raw_batch(self.0, events.as_ptr(), lengths.as_ptr(), events.len()) };
        usize::try_from(accepted).unwrap_or(0)
    }

    /// Publishes one event with a routing key; whether it was accepted.
    #[inline]
    pub fn ingest_keyed(self, key: &[u8], event: &[u8]) -> bool {
        let (key_len, key) = (key.len(), key.as_ptr().cast());
        // SAFETY: the slices have that many readable bytes; no receipt is asked for.
        unsafe {
            net_ingest_keyed(self.0, key, key_len, event.as_ptr().cast(), event.len(), ptr::null_mut()) == 0
        }
    }

    /// Publishes one event of `bytes` bytes that `write` makes in place; whether it was accepted.
    #[inline]
    pub fn ingest_claimed(self, key: &[u8], bytes: usize, write: impl FnOnce(&mut [u8])) -> bool {
        let mut claim = net_claim_t { data: ptr::null_mut(), len: 0, reserved: [0; 4] };
        // SAFETY: the key has that many readable bytes and `claim` is writable; a claim that succeeded leads to `len`
        // bytes that are this thread's alone until it is committed.
        unsafe {
            if net_claim(self.0, key.as_ptr().cast(), key.len(), bytes, &raw mut claim) != 0 {
                return false;
            }
            write(slice::from_raw_parts_mut(claim.data.cast(), claim.len));
            net_commit(&raw mut claim, ptr::null_mut()) == 0
        }
    }

    /// Waits until everything is stored.
    ///
    /// # Panics
    /// When the flush fails.
    pub fn flush(self) {
        assert_eq!(net_flush(self.0), 0, "{}", last_error());
    }

    /// Polls behind `cursor`; how many events came, and the next cursor.
    ///
    /// # Panics
    /// When the poll fails.
    pub fn poll(self, limit: usize, cursor: Option<&CStr>) -> (usize, Option<CString>) {
        self.poll_each(limit, cursor, |events| {
            black_box(events);
        })
    }

    /// Polls behind `cursor` and shows `visit` the events; how many there were, and the next cursor.
    ///
    /// # Panics
    /// When the poll fails.
    pub fn poll_each(
        self,
        limit: usize,
        cursor: Option<&CStr>,
        visit: impl FnOnce(&[net_event_t]),
    ) -> (usize, Option<CString>) {
        let mut result =
            net_poll_result_t { events: ptr::null_mut(), count: 0, next_id: ptr::null_mut(), has_more: 0 };
        // SAFETY: the cursor is NUL-terminated or NULL, `result` is writable, is read before it is freed, and freed once.
        unsafe {
            let cursor = cursor.map_or(ptr::null(), CStr::as_ptr);
            assert_eq!(net_poll_ex(self.0, limit, cursor, &raw mut result), 0, "{}", last_error());
            let next = (!result.next_id.is_null()).then(|| CStr::from_ptr(result.next_id).to_owned());
            let count = result.count;
            if count > 0 {
                visit(slice::from_raw_parts(result.events, count));
            }
            net_free_poll_result(&raw mut result);
            (count, next)
        }
    }

    /// How many events the bus has accepted.
    ///
    /// # Panics
    /// When the call fails.
    pub fn ingested(self) -> u64 {
        let mut stats = net_stats_t { events_ingested: 0, events_dropped: 0, batches_dispatched: 0 };
        // SAFETY: `stats` is writable.
        assert_eq!(unsafe { net_stats_ex(self.0, &raw mut stats) }, 0, "{}", last_error());
        stats.events_ingested
    }

    /// What the bus counts.
    ///
    /// # Panics
    /// When the call fails, or the text is longer than 64 KiB.
    pub fn statistics(self) -> serde_json::Value {
        let mut text = vec![0u8; STATISTICS_BYTES_MAX];
        // SAFETY: the buffer is writable for its length.
        let bytes = unsafe { net_stats(self.0, text.as_mut_ptr().cast(), text.len()) };
        let bytes = usize::try_from(bytes).unwrap_or_else(|_| panic!("{}", last_error()));
        serde_json::from_slice(&text[..bytes]).expect("the statistics are JSON")
    }

    /// Ends the bus.
    pub fn stop(self) {
        net_shutdown(self.0);
    }
}

/// What the library says of this thread's last failure.
fn last_error() -> String {
    // SAFETY: the text is NUL-terminated and lives until this thread's next failing call.
    unsafe { CStr::from_ptr(net_last_error()) }.to_string_lossy().into_owned()
}

/// The bytes of an event.
///
/// # Safety
/// The library lends the event, and still does while the bytes are read.
#[inline]
pub unsafe fn bytes_of(event: &net_event_t) -> &[u8] {
    // SAFETY: a lent event has that many readable bytes.
    unsafe { slice::from_raw_parts(event.raw.cast(), event.raw_len) }
}

/// Runs `work` on a thread pinned to the first allowed CPU, which the shards leave to callers. The calling thread stays
/// as it is: a bus started on a pinned thread would put its shards on the same CPU.
pub fn on_first_core<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let pinned = scope.spawn(move || {
            pin(Core::First);
            work()
        });
        pinned.join().expect("the work does not panic")
    })
}

/// Pins the calling thread, where the system lets it.
pub fn pin(core: Core) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let chosen = match core {
        Core::First => cores.first(),
        Core::Last => cores.last(),
    };
    chosen.copied().map(core_affinity::set_for_current);
}

/// An event of `bytes` printable bytes.
pub fn event(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| b'a' + (at % 26) as u8).collect()
}

/// Pointers and lengths of `count` times the same event.
pub fn batch_of(event: &[u8], count: usize) -> (Vec<*const c_char>, Vec<usize>) {
    (vec![event.as_ptr().cast(); count], vec![event.len(); count])
}

const STATISTICS_BYTES_MAX: usize = 64 << 10;
