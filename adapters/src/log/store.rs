//! One shard's store: its own log, the logs of shards that an earlier layout had, and the files of both. The only place where a log
//! and its files meet.

use std::time::{SystemTime, UNIX_EPOCH};

use engine::adapter::{Adapter, AdapterError, AdapterState, Closing, Outcome, ReadRequest, Resident};
use engine::batch::Batch;
use engine::clock::Monotonic;
use engine::counters::{AdapterCounts, CountName, adapter_counts};
use engine::event::{Sequence, ShardId};

use super::archive::Archive;
use super::files::Files;
use super::lock::Lock;
use super::pending::SUBMITTED_MAX;
use super::running::Log;

/// One shard's store.
pub(super) struct LogStore {
    stream: ShardId,
    log: Log,
    files: Option<Files>,
    archives: Vec<Archive>,
    /// That of its own directory, where it is not part of a bus's.
    _lock: Option<Lock>,
    /// Whether subscribers to its own stream are told where it ends, and where they were told it does.
    followed: Option<Sequence>,
    /// Something was asked for since the log last went on.
    is_moved: bool,
    due: Option<Monotonic>,
    was_buffered: bool,
    error: Option<AdapterError>,
    ends: Vec<Outcome>,
}

impl LogStore {
    pub(super) fn new(
        stream: ShardId,
        log: Log,
        files: Files,
        archives: Vec<Archive>,
        lock: Option<Lock>,
    ) -> LogStore {
        LogStore {
            stream,
            log,
            files: Some(files),
            archives,
            _lock: lock,
            followed: None,
            is_moved: true,
            due: None,
            was_buffered: false,
            error: None,
            ends: Vec::new(),
        }
    }

    /// Hears what has ended, and begins what can be begun.
    fn step(&mut self, now: Monotonic) {
        let Some(files) = &self.files else { return };
        let has_finished = files.has_finished();
        if !has_finished && !self.is_moved && self.due.is_none_or(|due| due > now) {
            return;
        }
        let wall_ns = wall_ns();
        let log = &mut self.log;
        if has_finished {
            files.tell(|done| log.done(done, now, wall_ns));
        }
        self.is_moved = false;
        log.go_on(now, wall_ns);
        while let Some(operation) = log.operation() {
            files.begin(operation, |write, out| log.encode(write, out));
        }
        self.due = log.due();
        if files.is_buffered() && !self.was_buffered {
            self.was_buffered = true;
            let what = "the file system refuses O_DIRECT: what is written goes through the page cache";
            self.error = Some(AdapterError::Transient(what.to_owned()));
        }
        if let Some(told) = self.followed
            && told < log.end()
        {
            self.followed = Some(log.end());
            self.ends.push(Outcome::End { ticket: None, stream: self.stream, result: Ok(log.end()) });
        }
    }

    fn archive(&mut self, stream: ShardId) -> Option<&mut Archive> {
        self.archives.iter_mut().find(|archive| archive.stream() == stream)
    }
}

impl Adapter for LogStore {
    fn resume(&self) -> Sequence {
        self.log.end()
    }

    fn ready(&self) -> bool {
        self.log.is_ready()
    }

    fn in_flight_max(&self) -> usize {
        SUBMITTED_MAX
    }

    fn submit(&mut self, batch: Batch, now: Monotonic) {
        self.log.submit(batch);
        self.is_moved = true;
        self.step(now);
    }

    #[inline]
    fn outcome(&mut self, now: Monotonic) -> Option<Outcome> {
        self.step(now);
        if let Some(news) = self.log.news() {
            return Some(news);
        }
        self.ends.pop().or_else(|| self.archives.iter_mut().find_map(Archive::news))
    }

    fn cancel(&mut self, _: Monotonic) -> Option<Batch> {
        self.log.cancel()
    }

    fn read(&mut self, ticket: u64, request: ReadRequest, now: Monotonic) {
        if request.stream == self.stream {
            self.log.read(ticket, request);
            self.is_moved = true;
            self.step(now);
        } else if let Some(archive) = self.archive(request.stream) {
            archive.read(ticket, request);
        }
    }

    fn resident(&self, stream: ShardId, after: Option<Sequence>) -> Resident<'_> {
        if stream == self.stream { self.log.resident(after) } else { Resident::Elsewhere }
    }

    fn held_events(&self) -> Option<u64> {
        Some(self.log.events())
    }

    fn follow(&mut self, stream: ShardId, wanted: bool, _: Monotonic) {
        if stream == self.stream {
            self.followed = wanted.then(|| self.log.end());
        }
    }

    fn find_end(&mut self, ticket: u64, stream: ShardId, _: Monotonic) {
        let end = if stream == self.stream {
            self.log.end()
        } else {
            self.archive(stream).map_or(Sequence::FIRST, |archive| archive.end())
        };
        self.ends.push(Outcome::End { ticket: Some(ticket), stream, result: Ok(end) });
    }

    fn sync(&mut self, ticket: u64, now: Monotonic) {
        self.log.flush(ticket);
        self.is_moved = true;
        self.step(now);
    }

    fn due(&self) -> Option<Monotonic> {
        self.due
    }

    fn outstanding(&self) -> bool {
        self.files.as_ref().is_some_and(Files::outstanding) || self.archives.iter().any(Archive::outstanding)
    }

    fn close(&mut self) -> Option<Closing> {
        let files = self.files.take()?;
        let closing = self.log.close();
        let archives = std::mem::take(&mut self.archives);
        Some(Box::pin(async move {
            for archive in archives {
                archive.close().await;
            }
            files.close(closing).await;
        }))
    }

    fn counts(&self) -> AdapterCounts {
        let counts = self.log.counts();
        let [segments, bytes, removed, passed_over, reads_failed] = self.log.read_counts();
        adapter_counts([
            segments,
            bytes,
            counts.segments_made,
            removed,
            counts.segments_failed,
            counts.segments_refused,
            counts.written_bytes,
            counts.syncs,
            counts.events_rewritten,
            passed_over,
            reads_failed,
            u64::from(self.was_buffered),
        ])
    }

    fn state(&self) -> AdapterState {
        self.log.state()
    }

    fn take_error(&mut self) -> Option<AdapterError> {
        self.log.take_error().or(self.error.take())
    }
}

/// What a store counts besides what a shard does.
pub(super) const COUNT_NAMES: [CountName; 12] = [
    CountName::new("segments", "Segments that there are now."),
    CountName::new("segment_bytes", "Bytes that they take on the disk."),
    CountName::new("segments_made", "Segments made."),
    CountName::new("segments_removed", "Segments removed by retention."),
    CountName::new("segments_failed", "Segments closed for ever because a write or a sync failed."),
    CountName::new("segments_refused", "Times that a segment could not be made, as on a full disk."),
    CountName::new("written_bytes", "Bytes written."),
    CountName::new("syncs", "Syncs of a segment."),
    CountName::new(
        "events_rewritten",
        "Events written again because their segment failed before they were durable.",
    ),
    CountName::new("events_passed_over", "Events read that were damaged, and left out."),
    CountName::new("reads_failed", "Reads that the disk refused."),
    CountName::new(
        "buffered",
        "1 where the file system refuses O_DIRECT, so that writes go through the page cache.",
    ),
];

/// Nanoseconds since the Unix epoch.
pub(super) fn wall_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}
