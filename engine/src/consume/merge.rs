//! The merge: one poll, from the shards that must be read to the answer.
//!
//! It does no I/O. Its owner reads what [`Merge::fetches`] names, hands each answer to [`Merge::absorb`], and asks
//! again until nothing is named:
//!
//! ```text
//! loop { let fetches = merge.fetches(); if fetches.is_empty() { break }  …read, all at once…  merge.absorb(…) }
//! merge.finish()
//! ```
//!
//! What holds, whatever the limit, the filter and the answers are:
//! - A shard's position moves only past events that are in the answer or that the filter rejected (law 8). An event
//!   that was fetched and lies behind the limit stays in front of the cursor.
//! - Without an order the limit is dealt out evenly; what a shard has no events for goes to the others. Who gets the
//!   odd ones changes from poll to poll, so that no shard starves at a limit below the number of shards.
//! - Under [`Ordering::InsertionTs`] every pick is the smallest head of all shards: a shard whose block is used up is
//!   read again before the next pick.
//! - What an earlier [layout](Layouts) holds is read to its end, on every shard, before a later one is begun (law 9), in
//!   timestamp order too.
//! - A shard that failed takes no part; what may be of a later layout than its next event waits for it.
//! - A poll is bounded in events, reads and bytes; at a bound it answers with what it has, and `has_more`.

mod source;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use xxhash_rust::xxh3::xxh3_64;

use super::PollResponse;
use super::cursor::{Cursor, CursorError, Store};
use super::filter::{Filter, FilterScratch};
use super::request::{Ordering, PollRequest, shard_ids};
use crate::adapter::{ReadBlock, ReadRequest};
use crate::event::ShardId;
use crate::layouts::Layouts;
use source::{Source, State};

/// A poll under way.
#[derive(Debug)]
pub struct Merge {
    /// The cursor as it was given, echoed when nothing was examined.
    given: Option<String>,
    cursor: Cursor,
    /// Ascending by shard.
    sources: Vec<Source>,
    /// Which source is first when events are dealt out.
    first_dealt: usize,
    ordered: bool,
    layouts: Layouts,
    /// The layout in turn: no source has an event of an earlier one.
    layout: usize,
    /// The next wanted event of every source that has one: layout, timestamp, shard, index of the source. Only when ordered.
    heads: BinaryHeap<Reverse<(usize, u64, ShardId, usize)>>,
    answer: Answer,
}

/// Why a poll was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The cursor is not one of this store. Final.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// The request names a shard that the bus does not have. Final.
    #[error("the bus has no shard {0}")]
    UnknownShard(ShardId),
}

impl Merge {
    /// Begins a poll of a bus that has `shards` shards and keeps its events in `store`, under `layouts`.
    pub fn new(
        request: PollRequest,
        store: Store,
        shards: u16,
        layouts: Layouts,
    ) -> Result<Merge, MergeError> {
        let cursor = match &request.cursor {
            Some(text) => Cursor::parse(text, store)?,
            None => Cursor::new(store),
        };
        let polled = shard_ids(request.shards, shards).map_err(MergeError::UnknownShard)?;
        let sources: Vec<Source> = polled.into_iter().map(|shard| Source::new(shard, &cursor)).collect();
        let turn = request.cursor.as_ref().map_or(0, |text| xxh3_64(text.as_bytes()));
        let mut merge = Merge {
            given: request.cursor,
            cursor,
            first_dealt: (turn % sources.len().max(1) as u64) as usize,
            ordered: request.ordering == Ordering::InsertionTs && sources.len() > 1,
            sources,
            layouts,
            layout: 0,
            heads: BinaryHeap::new(),
            answer: Answer {
                wanted: request.limit,
                filter: request.filter.map(|filter| (filter, FilterScratch::default())),
                fetched_bytes: 0,
                response: PollResponse::default(),
            },
        };
        merge.find_layout();
        merge.deal();
        Ok(merge)
    }

    /// The reads without which the poll cannot go on, ascending by shard; none when it is done.
    pub fn fetches(&self) -> Vec<(ShardId, ReadRequest)> {
        let due: Vec<&Source> = self.sources.iter().filter(|source| self.is_due(source)).collect();
        let active = self.in_turn().filter(|source| source.is_active()).count();
        let bytes_left = POLL_BYTES_MAX.saturating_sub(self.answer.fetched_bytes);
        let bytes_max = (bytes_left / due.len().max(1)).clamp(1, FETCH_BYTES_MAX);
        let request = |source: &Source| ReadRequest {
            stream: source.shard,
            after: source.position,
            events_max: self.events_of_fetch(source, active),
            bytes_max,
        };
        due.into_iter().map(|source| (source.shard, request(source))).collect()
    }

    /// Takes the answer of one shard that [`fetches`](Merge::fetches) named; `None` when it failed or did not answer.
    /// A shard that was not asked, or that was given up, is not heard.
    pub fn absorb(&mut self, shard: ShardId, block: Option<ReadBlock>) {
        let Ok(index) = self.sources.binary_search_by_key(&shard, |source| source.shard) else { return };
        if !self.is_due(&self.sources[index]) {
            return;
        }
        let source = &mut self.sources[index];
        match block.filter(|block| source.accepts(block)) {
            None => source.state = State::Failed,
            Some(block) => source.hold(block, &mut self.answer),
        }
        if self.ordered {
            self.find_head(index);
        } else {
            self.take(index);
        }
        self.go_on();
    }

    /// The answer. Shards that are still to be read count as not examined.
    pub fn finish(mut self) -> PollResponse {
        let mut response = self.answer.response;
        let mut moved = false;
        for source in &self.sources {
            let (before, position) = (self.cursor.position(source.shard), source.examined(&response));
            if let Some(position) = position.filter(|_| position > before) {
                self.cursor.set(source.shard, position);
                // That an empty store begins here is worth remembering, and not worth a new cursor.
                moved |= before.is_some() || source.events > 0;
            }
            response.has_more |= source.state != State::Ended;
            if source.state == State::Failed {
                response.failed_shards.push(source.shard);
            }
        }
        let given = self.given.filter(|_| !crate::planted!("22-a-stalled-poll-has-no-cursor"));
        response.next_cursor = if moved { Some(self.cursor.to_string()) } else { given };
        response
    }

    /// Picks what can be picked without another read.
    fn go_on(&mut self) {
        self.find_layout();
        while !self.sources.iter().any(|source| self.is_due(source)) {
            if self.ordered {
                return self.merge_heads();
            }
            if !self.deal() {
                return;
            }
            for index in 0..self.sources.len() {
                self.take(index);
            }
            self.find_layout();
        }
    }

    /// Finds the layout that is in turn. A shard that was cut or has failed may have more of one, and the next does not begin.
    fn find_layout(&mut self) {
        let open = self.sources.iter().filter(|source| source.state != State::Ended);
        self.layout = open.map(|source| self.layout_of(source)).min().unwrap_or_default();
    }

    /// Deals what is still wanted out to the sources that may have it. False when there is nothing to deal.
    fn deal(&mut self) -> bool {
        let count = self.in_turn().filter(|source| source.is_active()).count();
        if count == 0 || self.answer.wanted == 0 {
            return false;
        }
        let (share, mut odd) = (self.answer.wanted / count, self.answer.wanted % count);
        for index in (self.first_dealt..self.sources.len()).chain(0..self.first_dealt) {
            let mut dealt = 0;
            if self.is_in_turn(&self.sources[index]) && self.sources[index].is_active() {
                dealt = share + usize::from(odd > 0);
                odd = odd.saturating_sub(1);
            }
            self.sources[index].share = dealt;
        }
        true
    }

    /// Picks what a source has of its share.
    fn take(&mut self, index: usize) {
        let source = &mut self.sources[index];
        source.take(self.layouts.end(source.shard, self.layout), &mut self.answer);
    }

    /// Whether the next event of a source may be of the layout that is in turn.
    fn is_in_turn(&self, source: &Source) -> bool {
        self.layout_of(source) == self.layout
    }

    fn in_turn(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| self.is_in_turn(source))
    }

    /// The layout of the next event of a source, or an earlier one where that was not read yet.
    fn layout_of(&self, source: &Source) -> usize {
        if self.layouts.is_empty() { 0 } else { self.layouts.of(source.shard, source.next(&self.answer)) }
    }

    /// Picks head by head until enough is picked or a shard must be read first.
    fn merge_heads(&mut self) {
        while self.answer.wanted > 0 && !self.in_turn().any(Source::hides_its_head) {
            // Until a source runs out, no other source changes its state.
            loop {
                let top = self.heads.peek().filter(|Reverse((layout, ..))| *layout == self.layout);
                let Some(&Reverse((.., index))) = top else {
                    let before = self.layout;
                    self.find_layout();
                    if self.layout == before {
                        return;
                    }
                    break;
                };
                self.heads.pop();
                self.sources[index].pick(&mut self.answer);
                if self.answer.wanted == 0 {
                    return;
                }
                self.find_head(index);
                if !matches!(self.sources[index].state, State::Held { .. }) {
                    break;
                }
            }
        }
    }

    fn find_head(&mut self, index: usize) {
        if let Some(timestamp_ns) = self.sources[index].head(&mut self.answer) {
            let timestamp_ns =
                if crate::planted!("law-9-the-latest-comes-first") { !timestamp_ns } else { timestamp_ns };
            let source = &self.sources[index];
            self.heads.push(Reverse((self.layout_of(source), timestamp_ns, source.shard, index)));
        }
    }

    /// Whether `source` must be read before the poll goes on. Every source is read once, so that `has_more` is exact.
    fn is_due(&self, source: &Source) -> bool {
        let unread = source.fetches == 0;
        let needed = if self.ordered { self.answer.wanted > 0 && !self.is_cut() } else { source.share > 0 };
        source.state == State::Unread && (unread || needed && self.is_in_turn(source))
    }

    /// Whether a source stopped at a bound; then the smallest head is not known.
    fn is_cut(&self) -> bool {
        self.in_turn().any(|source| source.state == State::Cut)
    }

    fn events_of_fetch(&self, source: &Source, active: usize) -> usize {
        let wanted = self.answer.wanted;
        let share = if !self.is_in_turn(source) {
            // Only whether it has any is asked.
            1
        } else if self.ordered {
            // A quarter more than the even share, so that not every shard is read a second time.
            let even = wanted.div_ceil(active.max(1));
            even.saturating_add(even / 4).max(ORDERED_FETCH_EVENTS_MIN).min(wanted)
        } else {
            source.share
        };
        let floor = if self.answer.filter.is_some() { FILTERED_FETCH_EVENTS_MIN } else { 1 };
        let left = SHARD_EVENTS_MAX.saturating_sub(source.events).max(1);
        share.max(floor).min(FETCH_EVENTS_MAX).min(left)
    }
}

/// What was picked so far.
#[derive(Debug)]
struct Answer {
    /// Events still wanted.
    wanted: usize,
    filter: Option<(Filter, FilterScratch)>,
    fetched_bytes: usize,
    response: PollResponse,
}

/// Records that one poll reads from one shard.
pub const SHARD_EVENTS_MAX: usize = 65_536;
/// Reads that one poll makes of one shard.
pub const SHARD_FETCHES_MAX: usize = 256;
/// Bytes of records after which a poll reads no more.
pub const POLL_BYTES_MAX: usize = 64 << 20;
/// Events of one read.
const FETCH_EVENTS_MAX: usize = 16_384;
/// Bytes of records of one read.
const FETCH_BYTES_MAX: usize = 4 << 20;
/// A filter may reject most of what is read.
const FILTERED_FETCH_EVENTS_MIN: usize = 1_024;
/// A shard is not read again for a few events, unless a few are wanted.
const ORDERED_FETCH_EVENTS_MIN: usize = 64;

#[cfg(test)]
mod tests;
