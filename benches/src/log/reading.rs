//! Reading a log from its oldest event, out of the page cache.

use tempfile::TempDir;

use super::{Durability, EVENT_BYTES, bus, floor, folder, publish};
use crate::throughput::{poll_all, push_all};
use crate::{Bus, on_first_core};

/// A log of events of 256 bytes that no bus has open.
pub struct Written {
    folder: TempDir,
    events: usize,
}

/// Events a second by each way.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// A subscriber's, which looks again and again.
    pub subscriber: f64,
    /// That of polls of 1,000.
    pub poll: f64,
    /// Those whose files are read by hand.
    pub by_hand: f64,
}

impl Written {
    /// Writes a log of `events`.
    pub fn of(events: usize) -> Written {
        let folder = folder();
        let bus = bus(folder.path(), Durability::Soon, "");
        publish(bus, events, EVENT_BYTES);
        bus.stop();
        let written = Written { folder, events };
        // From here on it is in the page cache.
        written.read_by_hand();
        written
    }

    /// Reads all of it each way once, by a bus that has just opened it or by hand.
    pub fn read(&self) -> Rates {
        Rates { subscriber: self.opened(push_all), poll: self.opened(poll_all), by_hand: self.read_by_hand() }
    }

    fn opened(&self, read: impl FnOnce(Bus, usize) -> f64 + Send) -> f64 {
        let bus = bus(self.folder.path(), Durability::Soon, r#""idle":"spin","#);
        let rate = on_first_core(|| read(bus, self.events));
        bus.stop();
        rate
    }

    fn read_by_hand(&self) -> f64 {
        floor::read(self.folder.path(), self.events)
    }
}
