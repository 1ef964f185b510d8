//! What a read has found, as C gets it: JSON, or events and bytes in one block.

use std::ffi::{c_char, c_int};
use std::ptr;

use adapters::named::Records;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::abi::{net_redex_record_t, net_redex_records_t};
use crate::guard::{self, present};
use crate::lent::{self, Block};
use crate::status::Failure;

/// Gives the answer of `net_redex_file_read_raw` back and sets it to zero, so that giving the same struct back again does no harm;
/// neither does NULL, nor a struct whose count the caller changed. A copy of a struct that was given back does no harm
/// until the library lends its address again.
///
/// Threads: any. Ownership: the events and their bytes end here. Errors: 0 but for `NET_ERR_INVALID_ARGUMENT` (an address where
/// no such struct can lie); does nothing in a forked child.
///
/// # Safety
/// `records` is NULL or readable and writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_redex_records_free(records: *mut net_redex_records_t) -> c_int {
    guard::code(ptr::null_mut(), |_| {
        if records.is_null() {
            return Ok(0);
        }
        present("records", records)?;
        // SAFETY: not NULL, aligned, and readable by the caller's contract.
        let lent = unsafe { records.read() };
        lent::take_back(lent.records.addr());
        // SAFETY: as above, and writable.
        unsafe { records.write(net_redex_records_t { records: ptr::null_mut(), count: 0 }) };
        Ok(0)
    })
}

/// Lends the events, then their bytes.
pub(super) fn lend(found: &Records) -> net_redex_records_t {
    let count = found.len();
    if count == 0 {
        return net_redex_records_t { records: ptr::null_mut(), count };
    }
    let payload_bytes = found.iter().map(|record| record.payload.len()).sum();
    let (records, mut bytes) = Block::lend::<net_redex_record_t>(count, payload_bytes);
    for (index, record) in found.iter().enumerate() {
        let lent = net_redex_record_t {
            seq: record.seq,
            ts: record.timestamp_ns,
            payload: bytes.append(record.payload),
            len: record.payload.len(),
        };
        assert!(index < count, "there are as many as it says");
        // SAFETY: the block has room for `count` events at its start, aligned for them.
        unsafe { records.add(index).write(lent) };
    }
    net_redex_records_t { records, count }
}

/// Writes the events as a JSON text that is lent, and its length. Returns how many there are.
///
/// # Safety
/// `json` is not NULL, aligned and writable; `len` is too, or NULL.
pub(super) unsafe fn give_json(
    found: &Records,
    json: *mut *mut c_char,
    len: *mut usize,
) -> Result<c_int, Failure> {
    let count = c_int::try_from(found.len()).map_err(|_| Failure::IntOverflow(found.len()))?;
    let text = text_of(found);
    if !len.is_null() {
        // SAFETY: the caller's contract.
        unsafe { len.write(text.len()) };
    }
    // SAFETY: the caller's contract.
    unsafe { json.write(lent::string(&text)) };
    Ok(count)
}

/// Writes no text.
///
/// # Safety
/// As [`give_json`].
pub(super) unsafe fn give_nothing(json: *mut *mut c_char, len: *mut usize) {
    // SAFETY: the caller's contract.
    unsafe { json.write(ptr::null_mut()) };
    if !len.is_null() {
        // SAFETY: as above.
        unsafe { len.write(0) };
    }
}

fn text_of(found: &Records) -> String {
    let payload_bytes: usize = found.iter().map(|record| record.payload.len()).sum();
    let mut text = String::with_capacity(payload_bytes / 3 * 4 + found.len() * RECORD_TEXT_BYTES + 2);
    let mut digits = itoa::Buffer::new();
    text.push('[');
    for (index, record) in found.iter().enumerate() {
        text.push_str(if index == 0 { "{\"seq\":" } else { ",{\"seq\":" });
        text.push_str(digits.format(record.seq));
        text.push_str(",\"ts\":");
        text.push_str(digits.format(record.timestamp_ns));
        text.push_str(",\"payload\":\"");
        STANDARD.encode_string(record.payload, &mut text);
        text.push_str("\"}");
    }
    text.push(']');
    text
}

/// What JSON puts around an event: names, two numbers and padding.
const RECORD_TEXT_BYTES: usize = 72;
