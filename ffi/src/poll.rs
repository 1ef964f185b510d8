//! Reading: polls that answer with events or with one JSON text.

use std::ffi::{c_char, c_int};
use std::ptr;

use engine::consume::PollResponse;
use engine::consume::request::PollRequest;
use engine::event::{Event, EventFlags};
use serde::de::IgnoredAny;

use crate::abi::{net_handle_t, net_poll_result_t};
use crate::guard::{self, length, present, text};
use crate::handle;
use crate::lent;
use crate::status::Failure;

/// Reads up to `limit` events of all shards, `limit` being at least 1, from `cursor` on; NULL reads from the oldest
/// event that is still there. A poll examines a bounded number of events, and may return none although `has_more` is 1.
///
/// Threads: any, at the same time too. Ownership: `*out` is written on success only and given back with
/// `net_free_poll_result`. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (a `limit` of 0),
/// `NET_ERR_POLL_FAILED` (a cursor that is not one of this store, or not UTF-8; or no shard answered),
/// `NET_ERR_SHUTTING_DOWN`, and those of any handle. After an error nothing was lost: the same cursor reads the same
/// events again.
///
/// # Safety
/// `cursor` is NULL or NUL-terminated; `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_poll_ex(
    handle: net_handle_t,
    limit: usize,
    cursor: *const c_char,
    out: *mut net_poll_result_t,
) -> c_int {
    guard::code(handle, |_| {
        let bus = handle::enter(handle)?;
        present("out", out)?;
        if limit == 0 {
            return Err(Failure::OutOfRange { name: "limit", value: 0 });
        }
        let cursor = if cursor.is_null() {
            None
        } else {
            // SAFETY: not NULL, and NUL-terminated by the caller's contract.
            let cursor = text("cursor", unsafe { guard::c_bytes(cursor) });
            Some(cursor.map_err(|_| Failure::CursorText)?.to_owned())
        };
        let request = PollRequest { limit, cursor, ..PollRequest::default() };
        let result = lent::poll_result(&bus.poll(&request)?);
        // SAFETY: not NULL, aligned, and writable by the caller's contract.
        unsafe { out.write(result) };
        Ok(0)
    })
}

/// Gives a poll result back and sets it to zero, so that giving the same struct back again does no harm; neither does
/// NULL, nor a struct whose counts, flags or events the caller changed. A copy of a struct that was given back does no
/// harm until the library lends its address again.
///
/// Threads: any. Ownership: the events and the cursor of the result end here. Errors: none.
///
/// # Safety
/// `result` is NULL or readable and writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_free_poll_result(result: *mut net_poll_result_t) {
    let _ = guard::call(ptr::null_mut(), |_| {
        if result.is_null() {
            return Ok(());
        }
        present("result", result)?;
        // SAFETY: not NULL, aligned, and readable by the caller's contract.
        let lent = unsafe { result.read() };
        // The block starts with the events, and with the cursor where there are none.
        if !lent::take_back(lent.events.addr()) {
            lent::take_back(lent.next_id.addr());
        }
        let empty =
            net_poll_result_t { events: ptr::null_mut(), count: 0, next_id: ptr::null_mut(), has_more: 0 };
        // SAFETY: as above, and writable.
        unsafe { result.write(empty) };
        Ok(())
    });
}

/// Polls with a request in JSON and answers with JSON, NUL-terminated; returns its bytes without the NUL.
///
/// The request is an object with `limit` (100), `cursor`, `ordering` (`"none"` or `"insertion_ts"`), `filter` and
/// `shards`, each of which may be left out or null. The answer has `events`, `next_id`, `has_more`, `count` and
/// `parse_errors`, and where it applies `skipped` and `failed_shards`. Events appear with their own bytes; those
/// that are not JSON appear as strings and count in `parse_errors`, together with stored records that could not be
/// read. In either order, what a log holds from before a change of `num_shards` comes first.
///
/// Threads: any, at the same time too. Ownership: the request is copied; `out` stays the caller's. Errors:
/// `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (a `len` above `PTRDIFF_MAX`, a shard that is not there),
/// `NET_ERR_BUFFER_TOO_SMALL` (below 256 bytes nothing is done; otherwise the buffer holds an answer without
/// events, with the request's cursor as `next_id`, with `"buffer_too_small":true` and with the bytes it takes in
/// `required`, or an empty string where not even that fits), `NET_ERR_INVALID_UTF8`, `NET_ERR_INVALID_JSON` (an
/// unknown key, a wrong type), `NET_ERR_POLL_FAILED`, `NET_ERR_INT_OVERFLOW`, `NET_ERR_SHUTTING_DOWN`, and those of
/// any handle. After an error nothing was lost.
///
/// # Safety
/// `request_json` is NULL or NUL-terminated; `out` is NULL or has `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_poll(
    handle: net_handle_t,
    request_json: *const c_char,
    out: *mut c_char,
    len: usize,
) -> c_int {
    guard::code(handle, |_| {
        let bus = handle::enter(handle)?;
        present("request_json", request_json)?;
        present("out", out)?;
        length("len", len)?;
        if len < BUFFER_BYTES_MIN {
            return Err(Failure::BufferTooSmall { len, required: BUFFER_BYTES_MIN });
        }
        // SAFETY: not NULL, and NUL-terminated by the caller's contract.
        let request = text("request_json", unsafe { guard::c_bytes(request_json) })?;
        let request = PollRequest::parse(request).map_err(Failure::Request)?;
        let json = to_json(&bus.poll(&request)?)?;
        // SAFETY: `out` is not NULL and has `len` writable bytes by the caller's contract.
        let written = unsafe { guard::put_text(out, len, &json) };
        if let Err(Failure::BufferTooSmall { required, .. }) = written {
            let apology = too_small(request.cursor.as_deref(), required)?;
            // SAFETY: as above.
            unsafe { guard::put_text(out, len, &apology).or_else(|_| guard::put_text(out, len, b""))? };
        }
        written
    })
}

fn to_json(response: &PollResponse) -> Result<Vec<u8>, serde_json::Error> {
    let payload_bytes: usize = response.events().map(|(_, event)| event.payload.len() + 1).sum();
    let mut json = Vec::with_capacity(payload_bytes + BUFFER_BYTES_MIN);
    let mut parse_errors = response.passed_over;
    json.extend_from_slice(br#"{"events":["#);
    for (index, (_, event)) in response.events().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        if is_json(&event) {
            json.extend_from_slice(event.payload);
        } else {
            parse_errors += 1;
            serde_json::to_writer(&mut json, &String::from_utf8_lossy(event.payload))?;
        }
    }
    json.extend_from_slice(br#"],"next_id":"#);
    serde_json::to_writer(&mut json, &response.next_cursor)?;
    let (more, count) = (response.has_more, response.len());
    let rest = format!(r#","has_more":{more},"count":{count},"parse_errors":{parse_errors}"#);
    json.extend_from_slice(rest.as_bytes());
    if response.skipped > 0 {
        json.extend_from_slice(format!(r#","skipped":{}"#, response.skipped).as_bytes());
    }
    if !response.failed_shards.is_empty() {
        let shards: Vec<u16> = response.failed_shards.iter().map(|shard| shard.0).collect();
        json.extend_from_slice(br#","failed_shards":"#);
        serde_json::to_writer(&mut json, &shards)?;
    }
    json.push(b'}');
    Ok(json)
}

/// What stands in the buffer when the answer, which takes `required` bytes with its NUL, does not fit.
fn too_small(cursor: Option<&str>, required: usize) -> Result<Vec<u8>, serde_json::Error> {
    let cursor = cursor.filter(|_| !engine::planted!("6-a-short-buffer-loses-the-cursor"));
    let cursor = serde_json::to_string(&cursor)?;
    Ok(format!(
        r#"{{"events":[],"next_id":{cursor},"has_more":true,"count":0,"parse_errors":0,"buffer_too_small":true,"required":{required}}}"#
    )
    .into_bytes())
}

/// Whether the payload is one JSON document; one that was checked on its way in is not parsed again.
fn is_json(event: &Event<'_>) -> bool {
    event.flags.contains(EventFlags::JSON)
        || simdutf8::basic::from_utf8(event.payload)
            .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Shortest buffer that `net_poll` takes.
const BUFFER_BYTES_MIN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_answer_has_every_key() {
        let json = to_json(&PollResponse::default()).expect("plain data");
        let expected = r#"{"events":[],"next_id":null,"has_more":false,"count":0,"parse_errors":0}"#;
        assert_eq!(String::from_utf8(json).as_deref(), Ok(expected));
    }

    #[test]
    fn what_was_skipped_and_who_failed_is_said() {
        let mut response = PollResponse::default();
        response.skipped = 7;
        response.passed_over = 2;
        response.failed_shards = vec![engine::event::ShardId(1), engine::event::ShardId(4)];
        let json = to_json(&response).expect("plain data");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(json["skipped"], 7);
        assert_eq!(json["parse_errors"], 2);
        assert_eq!(json["failed_shards"], serde_json::json!([1, 4]));
    }

    #[test]
    fn a_short_buffer_fits_its_apology_and_keeps_the_cursor() {
        let json = too_small(Some("a\"b"), usize::MAX).expect("plain data");
        assert!(json.len() < BUFFER_BYTES_MIN);
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(json["next_id"], "a\"b");
        assert_eq!(json["required"], usize::MAX);
    }

    #[test]
    fn a_million_open_brackets_are_no_json_and_no_crash() {
        let deep = "[".repeat(1 << 20);
        assert!(serde_json::from_str::<IgnoredAny>(&deep).is_err());
        let closed = deep.clone() + &"]".repeat(1 << 20);
        assert!(serde_json::from_str::<IgnoredAny>(&closed).is_ok());
        let elements = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(&closed);
        assert_eq!(elements.map(|elements| elements.len()).ok(), Some(1));
    }
}
