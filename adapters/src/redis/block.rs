//! From the server's entries to events: what a read brings, and what a stream's subscribers are given from memory.

use std::collections::VecDeque;

use engine::adapter::{ReadBlock, ReadRequest, Resident};
use engine::batch::Batch;
use engine::event::{EventFlags, Sequence, ShardId};
use xxhash_rust::xxh3::xxh3_64;

use super::entry::{self, Content, Entry};
use super::reply::Reply;

/// How a read is asked of the server: one entry more than is wanted, so that it is known whether there is more, and from the
/// last one already seen on, so that it is known whether that one is still there.
pub(super) struct RangeQuery {
    /// The first id.
    pub(super) from: String,
    /// At most so many entries.
    pub(super) count: usize,
}

impl RangeQuery {
    /// For a request, of which at most `events` are asked for.
    pub(super) fn new(request: &ReadRequest, events: usize) -> RangeQuery {
        match request.after.filter(|after| after.0 > 0) {
            None => RangeQuery { from: "-".to_owned(), count: events + 1 },
            Some(after) => RangeQuery { from: entry::id(after), count: events + 2 },
        }
    }
}

/// What the server's reply to a query brings. `None` when it is no list of entries in order, as asked for.
pub(super) fn block(reply: &Reply, request: &ReadRequest, query: &RangeQuery) -> Option<ReadBlock> {
    let after = request.after.filter(|after| after.0 > 0);
    let mut entries = Entry::all(reply)?.into_iter().peekable();
    let mut left = query.count - 1;
    let mut block = ReadBlock::default();
    if let Some(after) = after {
        left -= 1;
        if entries.next_if(|entry| entry.position == after).is_none() && !entry::is_shared(after) {
            // The server does not keep how many there were behind it.
            block.skipped = 1;
        }
    }
    while let Some(entry) = entries.next_if(|_| left > 0) {
        left -= 1;
        let before = block.through.max(after);
        let is_again = block.through == Some(entry.position) && entry::is_shared(entry.position);
        if before >= Some(entry.position) && !is_again {
            return None;
        }
        block.through = Some(entry.position);
        match entry.content() {
            Some(content) => push(&mut block.batch, entry.position, &content),
            None => block.passed_over += 1,
        }
    }
    if block.through.is_none() {
        // Nothing follows, so nothing that followed is known to be gone.
        block.skipped = 0;
    }
    // What shares the last position of all is asked for no more.
    let goes_on = |entry: Entry<'_>| Some(entry.position) > block.through || !entry::is_last(entry.position);
    block.more = entries.next().is_some_and(goes_on);
    Some(block)
}

/// How many entries have come, and how many bytes each takes, about: its record, or half of what was sent for it where its key,
/// which no reader gets, makes that more. `None` where there is no event.
pub(super) fn entry_bytes(reply: &Reply, block: &ReadBlock) -> Option<(usize, usize)> {
    let record_bytes = block.batch.record_bytes().checked_div(block.batch.len())?;
    let entries = reply.tokens().array()? as usize;
    let sent_bytes = reply.len().checked_div(entries)?;
    Some((entries, record_bytes.max(sent_bytes / 2)))
}

fn push(batch: &mut Batch, position: Sequence, content: &Content<'_>) {
    let hash = xxh3_64(content.payload);
    batch.push_at(position, content.timestamp_ns, hash, EventFlags::NONE, content.payload);
}

/// The end of a stream, as far as it is held in memory for those who listen.
pub(super) struct Tail {
    pub(super) stream: ShardId,
    /// Everything behind this position is in `batches`, up to `end`; `None` before the stream's end was asked for.
    from: Option<Sequence>,
    /// The last position that was heard of.
    end: Sequence,
    batches: VecDeque<Batch>,
    pub(super) passed_over: u64,
}

impl Tail {
    pub(super) fn new(stream: ShardId) -> Tail {
        Tail { stream, from: None, end: Sequence(0), batches: VecDeque::new(), passed_over: 0 }
    }

    /// Where to go on from; `None` before the end was asked for.
    pub(super) fn end(&self) -> Option<Sequence> {
        self.from.map(|_| self.end)
    }

    /// The stream's last entry was asked for, and this is the answer. One past its position.
    pub(super) fn begin(&mut self, reply: &Reply) -> Option<Sequence> {
        self.end = last_position(reply)?;
        self.from = Some(self.end);
        Some(self.end.advanced_by(1))
    }

    /// Takes what has come behind the end. One past the last position, if there is any.
    pub(super) fn take(&mut self, entries: Vec<Entry<'_>>) -> Sequence {
        let last = self.batches.pop_back_if(|last| last.record_bytes() < TAIL_BATCH_BYTES);
        let mut batch = last.unwrap_or_default();
        for entry in entries {
            if entry.position <= self.end {
                self.passed_over += 1;
                continue;
            }
            self.end = entry.position;
            match entry.content() {
                Some(content) => push(&mut batch, entry.position, &content),
                None => self.passed_over += 1,
            }
        }
        if !batch.is_empty() {
            self.batches.push_back(batch);
        }
        while self.batches.len() > 1 && self.bytes() > TAIL_BYTES_MAX {
            let gone = self.batches.pop_front().expect("there is more than one");
            self.from = Some(Sequence(gone.end().0 - 1));
        }
        self.end.advanced_by(1)
    }

    /// What follows `after`.
    pub(super) fn resident(&self, after: Option<Sequence>) -> Resident<'_> {
        let (Some(from), Some(after)) = (self.from, after) else { return Resident::Elsewhere };
        if after < from {
            return Resident::Elsewhere;
        }
        let following = self.batches.partition_point(|batch| batch.end().0 <= after.0 + 1);
        match self.batches.get(following) {
            Some(batch) => Resident::Events { batch, index: batch.index_after(after), skipped: 0 },
            // Somebody may know of more than was heard here.
            None => Resident::Elsewhere,
        }
    }

    fn bytes(&self) -> usize {
        self.batches.iter().map(Batch::record_bytes).sum()
    }
}

/// The position of the last entry, of a reply that has at most that one; 0 where there is none.
pub(super) fn last_position(reply: &Reply) -> Option<Sequence> {
    Some(Entry::all(reply)?.first().map_or(Sequence(0), |entry| entry.position))
}

/// Bytes of records that are kept for those who listen to a stream.
const TAIL_BYTES_MAX: usize = 1 << 20;
/// A batch of those is gone on with up to that size.
const TAIL_BATCH_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    /// Entries with these positions; an event each, but for those that are odd.
    fn entries(positions: &[u64]) -> Reply {
        let entry = |position: &u64| {
            let fields = ["d", "payload", "t", "7", "dedup_id", "0000000000000abc:0:1:0"];
            let count = if position.is_multiple_of(2) { fields.len() } else { 2 };
            let fields = fields[..count].iter().map(|field| bulk(field)).collect();
            Value::Array(vec![bulk(&super::super::entry::id(Sequence(*position))), Value::Array(fields)])
        };
        Reply::of(&Value::Array(positions.iter().map(entry).collect()))
    }

    fn take(tail: &mut Tail, positions: &[u64]) -> Sequence {
        tail.take(Entry::all(&entries(positions)).expect("entries"))
    }

    fn read(after: Option<u64>, events_max: usize, positions: &[u64]) -> ReadBlock {
        let after = after.map(Sequence);
        let request = ReadRequest { stream: ShardId(0), after, events_max, bytes_max: usize::MAX };
        let query = RangeQuery::new(&request, events_max);
        let sent = &positions[..positions.len().min(query.count)];
        block(&entries(sent), &request, &query).expect("entries")
    }

    fn positions(batch: &Batch) -> Vec<u64> {
        batch.events().map(|event| event.sequence.0).collect()
    }

    #[test]
    fn a_read_brings_what_follows_and_knows_whether_there_is_more() {
        let block = read(None, 2, &[2, 4, 6]);
        assert_eq!((positions(&block.batch), block.more, block.skipped), (vec![2, 4], true, 0));
        let block = read(Some(4), 2, &[4, 6, 8]);
        assert_eq!((positions(&block.batch), block.more, block.skipped), (vec![6, 8], false, 0));
        let block = read(Some(8), 2, &[8]);
        assert_eq!((block.batch.len(), block.through, block.more), (0, None, false));
    }

    #[test]
    fn what_is_gone_or_no_event_is_counted() {
        let block = read(Some(4), 5, &[6, 7, 9, 10]);
        assert_eq!((positions(&block.batch), block.skipped, block.passed_over), (vec![6, 10], 1, 2));
        assert_eq!(block.through, Some(Sequence(10)));
        assert_eq!(read(Some(4), 5, &[]).skipped, 0);
    }

    #[test]
    fn a_read_asks_for_fewer_entries_where_keys_are_large() {
        let request = ReadRequest { stream: ShardId(0), after: None, events_max: 1_000, bytes_max: 64_000 };
        let events_asked_for = |reply: &Reply| {
            let block = block(reply, &request, &RangeQuery::new(&request, 100)).expect("entries");
            request.bytes_max / entry_bytes(reply, &block).expect("events").1
        };
        let keyed = |key: &str| {
            let fields = ["d", "payload", "t", "7", "k", key, "dedup_id", "0000000000000abc:0:1:0"].map(bulk);
            Reply::of(&Value::Array(vec![Value::Array(vec![bulk("5-0"), Value::Array(fields.into())])]))
        };
        assert!(events_asked_for(&entries(&[2, 4, 6])) >= 1_000);
        assert!(events_asked_for(&keyed("key")) >= 1_000);
        let events = events_asked_for(&keyed(&"k".repeat(16_000)));
        assert!((4..=8).contains(&events), "{events}");
        assert_eq!(entry_bytes(&entries(&[3]), &read(None, 5, &[3])), None, "what is no event tells nothing");
    }

    #[test]
    fn a_tail_lends_what_it_holds_and_nothing_before() {
        let mut tail = Tail::new(ShardId(0));
        assert!(matches!(tail.resident(Some(Sequence(9))), Resident::Elsewhere));
        assert_eq!(tail.begin(&entries(&[10])), Some(Sequence(11)));
        assert!(matches!(tail.resident(Some(Sequence(9))), Resident::Elsewhere));
        assert!(matches!(tail.resident(Some(Sequence(10))), Resident::Elsewhere));
        assert_eq!(take(&mut tail, &[12, 20, 21]), Sequence(22));
        assert_eq!(take(&mut tail, &[30]), Sequence(31));
        for (after, index, first) in [(10, 0, 12), (12, 1, 12), (15, 1, 12), (20, 2, 12), (25, 2, 12)] {
            let Resident::Events { batch, index: at, .. } = tail.resident(Some(Sequence(after))) else {
                panic!("nothing after {after}");
            };
            assert_eq!((at, batch.first()), (index, Sequence(first)), "{after}");
        }
        assert!(matches!(tail.resident(Some(Sequence(30))), Resident::Elsewhere), "others may know of more");
    }

    #[test]
    fn a_tail_forgets_what_is_too_much() {
        let mut tail = Tail::new(ShardId(0));
        tail.begin(&entries(&[]));
        let many: Vec<u64> = (1..=50_000).map(|number| number * 2).collect();
        for part in many.chunks(1_000) {
            take(&mut tail, part);
        }
        assert!(tail.bytes() <= TAIL_BYTES_MAX && tail.bytes() > TAIL_BYTES_MAX / 2, "{}", tail.bytes());
        assert!(matches!(tail.resident(Some(Sequence(2))), Resident::Elsewhere));
        assert!(matches!(tail.resident(tail.from), Resident::Events { index: 0, .. }));
    }
}
