//! Tests: what the functions answer for a bus that has ended, by a shutdown or by the panic of a shard.
//!
//! The thread has published before, so that it is its own producer that answers, and not the table of handles.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use engine::adapter::{Adapter, AdapterError, AdapterFactory, Outcome, ReadRequest, ShardContext};
use engine::batch::Batch;
use engine::bus::Bus;
use engine::clock::Monotonic;
use engine::config::Config;

use crate::abi::net_error_t::{NET_ERR_INVALID_ARGUMENT, NET_ERR_PANIC, NET_ERR_SHUTTING_DOWN, NET_SUCCESS};
use crate::abi::{net_error_t, net_handle_t, net_poll_result_t};
use crate::claim::net_claim;
use crate::handle;
use crate::ingest::{
    net_ingest, net_ingest_batch, net_ingest_keyed, net_ingest_raw, net_ingest_raw_batch_ex,
};
use crate::lifecycle::{net_flush, net_num_shards, net_shutdown, net_shutdown_within};
use crate::metrics::net_metrics;
use crate::poll::{net_poll, net_poll_ex};
use crate::producer::net_producer_open;
use crate::stats::{net_stats, net_stats_ex};
use crate::status::{Failure, net_last_error};

/// A store whose reads panic, and with them their shard.
struct PanicsOnRead;

impl AdapterFactory for PanicsOnRead {
    fn tag(&self) -> &'static str {
        "panics"
    }

    fn incarnation(&self) -> u64 {
        1
    }

    fn open(&self, _context: ShardContext) -> Result<Box<dyn Adapter>, AdapterError> {
        Ok(Box::new(PanicsOnRead))
    }
}

impl Adapter for PanicsOnRead {
    fn ready(&self) -> bool {
        false
    }

    fn submit(&mut self, _batch: Batch, _now: Monotonic) {}

    fn outcome(&mut self, _now: Monotonic) -> Option<Outcome> {
        None
    }

    fn cancel(&mut self, _now: Monotonic) -> Option<Batch> {
        None
    }

    fn read(&mut self, _ticket: u64, _request: ReadRequest, _now: Monotonic) {
        panic!("on purpose");
    }

    fn sync(&mut self, _ticket: u64, _now: Monotonic) {}
}

/// A bus that this thread has published to.
fn published_to() -> net_handle_t {
    crate::guard::install_hook();
    crate::fork::install().expect("the kernel wipes pages on fork");
    let (config, _) =
        Config::parse(r#"{"num_shards":1,"shutdown_timeout_ms":1}"#, &[]).expect("plain options");
    let bus = Bus::start(config, Box::new(PanicsOnRead)).expect("it starts");
    let bus = handle::open(bus).expect("a slot is free");
    assert_eq!(ingest(bus), NET_SUCCESS as c_int);
    bus
}

/// A bus of this thread's whose shard has panicked.
fn failed() -> net_handle_t {
    let bus = published_to();
    let mut result = NO_RESULT;
    // SAFETY: no cursor, and the result is writable.
    assert!(unsafe { net_poll_ex(bus, 1, ptr::null(), &raw mut result) } < 0);
    while !matches!(handle::enter(bus), Err(Failure::ShardFailed)) {
        std::thread::yield_now();
    }
    bus
}

fn ingest(bus: net_handle_t) -> c_int {
    // SAFETY: one byte is readable.
    unsafe { net_ingest_raw(bus, c"x".as_ptr(), 1) }
}

/// Every way in and out of `bus` answers `code`, although the pointers fault when they are read or written.
fn assert_ended(bus: net_handle_t, code: net_error_t) {
    let nowhere: *const c_char = ptr::without_provenance(8);
    let out = nowhere.cast_mut();
    // SAFETY: the handle is refused before anything is read or written.
    let codes = unsafe {
        [
            net_ingest(bus, nowhere, 1),
            net_ingest_raw(bus, nowhere, 1),
            net_ingest_keyed(bus, nowhere.cast(), 1, nowhere, 1, out.cast()),
            net_ingest_batch(bus, nowhere),
            net_ingest_raw_batch_ex(bus, nowhere.cast(), nowhere.cast(), 1, out.cast(), out.cast()),
            net_claim(bus, nowhere.cast(), 1, 1, out.cast()),
            net_producer_open(bus, out.cast()),
            net_poll(bus, nowhere, out, 256),
            net_poll_ex(bus, 1, nowhere, out.cast()),
            net_stats(bus, out, 256),
            net_stats_ex(bus, out.cast()),
            net_metrics(bus, out, 256),
            net_flush(bus),
        ]
    };
    assert_eq!(codes, [code as c_int; 13]);
    assert_eq!(net_num_shards(bus), 0);
}

#[test]
fn a_failed_bus_answers_panic_before_anything_is_read_and_takes_a_shutdown() {
    let bus = failed();
    assert_ended(bus, NET_ERR_PANIC);
    // SAFETY: the detail is NUL-terminated and unchanged until the next failure of this thread.
    let detail = unsafe { CStr::from_ptr(net_last_error()) };
    assert_eq!(detail, c"a shard of the bus has failed");
    // SAFETY: NULL is allowed.
    let negative = unsafe { net_shutdown_within(bus, -1, ptr::null_mut()) };
    assert_eq!(negative, NET_ERR_INVALID_ARGUMENT as c_int);
    net_shutdown(bus);
    assert_ended(bus, NET_ERR_SHUTTING_DOWN);
}

#[test]
fn a_shut_down_bus_is_refused_before_anything_is_read() {
    let calls: [fn(net_handle_t, *const c_char) -> c_int; 4] = [
        // SAFETY: the handle is refused before anything is read.
        |bus, nowhere| unsafe { net_ingest(bus, nowhere, 1) },
        // SAFETY: as above.
        |bus, nowhere| unsafe { net_ingest_raw(bus, nowhere, 1) },
        // SAFETY: as above.
        |bus, nowhere| unsafe { net_ingest_batch(bus, nowhere) },
        |bus, nowhere| {
            let out = nowhere.cast_mut().cast();
            // SAFETY: as above.
            unsafe { net_ingest_raw_batch_ex(bus, nowhere.cast(), nowhere.cast(), 1, out, out) }
        },
    ];
    for call in calls {
        let bus = published_to();
        std::thread::scope(|scope| {
            let bus = bus.expose_provenance();
            scope.spawn(move || {
                // SAFETY: NULL is allowed.
                unsafe { net_shutdown_within(ptr::with_exposed_provenance_mut(bus), 0, ptr::null_mut()) }
            });
        });
        assert_eq!(call(bus, ptr::without_provenance(8)), NET_ERR_SHUTTING_DOWN as c_int);
    }
}

#[test]
fn a_shut_down_handle_is_refused_before_a_misaligned_pointer() {
    let bus = published_to();
    let odd = ptr::without_provenance_mut(9);
    // SAFETY: refused before it is written.
    let shutdown = || unsafe { net_shutdown_within(bus, 0, odd) };
    assert_eq!(shutdown(), NET_ERR_INVALID_ARGUMENT as c_int);
    assert_eq!(ingest(bus), NET_SUCCESS as c_int, "it was not shut down");
    net_shutdown(bus);
    assert_eq!(shutdown(), NET_ERR_SHUTTING_DOWN as c_int);
}

const NO_RESULT: net_poll_result_t =
    net_poll_result_t { events: ptr::null_mut(), count: 0, next_id: ptr::null_mut(), has_more: 0 };
