//! Bad input: whatever bytes come as a configuration, a request, a filter or a cursor, the answer is a code and a
//! detail, and never a crash.
//!
//! 100,000 cases each: random bytes, and documents that were valid before a few of their bytes were changed. The seed is
//! fixed; proptest prints the case that fails, and shrinks it.

use std::ffi::{CStr, CString, c_int};
use std::ptr;
use std::sync::OnceLock;

use engine::config::Config;
use net::{net_handle_t, net_poll_result_t};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngSeed, TestCaseResult};

/// 100,000 cases from a fixed seed.
fn cases() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(24),
        failure_persistence: None,
        ..ProptestConfig::with_cases(100_000)
    }
}

/// Random bytes without a NUL, random ASCII, or one of `valid` with a few bytes changed, put in, or cut.
fn bytes_like(valid: &'static [&'static str]) -> impl Strategy<Value = CString> {
    let random = prop::collection::vec(1u8..=255, 0..60);
    let ascii = prop::collection::vec(1u8..=127, 0..60);
    let edit = (any::<Index>(), 0u8..4, select(&b"{}[]:,\"\\0179-+.eE$ax \n\xc3"[..]), 1u8..=127);
    let edited = (select(valid), prop::collection::vec(edit, 1..5)).prop_map(|(valid, edits)| {
        let mut bytes = valid.as_bytes().to_vec();
        for (index, kind, likely, any) in edits {
            let at = if bytes.is_empty() { 0 } else { index.index(bytes.len()) };
            match kind {
                0 if at < bytes.len() => bytes[at] = likely,
                1 => bytes.insert(at, likely),
                2 if at < bytes.len() => bytes[at] = any,
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    });
    prop_oneof![random, ascii, edited].prop_map(|bytes| CString::new(bytes).expect("there is no NUL"))
}

/// A bus with one event, made once.
fn bus() -> net_handle_t {
    static BUS: OnceLock<usize> = OnceLock::new();
    let made = BUS.get_or_init(|| {
        let mut handle = ptr::null_mut();
        // SAFETY: the text is NUL-terminated and `handle` is writable.
        assert_eq!(unsafe { net::net_init_ex(c"{\"num_shards\":2}".as_ptr(), &raw mut handle) }, 0);
        let event = br#"{"a":[1,{"b":"text"}],"n":-1.5e3}"#;
        // SAFETY: the event has the length that is said.
        assert_eq!(unsafe { net::net_ingest(handle, event.as_ptr().cast(), event.len()) }, 0);
        assert_eq!(net::net_flush(handle), 0);
        handle.addr()
    });
    ptr::without_provenance_mut(*made)
}

fn last_error() -> String {
    // SAFETY: the detail is NUL-terminated and unchanged until this thread's next failing call.
    unsafe { CStr::from_ptr(net::net_last_error()) }.to_string_lossy().into_owned()
}

/// The call succeeded, or failed with one of `codes` and a detail that is about this failure.
fn check(code: c_int, codes: &[c_int]) -> TestCaseResult {
    prop_assert!(code >= 0 || codes.contains(&code), "code {}: {}", code, last_error());
    prop_assert!(code >= 0 || !last_error().is_empty(), "code {} without a detail", code);
    Ok(())
}

fn poll(request: &CStr) -> c_int {
    let mut out = [0; 4096];
    // SAFETY: the request is NUL-terminated and the buffer has the length that is said.
    unsafe { net::net_poll(bus(), request.as_ptr(), out.as_mut_ptr(), out.len()) }
}

fn poll_from(cursor: &CStr) -> c_int {
    let mut result =
        net_poll_result_t { events: ptr::null_mut(), count: 0, next_id: ptr::null_mut(), has_more: 0 };
    // SAFETY: the cursor is NUL-terminated and the result is writable.
    let code = unsafe { net::net_poll_ex(bus(), 10, cursor.as_ptr(), &raw mut result) };
    // SAFETY: the result is readable and writable.
    unsafe { net::net_free_poll_result(&raw mut result) };
    code
}

/// A cursor of the bus, for changing.
fn cursors() -> &'static [&'static str] {
    static CURSORS: OnceLock<[&'static str; 1]> = OnceLock::new();
    CURSORS.get_or_init(|| {
        let mut result =
            net_poll_result_t { events: ptr::null_mut(), count: 0, next_id: ptr::null_mut(), has_more: 0 };
        // SAFETY: NULL reads from the oldest event; the result is writable.
        assert_eq!(unsafe { net::net_poll_ex(bus(), 10, ptr::null(), &raw mut result) }, 0);
        // SAFETY: the cursor is NUL-terminated as long as the result is not given back.
        let cursor = unsafe { CStr::from_ptr(result.next_id) }.to_str().expect("ASCII").to_owned();
        // SAFETY: the result is readable and writable.
        unsafe { net::net_free_poll_result(&raw mut result) };
        [cursor.leak()]
    })
}

const CONFIGS: &[&str] = &[
    r#"{"num_shards":1,"cores":"auto","ring_buffer_capacity":1024,"buffer_bytes":4096,"idle":"park","spin_us":5}"#,
    r#"{"backpressure_mode":{"Sample":{"rate":3}},"batch":{"min_size":1,"max_size":9,"max_delay_us":7}}"#,
    r#"{"memory":{"retention_events":5,"retention_bytes":7},"flush_timeout_ms":1,"lane_bytes":4096}"#,
    r#"{"noop":{},"cores":[0],"adapter_batch_retries":3,"producer_nonce_path":null}"#,
];

const REQUESTS: &[&str] = &[
    r#"{"limit":10,"cursor":null,"ordering":"insertion_ts","shards":[0,1]}"#,
    r#"{"limit":18446744073709551615,"filter":{"$and":[{"path":"a.1.b","value":"text"},{"$not":{"$in":{"path":"n","values":[1,2]}}}]}}"#,
    r#"{"cursor":"memory.1.1,2.00000000","filter":{"$exists":{"path":"a","value":true}}}"#,
];

const FILTERS: &[&str] = &[
    r#"{"path":"a.0","value":1}"#,
    r#"{"$or":[{"$gt":{"path":"n","value":-1e3}},{"$prefix":{"path":"a.1.b","value":"te"}}]}"#,
    r#"{"$not":{"$and":[{"$lte":{"path":"","value":18446744073709551616}},{"$ne":{"path":"x","value":{"k":[null]}}}]}}"#,
];

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_bytes_as_a_configuration_are_taken_or_refused_with_their_path(bytes in bytes_like(CONFIGS)) {
        // Starting a bus for each would take hours; what is not UTF-8 is refused before it is parsed.
        if let Ok(text) = bytes.to_str()
            && let Err(error) = Config::parse(text, &adapters::SECTIONS)
        {
            prop_assert!(!error.path.is_empty() && !error.reason.is_empty(), "{error:?}");
        }
    }

    #[test]
    fn any_bytes_as_a_request_give_an_answer_or_a_code_and_a_detail(bytes in bytes_like(REQUESTS)) {
        check(poll(&bytes), &[-2, -3, -6, -7, -12])?;
    }

    #[test]
    fn any_bytes_as_a_filter_give_an_answer_or_a_code_and_a_detail(bytes in bytes_like(FILTERS)) {
        let request = [br#"{"filter":"#, bytes.as_bytes(), b"}"].concat();
        check(poll(&CString::new(request).expect("there is no NUL")), &[-2, -3, -6])?;
    }

    #[test]
    fn any_bytes_as_a_cursor_are_refused(bytes in bytes_like(cursors())) {
        let code = poll_from(&bytes);
        // An edit that changes nothing leaves the cursor as it was.
        prop_assert!(code == -6 || bytes.to_str() == Ok(cursors()[0]), "code {}", code);
        check(code, &[-6])?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..cases() })]

    #[test]
    fn any_bytes_that_start_no_bus_give_a_code_and_a_detail(bytes in bytes_like(CONFIGS)) {
        let unparsed = bytes.to_str().ok().is_none_or(|text| Config::parse(text, &adapters::SECTIONS).is_err());
        prop_assume!(unparsed && !bytes.is_empty());
        let mut handle = ptr::null_mut();
        // SAFETY: the text is NUL-terminated and `handle` is writable.
        let code = unsafe { net::net_init_ex(bytes.as_ptr(), &raw mut handle) };
        prop_assert!(code < 0 && handle.is_null());
        check(code, &[-2, -18])?;
    }

    #[test]
    fn any_bytes_are_stored_or_refused_and_leave_the_bus_as_it_was(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (bytes, len) = (bytes.as_ptr().cast(), bytes.len());
        // SAFETY: the bytes have the length that is said.
        check(unsafe { net::net_ingest(bus(), bytes, len) }, &[-2, -3])?;
        // SAFETY: as above.
        check(unsafe { net::net_ingest_raw(bus(), bytes, len) }, &[-2])?;
        // SAFETY: as above; a key is any bytes.
        check(unsafe { net::net_ingest_keyed(bus(), bytes.cast(), len, c"x".as_ptr(), 1, ptr::null_mut()) }, &[])?;
    }
}
