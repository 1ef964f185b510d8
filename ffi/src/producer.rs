//! Producers: ways into a bus that belong to an object instead of a thread, for code that hops between threads.
//!
//! A `net_producer_t*` is a slot and a generation, like a handle. Its lanes are its own, so that events of one producer
//! with one key keep their order whichever threads publish them, and waiting for room blocks nobody else.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use engine::event::EventFlags;
use engine::producer::Producer;

use crate::abi::{net_handle_t, net_producer_t, net_receipt_t};
use crate::guard::{self, absent_or_present, present, text};
use crate::handle::Kind;
use crate::ingest::{event_length, key_length};
use crate::slot::{Key, Refusal, Table};
use crate::status::Failure;
use crate::{fork, handle};

/// Opens a way into the bus that belongs to no thread.
///
/// Threads: any. Ownership: `*out` is the caller's until `net_producer_close`, also when the bus is shut down before;
/// written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT`, `NET_ERR_INGESTION_FAILED`
/// (65,536 producers are open), `NET_ERR_SHUTTING_DOWN`, and those of any handle.
///
/// # Safety
/// `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_producer_open(handle: net_handle_t, out: *mut *mut net_producer_t) -> c_int {
    guard::code(handle, |_| {
        let bus = handle::enter(handle)?;
        present("out", out)?;
        let way = Way { bus: handle.addr(), epoch: fork::epoch(), producer: bus.producer() };
        let key = PRODUCERS.insert(Mutex::new(way)).map_err(|_| Failure::ProducersExhausted)?;
        // SAFETY: not NULL, aligned, and writable by the caller's contract.
        unsafe { out.write(ptr::without_provenance_mut(Kind::Producer.tag_key(key))) };
        Ok(0)
    })
}

/// Publishes one event, which has to be UTF-8, and waits for room for `timeout_ms` milliseconds from 0: as long as the
/// bus is full, and not shorter than `push_wait_us`. Key, bytes and `out` are those of `net_ingest_keyed`.
///
/// Threads: any, one at a time: a call while another thread is inside is refused. Ownership: the bytes are copied; `out`
/// is written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an open producer, one in
/// use, a negative `timeout_ms`, a length above `PTRDIFF_MAX`), `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_INVALID_UTF8`,
/// `NET_ERR_TOO_LARGE`, `NET_ERR_INGESTION_FAILED` (no room in time: not accepted), `NET_ERR_SHUTTING_DOWN`,
/// `NET_ERR_PANIC` and `NET_ERR_FORKED`.
///
/// # Safety
/// `key` is NULL or has `key_len` readable bytes; `bytes` is NULL or has `len`; `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_producer_ingest(
    producer: *mut net_producer_t,
    key: *const c_void,
    key_len: usize,
    bytes: *const c_char,
    len: usize,
    timeout_ms: c_int,
    out: *mut net_receipt_t,
) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        let entered = PRODUCERS.enter(key_of(producer)?).map_err(refused)?;
        let mut way = entered.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Failure::ProducerInUse,
            TryLockError::Poisoned(_) => Failure::Poisoned,
        })?;
        way.check()?;
        if key_len > 0 {
            present("key", key)?;
        }
        present("bytes", bytes)?;
        absent_or_present("out", out)?;
        key_length(key_len)?;
        event_length(len, &way.producer)?;
        let patience = u64::try_from(timeout_ms)
            .map_err(|_| Failure::OutOfRange { name: "timeout_ms", value: i64::from(timeout_ms) })?;
        // SAFETY: not NULL, of a possible length, and readable by the caller's contract.
        let key = (!key.is_null()).then(|| unsafe { guard::bytes(key.cast(), key_len) });
        // SAFETY: as above.
        let bytes = unsafe { guard::bytes(bytes, len) };
        text("bytes", bytes)?;
        let patience = Duration::from_millis(patience);
        let receipt = match way.producer.publish_within(key, bytes, EventFlags::NONE, patience) {
            Err(_) if way.producer.is_closed() => return Err(Failure::ended(&way.producer)),
            published => published?,
        };
        if !out.is_null() {
            let receipt = net_receipt_t { shard_id: receipt.shard.0, timestamp: receipt.timestamp_ns };
            // SAFETY: not NULL, aligned, and writable by the caller's contract.
            unsafe { out.write(receipt) };
        }
        Ok(0)
    })
}

/// Closes a producer. What it has published is stored; its lanes are given back.
///
/// Threads: any; waits for a call that is inside the producer. Ownership: the producer ends here, also after a shutdown
/// of its bus. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not a producer, or closed before),
/// `NET_ERR_MISMATCHED_HANDLES`, `NET_ERR_FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn net_producer_close(producer: *mut net_producer_t) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        drop(PRODUCERS.close(key_of(producer)?).map_err(refused)?);
        Ok(0)
    })
}

/// What a producer is made of.
struct Way {
    /// Address of the handle.
    bus: usize,
    /// The [`fork::epoch`] under which the handle was found good.
    epoch: u32,
    producer: Producer,
}

impl Way {
    /// Refuses when the bus takes no more events.
    fn check(&mut self) -> Result<(), Failure> {
        if self.producer.is_closed() {
            return Err(Failure::ended(&self.producer));
        }
        let epoch = fork::epoch();
        if self.epoch != epoch {
            handle::enter(ptr::without_provenance_mut(self.bus))?;
            self.epoch = epoch;
        }
        Ok(())
    }
}

fn key_of(producer: *const net_producer_t) -> Result<Key, Failure> {
    if producer.is_null() {
        return Err(Failure::NullPointer("producer"));
    }
    Kind::Producer.key(producer.addr())
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Closed => Failure::ProducerClosed,
        other => other.into(),
    }
}

#[cfg(not(loom))]
static PRODUCERS: Table<Mutex<Way>> = Table::new();
#[cfg(loom)]
static PRODUCERS: std::sync::LazyLock<Table<Mutex<Way>>> = std::sync::LazyLock::new(Table::new);
