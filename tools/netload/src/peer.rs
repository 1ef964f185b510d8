//! A bus whose events go to another process: nothing is measured before that answers.

use std::thread;
use std::time::{Duration, Instant};

use crate::bus::Bus;
use crate::config::Refusal;
use crate::interrupt::Interrupt;

/// Waits until every shard has reached its peer. An interrupt ends the wait.
pub(crate) fn wait(bus: &Bus, interrupt: &Interrupt) -> Result<(), Refusal> {
    let start = Instant::now();
    let mut last_error = String::new();
    while !interrupt.has_come() {
        if let Some(statistics) = bus.inquiry().statistics() {
            if statistics.adapter == "up" {
                return Ok(());
            }
            let mut errors = statistics.shards.into_iter().filter_map(|shard| shard.last_error);
            last_error = errors.next().unwrap_or(last_error);
        }
        if start.elapsed() > PATIENCE {
            return Err(Refusal::Unreached(PATIENCE, last_error));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);
