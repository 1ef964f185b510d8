//! The board of a file: what its worker shows to the threads that use it. How far the file is stored, how many bytes wait
//! to be, what its store has said last of what it could not do, and whether it is over.
//!
//! Threads that wait for growth or for room sleep here; nobody polls. A change is made under the lock under which they look
//! before they sleep, so that none is missed, and nobody is woken where nobody sleeps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::event::Sequence;

use super::WAITING_BYTES_MAX;
use super::error::{RedexError, Trouble};

/// The board of one open file.
pub(crate) struct Board {
    /// One past the last event that is stored. Written under the lock.
    end: AtomicU64,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    waiting_bytes: usize,
    sleepers: usize,
    trouble: Trouble,
    over: bool,
}

/// How a wait for growth has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Events before this one are stored.
    Grown(Sequence),
    /// Nothing came in time.
    InVain,
    /// The file, or whoever waited, is over.
    Over,
}

/// Room for an event that is to be stored, given back when this is dropped.
pub(crate) struct Room {
    board: Arc<Board>,
    bytes: usize,
}

impl Board {
    /// The board of a file whose next event is `end`.
    pub(crate) fn new(end: Sequence) -> Board {
        Board { end: AtomicU64::new(end.0), inner: Mutex::default(), changed: Condvar::new() }
    }

    /// Everything before `end` is stored, or never will be. What the store has said before explains nothing any more.
    pub(crate) fn publish(&self, end: Sequence) {
        let mut inner = self.inner();
        inner.trouble = Trouble::default();
        // Release: pairs with the acquire in `end`.
        self.end.store(end.0, Ordering::Release);
        self.wake(&inner);
    }

    /// The store says what it could not do.
    pub(crate) fn note(&self, trouble: Trouble) {
        self.inner().trouble = trouble;
    }

    /// What the store has said last of what it could not do.
    pub(crate) fn trouble(&self) -> Trouble {
        self.inner().trouble.clone()
    }

    /// The file is over: nobody waits for it any more.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.over = true;
        self.wake(&inner);
    }

    /// Whoever sleeps here looks again whether its wait is over.
    pub(crate) fn ring(&self) {
        self.wake(&self.inner());
    }

    /// One past the last event that is stored.
    pub(crate) fn end(&self) -> Sequence {
        Sequence(self.end.load(Ordering::Acquire))
    }

    /// Waits until something at or behind `from` is stored: for ever where there is no `timeout`. Spins for a few
    /// microseconds, then sleeps.
    pub(crate) fn wait_for(
        &self,
        from: Sequence,
        timeout: Option<Duration>,
        is_over: impl Fn() -> bool,
    ) -> Waited {
        let started = Instant::now();
        let spin = timeout.unwrap_or(SPIN).min(SPIN);
        while self.end() <= from && started.elapsed() < spin {
            std::hint::spin_loop();
        }
        let mut inner = self.inner();
        loop {
            if inner.over || is_over() {
                return Waited::Over;
            }
            if self.end() > from {
                return Waited::Grown(self.end());
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Waited::InVain;
            }
            inner = self.sleep(inner, left);
        }
    }

    /// Takes room for `bytes`, and waits for it up to `within`. One event always finds room where nothing waits.
    pub(crate) fn take_room(
        self: &Arc<Board>,
        bytes: usize,
        within: Duration,
        is_over: impl Fn() -> bool,
    ) -> Result<Room, RedexError> {
        let mut started = None;
        let mut inner = self.inner();
        loop {
            if inner.over || is_over() {
                return Err(RedexError::Closed);
            }
            if inner.waiting_bytes == 0 || inner.waiting_bytes + bytes <= WAITING_BYTES_MAX {
                inner.waiting_bytes += bytes;
                return Ok(Room { board: Arc::clone(self), bytes });
            }
            let left = within.saturating_sub(started.get_or_insert_with(Instant::now).elapsed());
            if left.is_zero() {
                return Err(RedexError::Busy(inner.trouble.clone()));
            }
            inner = self.sleep(inner, Some(left));
        }
    }

    fn sleep<'a>(&self, mut inner: MutexGuard<'a, Inner>, most: Option<Duration>) -> MutexGuard<'a, Inner> {
        inner.sleepers += 1;
        let mut inner = match most {
            None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
            Some(most) => self.changed.wait_timeout(inner, most).unwrap_or_else(PoisonError::into_inner).0,
        };
        inner.sleepers -= 1;
        inner
    }

    fn wake(&self, inner: &Inner) {
        if inner.sleepers > 0 {
            self.changed.notify_all();
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut inner = self.board.inner();
        inner.waiting_bytes -= self.bytes;
        self.board.wake(&inner);
    }
}

/// How long a thread looks for growth before it sleeps.
const SPIN: Duration = Duration::from_micros(5);

#[cfg(test)]
mod tests {
    use super::super::APPEND_WAIT;
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    fn board() -> Arc<Board> {
        Arc::new(Board::new(Sequence::FIRST))
    }

    fn sleepers(board: &Board) -> usize {
        board.inner().sleepers
    }

    /// Runs `change` once somebody sleeps at the board.
    fn when_asleep<T: Send>(board: &Board, sleep: impl FnOnce() -> T + Send, change: impl FnOnce()) -> T {
        thread::scope(|scope| {
            let asleep = scope.spawn(sleep);
            while sleepers(board) == 0 {
                thread::yield_now();
            }
            change();
            asleep.join().expect("no panic")
        })
    }

    #[test]
    fn growth_wakes_who_waits_for_it_and_nobody_is_left_asleep() {
        let board = board();
        let waited = when_asleep(
            &board,
            || board.wait_for(Sequence(3), None, || false),
            || {
                board.publish(Sequence(3));
                board.publish(Sequence(5));
            },
        );
        assert_eq!(waited, Waited::Grown(Sequence(5)));
        assert_eq!(sleepers(&board), 0);
    }

    #[test]
    fn nothing_in_time_is_said_to_be_nothing() {
        let board = board();
        for timeout in [Duration::ZERO, Duration::from_millis(1)] {
            assert_eq!(board.wait_for(Sequence(1), Some(timeout), || false), Waited::InVain);
        }
        assert_eq!(board.wait_for(Sequence(0), Some(Duration::ZERO), || false), Waited::Grown(Sequence(1)));
    }

    #[test]
    fn the_end_of_a_file_and_of_its_handle_wake_who_waits() {
        let board = board();
        let closed = AtomicBool::new(false);
        let waited = when_asleep(
            &board,
            || board.wait_for(Sequence(1), None, || closed.load(Ordering::Relaxed)),
            || {
                closed.store(true, Ordering::Relaxed);
                board.ring();
            },
        );
        assert_eq!(waited, Waited::Over);
        let waited = when_asleep(&board, || board.wait_for(Sequence(1), None, || false), || board.close());
        assert_eq!(waited, Waited::Over);
        assert_eq!(board.take_room(1, APPEND_WAIT, || false).err(), Some(RedexError::Closed));
    }

    #[test]
    fn an_event_beyond_the_bound_waits_for_room() {
        let board = board();
        let first = board.take_room(WAITING_BYTES_MAX + 1, APPEND_WAIT, || false).expect("nothing waits");
        let second = when_asleep(&board, || board.take_room(1, APPEND_WAIT, || false), || drop(first));
        assert!(second.is_ok());
        let patience = Duration::from_millis(1);
        let third = board.take_room(WAITING_BYTES_MAX, patience, || false);
        let busy = RedexError::Busy(Trouble::default());
        assert_eq!(third.err(), Some(busy), "and is refused when there is none in time");
        assert_eq!(board.inner().waiting_bytes, 1);
        drop(second);
        assert_eq!(board.inner().waiting_bytes, 0);
    }
}
