//! Polls against shards in memory: scenarios named for what must hold, and random sequences of polls.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::batch::Batch;
use crate::event::{Event, EventFlags, Sequence};

const STORE: Store = Store { tag: "memory", incarnation: 7 };

/// A stored record; `None` is a corrupt one.
type Record = Option<(u64, String)>;

/// A shard whose record at index `i` has the sequence `i + 1`.
#[derive(Clone, Debug, Default)]
struct Shard {
    records: Vec<Record>,
    /// Records that retention removed from the front.
    removed: usize,
    /// Events of the largest block it gives.
    block_max: usize,
}

impl Shard {
    fn of(count: usize) -> Shard {
        Shard::with((0..count).map(|index| Some((index as u64, format!(r#"{{"i":{index}}}"#)))).collect())
    }

    fn with(records: Vec<Record>) -> Shard {
        Shard { records, removed: 0, block_max: usize::MAX }
    }

    fn read(&self, request: ReadRequest) -> ReadBlock {
        assert!(request.events_max > 0 && request.bytes_max > 0);
        let asked = request.after.map_or(0, |Sequence(last)| last as usize);
        let begin = asked.max(self.removed);
        let corrupt = |from: usize| self.records[from..].iter().take_while(|record| record.is_none()).count();
        let first = begin + corrupt(begin);
        let mut batch = Batch::default();
        let events_max = request.events_max.min(self.block_max);
        for (timestamp_ns, payload) in self.records[first..].iter().map_while(Option::as_ref).take(events_max)
        {
            batch.push(*timestamp_ns, 0, EventFlags::NONE, payload.as_bytes());
        }
        batch.number_from(Sequence(first as u64 + 1));
        let end = first + batch.len();
        let through = end + corrupt(end);
        ReadBlock {
            passed_over: (through - begin - batch.len()) as u64,
            skipped: (begin - asked) as u64,
            through: (through > asked).then_some(Sequence(through as u64)),
            more: through < self.records.len(),
            batch,
        }
    }
}

fn request(limit: usize) -> PollRequest {
    PollRequest { limit, ..PollRequest::default() }
}

fn ordered(limit: usize) -> PollRequest {
    PollRequest { ordering: Ordering::InsertionTs, ..request(limit) }
}

fn filtered(limit: usize, key: &str, value: u64) -> PollRequest {
    let filter = Filter::parse(&json!({"path": key, "value": value})).expect("valid");
    PollRequest { filter: Some(filter), ..request(limit) }
}

fn after(cursor: Option<String>, request: PollRequest) -> PollRequest {
    PollRequest { cursor, ..request }
}

/// Polls, with the shards in `failing` not answering. The answer, and the reads it took.
fn poll_with(shards: &[Shard], request: PollRequest, failing: &[u16]) -> (PollResponse, usize) {
    poll_under(&Layouts::default(), shards, request, failing)
}

/// The same under layouts.
fn poll_under(
    layouts: &Layouts,
    shards: &[Shard],
    request: PollRequest,
    failing: &[u16],
) -> (PollResponse, usize) {
    let mut merge = Merge::new(request, STORE, shards.len() as u16, layouts.clone()).expect("valid");
    let mut reads = 0;
    loop {
        let fetches = merge.fetches();
        if fetches.is_empty() {
            return (merge.finish(), reads);
        }
        for (shard, request) in fetches {
            reads += 1;
            let answers = !failing.contains(&shard.0);
            merge.absorb(shard, answers.then(|| shards[shard.index()].read(request)));
        }
    }
}

fn poll(shards: &[Shard], request: PollRequest) -> PollResponse {
    poll_with(shards, request, &[]).0
}

fn ids(response: &PollResponse) -> Vec<(u16, u64)> {
    response.events().map(|(shard, event)| (shard.0, event.sequence.0)).collect()
}

fn count_of(response: &PollResponse, shard: u16) -> usize {
    response.events().filter(|(of, _)| of.0 == shard).count()
}

#[test]
fn one_shard_and_a_limit_take_one_read_of_the_limit() {
    let shards = [Shard::of(5_000)];
    for request in [request(1_000), ordered(1_000)] {
        let merge = Merge::new(request.clone(), STORE, 1, Layouts::default()).expect("valid");
        let asked =
            ReadRequest { stream: ShardId(0), after: None, events_max: 1_000, bytes_max: FETCH_BYTES_MAX };
        assert_eq!(merge.fetches(), [(ShardId(0), asked)]);
        let (response, reads) = poll_with(&shards, request, &[]);
        assert_eq!((response.len(), reads, response.has_more), (1_000, 1, true));
    }
}

#[test]
fn a_limit_of_usize_max_reads_everything() {
    let shards = [Shard::of(300), Shard::of(5)];
    for request in [request(usize::MAX), ordered(usize::MAX)] {
        let response = poll(&shards, request);
        assert_eq!((response.len(), response.has_more), (305, false));
    }
}

#[test]
fn a_limit_of_zero_answers_nothing_and_says_whether_there_is_more() {
    for (count, has_more) in [(0, false), (1, true)] {
        for request in [request(0), ordered(0)] {
            let response = poll(&[Shard::of(0), Shard::of(count)], request);
            assert_eq!((response.len(), response.has_more, response.next_cursor), (0, has_more, None));
        }
    }
}

#[test]
fn events_behind_the_limit_stay_in_front_of_the_cursor() {
    let shards = [Shard::of(10), Shard::of(10)];
    let first = poll(&shards, ordered(3));
    assert_eq!(ids(&first), [(0, 1), (1, 1), (0, 2)]);
    let second = poll(&shards, after(first.next_cursor, ordered(3)));
    assert_eq!(ids(&second), [(1, 2), (0, 3), (1, 3)]);
}

#[test]
fn a_filter_with_a_limit_loses_no_match_of_a_shard_that_was_fetched_and_not_looked_at() {
    let shards = [Shard::of(2_000), Shard::of(2_000), Shard::of(2_000)];
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let response = poll(&shards, after(cursor, filtered(1, "i", 1_500)));
        found.extend(ids(&response));
        cursor = response.next_cursor;
        if !response.has_more {
            break;
        }
    }
    found.sort_unstable();
    assert_eq!(found, [(0, 1_501), (1, 1_501), (2, 1_501)]);
}

#[test]
fn matches_that_sort_late_are_not_lost() {
    let late = |count: u64| (0..count).map(|index| Some((1_000 + index, r#"{"i":0}"#.into()))).collect();
    let shards = [Shard::of(3), Shard::with(late(3))];
    let request = PollRequest { filter: filtered(1, "i", 0).filter, ..ordered(2) };
    let first = poll(&shards, request.clone());
    assert_eq!(ids(&first), [(0, 1), (1, 1)]);
    let second = poll(&shards, after(first.next_cursor, request));
    assert_eq!(ids(&second), [(1, 2), (1, 3)]);
    assert!(!second.has_more);
}

#[test]
fn corrupt_records_are_passed_over_and_counted() {
    let mut records = vec![None; 40];
    records.extend(Shard::of(2).records);
    records.extend(vec![None; 3]);
    let response = poll(&[Shard::with(records)], request(10));
    assert_eq!(ids(&response), [(0, 41), (0, 42)]);
    assert_eq!((response.passed_over, response.has_more), (43, false));
}

#[test]
fn a_poll_that_only_passed_over_corrupt_records_moves_its_cursor() {
    let response = poll(&[Shard::with(vec![None; 9])], request(10));
    let cursor = Cursor::parse(&response.next_cursor.expect("moved"), STORE).expect("valid");
    assert_eq!(cursor.position(ShardId(0)), Some(Sequence(9)));
}

#[test]
fn a_stalled_poll_echoes_its_cursor() {
    let shards = [Shard::of(4)];
    assert_eq!(poll(&[Shard::of(0)], request(1)).next_cursor, None);
    let cursor = poll(&shards, request(10)).next_cursor;
    let again = poll(&shards, after(cursor.clone(), request(10)));
    assert_eq!((again.len(), again.has_more, again.next_cursor), (0, false, cursor.clone()));
    let (failed, _) = poll_with(&shards, after(cursor.clone(), request(10)), &[0]);
    assert_eq!((failed.has_more, failed.next_cursor), (true, cursor));
}

#[test]
fn a_cursor_of_another_store_and_an_unknown_shard_are_refused() {
    let mut cursor = Cursor::new(Store { tag: "redis", ..STORE });
    cursor.set(ShardId(0), Sequence(3));
    let refusal = Merge::new(after(Some(cursor.to_string()), request(1)), STORE, 1, Layouts::default()).err();
    assert_eq!(refusal, Some(MergeError::Cursor(CursorError::OtherBackend)));
    let unknown = PollRequest { shards: Some(vec![5, 2, 0]), ..request(1) };
    assert_eq!(
        Merge::new(unknown, STORE, 5, Layouts::default()).err(),
        Some(MergeError::UnknownShard(ShardId(5)))
    );
}

#[test]
fn positions_of_shards_that_are_not_polled_are_kept() {
    let shards = [Shard::of(4), Shard::of(4), Shard::of(4)];
    let first = poll(&shards, request(6));
    assert_eq!((count_of(&first, 0), count_of(&first, 2)), (2, 2));
    let only = PollRequest { shards: Some(vec![1]), ..request(9) };
    let second = poll(&shards, after(first.next_cursor, only));
    assert_eq!((ids(&second), second.has_more), (vec![(1, 3), (1, 4)], false));
    let third = poll(&shards, after(second.next_cursor, ordered(9)));
    assert_eq!(ids(&third), [(0, 3), (2, 3), (0, 4), (2, 4)]);
}

#[test]
fn a_failing_shard_keeps_its_position_and_holds_up_no_other() {
    let shards = [Shard::of(4), Shard::of(4)];
    for request in [request(100), ordered(100)] {
        let (first, _) = poll_with(&shards, request.clone(), &[0]);
        assert_eq!((count_of(&first, 0), count_of(&first, 1)), (0, 4));
        assert_eq!((first.has_more, first.failed_shards), (true, vec![ShardId(0)]));
        let second = poll(&shards, after(first.next_cursor, request));
        assert_eq!((count_of(&second, 0), count_of(&second, 1), second.has_more), (4, 0, false));
    }
}

#[test]
fn an_answer_that_cannot_be_counts_as_a_failure() {
    let shards = [Shard::of(4)];
    let cursor = poll(&shards, request(2)).next_cursor;
    let from_the_beginning = ReadRequest { stream: ShardId(0), after: None, events_max: 4, bytes_max: 1 };
    let nothing_and_more = ReadBlock { more: true, ..ReadBlock::default() };
    for block in [shards[0].read(from_the_beginning), nothing_and_more] {
        let mut merge =
            Merge::new(after(cursor.clone(), request(9)), STORE, 1, Layouts::default()).expect("valid");
        merge.absorb(ShardId(0), Some(block));
        assert_eq!(merge.fetches(), []);
        let response = merge.finish();
        assert_eq!((response.len(), response.failed_shards), (0, vec![ShardId(0)]));
        assert_eq!(response.next_cursor, cursor);
    }
}

#[test]
fn an_answer_that_nobody_waits_for_is_not_heard() {
    let shards = [Shard::of(4)];
    let mut merge = Merge::new(request(9), STORE, 1, Layouts::default()).expect("valid");
    let (_, asked) = merge.fetches()[0];
    merge.absorb(ShardId(0), None);
    merge.absorb(ShardId(0), Some(shards[0].read(asked)));
    merge.absorb(ShardId(3), Some(shards[0].read(asked)));
    assert_eq!(merge.finish().len(), 0);
}

#[test]
fn no_shard_starves_another() {
    let shards = [Shard::of(1_000), Shard::of(1_000), Shard::of(10)];
    let response = poll(&shards, request(90));
    assert_eq!((0..3).map(|shard| count_of(&response, shard)).collect::<Vec<_>>(), [40, 40, 10]);
    // Small blocks change nothing about it.
    let small = shards.map(|shard| Shard { block_max: 7, ..shard });
    let response = poll(&small, request(90));
    assert_eq!((0..3).map(|shard| count_of(&response, shard)).collect::<Vec<_>>(), [40, 40, 10]);
}

#[test]
fn at_a_limit_of_one_every_shard_gets_its_turn() {
    let shards = [Shard::of(1_000), Shard::of(1_000), Shard::of(1_000), Shard::of(1_000)];
    let mut counts = [0; 4];
    let mut cursor = None;
    for _ in 0..200 {
        let response = poll(&shards, after(cursor, request(1)));
        counts[usize::from(ids(&response)[0].0)] += 1;
        cursor = response.next_cursor;
    }
    assert!(counts.iter().all(|&count| count > 20), "{counts:?}");
}

#[test]
fn a_shard_whose_block_is_used_up_is_read_again_before_the_next_pick() {
    let early = (0..200).map(|index| Some((index, "{}".to_owned()))).collect();
    let late = (100..400).map(|index| Some((index, "{}".to_owned()))).collect();
    let shards = [Shard { block_max: 3, ..Shard::with(early) }, Shard::with(late)];
    let response = poll(&shards, ordered(150));
    let times: Vec<u64> = response.events().map(|(_, event)| event.timestamp_ns).collect();
    assert!(times.is_sorted());
    assert_eq!((count_of(&response, 0), count_of(&response, 1)), (125, 25));
}

#[test]
fn retention_is_reported_where_the_cursor_had_a_position() {
    let mut shards = [Shard::of(20), Shard::of(20)];
    let only = PollRequest { shards: Some(vec![0]), ..request(4) };
    let cursor = poll(&shards, only).next_cursor;
    for shard in &mut shards {
        shard.removed = 10;
    }
    let response = poll(&shards, after(cursor, request(100)));
    assert_eq!((response.skipped, response.len()), (6, 20));
}

#[test]
fn a_filter_that_matches_nothing_stops_at_the_bound_and_goes_on_from_there() {
    let shards = [Shard::of(SHARD_EVENTS_MAX + 10), Shard::of(10)];
    for ordering in [Ordering::None, Ordering::InsertionTs] {
        let request = PollRequest { ordering, ..filtered(5, "i", SHARD_EVENTS_MAX as u64 + 1) };
        let first = poll(&shards, request.clone());
        assert_eq!((first.len(), first.has_more), (0, true));
        let second = poll(&shards, after(first.next_cursor, request));
        assert_eq!((ids(&second), second.has_more), (vec![(0, SHARD_EVENTS_MAX as u64 + 2)], false));
    }
}

/// Three shards, of which the last is new and the first of another layout up to 20.
fn rearranged() -> (Layouts, [Shard; 3]) {
    let layouts = Layouts::new(&[vec![Sequence(21), Sequence(6)]]);
    (layouts, [Shard::of(30), Shard::of(30), Shard::of(30)])
}

#[test]
fn what_an_earlier_layout_holds_is_read_to_its_end_first() {
    let (layouts, shards) = rearranged();
    for basis in [request(10), ordered(10)] {
        let mut cursor = None;
        let mut found = Vec::new();
        for _ in 0..3 {
            let (response, _) = poll_under(&layouts, &shards, after(cursor, basis.clone()), &[]);
            assert!(response.has_more);
            found.extend(ids(&response));
            cursor = response.next_cursor;
        }
        let of_earlier = |(shard, sequence): &(u16, u64)| *sequence < [21, 6, 0][usize::from(*shard)];
        assert!(found[..25].iter().all(of_earlier), "{found:?}");
        assert!(!found[25..].iter().any(of_earlier), "{found:?}");
        assert!(found[25..].iter().any(|(shard, _)| *shard == 2), "{found:?}");
    }
}

#[test]
fn a_poll_goes_on_behind_blocks_that_end_where_a_layout_does() {
    let layouts = Layouts::new(&[vec![Sequence(11), Sequence(11)]]);
    let shards = [Shard::of(30), Shard::of(30)].map(|shard| Shard { block_max: 10, ..shard });
    for basis in [request(30), ordered(30), request(100), ordered(100)] {
        let limit = basis.limit;
        let (response, _) = poll_under(&layouts, &shards, basis, &[]);
        assert_eq!((response.len(), response.has_more), (limit.min(60), limit < 60));
    }
}

#[test]
fn what_is_gone_before_a_shard_that_waits_is_told_once() {
    let (layouts, mut shards) = rearranged();
    let cursor = poll(&shards, request(6)).next_cursor;
    shards[1].removed = 20;
    let (mut cursor, mut skipped, mut found) = (cursor, Vec::new(), 0);
    loop {
        let (page, _) = poll_under(&layouts, &shards, after(cursor, request(5)), &[]);
        skipped.push(page.skipped);
        found += page.len();
        cursor = page.next_cursor;
        if !page.has_more {
            break;
        }
    }
    assert!(skipped.len() > 8, "{skipped:?}");
    assert_eq!((skipped[0], skipped.iter().sum::<u64>(), found), (18, 18, 28 + 10 + 28));
}

#[test]
fn later_layouts_wait_for_a_shard_that_failed_in_an_earlier_one() {
    let (layouts, shards) = rearranged();
    for basis in [request(100), ordered(100)] {
        let (first, _) = poll_under(&layouts, &shards, basis.clone(), &[0]);
        assert_eq!(ids(&first), (1..6).map(|sequence| (1, sequence)).collect::<Vec<_>>());
        assert_eq!((first.has_more, &first.failed_shards[..]), (true, &[ShardId(0)][..]));
        let (second, _) = poll_under(&layouts, &shards, after(first.next_cursor, basis.clone()), &[]);
        assert_eq!((second.len(), second.has_more), (85, false));
        // Behind the earlier layouts a failure holds up nobody.
        let (only, _) = poll_under(&layouts, &shards, basis.clone(), &[2]);
        assert_eq!(only.len(), 60);
    }
}

#[test]
fn a_poll_that_is_cut_in_an_earlier_layout_does_not_begin_with_a_later_one() {
    let layouts = Layouts::new(&[vec![Sequence(SHARD_EVENTS_MAX as u64 + 11)]]);
    let shards = [Shard::of(SHARD_EVENTS_MAX + 20), Shard::of(10)];
    for ordering in [Ordering::None, Ordering::InsertionTs] {
        let request = PollRequest { ordering, ..filtered(50, "i", 3) };
        let (first, _) = poll_under(&layouts, &shards, request.clone(), &[]);
        assert_eq!((ids(&first), first.has_more), (vec![(0, 4)], true));
        let (second, _) = poll_under(&layouts, &shards, after(first.next_cursor, request), &[]);
        assert_eq!((ids(&second), second.has_more), (vec![(1, 4)], false));
    }
}

#[test]
fn a_poll_is_bounded_in_bytes() {
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    let shards = [Shard { block_max: 4, ..Shard::with(vec![Some((1, large)); 70]) }];
    let response = poll(&shards, request(1_000));
    assert_eq!((response.len(), response.has_more), (64, true));
}

fn any_shard() -> impl Strategy<Value = Shard> {
    let record = prop::option::weighted(0.9, (0u64..4, 0u64..3));
    (vec(record, 0..30), 1usize..6).prop_map(|(records, block_max)| {
        let mut timestamp_ns = 0;
        let stamp = |record: Option<(u64, u64)>| {
            record.map(|(step, key)| {
                timestamp_ns += step;
                (timestamp_ns, format!(r#"{{"k":{key}}}"#))
            })
        };
        Shard { block_max, ..Shard::with(records.into_iter().map(stamp).collect()) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn polls_return_every_wanted_event_once_and_in_order(
        shards in vec(any_shard(), 1..5),
        only_key in prop::option::of(0u64..3),
        polls in vec((1usize..9, any::<bool>(), vec(0u16..5, 0..3)), 1..20),
        ends in vec(vec(0u64..30, 0..5), 0..3),
    ) {
        let ends: Vec<Vec<Sequence>> =
            ends.into_iter().map(|ends| ends.into_iter().map(Sequence).collect()).collect();
        let layouts = Layouts::new(&ends);
        let mut layout = 0;
        let filter = only_key.and_then(|key| filtered(1, "k", key).filter);
        let mut found = vec![Vec::new(); shards.len()];
        let mut cursor = None;
        for round in 0.. {
            // After the scripted polls, one like the first until the end; it must come.
            let (limit, in_order, failing) = &polls[if round < polls.len() { round } else { 0 }];
            let failing = if round < polls.len() { &failing[..] } else { &[] };
            prop_assert!(round < 1_000, "the polls never end");
            let basis = if *in_order { ordered(*limit) } else { request(*limit) };
            let request = PollRequest { filter: filter.clone(), ..after(cursor, basis) };
            let (response, _) = poll_under(&layouts, &shards, request, failing);
            prop_assert!(response.len() <= *limit);
            prop_assert!(response.len() == *limit || !response.has_more || !response.failed_shards.is_empty());
            if *in_order {
                let key = |(shard, event): (ShardId, Event<'_>)| {
                    (layouts.of(shard, event.sequence), event.timestamp_ns, shard)
                };
                prop_assert!(response.events().map(key).is_sorted());
            }
            for (shard, event) in response.events() {
                found[shard.index()].push(event.sequence.0);
                let of = layouts.of(shard, event.sequence);
                prop_assert!(of >= layout, "layout {} after {}", of, layout);
                layout = of;
            }
            cursor = response.next_cursor;
            if round >= polls.len() && !response.has_more {
                break;
            }
        }
        for (shard, found) in shards.iter().zip(found) {
            let wanted = |record: &Record| {
                record.as_ref().is_some_and(|(_, payload)| {
                    only_key.is_none_or(|key| payload == &format!(r#"{{"k":{key}}}"#))
                })
            };
            let expected: Vec<u64> = (1..).zip(&shard.records).filter(|(_, record)| wanted(record)).map(|(at, _)| at).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
