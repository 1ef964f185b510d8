//! The progress line, once a second: rewritten in place on a terminal, a line of its own elsewhere.
//!
//! It goes to standard error, so that the report on standard output can be kept by itself.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::producer::Tally;
use crate::report::{grouped, rate};

/// Prints until every sender of `ended` is gone.
pub(crate) fn print_until(ended: &Receiver<()>, tallies: &[Tally], read_back: &AtomicU64) {
    let terminal = io::stderr().is_terminal();
    let start = Instant::now();
    let mut before = (Duration::ZERO, 0, 0);
    let mut printed = false;
    while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
        let elapsed = start.elapsed();
        let events: u64 = tallies.iter().map(Tally::accepted).sum();
        let bytes: u64 = tallies.iter().map(Tally::bytes).sum();
        let seconds = elapsed.saturating_sub(before.0).as_secs_f64();
        let line = format!(
            "{:6.0} s  {:>15} published  {:>10} {:>6.0} MB/s  {:>15} read back",
            elapsed.as_secs_f64(),
            grouped(events),
            rate((events - before.1) as f64, seconds),
            (bytes - before.2) as f64 / seconds / 1e6,
            grouped(read_back.load(Ordering::Relaxed)),
        );
        show(&line, terminal);
        before = (elapsed, events, bytes);
        printed = true;
    }
    if terminal && printed {
        show("", true);
    }
}

/// A progress line that cannot be written is no reason to end a run.
fn show(line: &str, terminal: bool) {
    let mut stderr = io::stderr().lock();
    let _ = if terminal { write!(stderr, "\r\x1b[K{line}") } else { writeln!(stderr, "{line}") };
    let _ = stderr.flush();
}

const PERIOD: Duration = Duration::from_secs(1);
