//! A store in a cluster whose nodes are scripts: what it does when one sends it elsewhere, cannot answer, or says nothing.

use std::time::Duration;

use super::super::super::cluster::Redirect;
use super::super::super::config::Address;
use super::super::super::connection::BLOCK_MAX;
use super::*;

/// A node that does not say who has which slots.
const SILENT: &str = "+OK\r\n:7\r\n$8\r\nrun_id:a\r\n-NOPERM no\r\n+OK\r\n+OK\r\n";

fn tcp(port: u16) -> Address {
    Address::Tcp("localhost".to_owned(), port)
}

/// A greeting with the transaction of nothing that follows.
fn greeting(run_id: &str, owner: u16) -> String {
    greeting_alone(run_id, owner) + "+OK\r\n+OK\r\n"
}

/// A greeting of a node of that name, which says that the node at that port of its host has all slots.
fn greeting_alone(run_id: &str, owner: u16) -> String {
    let info = format!("run_id:{run_id}");
    let slots = format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$0\r\n\r\n:{owner}\r\n$2\r\nid\r\n");
    format!("+OK\r\n:7\r\n${}\r\n{info}\r\n{slots}", info.len())
}

fn store() -> RedisStore {
    store_of(json!({ "url": "redis://localhost:1", "cluster": true }))
}

/// A store that has sent a transaction to the node at port 1, which has its stream, and has no answer.
fn sent() -> (RedisStore, Script) {
    let mut store = store();
    let script = connect(&mut store);
    script.say(greeting("a", 1).as_bytes());
    store.step_main(NOW);
    assert!(store.ready());
    store.submit(batch(1, 3), NOW);
    assert!(told(&script).contains("XADD"));
    (store, script)
}

#[test]
fn a_node_that_does_not_have_the_slot_is_asked_for_nothing() {
    let mut store = store();
    let script = connect(&mut store);
    script.say(greeting("a", 2).as_bytes());
    store.step_main(NOW);
    assert!(!store.ready() && !told(&script).contains("XREVRANGE"));
    assert_eq!(store.main.goes_to(&store.caller), Redirect { to: tcp(2), is_asking: false });
    assert_eq!(store.main.due(&store.caller), Some(NOW), "at once");
}

#[test]
fn what_has_moved_is_sent_again_where_it_is_and_nothing_is_killed_for_it() {
    let (mut store, script) = sent();
    let request = ReadRequest { stream: ShardId(0), after: None, events_max: 1, bytes_max: 1 };
    store.read(5, request, NOW);
    script.say(b"+OK\r\n-MOVED 7593 localhost:2\r\n");
    store.step_main(NOW);
    assert_eq!(store.main.goes_to(&store.caller), Redirect { to: tcp(2), is_asking: false });
    let script = connect(&mut store);
    script.say(greeting("b", 2).as_bytes());
    store.step_main(NOW);
    let told = told(&script);
    assert!(told.contains("MULTI") && told.contains("XRANGE") && !told.contains("KILL"), "{told}");
    assert!(!told.contains("ASKING"));
    assert!(store.suspects.all.is_empty() && store.writer.append.counts == Counts::default());
}

#[test]
fn a_transaction_that_comes_too_late_is_sent_again_where_its_key_has_gone_with_leave() {
    let (mut store, script) = sent();
    script.say(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n-ASK 7593 localhost:2\r\n");
    store.step_main(NOW);
    assert_eq!(store.main.goes_to(&store.caller), Redirect { to: tcp(2), is_asking: true });
    let script = connect(&mut store);
    script.say(greeting("b", 1).as_bytes());
    store.step_main(NOW);
    let told = told(&script);
    assert!(told.contains("$6 ASKING *1 $5 MULTI ") && !told.contains("KILL"), "{told}");
    assert!(store.main.is_open(), "it is not sent back");
}

#[test]
fn leave_is_asked_for_each_transaction_and_each_read() {
    let mut store = store();
    store.main.redirect(Redirect { to: tcp(2), is_asking: true }, NOW);
    let script = connect(&mut store);
    script.say(greeting("b", 1).as_bytes());
    store.step_main(NOW);
    store.submit(batch(1, 3), NOW);
    let request = ReadRequest { stream: ShardId(0), after: None, events_max: 1, bytes_max: 1 };
    store.read(5, request, NOW);
    store.step_main(NOW);
    let told = told(&script);
    let words: Vec<&str> = told.split(' ').filter(|word| !word.starts_with(['*', '$'])).collect();
    let after_leave = |word: &str| words.windows(2).any(|pair| pair == ["ASKING", word]);
    assert!(after_leave("MULTI") && after_leave("XRANGE"), "{told}");
    assert_eq!(words.iter().filter(|word| **word == "ASKING").count(), 2, "{told}");
}

#[test]
fn who_asks_leave_goes_back_to_the_owner_after_a_while_and_takes_along_what_waits() {
    let mut store = store();
    store.main.redirect(Redirect { to: tcp(2), is_asking: true }, NOW);
    let script = connect(&mut store);
    script.say(greeting("b", 1).as_bytes());
    store.step_main(NOW);
    let later = store.main.due(&store.caller).expect("it does not stay");
    store.main.step(&store.caller, &[], later);
    let request = ReadRequest { stream: ShardId(0), after: None, events_max: 1, bytes_max: 1 };
    store.read(5, request, later);
    store.step_main(later);
    assert!(store.news.is_empty() && !store.main.is_open());
    assert_eq!(store.main.goes_to(&store.caller), Redirect { to: tcp(1), is_asking: false });
}

#[test]
fn nodes_that_send_on_and_on_are_followed_ever_more_slowly() {
    let mut store = store();
    let mut pauses = Vec::new();
    for round in 0..12 {
        let script = connect(&mut store);
        script.say(greeting("a", 1 + (round + 1) % 2).as_bytes());
        store.step_main(NOW);
        let due = store.main.due(&store.caller).expect("it tries again");
        pauses.push(due.since(NOW));
    }
    assert!(pauses[..3].iter().all(Duration::is_zero), "{pauses:?}");
    assert!(pauses[11] > Duration::from_millis(500), "{pauses:?}");
}

#[test]
fn a_connection_at_another_node_is_kept_in_mind_and_killed_when_that_is_reached_again() {
    let (mut store, _script) = sent();
    store.lose_main("no answer", false, NOW);
    let script = connect(&mut store);
    script.say(greeting("b", 1).as_bytes());
    script.say(b"*0\r\n");
    store.step_main(NOW);
    assert!(!told(&script).contains("KILL"));
    assert_eq!((store.suspects.all.len(), store.suspects.not_killed), (1, 0));
    store.lose_main("cut", false, NOW);
    let script = connect(&mut store);
    script.say(greeting_alone("a", 1).as_bytes());
    store.step_main(NOW);
    assert!(told(&script).contains("KILL $2 ID $1 7"));
    script.say(b":0\r\n+OK\r\n+OK\r\n");
    store.step_main(NOW);
    assert!(store.suspects.all.iter().all(|suspect| suspect.run_id.as_deref() == Some("b")));
}

#[test]
fn a_connection_whose_node_is_not_known_is_no_strangers_end_and_is_counted() {
    let mut store = store();
    let script = connect(&mut store);
    script.say(b"+OK\r\n:7\r\n-NOPERM no\r\n-NOPERM no\r\n+OK\r\n+OK\r\n");
    store.step_main(NOW);
    store.submit(batch(1, 3), NOW);
    store.lose_main("cut", false, NOW);
    let script = connect(&mut store);
    script.say(format!("{SILENT}*0\r\n").as_bytes());
    store.step_main(NOW);
    assert!(!told(&script).contains("KILL"));
    assert_eq!((store.suspects.not_killed, store.writer.append.counts.maybe_twice), (1, 3));
}

#[test]
fn a_node_that_says_nothing_is_left_for_another() {
    let (mut store, _script) = sent();
    store.step_main(NOW);
    let due = store.main.due(&store.caller).expect("it is not waited for without an end");
    assert_eq!(due, NOW.after(2 * BLOCK_MAX));
    store.step_main(Monotonic(due.0 - 1));
    assert!(store.main.is_open());
    store.writer.append.cancel();
    store.main.hear(&mut store.caller, due).expect("it has ended");
}

#[test]
fn a_node_that_cannot_do_what_it_is_told_is_left_when_it_has_said_so() {
    let (mut store, script) = sent();
    script.say(b"+OK\r\n-CLUSTERDOWN no\r\n-CLUSTERDOWN no\r\n-CLUSTERDOWN no\r\n-EXECABORT no\r\n");
    store.step_main(NOW);
    assert!(matches!(store.news.pop_front(), Some(Outcome::Refused { .. })));
    assert_eq!(store.main.due(&store.caller), Some(NOW), "at once");
    store.main.step(&store.caller, &[], NOW);
    assert!(matches!(store.main.hear(&mut store.caller, NOW), Some(Heard::Ended { is_final: false, .. })));
}
