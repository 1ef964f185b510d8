//! Claims: events that the caller writes into the bus's own memory.
//!
//! A claim is known by numbers that only mean something to the thread that made it: its producer is looked up in the
//! thread's state, and the lane in the producer. So a claim that has ended, was forged or comes from another thread
//! leads to no memory. What the caller could change in `data` and `len` is not looked at again.

use std::ffi::{c_int, c_void};
use std::ptr;

use engine::event::{EventFlags, Receipt};
use engine::producer::Claim;

use crate::abi::{net_claim_t, net_error_t, net_handle_t, net_receipt_t};
use crate::guard::{self, absent_or_present, length, present, text};
use crate::ingest::{key_length, publish};
use crate::status::Failure;
use crate::thread::Thread;

/// Claims the place of an event of `len` bytes, to be written at `out->data` and published with `net_commit`. The key
/// routes it, and is kept or forgotten, as in `net_ingest_keyed`; it is needed, because there are no bytes yet. What the
/// place holds before it is written is of no meaning. An open claim keeps its thread's other events to the same shard
/// out, and nothing else: a flush and a shutdown do not wait for it. Waits for room as `net_ingest_raw` does.
///
/// Threads: any; the claim belongs to the calling thread, which alone may end it. Ownership: the place is the caller's
/// until the claim is committed or aborted, also when the bus is shut down meanwhile; a thread that ends aborts its
/// claims. `out` is written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (a `key_len`
/// of 0, a length above `PTRDIFF_MAX`, or the thread has a claim open on that shard), `NET_ERR_TOO_LARGE`,
/// `NET_ERR_INGESTION_FAILED` (no room, or the thread is in the destructors of its thread-local data),
/// `NET_ERR_SHUTTING_DOWN`, and those of any handle.
///
/// # Safety
/// `key` is NULL or has `key_len` readable bytes; `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_claim(
    handle: net_handle_t,
    key: *const c_void,
    key_len: usize,
    len: usize,
    out: *mut net_claim_t,
) -> c_int {
    publish(handle, |thread, producer| {
        present("key", key)?;
        present("out", out)?;
        if key_len == 0 {
            return Err(Failure::OutOfRange { name: "key_len", value: 0 });
        }
        key_length(key_len)?;
        length("len", len)?;
        if !thread.lasts() {
            return Err(Failure::Ending);
        }
        // SAFETY: not NULL, of a possible length, and readable by the caller's contract.
        let claim = producer.claim(unsafe { guard::bytes(key.cast(), key_len) }, len)?;
        let data = producer.claimed_bytes(claim)?.as_mut_ptr().cast();
        let [first, second, third] = claim.to_words();
        let claim = net_claim_t { data, len, reserved: [handle.addr() as u64, first, second, third] };
        // SAFETY: not NULL, aligned, and writable by the caller's contract.
        unsafe { out.write(claim) };
        Ok(0)
    })
}

/// Publishes the event of a claim: `len` bytes, as they were claimed, which have to be UTF-8. Its time is that of this
/// call. The claim has ended with success and with every error but `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT`
/// and `NET_ERR_FORKED`; nothing was published after an error. `out` may be NULL.
///
/// Threads: the one that made the claim. Ownership: the place goes back to the library, and `claim->data` becomes NULL;
/// `out` is written on success only. Errors: `NET_ERR_NULL_POINTER`, `NET_ERR_INVALID_ARGUMENT` (not an open claim of
/// this thread: ended before, of another thread, or never made), `NET_ERR_INVALID_UTF8`, `NET_ERR_SHUTTING_DOWN`,
/// `NET_ERR_PANIC`, `NET_ERR_FORKED`.
///
/// # Safety
/// `claim` is NULL or leads to a claim; `out` is NULL or writable; nobody writes into the claim's place any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_commit(claim: *mut net_claim_t, out: *mut net_receipt_t) -> c_int {
    // SAFETY: the caller's contract is the same.
    let handle = unsafe { handle_of(claim) };
    // SAFETY: as above.
    let answer = guard::run(handle, |thread| match unsafe { commit_at_hand(thread, handle, claim, out) } {
        Some(answer) => answer,
        // SAFETY: as above.
        None => unsafe { commit(thread, handle, claim, out) }.map_err(|failure| thread.fail(&failure)),
    });
    answer.unwrap_or_else(|code| code as c_int)
}

/// Commits a claim of the producer that the thread used last, in which nothing is wrong: the short way. `None` where
/// [`commit`] has to look closer; nothing was done then.
///
/// # Safety
/// As for [`net_commit`].
#[inline]
unsafe fn commit_at_hand(
    thread: &Thread,
    handle: net_handle_t,
    claim: *mut net_claim_t,
    out: *mut net_receipt_t,
) -> Option<Result<c_int, net_error_t>> {
    if claim.is_null() || !claim.is_aligned() || !out.is_aligned() {
        return None;
    }
    // SAFETY: not NULL, aligned, and a claim by the caller's contract.
    let [_, identity @ ..] = unsafe { (*claim).reserved };
    let open = Claim::from_words(identity);
    thread.with_claim_at_hand(handle, open, |producer| {
        text("data", producer.claimed_bytes(open).ok()?).ok()?;
        let committed = producer.commit(open, EventFlags::NONE);
        // SAFETY: as above, and writable.
        unsafe { (*claim).data = ptr::null_mut() };
        Some(match committed {
            Ok(receipt) => {
                // SAFETY: NULL, or aligned and writable by the caller's contract.
                unsafe { write(out, receipt) };
                Ok(0)
            }
            Err(error) => Err(thread.fail(&error.into())),
        })
    })
}

/// Commits a claim, or says why it is not to be committed.
///
/// # Safety
/// As for [`net_commit`].
#[cold]
unsafe fn commit(
    thread: &Thread,
    handle: net_handle_t,
    claim: *mut net_claim_t,
    out: *mut net_receipt_t,
) -> Result<c_int, Failure> {
    // SAFETY: the caller's contract.
    let open = unsafe { read(claim) }?;
    let receipt = thread.with_claim(handle, open, |producer, standing| {
        if standing.is_ok() {
            absent_or_present("out", out)?;
        }
        let committed = standing.and_then(|()| {
            text("data", producer.claimed_bytes(open)?)?;
            Ok(producer.commit(open, EventFlags::NONE)?)
        });
        // Whatever came of it; after a success nothing is left to abort.
        producer.abort(open);
        // SAFETY: `read` found it present, and it is writable by the caller's contract.
        unsafe { (*claim).data = ptr::null_mut() };
        committed
    })?;
    // SAFETY: NULL, or aligned and writable by the caller's contract.
    unsafe { write(out, receipt) };
    Ok(0)
}

/// Writes the receipt, if it is wanted.
///
/// # Safety
/// `out` is NULL, or aligned and writable.
#[inline]
unsafe fn write(out: *mut net_receipt_t, receipt: Receipt) {
    if !out.is_null() {
        let receipt = net_receipt_t { shard_id: receipt.shard.0, timestamp: receipt.timestamp_ns };
        // SAFETY: the caller's contract.
        unsafe { out.write(receipt) };
    }
}

/// Gives a claim up: nothing is published. NULL, and what is not an open claim of the calling thread, does no harm.
///
/// Threads: the one that made the claim; from another it does nothing. Ownership: the place goes back to the library,
/// and `claim->data` becomes NULL. Errors: none; `net_last_error` says why nothing was done.
///
/// # Safety
/// `claim` is NULL or leads to a claim; nobody writes into the claim's place any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn net_abort(claim: *mut net_claim_t) {
    // SAFETY: the caller's contract is the same.
    let handle = unsafe { handle_of(claim) };
    let _ = guard::call(handle, |thread| {
        if claim.is_null() {
            return Ok(());
        }
        // SAFETY: as above.
        let open = unsafe { read(claim) }?;
        thread.with_claim(handle, open, |producer, _| {
            producer.abort(open);
            // SAFETY: `read` found it present, and it is writable by the caller's contract.
            unsafe { (*claim).data = ptr::null_mut() };
            Ok(())
        })
    });
}

/// The handle that a claim was made with, NULL where there is no claim.
///
/// # Safety
/// As for [`read`].
unsafe fn handle_of(claim: *const net_claim_t) -> net_handle_t {
    if present("claim", claim).is_err() {
        return ptr::null_mut();
    }
    // SAFETY: not NULL, aligned, and a claim by the caller's contract.
    ptr::without_provenance_mut(unsafe { (*claim).reserved }[0] as usize)
}

/// The claim's identity.
///
/// # Safety
/// `claim` is NULL or leads to a `net_claim_t`.
unsafe fn read(claim: *const net_claim_t) -> Result<Claim, Failure> {
    present("claim", claim)?;
    // SAFETY: not NULL, aligned, and a claim by the caller's contract.
    let [_, identity @ ..] = unsafe { (*claim).reserved };
    Ok(Claim::from_words(identity))
}
