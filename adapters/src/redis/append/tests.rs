//! Appending, against a stream in memory that may lose answers, connections and its own end.

use engine::event::EventFlags;
use proptest::prelude::*;
use redis::{Value, parse_redis_value};

use super::super::entry::{DedupId, id};
use super::*;

const NONCE: u64 = 0xabc;

/// What the server has: sequences of this shard's, or `None` for another's.
#[derive(Default)]
struct Stream(Vec<Option<u64>>);

impl Stream {
    /// The newest `count` entries before `before`.
    fn end(&self, before: Option<Sequence>, count: usize) -> Value {
        let position = |index: usize| Sequence((1_000 + index as u64) << 20);
        let before = |index: &usize| before.is_none_or(|before| position(*index) < before);
        let entry = |index: usize| {
            let nonce = if self.0[index].is_some() { NONCE } else { 1 };
            let dedup_id = DedupId { nonce, shard: 0, start: self.0[index].unwrap_or(7), index: 0 };
            let fields = [bulk("dedup_id"), bulk(&dedup_id.to_string())];
            Value::Array(vec![bulk(&id(position(index))), Value::Array(fields.to_vec())])
        };
        Value::Array((0..self.0.len()).rev().filter(before).take(count).map(entry).collect())
    }

    fn execute(&mut self, transaction: &Transaction<'_>) {
        let start = transaction.batch.sequence(transaction.index).0;
        self.0.extend((start..).take(transaction.count).map(Some));
    }

    fn ours(&self) -> Vec<u64> {
        self.0.iter().copied().flatten().collect()
    }
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn error(text: &str) -> Value {
    parse_redis_value(format!("-{text}\r\n").as_bytes()).expect("an error reply")
}

fn batch(first: u64, count: u64) -> Batch {
    let mut batch = Batch::default();
    batch.number_from(Sequence(first));
    (0..count).for_each(|_| batch.push(0, 0, EventFlags::NONE, b"event"));
    batch
}

/// Executes what is to be sent next. The answer, and how many events it was.
fn execute(append: &mut Append, stream: &mut Stream) -> Option<Value> {
    let transaction = append.next(3).expect("not stored already")?;
    stream.execute(&transaction);
    Some(Value::Array((0..transaction.count).map(|_| bulk("1-1")).collect()))
}

/// Finds the mark.
fn mark(append: &mut Append, stream: &Stream, is_sure: bool) {
    if !append.seeks() {
        return;
    }
    let mut before = None;
    while let Some(next) = append.hear_end(&stream.end(before, 2), is_sure) {
        before = Some(next);
    }
    assert!(append.is_marked());
}

#[test]
fn a_batch_goes_out_in_transactions_and_is_stored_with_the_last() {
    let (mut append, mut stream) = (Append::new(NONCE, 0, true), Stream::default());
    append.submit(batch(1, 7));
    for _ in 0..2 {
        let reply = execute(&mut append, &mut stream).expect("there is more");
        assert!(append.next(3).expect("not stored").is_none(), "one is on its way");
        assert!(matches!(append.hear_stored(&reply), Settled::GoesOn));
    }
    let reply = execute(&mut append, &mut stream).expect("there is more");
    assert!(matches!(append.hear_stored(&reply), Settled::Stored(batch) if batch.len() == 7));
    assert_eq!(stream.ours(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(append.resume(), Sequence(8));
}

#[test]
fn an_identity_with_an_earlier_life_goes_on_behind_its_newest_entry() {
    let mut append = Append::new(NONCE, 0, false);
    assert!(!append.is_ready());
    let stream = Stream(vec![None, Some(41), None, Some(42), None, None, None, None, None]);
    mark(&mut append, &stream, true);
    assert_eq!(append.resume(), Sequence(43));
    assert_eq!(append.counts, Counts::default());
}

#[test]
fn what_a_server_refuses_comes_back_with_the_reason() {
    for (reply, queued, is_transient) in [
        ("LOADING Redis is loading", None, true),
        ("READONLY You can't write", None, true),
        ("WRONGTYPE Operation against", None, false),
        ("EXECABORT Transaction discarded", Some("OOM command not allowed"), true),
        ("EXECABORT Transaction discarded", Some("NOPERM no permissions"), false),
    ] {
        let mut append = Append::new(NONCE, 0, true);
        append.submit(batch(1, 2));
        append.next(3).expect("not stored").expect("to be sent");
        append.hear_queued(&Value::Okay);
        if let Some(queued) = queued {
            append.hear_queued(&error(queued));
        }
        let Settled::Refused(batch, error) = append.hear_stored(&error(reply)) else {
            panic!("{reply} is taken for success");
        };
        assert_eq!(batch.len(), 2);
        assert_eq!(matches!(error, AdapterError::Transient(_)), is_transient, "{reply}: {error}");
        assert_eq!(append.counts.refused_for_memory, u64::from(queued == Some("OOM command not allowed")));
    }
}

#[test]
fn an_answer_that_is_none_is_not_taken_for_one() {
    for reply in [Value::Nil, Value::Okay, Value::Array(vec![bulk("1-1")]), Value::Array(vec![Value::Nil; 2])]
    {
        let mut append = Append::new(NONCE, 0, true);
        assert!(matches!(append.hear_stored(&reply), Settled::Broken), "nothing was sent");
        append.submit(batch(1, 2));
        append.next(3).expect("not stored").expect("to be sent");
        assert!(matches!(append.hear_stored(&reply), Settled::Broken), "{reply:?}");
    }
}

#[test]
fn what_a_failover_took_back_is_counted_and_not_sent_again() {
    let (mut append, mut stream) = (Append::new(NONCE, 0, true), Stream::default());
    append.submit(batch(1, 3));
    let reply = execute(&mut append, &mut stream).expect("to be sent");
    assert!(matches!(append.hear_stored(&reply), Settled::Stored(_)));
    stream.0.truncate(1);
    append.lose_connection();
    mark(&mut append, &stream, true);
    assert_eq!(append.counts.lost_by_server, 2);
    assert_eq!(append.resume(), Sequence(4));
}

#[test]
fn where_the_mark_is_gone_or_not_final_what_is_sent_again_is_counted() {
    for (is_trimmed, is_sure) in [(true, true), (false, false)] {
        let (mut append, mut stream) = (Append::new(NONCE, 0, true), Stream::default());
        append.submit(batch(1, 6));
        let reply = execute(&mut append, &mut stream).expect("to be sent");
        assert!(matches!(append.hear_stored(&reply), Settled::GoesOn));
        if is_trimmed {
            stream.0.clear();
        }
        append.next(3).expect("not stored").expect("to be sent");
        append.lose_connection();
        mark(&mut append, &stream, is_sure);
        assert_eq!(append.counts.maybe_twice, 3, "trimmed {is_trimmed}, sure {is_sure}");
    }
}

proptest! {
    /// Connections are cut before or after the server has executed what was sent, batches are taken back, and every event is in
    /// the stream once and in order.
    #[test]
    fn whatever_is_cut_every_event_is_there_once(sizes in prop::collection::vec(1_u64..10, 1..20), cuts in prop::collection::vec(0_u8..5, 200)) {
        let (mut append, mut stream) = (Append::new(NONCE, 0, true), Stream::default());
        let mut cuts = cuts.into_iter().chain(std::iter::repeat(0));
        let mut next = 1;
        for size in sizes {
            let mut waiting = Some(batch(next, size));
            next += size;
            loop {
                if let Some(batch) = waiting.take() {
                    append.submit(batch);
                }
                match cuts.next() {
                    // Lost on the way there.
                    Some(1) => {
                        if append.next(3).is_err() {
                            break;
                        }
                        append.lose_connection();
                        mark(&mut append, &stream, true);
                    }
                    // Lost on the way back.
                    Some(2) => {
                        let Ok(sent) = append.next(3) else { break };
                        if let Some(transaction) = sent {
                            stream.execute(&transaction);
                        }
                        append.lose_connection();
                        mark(&mut append, &stream, true);
                    }
                    // No answer in time.
                    Some(3) => {
                        let Ok(sent) = append.next(3) else { break };
                        if let Some(transaction) = sent {
                            stream.execute(&transaction);
                        }
                        append.lose_connection();
                        waiting = append.cancel();
                        mark(&mut append, &stream, true);
                    }
                    // Somebody else writes.
                    Some(4) => stream.0.push(None),
                    _ => match append.next(3) {
                        Err(_) => break,
                        Ok(None) => {}
                        Ok(Some(transaction)) => {
                            stream.execute(&transaction);
                            let reply = Value::Array((0..transaction.count).map(|_| bulk("1-1")).collect());
                            if let Settled::Stored(_) = append.hear_stored(&reply) {
                                break;
                            }
                        }
                    },
                }
            }
        }
        prop_assert_eq!(stream.ours(), (1..next).collect::<Vec<_>>());
        prop_assert_eq!(append.counts, Counts::default());
    }
}

#[test]
fn why_a_transaction_was_discarded_is_read_from_its_end_too() {
    for (reply, is_transient) in [
        (
            "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
            true,
        ),
        ("EXECABORT Transaction discarded because of: NOPERM no permissions", false),
    ] {
        let mut append = Append::new(NONCE, 0, true);
        append.submit(batch(1, 2));
        append.next(3).expect("not stored").expect("to be sent");
        let Settled::Refused(_, error) = append.hear_stored(&error(reply)) else { panic!("{reply}") };
        assert_eq!(matches!(error, AdapterError::Transient(_)), is_transient, "{reply}: {error}");
    }
}

#[test]
fn commands_that_were_executed_and_not_gathered_leave_the_outcome_unknown() {
    let (mut append, mut stream) = (Append::new(NONCE, 0, true), Stream::default());
    append.submit(batch(1, 3));
    execute(&mut append, &mut stream).expect("to be sent");
    append.hear_queued(&error("NOPERM no permissions to run the 'multi' command"));
    append.hear_queued(&bulk("1-1"));
    assert!(matches!(append.hear_stored(&error("ERR EXEC without MULTI")), Settled::Broken));
    assert!(append.lose_connection(), "something was sent");
    mark(&mut append, &stream, true);
    assert!(append.next(3).is_err(), "the stream has all of it");
}

#[test]
fn what_a_transaction_has_stored_before_it_was_refused_does_not_come_back() {
    let mut append = Append::new(NONCE, 0, true);
    append.submit(batch(1, 5));
    append.next(3).expect("not stored").expect("to be sent");
    let first = Value::Array((0..3).map(|_| bulk("1-1")).collect());
    assert!(matches!(append.hear_stored(&first), Settled::GoesOn));
    append.next(3).expect("not stored").expect("to be sent");
    let second = Value::Array(vec![bulk("1-1"), error("ERR no")]);
    let Settled::Refused(rest, _) = append.hear_stored(&second) else { panic!("taken for success") };
    assert_eq!((rest.len(), rest.first(), rest.end()), (1, Sequence(5), Sequence(6)));
    append.submit(batch(5, 1));
    append.next(3).expect("not stored").expect("to be sent");
    append.lose_connection();
    assert_eq!(append.cancel().map(|batch| batch.len()), Some(1));
}

#[test]
fn what_the_server_lost_is_counted_once() {
    let (mut append, mut stream) = (Append::new(NONCE, 0, true), Stream::default());
    append.submit(batch(1, 3));
    let reply = execute(&mut append, &mut stream).expect("to be sent");
    assert!(matches!(append.hear_stored(&reply), Settled::Stored(_)));
    stream.0.truncate(1);
    for _ in 0..3 {
        append.lose_connection();
        mark(&mut append, &stream, true);
    }
    assert_eq!(append.counts.lost_by_server, 2);
}

#[test]
fn a_server_that_cannot_tell_the_mark_now_is_asked_again() {
    let mut append = Append::new(NONCE, 0, false);
    for reply in
        [error("BUSY Redis is busy running a script"), error("LOADING it is"), Value::Okay, Value::Nil]
    {
        assert!(append.seeks());
        assert_eq!(append.hear_end(&reply, true), None);
        assert!(!append.is_marked(), "{reply:?}");
        append.lose_connection();
    }
    assert!(append.seeks());
    append.hear_end(&error("WRONGTYPE Operation against"), true);
    assert!(append.is_marked(), "whoever appends is told");
}

#[test]
fn an_end_that_is_older_at_no_question_is_asked_for_no_more() {
    let mut append = Append::new(NONCE, 0, false);
    assert!(append.seeks());
    let entry = Value::Array(vec![bulk("18446744073709551615-3"), Value::Array(Vec::new())]);
    let reply = Value::Array(vec![entry]);
    assert!(append.hear_end(&reply, true).is_some());
    assert_eq!(append.hear_end(&reply, true), None);
    assert!(append.is_marked());
}
