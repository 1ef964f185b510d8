//! A tail: a position in a file that moves only past events that were given.
//!
//! It sleeps at the file's board until something at or behind its position is stored, and then reads. Nothing of it is kept
//! by the worker, so a file has as many tails as one likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine::event::Sequence;

use super::board::{Board, Waited};
use super::error::RedexError;
use super::records::Records;
use super::redex::Access;

/// A cursor that gives every event of a file once and in order, as it is stored. Used by one thread at a time.
pub struct Tail {
    access: Access,
    closed: Arc<AtomicBool>,
    next: u64,
}

/// Ends a tail from any thread.
pub struct TailCloser {
    board: Arc<Board>,
    closed: Arc<AtomicBool>,
}

impl Tail {
    pub(crate) fn new(access: Access, from: u64) -> Tail {
        Tail { access, closed: Arc::default(), next: from }
    }

    /// The next events, at least one, at most [`TAIL_EVENTS_MAX`] and about [`TAIL_BYTES`]; none when none came within
    /// `timeout`. Without one it waits for ever. After an error it stands where it stood.
    ///
    /// Ends with [`RedexError::Closed`] when the tail or its handle was closed, and with [`RedexError::Ended`] with the redex.
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Records, RedexError> {
        let started = Instant::now();
        loop {
            let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
            // Sequences count from 1.
            let from = Sequence(self.next.saturating_add(1));
            let end = match self.access.board.wait_for(from, left, || self.is_over()) {
                Waited::Grown(end) => end.0 - 1,
                Waited::InVain => return Ok(Records::default()),
                Waited::Over => return Err(self.ended()),
            };
            let found = self.access.find(self.next, TAIL_EVENTS_MAX, TAIL_BYTES)?;
            let mut records = Records::default();
            let onward = records.take(found, self.next, u64::MAX);
            // Where nothing is left before `end`, retention has removed it or it was never stored.
            let behind = records.last_seq().map_or(end, |last| last + 1);
            self.next = onward.unwrap_or(behind).max(self.next);
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }

    /// What ends it while it waits.
    pub fn closer(&self) -> TailCloser {
        TailCloser { board: Arc::clone(&self.access.board), closed: Arc::clone(&self.closed) }
    }

    fn is_over(&self) -> bool {
        self.closed.load(Ordering::Acquire) || self.access.is_over()
    }

    fn ended(&self) -> RedexError {
        self.access.check().err().unwrap_or_else(|| {
            if self.closed.load(Ordering::Acquire) { RedexError::Closed } else { RedexError::Failed }
        })
    }
}

impl TailCloser {
    /// Whether the tail was ended by this.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends the tail: a thread that waits in it is woken.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.board.ring();
    }
}

/// Events of one [`Tail::next`] at most.
pub const TAIL_EVENTS_MAX: usize = 4096;
/// Bytes of records of one [`Tail::next`]; one event is always given.
pub const TAIL_BYTES: usize = 1 << 20;
