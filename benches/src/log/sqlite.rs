//! What else keeps events in a file: `SQLite` with a write-ahead log, one transaction a batch.

use std::time::Instant;

use rusqlite::{Connection, Result, params};

use super::{Durability, EVENT_BYTES, folder};
use crate::throughput::rate;
use crate::{event, on_first_core};

/// Events a second that one connection inserts, `batch_events` in each transaction, until the last is committed.
///
/// # Panics
/// When `SQLite` fails.
pub fn append(durability: Durability, events: usize, batch_events: usize) -> f64 {
    let folder = folder();
    on_first_core(|| {
        let mut connection = Connection::open(folder.path().join("events.db")).expect("a new file");
        make_table(&connection, durability).expect("a new database");
        let start = Instant::now();
        insert(&mut connection, events, batch_events).expect("the disk takes it");
        rate(events, start)
    })
}

fn make_table(connection: &Connection, durability: Durability) -> Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", durability.of_sqlite())?;
    connection.execute_batch("CREATE TABLE events (sequence INTEGER PRIMARY KEY, payload BLOB)")
}

fn insert(connection: &mut Connection, events: usize, batch_events: usize) -> Result<()> {
    let payload = event(EVENT_BYTES);
    for first in (0..events).step_by(batch_events) {
        let transaction = connection.transaction()?;
        {
            let mut statement = transaction.prepare_cached("INSERT INTO events VALUES (?1, ?2)")?;
            for sequence in first..events.min(first + batch_events) {
                statement.execute(params![i64::try_from(sequence).expect("few"), payload])?;
            }
        }
        transaction.commit()?;
    }
    Ok(())
}
