//! The receiver: one thread that is given every event while others publish, and measures how long each was on its way.

use std::ffi::CString;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::bus::{Bus, BusError, Event};
use crate::gate::{Allowance, Producers};
use crate::payload::moments;
use crate::reader::{POLL_LIMIT, Read};
use crate::record::Recorder;
use crate::stage::{Stage, Tally};
use crate::subscription::Subscription;
use crate::verify::{IdGaps, Verify};

/// Where events come from.
pub(crate) enum Source<'run> {
    Subscription(Subscription),
    Poll { bus: &'run Bus, cursor: Option<CString> },
}

/// What the receiver did.
pub(crate) struct Received {
    pub(crate) read: Read,
    /// From the call to the receipt; none in a closed loop, where it is the response.
    pub(crate) service: Option<Histogram<u64>>,
}

/// Receives until every producer is finished and everything accepted has come, or nothing has come for two seconds.
/// However it ends, no producer waits for it any longer.
pub(crate) fn run(
    mut source: Source<'_>,
    stage: &Stage<'_>,
    verifier: &mut dyn Verify,
    mut recorder: Recorder,
) -> Received {
    let mut read = Read::default();
    let mut gaps = IdGaps::new(stage.bus.shard_count());
    let start = Instant::now();
    let result = receive(&mut source, stage, verifier, &mut recorder, &mut read, &mut gaps);
    read.polling = start.elapsed();
    read.failure = result.err().map(|error| error.to_string());
    stage.gate.open();
    read.id_gaps = gaps.missing();
    if let Source::Subscription(subscription) = &mut source {
        read.skipped = subscription.skipped().unwrap_or(0);
    }
    Received { read, service: recorder.finish() }
}

fn receive(
    source: &mut Source<'_>,
    stage: &Stage<'_>,
    verifier: &mut dyn Verify,
    recorder: &mut Recorder,
    read: &mut Read,
    gaps: &mut IdGaps,
) -> Result<(), BusError> {
    let mut empty_since: Option<Instant> = None;
    loop {
        let mut now_ns = None;
        let count = source.next(|event| {
            // All events of one call were received at one moment.
            let now_ns = *now_ns.get_or_insert_with(|| stage.now_ns());
            if verifier.event(event) {
                let (due_ns, called_ns) = moments(event.bytes);
                recorder.record(due_ns, called_ns, now_ns, 1);
            }
            gaps.event(event);
        })?;
        if count > 0 {
            read.events += count;
            stage.read_back.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
            empty_since = None;
            if stage.allowance == Allowance::UNBOUNDED {
                continue;
            }
        }
        let producers = stage.gate.producers();
        if !matches!(producers, Producers::Finished | Producers::AllHeld) {
            continue;
        }
        let accepted: u64 = stage.tallies.iter().map(Tally::accepted).sum();
        if read.events < accepted && empty_since.get_or_insert_with(Instant::now).elapsed() <= NOTHING_MORE {
            continue;
        }
        if producers == Producers::Finished {
            return Ok(());
        }
        stage.gate.release();
        empty_since = None;
    }
}

impl Source<'_> {
    /// Where polls begin; `None` is at the oldest event.
    pub(crate) fn cursor(self) -> Option<CString> {
        match self {
            Source::Subscription(_) => None,
            Source::Poll { cursor, .. } => cursor,
        }
    }

    /// Visits what there is now, and tells how much it was.
    fn next(&mut self, mut visit: impl FnMut(&Event<'_>)) -> Result<u64, BusError> {
        let mut count = 0;
        let mut visit = |event: Event<'_>| {
            visit(&event);
            count += 1;
        };
        match self {
            Source::Subscription(subscription) => subscription.next()?.for_each(visit),
            Source::Poll { bus, cursor } => {
                let page = bus.poll(POLL_LIMIT, cursor.as_deref())?;
                page.events().for_each(&mut visit);
                *cursor = page.cursor().or(cursor.take());
            }
        }
        Ok(count)
    }
}

/// While no producer publishes, so long without an event means that nothing more comes.
const NOTHING_MORE: Duration = Duration::from_secs(2);
