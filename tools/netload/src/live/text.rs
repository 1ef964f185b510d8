//! A run at one moment, in words: as a block of lines that fits a terminal, or as one line.

use super::snapshot::{BusSnapshot, Depth, Goal, Snapshot};
use crate::report::{grouped, rate};

/// The block, cut to a terminal of so many columns and rows.
pub(crate) fn block(snapshot: &Snapshot, columns: usize, rows: usize) -> Vec<String> {
    let mut lines: Vec<String> =
        rows_of(snapshot).into_iter().map(|(label, text)| format!("{label:<10}{text}")).collect();
    if let Some(bus) = &snapshot.bus {
        lines.extend(bus.depths.iter().map(|depth| {
            let label = format!("shard {}", depth.shard);
            format!("{label:<10}{}  {}", pending(*depth), bar(depth.bytes, bus.depth_bytes_max))
        }));
    }
    let rows = rows.saturating_sub(1).max(1);
    if lines.len() > rows {
        let left_out = lines.len() - (rows - 1);
        lines.truncate(rows - 1);
        lines.push(format!("… and {left_out} more"));
    }
    // The last column stays free: a terminal goes on to the next line when it is written.
    lines.iter().map(|line| line.chars().take(columns.saturating_sub(1)).collect()).collect()
}

/// All of it in one line, the shards together.
pub(crate) fn line(snapshot: &Snapshot) -> String {
    let mut parts: Vec<String> =
        rows_of(snapshot).into_iter().map(|(label, text)| format!("{label} {text}")).collect();
    if let Some(bus) = &snapshot.bus {
        let sum = |of: fn(&Depth) -> u64| bus.depths.iter().map(of).sum();
        parts.push(pending(Depth {
            shard: 0,
            events: sum(|depth| depth.events),
            bytes: sum(|depth| depth.bytes),
        }));
    }
    parts.join("  ")
}

/// What block and line have in common: a label and what it is about.
fn rows_of(snapshot: &Snapshot) -> Vec<(&'static str, String)> {
    let mut rows = vec![("elapsed", progress(snapshot)), ("response", response(snapshot))];
    if let Some(read_back) = snapshot.read_back {
        rows.push(("read back", grouped(read_back)));
    }
    if let Some(late_ns) = snapshot.late_ns {
        rows.push(("late", format!("{} at most", time(late_ns))));
    }
    if let Some(bus) = &snapshot.bus {
        rows.push(("dropped", dropped(bus)));
    }
    if snapshot.unanswered > 1 {
        rows.push(("bus", format!("has not answered {} times", snapshot.unanswered)));
    }
    rows
}

fn progress(snapshot: &Snapshot) -> String {
    let elapsed = snapshot.elapsed.as_secs();
    let published = grouped(snapshot.published);
    let far = match snapshot.goal {
        Goal::Time(whole) => format!("{elapsed} s of {:.1} s  {published} published", whole.as_secs_f64()),
        Goal::Events(events) => format!("{elapsed} s  {published} of {} published", grouped(events)),
        Goal::Lines => format!("{elapsed} s  {published} published"),
    };
    format!("{far}  {}  {:.0} MB/s", rate(snapshot.events_per_s, 1.0), snapshot.bytes_per_s / 1e6)
}

fn response(snapshot: &Snapshot) -> String {
    match &snapshot.response {
        Some(point) => {
            format!("p50 {}  p99 {}  max {}", time(point.p50_ns), time(point.p99_ns), time(point.max_ns))
        }
        None => "not measured yet".to_owned(),
    }
}

fn dropped(bus: &BusSnapshot) -> String {
    let reasons = bus.dropped.iter().filter(|(_, events)| **events > 0);
    let told: Vec<String> =
        reasons.map(|(reason, events)| format!("{reason} {}", grouped(*events))).collect();
    let events = if told.is_empty() { "0".to_owned() } else { told.join(", ") };
    format!("{events}  refused {}", grouped(bus.refused))
}

fn pending(depth: Depth) -> String {
    format!("{} pending in {} KB", grouped(depth.events), grouped(depth.bytes.div_ceil(1_000)))
}

/// How full a shard is, against the most that any shard has held.
fn bar(part: u64, whole: u64) -> String {
    let filled = (part * BAR_COLUMNS).div_ceil(whole.max(part).max(1)) as usize;
    "█".repeat(filled) + &"░".repeat(BAR_COLUMNS as usize - filled)
}

/// To three digits or more.
fn time(time_ns: u64) -> String {
    match time_ns {
        0..10_000 => format!("{} ns", grouped(time_ns)),
        10_000..10_000_000 => format!("{} µs", grouped(time_ns / 1_000)),
        _ => format!("{} ms", grouped(time_ns / 1_000_000)),
    }
}

const BAR_COLUMNS: u64 = 20;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::series::Point;
    use std::time::Duration;

    /// A run with so many shards.
    pub(crate) fn snapshot(shards: u16) -> Snapshot {
        let depth =
            |shard: u16| Depth { shard, events: 1_000 * u64::from(shard), bytes: 50_000 * u64::from(shard) };
        Snapshot {
            elapsed: Duration::from_millis(3_102),
            goal: Goal::Time(Duration::from_secs(31)),
            published: 600_000,
            events_per_s: 200_000.0,
            bytes_per_s: 20e6,
            response: Some(Point {
                second: 2,
                events: 200_000,
                p50_ns: 1_234,
                p99_ns: 56_789,
                max_ns: 12_345_678,
            }),
            read_back: Some(599_000),
            late_ns: Some(4_321),
            bus: Some(BusSnapshot {
                depths: (0..shards).map(depth).collect(),
                depth_bytes_max: 100_000,
                dropped: [("newest".to_owned(), 0), ("oldest".to_owned(), 12)].into(),
                refused: 5,
            }),
            unanswered: 0,
        }
    }

    #[test]
    fn the_block_says_how_far_how_fast_how_late_and_what_each_shard_holds() {
        let lines = block(&snapshot(2), 80, 24);
        assert_eq!(
            lines,
            [
                "elapsed   3 s of 31.0 s  600,000 published  200,000/s  20 MB/s",
                "response  p50 1,234 ns  p99 56 µs  max 12 ms",
                "read back 599,000",
                "late      4,321 ns at most",
                "dropped   oldest 12  refused 5",
                "shard 0   0 pending in 0 KB  ░░░░░░░░░░░░░░░░░░░░",
                "shard 1   1,000 pending in 50 KB  ██████████░░░░░░░░░░",
            ]
        );
    }

    #[test]
    fn the_line_has_the_same_words() {
        assert_eq!(
            line(&snapshot(3)),
            "elapsed 3 s of 31.0 s  600,000 published  200,000/s  20 MB/s  response p50 1,234 ns  p99 56 µs  max 12 ms  \
             read back 599,000  late 4,321 ns at most  dropped oldest 12  refused 5  3,000 pending in 150 KB"
        );
    }

    #[test]
    fn what_does_not_apply_or_is_not_known_is_left_out_and_a_silent_bus_is_named() {
        let silent = Snapshot {
            goal: Goal::Events(5_000_000),
            response: None,
            read_back: None,
            late_ns: None,
            bus: None,
            unanswered: 3,
            ..snapshot(1)
        };
        assert_eq!(
            line(&silent),
            "elapsed 3 s  600,000 of 5,000,000 published  200,000/s  20 MB/s  response not measured yet  \
             bus has not answered 3 times"
        );
    }

    #[test]
    fn no_line_reaches_the_last_column_and_no_block_the_last_row() {
        for (columns, rows) in [(1, 1), (2, 2), (20, 5), (40, 24), (200, 100)] {
            let lines = block(&snapshot(64), columns, rows);
            assert!(lines.len() < rows.max(2), "{columns}×{rows}: {lines:?}");
            assert!(lines.iter().all(|line| line.chars().count() < columns), "{columns}×{rows}: {lines:?}");
        }
        assert_eq!(block(&snapshot(64), 80, 10).last().expect("lines"), "… and 61 more");
    }
}
