//! The progress line, once a second: rewritten in place on a terminal, a line of its own elsewhere.
//!
//! It goes to standard error, so that the report on standard output can be kept by itself.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::record::Second;
use crate::report::{grouped, rate};
use crate::series::Series;
use crate::stage::{Stage, Tally};

/// Gathers the seconds and prints until every sender of them is gone.
pub(crate) fn follow(seconds: &Receiver<Second>, stage: &Stage<'_>, series: &mut Series) {
    let terminal = io::stderr().is_terminal();
    let start = Instant::now();
    let mut next = PERIOD;
    let mut before = (Duration::ZERO, 0, 0);
    loop {
        match seconds.recv_timeout(next.saturating_sub(start.elapsed())) {
            Ok(second) => series.add(&second),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                next += PERIOD;
                before = print(stage, start.elapsed(), before, terminal);
            }
        }
    }
    if terminal && next > PERIOD {
        show("", true);
    }
}

type Counted = (Duration, u64, u64);

fn print(stage: &Stage<'_>, elapsed: Duration, before: Counted, terminal: bool) -> Counted {
    let events: u64 = stage.tallies.iter().map(Tally::accepted).sum();
    let bytes: u64 = stage.tallies.iter().map(Tally::bytes).sum();
    let seconds = elapsed.saturating_sub(before.0).as_secs_f64();
    let line = format!(
        "{:6.0} s  {:>15} published  {:>10} {:>6.0} MB/s  {:>15} read back",
        elapsed.as_secs_f64(),
        grouped(events),
        rate((events - before.1) as f64, seconds),
        (bytes - before.2) as f64 / seconds / 1e6,
        grouped(stage.read_back.load(std::sync::atomic::Ordering::Relaxed)),
    );
    show(&line, terminal);
    (elapsed, events, bytes)
}

/// A progress line that cannot be written is no reason to end a run.
fn show(line: &str, terminal: bool) {
    let mut stderr = io::stderr().lock();
    let _ = if terminal { write!(stderr, "\r\x1b[K{line}") } else { writeln!(stderr, "{line}") };
    let _ = stderr.flush();
}

const PERIOD: Duration = Duration::from_secs(1);
