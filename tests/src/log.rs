//! Buses that keep a log.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use adapters::{FactoryError, SECTIONS};
use engine::bus::Bus;
use engine::config::Config;
use engine::event::{EventFlags, ShardId};
use tempfile::TempDir;

use crate::c;

/// A bus that keeps its log in `dir`. `options` follow in the section, after a comma.
pub fn bus(dir: &Path, shards: u16, options: &str) -> Result<Bus, String> {
    let comma = if options.is_empty() { "" } else { "," };
    bus_of(&format!(r#"{{"num_shards":{shards},"log":{{"dir":"{}"{comma}{options}}}}}"#, dir.display()))
}

/// A bus with this configuration, which has a log.
pub fn bus_of(json: &str) -> Result<Bus, String> {
    let (config, section) = Config::parse(json, &SECTIONS).expect("a test's configuration is right");
    let stores = adapters::factory(section, &config).map_err(|error: FactoryError| error.to_string())?;
    Bus::start(config, stores).map_err(|error| error.to_string())
}

/// Publishes events that are their numbers, each with its number as key, and waits until they are durable.
pub fn publish(bus: &Bus, numbers: Range<u64>) {
    let mut producer = bus.producer();
    for number in numbers {
        let payload = format!(r#"{{"n":{number}}}"#);
        producer
            .publish(Some(&number.to_le_bytes()), payload.as_bytes(), EventFlags::JSON)
            .expect("it is taken");
    }
    bus.flush().expect("the log is durable");
}

/// What a kill would leave of the log in `dir`, as far as its files can tell.
pub fn copied(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("a directory is made");
    c::run_command(Command::new("cp").arg("-a").arg(dir.join(".")).arg(copy.path()));
    copy
}

/// Damages the last block with events of a closed log of one segment: behind it is that of the close.
pub fn damage_last_events(segment: &Path) {
    let mut bytes = fs::read(segment).expect("the shard has a segment");
    let blocks: Vec<usize> =
        (0..bytes.len()).step_by(4_096).filter(|at| bytes[at + 8..].starts_with(b"blk1")).collect();
    bytes[blocks[blocks.len() - 2] + 24] ^= 1;
    fs::write(segment, bytes).expect("there is space");
}

/// The numbers of events that [`publish`] has published.
pub fn numbers(events: &[(ShardId, Vec<u8>)]) -> Vec<u64> {
    let number = |payload: &[u8]| {
        let text = std::str::from_utf8(payload).expect("it is JSON");
        text.trim_start_matches(r#"{"n":"#).trim_end_matches('}').parse().expect("it is a number")
    };
    events.iter().map(|(_, payload)| number(payload)).collect()
}
