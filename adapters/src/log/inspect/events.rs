//! The events of one log in order, as readers of a bus are given them: it is the same code that reads, with a disk that is waited for.

use std::collections::VecDeque;

use engine::adapter::{Outcome, ReadBlock, ReadRequest};
use engine::event::{Sequence, ShardId};

use super::super::catalog::Catalog;
use super::super::disk::Disk;
use super::super::operation::Operation;
use super::super::options::Options;
use super::super::reads::{Reads, Source};
use super::super::running::Log;
use super::super::scan::load_index;
use super::{InspectError, ShardLog};
use crate::retained::Retained;

/// A walk through the events of a log, up to where it ended when the walk began.
#[derive(Debug)]
pub struct Events<'a> {
    log: &'a ShardLog,
    catalog: Catalog,
    end: Sequence,
    reads: Reads,
    after: Option<Sequence>,
    is_over: bool,
}

impl ShardLog {
    /// Its events from sequence `from` on, or from the oldest.
    pub fn events(&self, from: Option<u64>) -> Result<Events<'_>, InspectError> {
        let recovered = self.recover()?;
        Ok(Events {
            log: self,
            catalog: Log::catalog(Options::default(), &recovered),
            end: recovered.end,
            reads: Reads::default(),
            after: from.map(|from| Sequence(from.saturating_sub(1))),
            is_over: false,
        })
    }
}

impl Events<'_> {
    /// The next events, about so many, and what was passed over before them as damaged, or skipped as removed; `None` at the end.
    pub fn next(&mut self, events_max: usize) -> Result<Option<ReadBlock>, InspectError> {
        if self.is_over {
            return Ok(None);
        }
        let mut attempts = ATTEMPTS;
        let block = loop {
            match self.read(events_max) {
                Ok(block) => break block,
                // A bus may have removed the segment.
                Err(_) if self.log.is_in_use && attempts > 0 => {
                    attempts -= 1;
                    self.catalog = Log::catalog(Options::default(), &self.log.recover()?);
                }
                Err(error) => return Err(error),
            }
        };
        self.is_over = !block.more;
        if block.more && block.through.is_none() {
            return Err(self.failure("there is more, and reading does not get on".to_owned()));
        }
        self.after = block.through.or(self.after);
        Ok(Some(block))
    }

    fn read(&mut self, events_max: usize) -> Result<ReadBlock, InspectError> {
        let stream = ShardId(self.log.shard);
        let request = ReadRequest { stream, after: self.after, events_max, bytes_max: BYTES_MAX };
        let (mut operations, mut news) = (VecDeque::new(), VecDeque::new());
        let recent = Retained::default();
        let mut source = Source {
            catalog: &mut self.catalog,
            recent: &recent,
            end: self.end,
            operations: &mut operations,
            news: &mut news,
        };
        self.reads.start(0, request, &mut source);
        while let Some(operation) = source.operations.pop_front() {
            match operation {
                Operation::Read(read) => {
                    let mut bytes = vec![0; read.bytes];
                    let result = self.log.folder.read(read.number, read.at, &mut bytes);
                    self.reads.absorb(&read, result.map(|length| &bytes[..length]), &mut source);
                }
                Operation::LoadIndex { number, salt } => {
                    let index = load_index(&self.log.folder, number, salt);
                    self.reads.index_loaded(number, index, &mut source);
                }
                other => unreachable!("reading does not ask for this: {other:?}"),
            }
        }
        match news.pop_front() {
            Some(Outcome::Read { result, .. }) => result.map_err(|why| self.failure(why.to_string())),
            other => unreachable!("a read is answered: {other:?}"),
        }
    }

    fn failure(&self, why: String) -> InspectError {
        InspectError::Read { path: self.log.path.clone(), why }
    }
}

const ATTEMPTS: u32 = 3;
const BYTES_MAX: usize = 1 << 20;
