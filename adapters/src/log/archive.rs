//! The archive: the log of a shard that the bus does not have any more. It is read as it was left, and nothing is appended.

use std::collections::VecDeque;

use engine::adapter::{Outcome, ReadRequest};
use engine::event::{Sequence, ShardId};

use super::catalog::Catalog;
use super::files::Files;
use super::operation::{Done, Operation};
use super::reads::{Reads, Source};
use crate::retained::Retained;

/// A log that is only read.
pub(super) struct Archive {
    stream: ShardId,
    catalog: Catalog,
    end: Sequence,
    reads: Reads,
    files: Files,
    /// Nothing is in memory.
    recent: Retained,
    operations: VecDeque<Operation>,
    news: VecDeque<Outcome>,
}

impl Archive {
    pub(super) fn new(stream: ShardId, catalog: Catalog, end: Sequence, files: Files) -> Archive {
        Archive {
            stream,
            catalog,
            end,
            reads: Reads::default(),
            files,
            recent: Retained::default(),
            operations: VecDeque::new(),
            news: VecDeque::new(),
        }
    }

    /// Which stream it is.
    pub(super) fn stream(&self) -> ShardId {
        self.stream
    }

    /// One past its last event.
    pub(super) fn end(&self) -> Sequence {
        self.end
    }

    /// Starts a read.
    pub(super) fn read(&mut self, ticket: u64, request: ReadRequest) {
        let (reads, mut source) = self.reading();
        reads.start(ticket, request, &mut source);
        self.begin();
    }

    /// What there is to tell.
    pub(super) fn news(&mut self) -> Option<Outcome> {
        if self.files.has_finished() {
            let Archive { catalog, recent, reads, operations, news, files, end, .. } = self;
            files.tell(|done| {
                let mut source = Source { catalog, recent, end: *end, operations, news };
                match done {
                    Done::Read { read, result } => reads.absorb(&read, result, &mut source),
                    Done::IndexLoaded { number, result } => reads.index_loaded(number, result, &mut source),
                    other => unreachable!("an archive does not ask for this: {other:?}"),
                }
            });
            self.begin();
        }
        self.news.pop_front()
    }

    /// Whether something is under way.
    pub(super) fn outstanding(&self) -> bool {
        self.files.outstanding()
    }

    /// Waits for what is under way.
    pub(super) async fn close(self) {
        self.files.wait().await;
    }

    fn begin(&mut self) {
        while let Some(operation) = self.operations.pop_front() {
            self.files.begin(operation, |_, _| unreachable!("an archive writes nothing"));
        }
    }

    fn reading(&mut self) -> (&mut Reads, Source<'_>) {
        let Archive { catalog, recent, reads, operations, news, end, .. } = self;
        (reads, Source { catalog, recent, end: *end, operations, news })
    }
}
