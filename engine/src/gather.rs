//! Gathering: a caller waits for several shards.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::clock::{Clock, Monotonic};
use crate::event::ShardId;

/// Takes `count` answers, or those that come before `deadline`, before `is_over` says that nobody is waited for any more,
/// or before no more can come. Spins for a few microseconds, then sleeps.
pub(crate) fn gather<T>(
    clock: &Clock,
    answers: &Receiver<(ShardId, T)>,
    count: usize,
    deadline: Monotonic,
    is_over: impl Fn() -> bool,
) -> Vec<(ShardId, T)> {
    let mut gathered = Vec::with_capacity(count);
    let spin_until = clock.now().after(SPIN);
    while gathered.len() < count {
        if let Ok(answer) = answers.try_recv() {
            gathered.push(answer);
            continue;
        }
        let now = clock.now();
        if now < spin_until {
            std::hint::spin_loop();
            continue;
        }
        // Asked before the last look, so that an answer that was given before it was over is heard.
        let is_over = is_over();
        let wait = if is_over { Duration::ZERO } else { deadline.since(now).min(SLEEP) };
        match answers.recv_timeout(wait) {
            Ok(answer) => gathered.push(answer),
            Err(RecvTimeoutError::Timeout) if now < deadline && !is_over => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    gathered
}

/// Waits until something `is_done` that nobody wakes for, or until `deadline`. Spins for a few microseconds, then sleeps.
pub(crate) fn wait(clock: &Clock, deadline: Monotonic, is_done: impl Fn() -> bool) {
    let spin_until = clock.now().after(SPIN);
    while !is_done() {
        let now = clock.now();
        if now >= deadline {
            return;
        }
        if now < spin_until {
            std::hint::spin_loop();
        } else {
            std::thread::sleep(NAP);
        }
    }
}

/// How long a caller looks for an answer before it sleeps.
const SPIN: Duration = Duration::from_micros(5);
/// How long it sleeps before it looks whether waiting is over.
const SLEEP: Duration = Duration::from_millis(20);
/// How long it sleeps where nobody wakes it; the system adds some 50 µs.
const NAP: Duration = Duration::from_micros(20);
