//! Durations as they are measured: two histograms, one of them handed on every second.
//!
//! *Response* counts from the moment an event was due, *service* from the moment its call began. In a closed loop nothing
//! is due, and the two are the same.

use std::sync::mpsc::Sender;

use hdrhistogram::Histogram;

/// Collects the durations of one thread. What was due before `from_ns` belongs to the warm-up and is left out.
pub(crate) struct Recorder {
    from_ns: u64,
    is_paced: bool,
    response: Histogram<u64>,
    service: Histogram<u64>,
    events: u64,
    /// The second that `response` is of, counted from the end of the warm-up, and its end.
    second: u64,
    second_end_ns: u64,
    seconds: Sender<Second>,
}

/// The response times of what was due in one second, from one thread.
pub(crate) struct Second {
    /// Counted from the end of the warm-up.
    pub(crate) index: u64,
    pub(crate) events: u64,
    pub(crate) response: Histogram<u64>,
}

impl Recorder {
    /// For what is due `from_ns` nanoseconds after the start and later; whole seconds go to `seconds`.
    pub(crate) fn new(from_ns: u64, is_paced: bool, seconds: Sender<Second>) -> Recorder {
        Recorder {
            from_ns,
            is_paced,
            response: histogram(),
            service: histogram(),
            events: 0,
            second: 0,
            second_end_ns: from_ns + SECOND_NS,
            seconds,
        }
    }

    /// Whether an event that was due then is measured.
    #[inline]
    pub(crate) fn measures(&self, due_ns: u64) -> bool {
        due_ns >= self.from_ns
    }

    /// Records the time of `events` events that were due at one moment and called at another, both after the start.
    #[inline]
    pub(crate) fn record(&mut self, due_ns: u64, called_ns: u64, end_ns: u64, events: u64) {
        if !self.measures(due_ns) {
            return;
        }
        if due_ns >= self.second_end_ns {
            self.hand_on(due_ns);
        }
        self.events += events;
        self.response.saturating_record(end_ns.saturating_sub(due_ns));
        if self.is_paced {
            self.service.saturating_record(end_ns.saturating_sub(called_ns));
        }
    }

    /// Hands on what is left. The service times; none in a closed loop, where they are the response times.
    pub(crate) fn finish(mut self) -> Option<Histogram<u64>> {
        self.hand_on(self.second_end_ns);
        self.is_paced.then_some(self.service)
    }

    #[cold]
    fn hand_on(&mut self, due_ns: u64) {
        let response = std::mem::replace(&mut self.response, histogram());
        let second = Second { index: self.second, events: std::mem::take(&mut self.events), response };
        // Nobody listens any more when the run was given up.
        let _ = self.seconds.send(second);
        self.second = (due_ns - self.from_ns) / SECOND_NS;
        self.second_end_ns = self.from_ns + (self.second + 1) * SECOND_NS;
    }
}

/// A histogram for durations of up to a minute, exact to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("valid bounds")
}

pub(crate) const SECOND_NS: u64 = 1_000_000_000;
const LATENCY_NS_MAX: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn each_second_has_what_was_due_in_it_and_the_warm_up_is_left_out() {
        let (sender, seconds) = mpsc::channel();
        let mut recorder = Recorder::new(SECOND_NS, true, sender);
        for (due_ns, took_ns) in [(0, 9), (SECOND_NS, 5), (SECOND_NS + 1, 7), (4 * SECOND_NS, 3)] {
            recorder.record(due_ns, due_ns + 1, due_ns + took_ns, 1);
        }
        let service = recorder.finish().expect("paced");
        assert_eq!((service.len(), service.max()), (3, 6));
        let told: Vec<_> =
            seconds.iter().map(|second| (second.index, second.events, second.response.max())).collect();
        assert_eq!(told, [(0, 2, 7), (3, 1, 3)]);
    }
}
