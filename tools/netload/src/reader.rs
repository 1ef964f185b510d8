//! The reader: one thread that polls everything back and feeds the verifier.

use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::bus::{Bus, BusError};
use crate::gate::{Gate, Producers};
use crate::verify::{IdGaps, Verify};

/// What the reader did.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Time inside polls that returned events.
    pub(crate) polling: Duration,
    /// Events returned by those polls.
    pub(crate) events: u64,
    /// Numbers missing among the ids: events that the store removed before they were read.
    pub(crate) id_gaps: u64,
    /// Events that the bus says retention removed before a subscription gave them.
    pub(crate) skipped: u64,
    /// Why it ended early.
    pub(crate) failure: Option<String>,
}

/// Polls from `cursor` on until the producers are finished and nothing is left. With `takes_turns` it polls only while no producer
/// publishes. However it ends, no producer waits for it any longer.
pub(crate) fn run(
    bus: &Bus,
    gate: &Gate,
    takes_turns: bool,
    cursor: Option<CString>,
    verifier: &mut dyn Verify,
    progress: &AtomicU64,
) -> Read {
    let gaps = IdGaps::new(bus.shard_count());
    let mut reader = Reader { bus, verifier, progress, cursor, gaps, read: Read::default() };
    let result = reader.follow(gate, takes_turns);
    gate.open();
    Read {
        id_gaps: reader.gaps.missing(),
        failure: result.err().map(|error| error.to_string()),
        ..reader.read
    }
}

struct Reader<'run> {
    bus: &'run Bus,
    verifier: &'run mut dyn Verify,
    progress: &'run AtomicU64,
    cursor: Option<CString>,
    gaps: IdGaps,
    read: Read,
}

impl Reader<'_> {
    fn follow(&mut self, gate: &Gate, takes_turns: bool) -> Result<(), BusError> {
        loop {
            let producers = if takes_turns { gate.wait_until_quiet() } else { gate.producers() };
            match producers {
                Producers::Finished => return self.catch_up(),
                Producers::AllHeld | Producers::SomeHeld => {
                    self.catch_up()?;
                    if producers == Producers::AllHeld {
                        self.verifier.caught_up();
                    }
                    gate.release();
                }
                Producers::Publishing => {
                    if self.page()? == Progress::AtEnd {
                        thread::sleep(EMPTY_PAUSE);
                    }
                }
            }
        }
    }

    /// Reads everything that was accepted before the call.
    fn catch_up(&mut self) -> Result<(), BusError> {
        self.flush()?;
        while self.page()? == Progress::More {}
        Ok(())
    }

    /// A flush that runs into its limit is repeated: a long backlog is no failure.
    fn flush(&self) -> Result<(), BusError> {
        let mut result = self.bus.flush();
        for _ in 1..FLUSHES_MAX {
            match &result {
                Err(error) if error.is_timeout() => result = self.bus.flush(),
                _ => break,
            }
        }
        result
    }

    fn page(&mut self) -> Result<Progress, BusError> {
        let start = Instant::now();
        let page = self.bus.poll(POLL_LIMIT, self.cursor.as_deref())?;
        let took = start.elapsed();
        let events = page.events();
        let count = events.len() as u64;
        for event in events {
            self.gaps.event(&event);
            self.verifier.event(&event);
        }
        if count > 0 {
            self.read.polling += took;
            self.read.events += count;
            self.progress.fetch_add(count, Ordering::Relaxed);
        }
        self.cursor = page.cursor().or(self.cursor.take());
        Ok(if count > 0 || page.has_more() { Progress::More } else { Progress::AtEnd })
    }
}

#[derive(PartialEq, Eq)]
enum Progress {
    More,
    AtEnd,
}

/// Events a poll.
pub(crate) const POLL_LIMIT: usize = 1_000;
const FLUSHES_MAX: u32 = 12;
/// How long the reader leaves a bus alone that has nothing new.
const EMPTY_PAUSE: Duration = Duration::from_micros(200);
