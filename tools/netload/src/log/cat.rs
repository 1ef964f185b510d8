//! `netload log cat`: the events of each log, in order.

use std::io::{self, BufWriter, ErrorKind, Write};

use adapters::log::inspect::{Event, Inspection, ShardLog};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use serde_json::{Value, json};

use super::chosen;
use crate::args::CatArguments;
use crate::config::Refusal;
use crate::exit::ExitStatus;
use crate::report::counted;

/// Prints a line for each event. Whoever has read enough may go away.
pub(super) fn cat(arguments: &CatArguments) -> Result<ExitStatus, Refusal> {
    let inspection = Inspection::open(&arguments.place.directory)?;
    let mut left = arguments.limit.map_or(u64::MAX, std::num::NonZeroU64::get);
    let mut status = ExitStatus::Success;
    let mut out = BufWriter::with_capacity(OUT_BYTES, io::stdout().lock());
    for log in chosen(&inspection, &arguments.place)? {
        let passed_over = match shard(log, arguments, &mut left, &mut out)? {
            Ok(passed_over) => passed_over,
            Err(error) => return Ok(ended(&error)),
        };
        if passed_over > 0 {
            let (shard, damaged) = (log.shard(), counted(passed_over, "damaged event"));
            eprintln!("netload: shard {shard}: {damaged} passed over");
            status = ExitStatus::Failed;
        }
    }
    match out.flush() {
        Ok(()) => Ok(status),
        Err(error) => Ok(ended(&error)),
    }
}

/// Prints the events of one log, and tells how many were passed over.
fn shard(
    log: &ShardLog,
    arguments: &CatArguments,
    left: &mut u64,
    out: &mut impl Write,
) -> Result<io::Result<u64>, Refusal> {
    let mut events = log.events(arguments.from)?;
    let mut passed_over = 0;
    while *left > 0 {
        let wanted = usize::try_from(*left).map_or(EVENTS_A_READ, |left| left.min(EVENTS_A_READ));
        let Some(block) = events.next(wanted)? else { break };
        passed_over += block.passed_over;
        for event in block.batch.events() {
            if let Err(error) = write(log.shard(), &event, arguments.json, out) {
                return Ok(Err(error));
            }
        }
        *left -= block.batch.len() as u64;
    }
    Ok(Ok(passed_over))
}

fn write(shard: u16, event: &Event<'_>, is_json: bool, out: &mut impl Write) -> io::Result<()> {
    if is_json {
        return writeln!(out, "{}", described(shard, event));
    }
    out.write_all(event.payload)?;
    out.write_all(b"\n")
}

fn described(shard: u16, event: &Event<'_>) -> Value {
    let mut line = json!({
        "shard": shard,
        "sequence": event.sequence.0,
        "timestamp_ns": event.timestamp_ns,
        "hash": event.hash,
    });
    match std::str::from_utf8(event.payload) {
        Ok(text) => line["payload"] = json!(text),
        Err(_) => line["base64"] = json!(STANDARD.encode(event.payload)),
    }
    line
}

/// How it ends when nothing more can be written.
fn ended(error: &io::Error) -> ExitStatus {
    if error.kind() == ErrorKind::BrokenPipe {
        return ExitStatus::Success;
    }
    eprintln!("netload: standard output cannot be written: {error}");
    ExitStatus::Failed
}

const EVENTS_A_READ: usize = 1_000;
const OUT_BYTES: usize = 64 << 10;
