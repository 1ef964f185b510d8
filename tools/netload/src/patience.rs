//! Publishing against a bus that refuses for now: again until it accepts, for ten seconds in a row at most.

use std::thread;
use std::time::{Duration, Instant};

use quanta::Clock;

use crate::bus::BusError;

/// An accepted call.
pub(crate) struct Accepted<T> {
    /// What it returned.
    pub(crate) value: T,
    /// The raw clock value before the first attempt, so that what follows from a refusal is part of the latency.
    pub(crate) start: u64,
}

/// Calls until the bus accepts, and counts the refusals. Any other failure ends it, and a refusal after ten seconds.
#[inline]
pub(crate) fn until_accepted<T>(
    clock: &Clock,
    refused: &mut u64,
    mut call: impl FnMut() -> Result<T, BusError>,
) -> Result<Accepted<T>, BusError> {
    let mut patience = Patience::default();
    let start = clock.raw();
    loop {
        match call() {
            Ok(value) => return Ok(Accepted { value, start }),
            Err(error) if error.is_refusal() => {
                *refused += 1;
                patience.wait(error)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// How a producer waits while the bus is too busy: it spins, then yields, then sleeps.
#[derive(Default)]
struct Patience {
    refusals: u32,
    since: Option<Instant>,
}

impl Patience {
    #[cold]
    fn wait(&mut self, error: BusError) -> Result<(), BusError> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            return Err(error);
        }
        self.pause();
        Ok(())
    }

    fn pause(&mut self) {
        self.refusals += 1;
        match self.refusals {
            0..=10 => std::hint::spin_loop(),
            11..=100 => thread::yield_now(),
            _ => thread::sleep(Duration::from_micros(50)),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_every_refused_attempt_counts() {
        let (clock, mock) = Clock::mock();
        mock.increment(Duration::from_millis(1));
        let (mut attempts, mut refused) = (0, 0);
        let accepted = until_accepted(&clock, &mut refused, || {
            attempts += 1;
            mock.increment(Duration::from_millis(5));
            if attempts < 3 { Err(BusError::refusal()) } else { Ok(attempts) }
        });
        let accepted = accepted.expect("the third attempt is accepted");
        assert_eq!((accepted.value, refused), (3, 2));
        assert_eq!(clock.delta_as_nanos(accepted.start, clock.raw()), 15_000_000);
    }
}
