//! `netload log repair`: says what a repair does, does it, and says what is damaged still.

use adapters::log::inspect::{Inspection, Step, Verified};

use super::{chosen, verify};
use crate::args::RepairArguments;
use crate::config::Refusal;
use crate::exit::ExitStatus;
use crate::report::grouped;

/// Repairs each log, or says what that would be.
pub(super) fn repair(arguments: &RepairArguments) -> Result<ExitStatus, Refusal> {
    let inspection = Inspection::open(&arguments.place.directory)?;
    let logs = chosen(&inspection, &arguments.place)?;
    let lock = if arguments.dry_run { None } else { Some(inspection.lock()?) };
    let mut all = Verified::default();
    let mut remarks = Vec::new();
    for log in logs {
        let repair = log.repair()?;
        let shard = log.shard();
        for step in repair.steps() {
            println!("{}", told(shard, *step));
        }
        if repair.steps().is_empty() {
            println!("shard {shard:<5} there is nothing to repair");
        }
        if let Some(lock) = &lock {
            repair.apply(lock)?;
            let found = log.verify()?;
            remarks.extend(verify::remarks(&found, &arguments.place.directory, false));
            all.events += found.events;
            all.damaged_events += found.damaged_events;
            all.damage_count += found.damage_count;
        }
    }
    if lock.is_none() {
        println!("\nnothing was done: --dry-run");
        return Ok(ExitStatus::Success);
    }
    if !remarks.is_empty() {
        println!();
    }
    for remark in &remarks {
        println!("{remark}");
    }
    println!("\n{}", verify::verdict(&all));
    Ok(if all.is_good() { ExitStatus::Success } else { ExitStatus::Failed })
}

fn told(shard: u16, step: Step) -> String {
    let what = match step {
        Step::End { number, end, next } => {
            let (end, next) = (grouped(end), grouped(next));
            format!("segment {number} is made: the log ends at {end} and goes on with {next}")
        }
        Step::Cut { number, from, to } => {
            format!(
                "segment {number} is cut from {} to {} bytes, behind its last event",
                grouped(from),
                grouped(to)
            )
        }
        Step::Remove { number } => format!("segment {number} is removed: nothing in it is part of the log"),
        Step::Index { number } => format!("the index of segment {number} is made"),
    };
    format!("shard {shard:<5} {what}")
}
