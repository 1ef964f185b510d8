//! Appending, against a stream in memory that may lose answers, connections and its own end.

use std::collections::VecDeque;

use engine::event::EventFlags;
use proptest::prelude::*;
use redis::{Value, parse_redis_value};

use super::super::entry::{DedupId, id};
use super::super::writer::Asked;
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

fn ids(count: usize) -> Value {
    Value::Array(vec![bulk("1-1"); count])
}

fn batch(first: u64, count: u64) -> Batch {
    let mut batch = Batch::default();
    batch.number_from(Sequence(first));
    (0..count).for_each(|_| batch.push(0, 0, EventFlags::NONE, b"event"));
    batch
}

/// A server at the other end of a connection: what it gathers, and its answers that were not heard yet.
#[derive(Default)]
struct Server {
    stream: Stream,
    gathered: Vec<u64>,
    answers: VecDeque<(Asked, Value)>,
    /// What it says to everything that is to be stored.
    refusal: Option<&'static str>,
    replicas: i64,
    /// Nothing was written over the connection.
    is_new: bool,
}

/// What became of a batch.
enum Settled {
    Stored(Batch),
    Refused(Batch, AdapterError),
}

impl Server {
    /// Is told all that is to be said, in transactions of 3.
    fn listen(&mut self, append: &mut Append) -> Option<Settled> {
        loop {
            match append.next(3, true) {
                Next::Nothing => return None,
                Next::Gather(transaction) => {
                    self.answers.push_back((Asked::Gathered, Value::Okay));
                    self.gathered = sequences(&transaction);
                    let answer = self.refusal.map_or(Value::SimpleString("QUEUED".to_owned()), error);
                    let answers = std::iter::repeat_n((Asked::Gathered, answer), transaction.count);
                    self.answers.extend(answers);
                }
                Next::Execute => {
                    let gathered = std::mem::take(&mut self.gathered);
                    let discarded = self.refusal.map(|_| error("EXECABORT Transaction discarded"));
                    self.store(gathered, discarded);
                }
                Next::Alone(transaction) => {
                    assert!(self.gathered.is_empty(), "it would be gathered too");
                    self.store(sequences(&transaction), self.refusal.map(error));
                }
                Next::Discard => {
                    assert!(!self.gathered.is_empty(), "there is something to forget");
                    self.gathered.clear();
                    self.answers.push_back((Asked::Discarded, Value::Okay));
                }
                Next::AskReplicas { must_write } => {
                    assert_eq!(must_write, self.is_new, "replicas are asked for behind something written");
                    if std::mem::take(&mut self.is_new) {
                        self.answers.push_back((Asked::Written, Value::Okay));
                    }
                    assert!(self.gathered.is_empty(), "it would be gathered too");
                    self.answers.push_back((Asked::Replicas, Value::Int(self.replicas)));
                }
                Next::Stored(batch) => return Some(Settled::Stored(batch)),
                Next::Refused(batch, error) => return Some(Settled::Refused(batch, error)),
            }
        }
    }

    fn store(&mut self, sequences: Vec<u64>, refusal: Option<Value>) {
        let answer = refusal.unwrap_or_else(|| {
            let answer = ids(sequences.len());
            self.stream.0.extend(sequences.into_iter().map(Some));
            self.is_new = false;
            answer
        });
        self.answers.push_back((Asked::Stored, answer));
    }

    /// Its next answer is heard.
    fn answer(&mut self, append: &mut Append) {
        if let Some((asked, answer)) = self.answers.pop_front() {
            hear(append, asked, &answer).expect("it makes sense");
        }
    }

    /// Everything is said and answered until the batch is settled.
    fn settle(&mut self, append: &mut Append) -> Settled {
        loop {
            if let Some(settled) = self.listen(append) {
                return settled;
            }
            assert!(!self.answers.is_empty(), "something is asked");
            self.answer(append);
        }
    }

    /// The connection is cut, and another has found the mark.
    fn cut(&mut self, append: &mut Append, is_sure: bool) {
        self.gathered.clear();
        self.answers.clear();
        self.is_new = true;
        append.lose_connection();
        mark(append, &self.stream, is_sure);
    }
}

fn sequences(transaction: &Transaction<'_>) -> Vec<u64> {
    let start = transaction.batch.sequence(transaction.index).0;
    (start..).take(transaction.count).collect()
}

fn hear(append: &mut Append, asked: Asked, answer: &Value) -> Result<(), Broken> {
    let reply = Reply::of(answer);
    match asked {
        Asked::Gathered => append.hear_gathered(&reply),
        Asked::Stored => return append.hear_stored(&reply).map(|_| ()),
        Asked::Discarded => return append.hear_discarded(&reply),
        Asked::Written => append.hear_written(&reply),
        Asked::Replicas => append.hear_replicas(&reply),
        Asked::Mark | Asked::Empty => panic!("that is heard elsewhere"),
    }
    Ok(())
}

/// Finds the mark.
fn mark(append: &mut Append, stream: &Stream, is_sure: bool) {
    if !append.seeks() {
        return;
    }
    let mut before = None;
    while let Some(next) = append.hear_end(&Reply::of(&stream.end(before, 2)), is_sure) {
        before = Some(next);
    }
    assert!(append.is_marked());
}

/// An appender and a server that has answered nothing yet of a batch of events from 1 on.
fn sent(count: u64) -> (Append, Server) {
    let (mut append, mut server) = (Append::new(NONCE, 0, true, 0), Server::default());
    append.submit(batch(1, count));
    assert!(server.listen(&mut append).is_none());
    (append, server)
}

#[test]
fn a_batch_goes_out_in_transactions_and_is_stored_with_the_last() {
    let (mut append, mut server) = sent(7);
    let Settled::Stored(batch) = server.settle(&mut append) else { panic!("refused") };
    assert_eq!(batch.len(), 7);
    assert_eq!(server.stream.ours(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(append.resume(), Sequence(8));
}

#[test]
fn the_next_transaction_is_gathered_while_one_is_executed_and_not_a_third() {
    let (mut append, mut server) = sent(9);
    assert_eq!((server.stream.ours().len(), &server.gathered[..]), (3, &[4, 5, 6][..]));
    for _ in 0..4 {
        assert!(append.is_gathering());
        server.answer(&mut append);
        assert!(server.listen(&mut append).is_none());
    }
    assert_eq!((server.stream.ours().len(), &server.gathered[..]), (3, &[4, 5, 6][..]), "not answered");
    server.answer(&mut append);
    server.listen(&mut append);
    assert_eq!((server.stream.ours().len(), &server.gathered[..]), (6, &[7, 8, 9][..]));
}

#[test]
fn what_is_gathered_behind_a_refused_transaction_is_forgotten_before_the_batch_comes_back() {
    let (mut append, mut server) = (Append::new(NONCE, 0, true, 0), Server::default());
    append.submit(batch(1, 9));
    server.refusal = Some("OOM command not allowed");
    server.listen(&mut append);
    // There is memory again, too late for the first and in time for the second.
    server.refusal = None;
    let Settled::Refused(rest, AdapterError::Transient(_)) = server.settle(&mut append) else {
        panic!("not refused for now");
    };
    assert!(server.gathered.is_empty() && server.answers.is_empty(), "nothing of it is under way");
    assert_eq!((rest.len(), server.stream.ours()), (9, vec![]));
    append.submit(rest);
    assert!(matches!(server.settle(&mut append), Settled::Stored(_)));
    assert_eq!(server.stream.ours(), (1..10).collect::<Vec<_>>());
    assert_eq!(append.counts.refused_for_memory, 1);
}

#[test]
fn a_batch_is_stored_when_the_replicas_have_it_and_not_before() {
    let (mut append, mut server) =
        (Append::new(NONCE, 0, true, 2), Server { replicas: 1, ..Server::default() });
    append.submit(batch(1, 5));
    for _ in 0..30 {
        assert!(server.listen(&mut append).is_none(), "one of two replicas");
        server.answer(&mut append);
    }
    assert_eq!(server.stream.ours(), [1, 2, 3, 4, 5]);
    // No answer in time: all of it comes back, and is not sent twice.
    append.lose_connection();
    let back = append.cancel().expect("it is not stored");
    assert_eq!(back.len(), 5);
    server.cut(&mut append, true);
    append.submit(back);
    server.replicas = 2;
    assert!(matches!(server.settle(&mut append), Settled::Stored(batch) if batch.len() == 5));
    assert_eq!(server.stream.ours(), [1, 2, 3, 4, 5]);
}

#[test]
fn what_was_not_on_the_replicas_is_sent_again_after_a_failover() {
    let (mut append, mut server) = (Append::new(NONCE, 0, true, 1), Server::default());
    append.submit(batch(1, 5));
    for _ in 0..30 {
        assert!(server.listen(&mut append).is_none(), "no replica has it");
        server.answer(&mut append);
    }
    server.stream.0.truncate(1);
    server.cut(&mut append, true);
    server.replicas = 1;
    assert!(matches!(server.settle(&mut append), Settled::Stored(_)));
    assert_eq!(server.stream.ours(), [1, 2, 3, 4, 5]);
    assert_eq!(append.counts, Counts::default(), "the shard was told of none of them");
}

#[test]
fn who_may_not_ask_for_replicas_is_told_and_keeps_the_batch() {
    let (mut append, mut server) = (Append::new(NONCE, 0, true, 1), Server::default());
    append.submit(batch(1, 2));
    while server.answers.front().is_none_or(|(asked, _)| *asked != Asked::Replicas) {
        server.answer(&mut append);
        assert!(server.listen(&mut append).is_none());
    }
    let refused = error("NOPERM no permissions to run the 'wait' command");
    hear(&mut append, Asked::Replicas, &refused).expect("it makes sense");
    let Some(Settled::Refused(rest, AdapterError::Transient(text))) = server.listen(&mut append) else {
        panic!("taken for success");
    };
    assert!(rest.len() == 2 && text.contains("replicas: NOPERM"), "{text}");
}

#[test]
fn an_identity_with_an_earlier_life_goes_on_behind_its_newest_entry() {
    let mut append = Append::new(NONCE, 0, false, 0);
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
        let (mut append, _) = sent(2);
        hear(&mut append, Asked::Gathered, &Value::Okay).expect("it makes sense");
        if let Some(queued) = queued {
            hear(&mut append, Asked::Gathered, &error(queued)).expect("it makes sense");
        }
        hear(&mut append, Asked::Stored, &error(reply)).expect("it makes sense");
        let Some(Settled::Refused(batch, error)) = Server::default().listen(&mut append) else {
            panic!("{reply} is taken for success");
        };
        assert_eq!(batch.len(), 2);
        assert_eq!(matches!(error, AdapterError::Transient(_)), is_transient, "{reply}: {error}");
        assert_eq!(append.counts.refused_for_memory, u64::from(queued == Some("OOM command not allowed")));
    }
}

#[test]
fn an_answer_that_is_none_is_not_taken_for_one() {
    for reply in [Value::Nil, Value::Okay, ids(1), ids(3), Value::Array(vec![Value::Nil; 2])] {
        let mut append = Append::new(NONCE, 0, true, 0);
        assert_eq!(hear(&mut append, Asked::Stored, &reply), Err(Broken), "nothing was sent");
        let (mut append, _) = sent(2);
        assert_eq!(hear(&mut append, Asked::Stored, &reply), Err(Broken), "{reply:?}");
    }
}

#[test]
fn what_a_failover_took_back_is_counted_once_and_not_sent_again() {
    let (mut append, mut server) = sent(3);
    assert!(matches!(server.settle(&mut append), Settled::Stored(_)));
    server.stream.0.truncate(1);
    for _ in 0..3 {
        server.cut(&mut append, true);
    }
    assert_eq!(append.counts.lost_by_server, 2);
    assert_eq!(append.resume(), Sequence(4));
}

#[test]
fn what_a_failover_took_back_of_a_batch_that_is_not_settled_is_sent_again() {
    let (mut append, mut server) = sent(9);
    for _ in 0..5 {
        server.answer(&mut append);
    }
    assert!(server.listen(&mut append).is_none(), "the first transaction was confirmed");
    server.stream.0.truncate(1);
    server.cut(&mut append, true);
    assert!(matches!(server.settle(&mut append), Settled::Stored(_)));
    assert_eq!(server.stream.ours(), (1..10).collect::<Vec<_>>());
    assert_eq!(append.counts, Counts::default());
}

#[test]
fn a_cancelled_batch_that_a_failover_took_back_is_sent_again() {
    let (mut append, mut server) = (Append::new(NONCE, 0, true, 1), Server::default());
    append.submit(batch(1, 5));
    while server.stream.0.len() < 5 {
        assert!(server.listen(&mut append).is_none(), "no replica has it");
        server.answer(&mut append);
    }
    append.lose_connection();
    let back = append.cancel().expect("it is not stored");
    // The primary is found once more before its replica takes over.
    server.cut(&mut append, true);
    server.stream.0.truncate(2);
    server.cut(&mut append, true);
    append.submit(back);
    server.replicas = 1;
    assert!(matches!(server.settle(&mut append), Settled::Stored(batch) if batch.len() == 5));
    assert_eq!(server.stream.ours(), [1, 2, 3, 4, 5]);
    assert_eq!(append.counts, Counts::default(), "the shard was told of none of them");
}

#[test]
fn a_stream_that_was_emptied_is_begun_anew_with_what_was_not_settled_and_the_rest_is_lost() {
    let (mut append, mut server) = sent(3);
    assert!(matches!(server.settle(&mut append), Settled::Stored(_)));
    append.submit(batch(4, 6));
    server.listen(&mut append);
    for _ in 0..5 {
        server.answer(&mut append);
    }
    server.stream.0.clear();
    server.cut(&mut append, true);
    assert!(matches!(server.settle(&mut append), Settled::Stored(_)));
    assert_eq!(server.stream.ours(), [4, 5, 6, 7, 8, 9]);
    assert_eq!(append.counts, Counts { lost_by_server: 3, ..Counts::default() });
}

#[test]
fn what_cannot_be_written_for_replicas_is_told_and_the_batch_kept() {
    let (mut append, mut server) = (Append::new(NONCE, 0, true, 1), Server::default());
    append.submit(batch(1, 2));
    while server.stream.0.len() < 2 {
        server.listen(&mut append);
        server.answer(&mut append);
    }
    server.cut(&mut append, true);
    assert!(matches!(append.next(3, true), Next::AskReplicas { must_write: true }));
    hear(&mut append, Asked::Written, &error("NOPERM no permissions")).expect("it makes sense");
    hear(&mut append, Asked::Replicas, &Value::Int(7)).expect("it makes sense");
    let Some(Settled::Refused(rest, AdapterError::Transient(_))) = server.listen(&mut append) else {
        panic!("replicas that were asked for nothing are taken at their word");
    };
    assert_eq!(rest.len(), 2);
}

#[test]
fn a_server_that_does_not_forget_what_it_gathered_is_left() {
    let (mut append, _) = sent(9);
    hear(&mut append, Asked::Stored, &error("EXECABORT Transaction discarded")).expect("it makes sense");
    assert!(matches!(append.next(3, true), Next::Discard));
    assert_eq!(hear(&mut append, Asked::Discarded, &error("NOPERM no permissions")), Err(Broken));
}

#[test]
fn where_the_mark_is_gone_or_not_final_what_is_sent_again_is_counted() {
    for (is_trimmed, is_sure, maybe_twice) in [(true, true, 6), (false, false, 0)] {
        let (mut append, mut server) = sent(6);
        for _ in 0..5 {
            server.answer(&mut append);
        }
        server.listen(&mut append);
        if is_trimmed {
            server.stream.0 = vec![None];
        }
        server.cut(&mut append, is_sure);
        assert_eq!(append.counts.maybe_twice, maybe_twice, "trimmed {is_trimmed}, sure {is_sure}");
    }
    let (mut append, mut server) = sent(6);
    server.stream.0.truncate(0);
    server.cut(&mut append, false);
    assert_eq!(append.counts.maybe_twice, 6, "it may be executed yet");
}

proptest! {
    /// Connections are cut before or after the server has executed what was sent, batches are taken back, and every event is in
    /// the stream once and in order.
    #[test]
    fn whatever_is_cut_every_event_is_there_once(sizes in prop::collection::vec(1_u64..10, 1..20), cuts in prop::collection::vec(0_u8..10, 300), replicas in 0..2_i64) {
        let (mut append, mut server) = (Append::new(NONCE, 0, true, replicas.unsigned_abs()), Server { replicas, ..Server::default() });
        let mut cuts = cuts.into_iter();
        let mut next = 1;
        for size in sizes {
            let mut waiting = Some(batch(next, size));
            next += size;
            loop {
                if let Some(batch) = waiting.take() {
                    append.submit(batch);
                }
                let what = cuts.next();
                match what {
                    // Somebody else writes.
                    Some(6) => server.stream.0.push(None),
                    // Memory is full, or no more.
                    Some(7) => {
                        server.refusal = if server.refusal.is_some() { None } else { Some("OOM no") };
                    }
                    None => server.refusal = None,
                    _ => {}
                }
                match server.listen(&mut append) {
                    Some(Settled::Stored(_)) => break,
                    Some(Settled::Refused(rest, _)) => waiting = Some(rest),
                    None => match what {
                        // Cut after so many answers.
                        Some(cut @ 1..=4) => {
                            (1..cut).for_each(|_| server.answer(&mut append));
                            server.cut(&mut append, true);
                        }
                        // No answer in time.
                        Some(5) => {
                            append.lose_connection();
                            waiting = append.cancel();
                            server.cut(&mut append, true);
                        }
                        _ => server.answer(&mut append),
                    },
                }
            }
        }
        prop_assert_eq!(server.stream.ours(), (1..next).collect::<Vec<_>>());
        let counts = Counts { refused_for_memory: 0, ..append.counts };
        prop_assert_eq!(counts, Counts::default());
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
        let (mut append, mut server) = sent(2);
        hear(&mut append, Asked::Stored, &error(reply)).expect("it makes sense");
        let Some(Settled::Refused(_, error)) = server.listen(&mut append) else { panic!("{reply}") };
        assert_eq!(matches!(error, AdapterError::Transient(_)), is_transient, "{reply}: {error}");
    }
}

#[test]
fn commands_that_were_executed_and_not_gathered_leave_the_outcome_unknown() {
    let (mut append, mut server) = sent(3);
    let refused = error("NOPERM no permissions to run the 'multi' command");
    hear(&mut append, Asked::Gathered, &refused).expect("it makes sense");
    hear(&mut append, Asked::Gathered, &bulk("1-1")).expect("it makes sense");
    assert_eq!(hear(&mut append, Asked::Stored, &error("ERR EXEC without MULTI")), Err(Broken));
    assert!(append.lose_connection(), "something was sent");
    mark(&mut append, &server.stream, true);
    assert!(matches!(server.listen(&mut append), Some(Settled::Stored(_))), "the stream has all of it");
}

#[test]
fn what_a_transaction_has_stored_before_it_was_refused_does_not_come_back() {
    let (mut append, mut server) = sent(5);
    hear(&mut append, Asked::Stored, &ids(3)).expect("it makes sense");
    assert!(server.listen(&mut append).is_none());
    let torn = Value::Array(vec![error("ERR no"), bulk("1-1")]);
    assert_eq!(hear(&mut append, Asked::Stored, &torn), Err(Broken), "stored behind what was refused");
    let second = Value::Array(vec![bulk("1-1"), error("ERR no")]);
    hear(&mut append, Asked::Stored, &second).expect("it makes sense");
    let Some(Settled::Refused(rest, _)) = server.listen(&mut append) else { panic!("taken for success") };
    assert_eq!((rest.len(), rest.first(), rest.end()), (1, Sequence(5), Sequence(6)));
    append.submit(batch(5, 1));
    assert!(server.listen(&mut append).is_none());
    append.lose_connection();
    assert_eq!(append.cancel().map(|batch| batch.len()), Some(1));
}

#[test]
fn a_server_that_cannot_tell_the_mark_now_is_asked_again() {
    let mut append = Append::new(NONCE, 0, false, 0);
    for reply in
        [error("BUSY Redis is busy running a script"), error("LOADING it is"), Value::Okay, Value::Nil]
    {
        assert!(append.seeks());
        assert_eq!(append.hear_end(&Reply::of(&reply), true), None);
        assert!(!append.is_marked(), "{reply:?}");
        append.lose_connection();
    }
    assert!(append.seeks());
    append.hear_end(&Reply::of(&error("WRONGTYPE Operation against")), true);
    assert!(!append.is_marked(), "nobody knows what this identity has stored");
}

#[test]
fn an_end_that_is_older_at_no_question_is_asked_for_no_more() {
    let mut append = Append::new(NONCE, 0, false, 0);
    assert!(append.seeks());
    let entry = Value::Array(vec![bulk("18446744073709551615-3"), Value::Array(Vec::new())]);
    let reply = Value::Array(vec![entry]);
    assert!(append.hear_end(&Reply::of(&reply), true).is_some());
    assert_eq!(append.hear_end(&Reply::of(&reply), true), None);
    assert!(append.is_marked());
}
