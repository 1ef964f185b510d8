//! What a run looks like while it lasts, once a second on standard error, so that the report on standard output can be
//! kept by itself: a block that is rewritten in place on a terminal, a line elsewhere.
//!
//! A look reads counters that producers write anyway, and asks the bus for its statistics on a thread of its own: whatever
//! happens to it, the run goes on.

mod asker;
mod screen;
mod snapshot;
mod text;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::record::Second;
use crate::series::Series;
use crate::stage::Stage;
use asker::Asker;
use screen::Screen;
use snapshot::Observer;

/// Gathers the seconds and shows the run until every sender of them is gone.
pub(crate) fn follow(seconds: &Receiver<Second>, stage: &Stage<'_>, series: &mut Series) {
    let Some(mut screen) = Screen::of_stderr(stage.plan.quiet) else {
        for second in seconds {
            series.add(&second);
        }
        return;
    };
    let inquiry = stage.bus.inquiry();
    let mut observer = Observer::new(stage, Asker::new(move || inquiry.statistics()));
    let start = Instant::now();
    let mut next = FIRST;
    loop {
        match seconds.recv_timeout(next.saturating_sub(start.elapsed())) {
            Ok(second) => series.add(&second),
            Err(RecvTimeoutError::Disconnected) => return screen.leave(),
            Err(RecvTimeoutError::Timeout) => {
                screen.show(&observer.look(start.elapsed(), series.latest()));
                next += PERIOD;
            }
        }
    }
}

const PERIOD: Duration = Duration::from_secs(1);
/// A little more than a second, so that every thread has handed on the second that is shown.
const FIRST: Duration = Duration::from_millis(1_100);
