//! Gathering: a caller waits for the answers of several shards.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::clock::Monotonic;
use crate::event::ShardId;
use crate::shared::Shared;

/// Takes `count` answers, or those that come before `deadline`, before the bus has ended, or before no more can come.
/// Spins for a few microseconds, then sleeps.
pub(crate) fn gather<T>(
    shared: &Shared,
    answers: &Receiver<(ShardId, T)>,
    count: usize,
    deadline: Monotonic,
) -> Vec<(ShardId, T)> {
    let mut gathered = Vec::with_capacity(count);
    let spin_until = shared.clock.now().after(SPIN);
    while gathered.len() < count {
        if let Ok(answer) = answers.try_recv() {
            gathered.push(answer);
            continue;
        }
        let now = shared.clock.now();
        if now < spin_until {
            std::hint::spin_loop();
            continue;
        }
        match answers.recv_timeout(deadline.since(now).min(SLEEP)) {
            Ok(answer) => gathered.push(answer),
            Err(RecvTimeoutError::Timeout) if now < deadline && !shared.has_ended() => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    gathered
}

/// How long a caller looks for an answer before it sleeps.
const SPIN: Duration = Duration::from_micros(5);
/// How long it sleeps before it looks whether the bus has ended.
const SLEEP: Duration = Duration::from_millis(20);
