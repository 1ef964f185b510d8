//! Publishing against a bus that refuses for now: again until it accepts, for ten seconds in a row at most.

use std::thread;
use std::time::{Duration, Instant};

use crate::bus::BusError;

/// Calls until the bus accepts, and counts the refusals. Any other failure ends it, and a refusal after ten seconds.
#[inline]
pub(crate) fn until_accepted<T>(
    refused: &mut u64,
    mut call: impl FnMut() -> Result<T, BusError>,
) -> Result<T, BusError> {
    let mut patience = Patience::default();
    loop {
        match call() {
            Ok(value) => return Ok(value),
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
    fn a_refused_call_is_repeated_and_every_refusal_counted() {
        let (mut attempts, mut refused) = (0, 0);
        let accepted = until_accepted(&mut refused, || {
            attempts += 1;
            if attempts < 3 { Err(BusError::refusal()) } else { Ok(attempts) }
        });
        assert_eq!((accepted.expect("the third attempt is accepted"), refused), (3, 2));
    }
}
