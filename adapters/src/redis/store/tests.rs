//! A store whose server is a script: what it is told after each way of losing it, and that no answer makes it panic or go round.

use engine::event::EventFlags;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::append::{Append, Next};
use super::super::block::{self, RangeQuery};
use super::super::entry::Entry;
use super::super::link::{Link, Script};
use super::super::reads::WAITING_MAX;
use super::super::session::Session;
use super::*;

mod cluster;

const NOW: Monotonic = Monotonic(1);
/// With the transaction of nothing that follows.
const GREETING: &str = "+OK\r\n:7\r\n$8\r\nrun_id:a\r\n:0\r\n$1\r\n1\r\n+OK\r\n+OK\r\n";

fn store() -> RedisStore {
    store_of(json!({ "url": "redis://localhost" }))
}

fn store_of(options: Value) -> RedisStore {
    let config = RedisConfig::parse(options).expect("valid");
    let (shard, notify) = (ShardId(0), engine::adapter::Notify::default());
    let context = ShardContext { shard, shards: 1, nonce: 0xabc, is_new: true, notify };
    RedisStore::new(Arc::new(config), 1, context)
}

/// Its next session, over a script.
fn connect(store: &mut RedisStore) -> Script {
    let (link, script) = Link::scripted();
    let to = store.main.goes_to(&store.caller);
    store.main.begin(Session::over(link, &store.caller, to, &store.suspects.all), NOW);
    script
}

fn batch(first: u64, count: u64) -> Batch {
    let mut batch = Batch::default();
    batch.number_from(Sequence(first));
    (0..count).for_each(|_| batch.push(0, 0, EventFlags::NONE, b"event"));
    batch
}

fn told(script: &Script) -> String {
    String::from_utf8_lossy(&script.told()).replace("\r\n", " ")
}

/// Ends the session without beginning another, as time has not come for it.
fn lose(store: &mut RedisStore, script: &Script) {
    script.close();
    store.step(NOW);
    store.main.end();
}

/// A store that has sent a transaction over its connection 7, and has no answer.
fn sent() -> (RedisStore, Script) {
    let mut store = store();
    let script = connect(&mut store);
    script.say(GREETING.as_bytes());
    assert!(store.outcome(NOW).is_none() && store.ready());
    store.submit(batch(1, 3), NOW);
    assert!(told(&script).contains("XADD"));
    (store, script)
}

#[test]
fn a_connection_that_may_execute_something_is_killed_however_many_attempts_that_takes() {
    let (mut store, script) = sent();
    script.close();
    store.lose_main("cut", false, NOW);
    for _ in 0..3 {
        let script = connect(&mut store);
        script.say(b"+OK\r\n:8\r\n$8\r\nrun_id:a\r\n");
        store.step_main(NOW);
        assert!(told(&script).contains("KILL $2 ID $1 7"));
        store.lose_main("cut", false, NOW);
    }
    let script = connect(&mut store);
    script.say(b"+OK\r\n:9\r\n$8\r\nrun_id:a\r\n:0\r\n$1\r\n1\r\n:1\r\n+OK\r\n+OK\r\n");
    store.step_main(NOW);
    assert!(told(&script).contains("XREVRANGE"));
    script.say(b"*0\r\n");
    store.step_main(NOW);
    assert!(told(&script).contains("XADD"), "it is sent again");
    assert_eq!(store.writer.append.counts, Counts::default());
}

#[test]
fn a_connection_without_a_number_cannot_be_killed_and_that_is_counted() {
    let mut store = store();
    let script = connect(&mut store);
    script.say(b"+OK\r\n-NOPERM no\r\n$8\r\nrun_id:a\r\n:0\r\n$1\r\n1\r\n+OK\r\n+OK\r\n");
    assert!(store.outcome(NOW).is_none() && store.ready());
    store.submit(batch(1, 3), NOW);
    store.lose_main("cut", false, NOW);
    let script = connect(&mut store);
    script.say(format!("{GREETING}*0\r\n").as_bytes());
    store.step_main(NOW);
    assert_eq!((store.suspects.not_killed, store.writer.append.counts.maybe_twice), (1, 3));
}

#[test]
fn a_connection_that_owes_no_answer_is_not_killed() {
    let (mut store, script) = sent();
    script.say(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$3\r\n5-0\r\n$3\r\n5-1\r\n$3\r\n5-2\r\n");
    assert!(matches!(store.outcome(NOW), Some(Outcome::Stored { .. })));
    lose(&mut store, &script);
    let script = connect(&mut store);
    script.say(GREETING.as_bytes());
    store.step_main(NOW);
    assert!(!told(&script).contains("KILL"));
}

#[test]
fn a_number_of_a_server_process_that_is_no_more_is_not_killed() {
    let (mut store, script) = sent();
    script.close();
    store.lose_main("cut", false, NOW);
    let script = connect(&mut store);
    script.say(b"+OK\r\n:7\r\n$8\r\nrun_id:b\r\n:0\r\n$1\r\n1\r\n+OK\r\n+OK\r\n*0\r\n");
    store.step_main(NOW);
    let told = told(&script);
    assert!(!told.contains("KILL") && told.contains("MULTI"), "{told}");
    assert_eq!((store.suspects.not_killed, store.suspects.all.len()), (0, 0));
    assert_eq!(store.writer.append.counts, Counts::default());
}

#[test]
fn a_number_whose_process_is_not_told_is_killed_and_counted_as_uncertain() {
    let (mut store, script) = sent();
    script.close();
    store.lose_main("cut", false, NOW);
    let script = connect(&mut store);
    script.say(b"+OK\r\n:8\r\n-NOPERM no\r\n:0\r\n$1\r\n1\r\n:1\r\n+OK\r\n+OK\r\n*0\r\n");
    store.step_main(NOW);
    assert!(told(&script).contains("KILL $2 ID $1 7"));
    assert_eq!((store.suspects.not_killed, store.writer.append.counts.maybe_twice), (1, 3));
}

#[test]
fn a_server_that_does_no_transactions_is_given_nothing_and_read_all_the_same() {
    let mut store = store();
    let script = connect(&mut store);
    let refused = "-NOPERM no permissions to run the 'multi' command\r\n-ERR DISCARD without MULTI\r\n";
    script.say(GREETING.strip_suffix("+OK\r\n+OK\r\n").expect("it ends so").as_bytes());
    script.say(refused.as_bytes());
    assert!(store.outcome(NOW).is_none() && store.ready());
    told(&script);
    store.submit(batch(1, 3), NOW);
    let Some(Outcome::Refused { batch, error: AdapterError::Final(reason) }) = store.outcome(NOW) else {
        panic!("taken for success");
    };
    assert!(batch.len() == 3 && reason.contains("MULTI: NOPERM"), "{reason}");
    store.read(5, ReadRequest { stream: ShardId(0), after: None, events_max: 1, bytes_max: 1 }, NOW);
    assert!(store.outcome(NOW).is_none());
    let told = told(&script);
    assert!(told.contains("XRANGE") && !told.contains("XADD"), "{told}");
}

#[test]
fn a_batch_that_is_taken_back_leaves_nothing_that_can_run() {
    let (mut store, _script) = sent();
    assert_eq!(store.cancel(NOW).map(|batch| batch.len()), Some(3));
    assert!(!store.ready() && store.cancel(NOW).is_none());
    let script = connect(&mut store);
    script.say(GREETING.as_bytes());
    store.step_main(NOW);
    assert!(told(&script).contains("KILL $2 ID $1 7"));
}

#[test]
fn who_waits_too_long_in_line_is_told() {
    let mut store = store();
    store.main.fail(Monotonic(1 << 40), true);
    let request = ReadRequest { stream: ShardId(0), after: None, events_max: 1, bytes_max: 1 };
    (0..=WAITING_MAX as u64).for_each(|ticket| store.read(ticket, request, NOW));
    assert!(matches!(store.outcome(NOW), Some(Outcome::Read { ticket: 0, result: Err(_) })));
    assert!(store.outcome(NOW).is_none());
}

/// Values as a server may nest them, right or not.
fn value() -> impl Strategy<Value = redis::Value> {
    use redis::Value;

    let ids = vec![
        "5-0",
        "6-0",
        "5-1048575",
        "99999999999999-1",
        "18446744073709551615-18446744073709551615",
        "4-0",
        "x",
    ];
    let words = [
        "d",
        "t",
        "dedup_id",
        "77",
        "0000000000000abc:0:1:0",
        "0000000000000abc:0:18446744073709551615:9",
        "net:shard:0",
    ];
    let text = prop::sample::select([&ids[..], &words[..]].concat());
    let leaf = prop_oneof![
        6 => text.prop_map(|text| Value::BulkString(text.as_bytes().to_vec())),
        1 => Just(Value::Nil),
        1 => Just(Value::Okay),
        1 => any::<i64>().prop_map(Value::Int),
    ];
    let fields = prop::collection::vec(prop::sample::select(words.to_vec()), 0..7);
    let entry = (prop::sample::select(ids), fields).prop_map(|(id, fields)| {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        Value::Array(vec![bulk(id), Value::Array(fields.into_iter().map(bulk).collect())])
    });
    prop_oneof![
        3 => prop::collection::vec(entry, 0..6).prop_map(Value::Array),
        2 => leaf.prop_recursive(3, 16, 5, |inner| prop::collection::vec(inner, 0..5).prop_map(Value::Array)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn no_answer_makes_a_reader_panic_or_stand_still(value in value(), after in prop::option::of(1..8_u64)) {
        let after = after.map(|millis| Sequence((millis << 20) - 1));
        let request = ReadRequest { stream: ShardId(0), after, events_max: 3, bytes_max: 1 << 20 };
        let query = RangeQuery::new(&request, request.events_max);
        if let Some(block) = block::block(&Reply::of(&value), &request, &query) {
            prop_assert!(!block.more || block.through > after, "there is more, and it goes on");
            let positions: Vec<_> = block.batch.events().map(|event| event.sequence).collect();
            prop_assert!(positions.is_sorted_by(|one, next| one < next));
        }
        let mut tail = block::Tail::new(ShardId(0));
        let reply = Reply::of(&value);
        if tail.begin(&reply).is_some() && let Some(entries) = Entry::all(&reply) {
            let end = tail.take(entries);
            let again = tail.take(Entry::all(&reply).expect("the same entries"));
            prop_assert_eq!(again, end);
        }
    }

    #[test]
    fn no_answer_makes_an_appender_panic_or_ask_for_ever(values in prop::collection::vec(value(), 1..5), is_new in any::<bool>()) {
        let mut append = Append::new(0xabc, 0, is_new, 1);
        append.submit(batch(1, 5));
        for value in &values {
            let reply = Reply::of(value);
            append.seeks();
            let mut asked = 0;
            while append.hear_end(&reply, true).is_some() {
                asked += 1;
                prop_assert!(asked < 10);
            }
            for _ in 0..3 {
                match append.next(3, true) {
                    Next::Stored(_) | Next::Refused(..) => return Ok(()),
                    _ => {}
                }
            }
            append.hear_gathered(&reply);
            append.hear_replicas(&reply);
            if append.hear_stored(&reply).is_err() || append.hear_discarded(&reply).is_err() {
                append.lose_connection();
            }
        }
    }
}
