//! `netload log`: looks into the logs of a directory, verifies and repairs them.

mod cat;
mod ls;
mod repair;
mod verify;

use adapters::log::inspect::{Inspection, ShardLog};

use crate::args::{LogArguments, LogCommand, PlaceArguments};
use crate::config::Refusal;
use crate::exit::ExitStatus;

/// Does what the verb's own verb says.
pub(crate) fn log(arguments: &LogArguments) -> Result<ExitStatus, Refusal> {
    match &arguments.command {
        LogCommand::Ls(arguments) => ls::ls(arguments),
        LogCommand::Cat(arguments) => cat::cat(arguments),
        LogCommand::Verify(arguments) => verify::verify(arguments),
        LogCommand::Repair(arguments) => repair::repair(arguments),
    }
}

/// The logs that the arguments name.
fn chosen<'a>(inspection: &'a Inspection, place: &PlaceArguments) -> Result<Vec<&'a ShardLog>, Refusal> {
    let is_chosen = |log: &&ShardLog| place.shard.is_none_or(|shard| log.shard() == shard);
    let logs: Vec<&ShardLog> = inspection.logs().iter().filter(is_chosen).collect();
    match (logs.is_empty(), place.shard) {
        (true, Some(shard)) => Err(Refusal::NoShard { directory: place.directory.clone(), shard }),
        _ => Ok(logs),
    }
}
