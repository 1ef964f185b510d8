//! `netload log verify`: whether every byte of each log is as it must be, and where not.

use std::path::Path;

use adapters::log::inspect::{Damage, Inspection, ShardLog, Verified};
use serde_json::{Value, json};

use super::chosen;
use crate::args::LookArguments;
use crate::config::Refusal;
use crate::exit::ExitStatus;
use crate::report::{counted, grouped};

/// Prints a row for each log, what is wrong, and a verdict.
pub(super) fn verify(arguments: &LookArguments) -> Result<ExitStatus, Refusal> {
    let inspection = Inspection::open(&arguments.place.directory)?;
    let logs = chosen(&inspection, &arguments.place)?;
    let is_in_use = inspection.is_in_use();
    if !arguments.json {
        println!("{}", row(&TITLES.map(str::to_owned)));
    }
    let mut all = Verified::default();
    let identity = inspection.damage();
    let root = &arguments.place.directory;
    let mut remarks = Vec::new();
    for log in logs {
        let found = log.verify()?;
        if arguments.json {
            println!("{}", described(log, &found, identity.as_ref(), is_in_use));
        } else {
            println!("{}", counts(&found));
            remarks.extend(self::remarks(&found, root, is_in_use));
        }
        all.events += found.events;
        all.damaged_events += found.damaged_events;
        all.damage_count += found.damage_count;
    }
    all.damage_count += u64::from(identity.is_some());
    if !arguments.json {
        remarks.extend(identity.iter().map(|damage| remark(damage, root)));
        if !remarks.is_empty() {
            println!();
        }
        for remark in &remarks {
            println!("{remark}");
        }
        println!("\n{}", verdict(&all));
    }
    Ok(if all.is_good() { ExitStatus::Success } else { ExitStatus::Failed })
}

/// What is to be said of one log besides its counts.
pub(super) fn remarks(found: &Verified, root: &Path, is_in_use: bool) -> Vec<String> {
    let shown = found.damage.iter().take(DAMAGE_SHOWN_MAX);
    let mut remarks: Vec<String> = shown.map(|damage| remark(damage, root)).collect();
    let more = found.damage_count.saturating_sub(DAMAGE_SHOWN_MAX as u64);
    if more > 0 {
        remarks.push(format!("{:<12}{} more of shard {}", "", grouped(more), found.shard));
    }
    let shard = found.shard;
    let tail = found.tail.as_ref().map(|tail| (name(&tail.path, root), grouped(tail.offset), tail.bytes));
    match tail {
        Some((file, offset, _)) if is_in_use => {
            remarks.push(format!("in use      shard {shard} was being written to, {file} at {offset}"));
        }
        Some((file, offset, bytes)) => {
            let bytes = grouped(bytes);
            let begun = format!("{bytes} bytes behind the end are no event, {file} at {offset}");
            remarks.push(format!("not closed  shard {shard}: {begun}"));
        }
        None if !found.was_closed && !is_in_use => {
            remarks.push(format!("not closed  shard {shard}: nothing is behind the end"));
        }
        None => {}
    }
    if !found.void.is_empty() && !is_in_use {
        let count = found.void.len();
        remarks
            .push(format!("{:<12}segments of shard {shard} that have nothing of its log: {count}", "void"));
    }
    remarks
}

pub(super) fn verdict(all: &Verified) -> String {
    match (all.damage_count, all.damaged_events) {
        (0, _) => format!("verified    {} events are whole, and none is missing", grouped(all.events)),
        (_, 0) => {
            format!("NOT OK      something is damaged, and none of {} events is lost", grouped(all.events))
        }
        (_, lost) => {
            let (lost, whole) = (counted(lost, "event"), grouped(all.events));
            format!("NOT OK      {lost} damaged or missing, {whole} whole")
        }
    }
}

/// One thing that is wrong.
fn remark(damage: &Damage, root: &Path) -> String {
    let (file, offset, kind) = (name(&damage.path, root), grouped(damage.offset), &damage.kind);
    let bytes = if damage.bytes > 0 { format!(", {}", counted(damage.bytes, "byte")) } else { String::new() };
    let events =
        if damage.events > 0 { format!(", {}", counted(damage.events, "event")) } else { String::new() };
    format!("{:<12}{file} at {offset}{bytes}{events}: {kind}", "damaged")
}

fn name(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

fn described(log: &ShardLog, found: &Verified, identity: Option<&Damage>, is_in_use: bool) -> Value {
    let damage = |damage: &Damage| {
        json!({
            "path": damage.path,
            "offset": damage.offset,
            "bytes": damage.bytes,
            "events": damage.events,
            "kind": damage.kind.word(),
            "says": damage.kind.to_string(),
        })
    };
    json!({
        "shard": log.shard(),
        "good": found.is_good() && identity.is_none(),
        "in_use": is_in_use,
        "segments": found.segments,
        "bytes": found.bytes,
        "events": found.events,
        "damaged_events": found.damaged_events,
        "first": found.first,
        "end": found.end,
        "next": found.next,
        "closed": found.was_closed,
        "void": found.void,
        "tail": found.tail.as_ref().map(|tail| json!({
            "path": tail.path, "offset": tail.offset, "bytes": tail.bytes,
        })),
        "damage_count": found.damage_count + u64::from(identity.is_some()),
        "damage": identity.into_iter().chain(&found.damage).map(damage).collect::<Vec<_>>(),
    })
}

fn counts(found: &Verified) -> String {
    row(&[
        found.shard.to_string(),
        grouped(found.segments),
        grouped(found.bytes),
        grouped(found.events),
        grouped(found.damaged_events),
        grouped(found.first),
        grouped(found.end),
    ])
}

fn row(columns: &[String; 7]) -> String {
    let [shard, segments, bytes, events, damaged, first, end] = columns;
    format!("{shard:>5}{segments:>10}{bytes:>16}{events:>14}{damaged:>10}{first:>14}{end:>14}")
}

const TITLES: [&str; 7] = ["shard", "segments", "bytes", "events", "damaged", "first", "end"];
const DAMAGE_SHOWN_MAX: usize = 20;
