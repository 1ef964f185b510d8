//! The segments of one log, as a list.

use super::super::disk::Disk;
use super::super::format::index::Index;
use super::super::scan::load_index;
use super::{InspectError, ShardLog, bound};

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number, as in its name.
    pub number: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// What it is to the log.
    pub state: SegmentState,
    /// Sequence of its first event. Where it has none, both this and `end` are 0.
    pub first: u64,
    /// One past its last event.
    pub end: u64,
    /// Events, those that are damaged among them.
    pub events: u64,
    /// When it was made, nanoseconds since the Unix epoch; 0 where the header is bad.
    pub created_ns: u64,
    /// Its index.
    pub index: IndexState,
}

/// What a segment is to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// It has events.
    Events,
    /// It is the newest, and has none: made for what is to come, or where the log was closed.
    Empty,
    /// Nothing in it is part of the log.
    Void,
    /// Its header is bad.
    Unreadable,
}

/// The index of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// It is not there: the segment is in use, or was when the log ended.
    Missing,
    /// It is there.
    Good,
    /// It is there, and bad.
    Bad,
}

impl ShardLog {
    /// Its segments, ascending by number.
    pub fn segments(&self) -> Result<Vec<Segment>, InspectError> {
        let recovered = self.recover()?;
        let newest = self.newest()?;
        let mut segments = Vec::new();
        for found in self.found()? {
            let Ok(copies) = self.headers(found.number) else { continue };
            let mut segment = Segment {
                number: found.number,
                bytes: found.bytes,
                state: SegmentState::Unreadable,
                first: 0,
                end: 0,
                events: 0,
                created_ns: 0,
                index: IndexState::Missing,
            };
            let Some(header) = copies.into_iter().flatten().next() else {
                segments.push(segment);
                continue;
            };
            segment.created_ns = header.created_ns;
            segment.index = self.index_state(found.number, header.salt);
            let place = recovered.segments.iter().position(|survivor| survivor.found.number == found.number);
            segment.state = match place {
                Some(_) => SegmentState::Events,
                None if Some(found.number) >= newest => SegmentState::Empty,
                None => SegmentState::Void,
            };
            if let Some(place) = place {
                let first = recovered.segments[place].first;
                let bound = bound(&recovered, place);
                let index = load_index(&self.folder, found.number, header.salt);
                let end = index.map_or(bound, |index| index.end).min(bound).max(first);
                (segment.first, segment.end) = (first.0, end.0);
                segment.events = recovered.jumps.events_between(first, end);
            }
            segments.push(segment);
        }
        Ok(segments)
    }

    /// The newest segment that has a header.
    pub(super) fn newest(&self) -> Result<Option<u64>, InspectError> {
        let found = self.found()?;
        let has_header = |number: u64| self.headers(number).is_ok_and(|copies| copies != [None, None]);
        Ok(found.iter().rev().map(|found| found.number).find(|&number| has_header(number)))
    }

    pub(super) fn index_state(&self, number: u64, salt: u64) -> IndexState {
        match self.folder.index(number) {
            Err(_) => IndexState::Missing,
            Ok(bytes) if Index::decode(&bytes, salt).is_some() => IndexState::Good,
            Ok(_) => IndexState::Bad,
        }
    }
}
