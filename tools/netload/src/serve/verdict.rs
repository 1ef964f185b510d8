//! What the receiving side says: a line a second, and at its end what came and what is wrong with it.

use std::time::Duration;

use super::tally::Tally;
use crate::args::{Reliability, ServeArguments};
use crate::exit::ExitStatus;
use crate::report::{self, grouped};
use crate::stats::Statistics;
use crate::verify::Findings;

/// How the receiving ended.
#[derive(Default)]
pub(super) struct Received {
    /// Events that retention removed before they were looked at.
    pub(super) skipped: u64,
    /// Why it ended early, or not as it must.
    pub(super) failure: Option<String>,
    pub(super) statistics: Option<Statistics>,
}

/// How it goes: `events` and `bytes` are those of the last `seconds`.
pub(super) fn line(
    elapsed: Duration,
    all: u64,
    events: u64,
    bytes: u64,
    seconds: f64,
    state: &str,
) -> String {
    format!(
        "elapsed {} s  {} received  {}  {:.0} MB/s  {state}",
        elapsed.as_secs(),
        grouped(all),
        report::rate(events as f64, seconds),
        bytes as f64 / seconds / 1e6
    )
}

/// Prints the result, and tells how the process ends if nothing interrupted it.
pub(super) fn print(
    arguments: &ServeArguments,
    reliability: Reliability,
    tally: &Tally,
    received: &Received,
) -> ExitStatus {
    let seconds = tally.active().as_secs_f64();
    println!(
        "received    {:>14} events in {seconds:>7.3} s  {:>10}  {:>7.0} MB/s",
        grouped(tally.events()),
        report::rate(tally.events() as f64, seconds),
        if seconds > 0.0 { tally.bytes() as f64 / seconds / 1e6 } else { 0.0 },
    );
    let counts = received.statistics.iter().flat_map(|statistics| &statistics.adapter_counts);
    let counts: Vec<String> = counts
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{name} {}", grouped(*count)))
        .collect();
    if !counts.is_empty() {
        println!("counted     {}", counts.join("  "));
    }
    let findings = tally.findings();
    if let Some(Findings { returned, lost, duplicated, out_of_order, foreign }) = findings {
        println!(
            "\n{}\n{}",
            columns(&TITLES.map(str::to_owned)),
            columns(&[returned, lost, duplicated, out_of_order, foreign].map(grouped))
        );
    }
    println!();
    let wrong = what_is_wrong(arguments, reliability, tally.events(), findings.as_ref(), received);
    for words in &wrong {
        println!("NOT OK      {words}");
    }
    if wrong.is_empty() {
        println!("verified    {}", what_is_right(arguments, reliability, tally.events(), findings.as_ref()));
        return ExitStatus::Success;
    }
    ExitStatus::Failed
}

/// Everything that is not as it must be.
fn what_is_wrong(
    arguments: &ServeArguments,
    reliability: Reliability,
    events: u64,
    findings: Option<&Findings>,
    received: &Received,
) -> Vec<String> {
    let mut wrong = Vec::new();
    if events == 0 {
        wrong.push("nothing came, so nothing is verified".to_owned());
    }
    if let Some(findings) = findings {
        let (is_full, is_ordered) = (reliability == Reliability::Full, reliability != Reliability::None);
        for (count, is_wrong, words) in [
            (findings.foreign, true, "foreign: no run with these options has published such bytes"),
            (findings.duplicated, true, "duplicated: come once more"),
            (findings.lost, is_full, "missing between those that came"),
            (
                findings.out_of_order,
                is_ordered,
                "out of order: come after one of the same producer and key that must follow it",
            ),
        ] {
            if is_wrong && count > 0 {
                wrong.push(format!("{} {words}", grouped(count)));
            }
        }
    }
    // Those that came too often are no part of those that were to come.
    let counted = findings.map_or(events, |findings| findings.returned);
    if let Some(expected) =
        arguments.events.filter(|expected| counted < expected.get() && reliability == Reliability::Full)
    {
        wrong.push(format!("{} of {} events came", grouped(counted), grouped(expected)));
    }
    if received.skipped > 0 {
        wrong.push(format!(
            "retention removed {} events before they were looked at",
            grouped(received.skipped)
        ));
    }
    wrong.extend(received.failure.clone());
    wrong
}

/// What is known of what came, if nothing is wrong.
fn what_is_right(
    arguments: &ServeArguments,
    reliability: Reliability,
    events: u64,
    findings: Option<&Findings>,
) -> String {
    let count = grouped(events);
    match findings {
        None => "nothing: --count-only".to_owned(),
        Some(_) if reliability == Reliability::Full && arguments.has_keys() => {
            format!(
                "{count} events came once, byte for byte, in order per producer and key, and none is missing between them"
            )
        }
        Some(_) if reliability == Reliability::Full => {
            format!("{count} events came once, byte for byte, and none is missing between them")
        }
        Some(findings) => format!(
            "{count} events came once, byte for byte; {} are missing between them, as with `{}` some may",
            grouped(findings.lost),
            reliability.word()
        ),
    }
}

fn columns(columns: &[String; 5]) -> String {
    columns.iter().fold(String::new(), |line, column| line + &format!("{column:>14}"))
}

const TITLES: [&str; 5] = ["came", "missing", "duplicated", "out of order", "foreign"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::tests::serve;

    const OPTIONS: &str = "--bind 127.0.0.1:1 --key-file k --psk-file p";

    fn wrong(options: &str, reliability: Reliability, findings: Findings) -> String {
        let arguments = serve(&format!("{OPTIONS} {options}"));
        what_is_wrong(&arguments, reliability, findings.returned, Some(&findings), &Received::default())
            .join("; ")
    }

    #[test]
    fn what_a_reliability_allows_is_not_wrong() {
        let some = Findings { returned: 90, lost: 10, out_of_order: 5, ..Findings::default() };
        assert_eq!(wrong("--events 100", Reliability::None, some), "");
        assert!(wrong("--events 100", Reliability::Light, some).starts_with("5 out of order"));
        assert_eq!(wrong("--events 100", Reliability::Light, Findings { out_of_order: 0, ..some }), "");
        let said = wrong("--events 100", Reliability::Full, some);
        assert!(
            said.contains("10 missing") && said.contains("5 out of order") && said.contains("90 of 100"),
            "{said}"
        );
    }

    #[test]
    fn doubled_changed_and_unread_events_are_wrong_whatever_the_reliability_and_so_is_nothing() {
        for reliability in [Reliability::None, Reliability::Light, Reliability::Full] {
            let twice = Findings { returned: 1, duplicated: 1, ..Findings::default() };
            assert!(wrong("", reliability, twice).contains("1 duplicated"));
            let changed = Findings { returned: 1, foreign: 2, ..Findings::default() };
            assert!(wrong("", reliability, changed).contains("2 foreign"));
            assert!(wrong("", reliability, Findings::default()).contains("nothing came"));
            let unread = Received { skipped: 3, ..Received::default() };
            assert!(!what_is_wrong(&serve(OPTIONS), reliability, 1, None, &unread).is_empty());
            let clean = Findings { returned: 100, ..Findings::default() };
            assert_eq!(wrong("--events 100", reliability, clean), "");
        }
    }

    #[test]
    fn a_line_has_the_rates_of_its_second() {
        let line = line(Duration::from_millis(3_010), 600_000, 200_000, 20_000_000, 1.0, "up");
        assert_eq!(line, "elapsed 3 s  600,000 received  200,000/s  20 MB/s  up");
    }
}
