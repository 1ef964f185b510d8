//! `netload log ls`: the segments of each log.

use adapters::log::inspect::{IndexState, Inspection, Segment, SegmentState};
use serde_json::{Value, json};

use super::chosen;
use crate::args::LookArguments;
use crate::config::Refusal;
use crate::exit::ExitStatus;
use crate::report::grouped;

/// Prints a line for each segment, or a JSON object for each log.
pub(super) fn ls(arguments: &LookArguments) -> Result<ExitStatus, Refusal> {
    let inspection = Inspection::open(&arguments.place.directory)?;
    let logs = chosen(&inspection, &arguments.place)?;
    if !arguments.json {
        println!("{}", row(&TITLES.map(str::to_owned)));
    }
    for log in logs {
        let segments = log.segments()?;
        if arguments.json {
            let segments: Vec<Value> = segments.iter().map(described).collect();
            let is_in_use = inspection.is_in_use();
            println!("{}", json!({ "shard": log.shard(), "in_use": is_in_use, "segments": segments }));
        } else {
            for segment in &segments {
                println!("{}", line(log.shard(), segment));
            }
        }
    }
    Ok(ExitStatus::Success)
}

fn described(segment: &Segment) -> Value {
    json!({
        "number": segment.number,
        "bytes": segment.bytes,
        "state": state(segment.state),
        "events": segment.events,
        "first": segment.first,
        "end": segment.end,
        "created_ns": segment.created_ns,
        "index": index(segment.index),
    })
}

fn line(shard: u16, segment: &Segment) -> String {
    let range = if segment.state == SegmentState::Events {
        [grouped(segment.first), grouped(segment.end)]
    } else {
        ["-", "-"].map(str::to_owned)
    };
    let created = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(segment.created_ns);
    let created = humantime::format_rfc3339_seconds(created).to_string();
    let [first, end] = range;
    row(&[
        shard.to_string(),
        segment.number.to_string(),
        grouped(segment.bytes),
        grouped(segment.events),
        first,
        end,
        if segment.created_ns > 0 { created } else { "-".to_owned() },
        index(segment.index).to_owned(),
        state(segment.state).to_owned(),
    ])
}

fn row(columns: &[String; 9]) -> String {
    let [shard, number, bytes, events, first, end, created, index, state] = columns;
    let numbers = format!("{shard:>5}{number:>9}{bytes:>15}{events:>14}{first:>14}{end:>14}");
    format!("{numbers}  {created:<20}  {index:<7}  {state}")
}

fn state(state: SegmentState) -> &'static str {
    match state {
        SegmentState::Events => "events",
        SegmentState::Empty => "empty",
        SegmentState::Void => "void",
        SegmentState::Unreadable => "unreadable",
    }
}

fn index(index: IndexState) -> &'static str {
    match index {
        IndexState::Missing => "missing",
        IndexState::Good => "good",
        IndexState::Bad => "bad",
    }
}

const TITLES: [&str; 9] = ["shard", "segment", "bytes", "events", "first", "end", "made", "index", "has"];
