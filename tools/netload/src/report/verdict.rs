//! What the report says in the end: whether everything came back, and what did not go as it must.

use super::{counted, grouped};
use crate::config::{Plan, Work};
use crate::outcome::Outcome;
use crate::values::Mode;
use crate::verify::Findings;

/// Prints it to standard output; lines that were not accepted to standard error.
pub(super) fn print(plan: &Plan, outcome: &Outcome) {
    input_remarks(plan, outcome);
    println!("{}", verdict(plan, outcome.accepted, outcome.findings.as_ref()));
    if let Some(findings) = outcome.findings.filter(|findings| !findings.is_clean()) {
        what_is_wrong(outcome, &findings);
    }
    imbalance(outcome);
    if let Some(kept) = outcome.kept.filter(|_| !outcome.kept_rate()) {
        println!(
            "TOO SLOW    {:.1} % of the load was published in its time: these are the latencies of a lower rate",
            kept * 100.0
        );
    }
    if outcome.interrupted {
        println!("interrupted: this is the result until then");
    }
    if !outcome.invalid.is_empty() {
        println!("NOT OK      {} not accepted", counted(outcome.invalid.len() as u64, "line"));
    }
}

/// What became of lines that are no events.
fn input_remarks(plan: &Plan, outcome: &Outcome) {
    let Work::Lines { input, .. } = &plan.work else { return };
    if let Some(first) = input.empty().first() {
        let count = counted(input.empty().len() as u64, "empty line");
        println!("passed over {count}, the first is line {first}: an empty line is no event");
    }
    if let (Some(field), Some(first)) = (input.key_field(), input.without_key().next()) {
        let count = counted(input.without_key().count() as u64, "line");
        println!("{count} without a key at `{field}`, the first is line {first}: published without a key");
    }
    for (number, reason) in outcome.invalid.iter().take(INVALID_SHOWN_MAX) {
        eprintln!("netload: line {number} of {} was not accepted: {reason}", input.name());
    }
    if outcome.invalid.len() > INVALID_SHOWN_MAX {
        let more = (outcome.invalid.len() - INVALID_SHOWN_MAX) as u64;
        eprintln!("netload: and {} more were not accepted", counted(more, "line"));
    }
}

/// What verification says of `accepted` events, in one line.
fn verdict(plan: &Plan, accepted: u64, findings: Option<&Findings>) -> String {
    let order = match plan.work {
        Work::Synthetic { batch, .. } if batch > 1 => "in order per producer and shard",
        _ => "in order per producer and key",
    };
    let count = grouped(accepted);
    match findings {
        Some(findings) if !findings.is_clean() => {
            format!("NOT OK      of {count} accepted events {} came back", grouped(findings.returned))
        }
        _ if accepted == 0 => "NOT OK      no event was accepted, so nothing is verified".to_owned(),
        Some(_) => format!("verified    all {count} accepted events came back once, byte for byte, {order}"),
        None if plan.goes_elsewhere() => {
            "verified    nothing: `netload serve` verifies what arrives at the peer".to_owned()
        }
        None if plan.mode == Mode::Ingest => {
            "verified    nothing: --mode ingest reads nothing back".to_owned()
        }
        None => "verified    nothing: the noop store keeps no events".to_owned(),
    }
}

/// How many events did not come back as they must, and how.
fn what_is_wrong(outcome: &Outcome, findings: &Findings) {
    for (count, what) in [
        (findings.lost, "lost: accepted and not come back"),
        (findings.duplicated, "duplicated: come back once more"),
        (findings.out_of_order, "out of order: come back after one that must follow it"),
        (findings.foreign, "foreign: no accepted event had these bytes, this shard and this timestamp"),
    ] {
        println!("{:>26}  {what}", grouped(count));
    }
    where_lost(outcome);
}

/// Says so where the bus's account does not add up.
pub(crate) fn imbalance(outcome: &Outcome) {
    if outcome.statistics.as_ref().is_some_and(|statistics| !statistics.is_balanced()) {
        println!("NOT OK      the account does not add up");
    }
}

/// What the bus and the ids say of lost events.
pub(crate) fn where_lost(outcome: &Outcome) {
    if outcome.findings.is_none_or(|findings| findings.lost == 0) {
        return;
    }
    let dropped = outcome.statistics.as_ref().map_or(0, |statistics| statistics.total().dropped_count());
    println!(
        "            the bus says it dropped {}; ids missing between events, as retention leaves them: {}",
        grouped(dropped),
        grouped(outcome.read.id_gaps.max(outcome.read.skipped))
    );
}

const INVALID_SHOWN_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::plan;

    #[test]
    fn only_a_run_with_accepted_events_is_called_verified() {
        let plan = plan(&[]).expect("the defaults");
        let clean = Findings::default();
        for findings in [None, Some(&clean)] {
            assert!(verdict(&plan, 0, findings).starts_with("NOT OK"));
            assert!(verdict(&plan, 1, findings).starts_with("verified"));
        }
        assert!(verdict(&plan, 1, Some(&Findings { lost: 1, ..clean })).starts_with("NOT OK"));
    }
}
