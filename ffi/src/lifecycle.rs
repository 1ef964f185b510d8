//! Start, flush and stop of a bus, and what the library says about itself.

use std::ffi::{c_char, c_int};
use std::ptr;
use std::time::Duration;

use engine::bus::Bus;
use engine::config::Config;

use crate::abi::{NET_ABI_VERSION, net_handle_t};
use crate::fork;
use crate::guard::{self, present};
use crate::handle;
use crate::status::Failure;

/// Starts a bus. `config_json` is a NUL-terminated JSON object; NULL or an empty string means all defaults.
///
/// Threads: any. Ownership: the handle is valid until `net_shutdown`; afterwards it stays a number that every call
/// refuses. Errors: NULL, with the detail in `net_last_error`; `net_init_ex` gives a code too.
///
/// # Safety
/// `config_json` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_init(config_json: *const c_char) -> net_handle_t {
    // SAFETY: the caller's contract is the same.
    guard::call(ptr::null_mut(), |_| unsafe { start(config_json) }).unwrap_or(ptr::null_mut())
}

/// Starts a bus like `net_init`, and says why it could not.
///
/// Threads: any. Ownership: `*out` as in `net_init`; written on success only. Errors: `NET_ERR_NULL_POINTER`,
/// `NET_ERR_INVALID_UTF8`, `NET_ERR_INVALID_CONFIG` (the detail starts with the key's path), `NET_ERR_UNSUPPORTED`
/// (a store that is not in this build), `NET_ERR_NO_IO_URING` (the detail has cause and cure), `NET_ERR_ADAPTER`,
/// `NET_ERR_FORKED`, `NET_ERR_INIT_FAILED`.
///
/// # Safety
/// `config_json` is NULL or NUL-terminated; `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_init_ex(config_json: *const c_char, out: *mut net_handle_t) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        present("out", out)?;
        // SAFETY: the caller's contract is the same.
        let handle = unsafe { start(config_json) }?;
        // SAFETY: not NULL, aligned, and writable by the caller's contract.
        unsafe { out.write(handle) };
        Ok(0)
    })
}

/// Waits until everything accepted before this call is stored, and synced where the store can.
///
/// Threads: any; events published meanwhile neither delay nor satisfy it. Ownership: none. Errors:
/// `NET_ERR_TIMEOUT` after `flush_timeout_ms`, `NET_ERR_ADAPTER` when the store refused an event for good since the
/// last flush, `NET_ERR_SHUTTING_DOWN`, and those of any handle.
#[unsafe(no_mangle)]
pub extern "C" fn net_flush(handle: net_handle_t) -> c_int {
    guard::code(handle, |_| {
        handle::enter(handle)?.flush()?;
        Ok(0)
    })
}

/// Stores what was accepted and stops the bus, within `shutdown_timeout_ms` (5 s).
///
/// Threads: any, also while others use the handle: their calls end with `NET_ERR_SHUTTING_DOWN`. Of several callers
/// one gets the outcome and the others `NET_ERR_SHUTTING_DOWN`, and all return only when it is complete. Ownership:
/// the bus ends here; what was lent stays until it is given back. Errors: `NET_ERR_TIMEOUT` when events were left that
/// could not be stored (the bus is stopped nevertheless), and those of any handle, except that one whose bus failed
/// inside is shut down.
#[unsafe(no_mangle)]
pub extern "C" fn net_shutdown(handle: net_handle_t) -> c_int {
    guard::code(handle, |_| match shut_down(handle, None)? {
        0 => Ok(0),
        not_stored => Err(Failure::NotStored(not_stored)),
    })
}

/// `net_shutdown` with a deadline of its own, in milliseconds from 0, that says how many events were not stored.
///
/// Threads: as `net_shutdown`. Ownership: as `net_shutdown`; `not_stored` may be NULL, and is written on success and on
/// `NET_ERR_TIMEOUT`. Errors: as `net_shutdown`; a negative `timeout_ms` is `NET_ERR_INVALID_ARGUMENT` and shuts nothing
/// down.
///
/// # Safety
/// `not_stored` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_shutdown_within(
    handle: net_handle_t,
    timeout_ms: c_int,
    not_stored: *mut u64,
) -> c_int {
    guard::code(handle, |_| {
        let out_of_range = |_| Failure::OutOfRange { name: "timeout_ms", value: i64::from(timeout_ms) };
        let within = guard::absent_or_present("not_stored", not_stored)
            .and_then(|()| u64::try_from(timeout_ms).map_err(out_of_range));
        let count = match within {
            Ok(within) => shut_down(handle, Some(Duration::from_millis(within)))?,
            // A handle that is no longer good is the first thing to say.
            Err(refused) => return Err(handle::check_closable(handle).err().unwrap_or(refused)),
        };
        if !not_stored.is_null() {
            // SAFETY: not NULL, aligned, and writable by the caller's contract.
            unsafe { not_stored.write(count) };
        }
        if count == 0 { Ok(0) } else { Err(Failure::NotStored(count)) }
    })
}

/// Number of shards, 0 if the handle is not usable.
///
/// Threads: any. Ownership: none. Errors: 0, with the detail in `net_last_error`.
#[unsafe(no_mangle)]
pub extern "C" fn net_num_shards(handle: net_handle_t) -> u16 {
    guard::call(handle, |_| Ok(handle::enter(handle)?.num_shards())).unwrap_or(0)
}

/// Version of the library, such as "0.1.0".
///
/// Threads: any. Ownership: static. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn net_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Version of the interface: compare it with `NET_ABI_VERSION`.
///
/// Threads: any. Ownership: none. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn net_abi_version() -> u32 {
    NET_ABI_VERSION
}

/// # Safety
/// `config_json` is NULL or NUL-terminated.
unsafe fn start(config_json: *const c_char) -> Result<net_handle_t, Failure> {
    if fork::is_child() {
        return Err(Failure::Forked);
    }
    let document = if config_json.is_null() {
        ""
    } else {
        // SAFETY: not NULL, and NUL-terminated by the caller's contract.
        guard::text("config_json", unsafe { guard::c_bytes(config_json) })?
    };
    let document = if document.is_empty() { "{}" } else { document };
    let (config, section) = Config::parse(document, &adapters::SECTIONS).map_err(Failure::Config)?;
    guard::install_hook();
    fork::install().map_err(Failure::ForkPage)?;
    let stores = adapters::factory(section, &config).map_err(Failure::Factory)?;
    let bus = Bus::start(config, stores).map_err(Failure::Start)?;
    handle::open(bus)
}

/// How many events were not stored. Dropping what `close` gives waits for the calls inside and ends the bus.
fn shut_down(handle: net_handle_t, within: Option<Duration>) -> Result<u64, Failure> {
    let closing = handle::close(handle)?;
    closing.shutdown(within).map_err(|_| Failure::ShutDown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::net_error_t::{NET_ERR_PANIC, NET_ERR_SHUTTING_DOWN, NET_SUCCESS};
    use crate::ingest::net_ingest_raw;
    use std::sync::Barrier;
    use std::thread;

    /// A handle that travels between threads.
    #[derive(Clone, Copy)]
    struct Bus(net_handle_t);

    // SAFETY: a handle is a number, and every function takes it from any thread.
    unsafe impl Send for Bus {}
    // SAFETY: as above.
    unsafe impl Sync for Bus {}

    impl Bus {
        fn start() -> Bus {
            // SAFETY: the text is NUL-terminated.
            let handle = unsafe { net_init(c"{\"num_shards\":1}".as_ptr()) };
            assert!(!handle.is_null());
            Bus(handle)
        }

        fn ingest(&self) -> c_int {
            // SAFETY: one byte is readable.
            unsafe { net_ingest_raw(self.0, c"x".as_ptr(), 1) }
        }
    }

    #[test]
    fn after_a_panic_the_handle_is_refused_on_every_thread_and_can_be_shut_down() {
        let (bus, other) = (Bus::start(), Bus::start());
        let step = Barrier::new(2);
        thread::scope(|scope| {
            let beside = scope.spawn(|| {
                assert_eq!(bus.ingest(), NET_SUCCESS as c_int);
                step.wait();
                step.wait();
                assert_eq!(bus.ingest(), NET_ERR_PANIC as c_int, "its producer was made before the panic");
                assert_eq!(other.ingest(), NET_SUCCESS as c_int);
            });
            step.wait();
            assert_eq!(guard::code(bus.0, |_| panic!("on purpose")), NET_ERR_PANIC as c_int);
            step.wait();
            beside.join().expect("no panic");
        });
        assert_eq!(bus.ingest(), NET_ERR_PANIC as c_int);
        assert_eq!(net_num_shards(bus.0), 0);
        assert_eq!(net_shutdown(bus.0), NET_SUCCESS as c_int);
        assert_eq!(bus.ingest(), NET_ERR_SHUTTING_DOWN as c_int);
        assert_eq!(net_shutdown(other.0), NET_SUCCESS as c_int);
    }

    #[test]
    fn a_handle_is_not_given_out_again() {
        let first = Bus::start();
        assert_eq!(net_shutdown(first.0), NET_SUCCESS as c_int);
        for _ in 0..20 {
            let next = Bus::start();
            assert_ne!(next.0, first.0);
            assert_eq!(first.ingest(), NET_ERR_SHUTTING_DOWN as c_int);
            assert_eq!(net_shutdown(next.0), NET_SUCCESS as c_int);
        }
    }
}
