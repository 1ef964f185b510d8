//! Sessions with a script for a server: whatever it says, and wherever it is cut, nothing panics and nothing goes on for ever.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn caller(is_cluster: bool) -> Caller {
    let options = json!({ "url": "redis://localhost", "cluster": is_cluster });
    let config = RedisConfig::parse(options).expect("valid");
    let cluster = Cluster::new(config.server.address.clone());
    let config = Arc::new(config);
    Caller { config, name: "net-0".to_owned(), streams: 1, cluster, notify: Notify::default() }
}

fn scripted(kills: &[i64]) -> (Session<u8>, super::super::link::Script) {
    scripted_in(false, kills)
}

fn scripted_in(is_cluster: bool, kills: &[i64]) -> (Session<u8>, super::super::link::Script) {
    let (link, script) = Link::scripted();
    let caller = caller(is_cluster);
    let to = Redirect { to: caller.config.server.address.clone(), is_asking: false };
    let run_id = Some("a".to_owned());
    let suspect = |client_id: &i64| Suspect { client_id: *client_id, run_id: run_id.clone() };
    let suspects: Vec<_> = kills.iter().map(suspect).collect();
    (Session::over(link, &caller, to, &suspects), script)
}

#[test]
fn the_end_is_heard_with_what_came_before_it() {
    for said in ["+OK\r\n:7\r\n", "+OK\r\n:7\r\n*2\r\n$3\r\nab", ""] {
        let (mut session, script) = scripted(&[]);
        script.say(said.as_bytes());
        script.close();
        assert!(matches!(session.hear(), Some(Heard::Ended { is_final: false, .. })), "{said}");
    }
}

#[test]
fn what_was_to_be_killed_and_was_not_is_known() {
    for (replies, not_killed) in
        [(":1\r\n:0\r\n", 0), (":1\r\n-NOPERM no\r\n", 1), ("-ERR no\r\n-NOPERM no\r\n", 2)]
    {
        let (mut session, script) = scripted(&[5, 6]);
        script.say(b"+OK\r\n:7\r\n$8\r\nrun_id:a\r\n");
        assert!(session.hear().is_none());
        let told = String::from_utf8(script.told()).expect("text");
        assert!(told.contains("$4\r\nKILL\r\n$2\r\nID\r\n$1\r\n5") && told.contains("$2\r\nID\r\n$1\r\n6"));
        script.say(format!(":0\r\n$1\r\n1\r\n{replies}").as_bytes());
        assert!(matches!(session.hear(), Some(Heard::Open)));
        assert_eq!((session.not_killed(), session.identity().client_id), (not_killed, Some(7)));
    }
}

#[test]
fn a_reply_that_does_not_end_is_given_up() {
    let (mut session, script) = scripted(&[]);
    script.say(b"$999999999999\r\n");
    let piece = vec![b'x'; REPLY_BYTES_MAX / 8];
    let mut heard = Vec::new();
    for _ in 0..8 {
        script.say(&piece);
        heard.push(session.hear().is_some());
    }
    assert_eq!(heard, [false, false, false, false, false, false, false, true]);
}

/// A reply, or a piece of what looks like one.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "+OK\r\n",
        "+QUEUED\r\n",
        ":1\r\n",
        "$1\r\n1\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "-ERR no\r\n",
        "-MOVED 7 h:7\r\n",
        "-ASK 7 :7\r\n",
        "-MOVED\r\n",
        "*4\r\n:0\r\n:99999\r\n*3\r\n$-1\r\n:7\r\n$1\r\nx\r\n*0\r\n",
        "*1\r\n",
        "*2\r\n",
        "*99999999\r\n",
        "$99999999\r\n",
        "$-7\r\n",
        "*-7\r\n",
        "%1\r\n",
        "~1\r\n",
        ">2\r\n",
        "_\r\n",
        "#t\r\n",
        ",inf\r\n",
        "(999999999999999999999\r\n",
        "=8\r\ntxt:text\r\n",
        "|1\r\n",
        "$3\r\n5-0\r\n",
        "\r\n",
        "$",
    ]);
    prop_oneof![
        8 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn whatever_a_server_says_is_an_answer_or_the_end(is_cluster in any::<bool>(), greets in any::<bool>(), pieces in prop::collection::vec(piece(), 0..16), cut in 0..64_usize) {
        let (mut session, script) = scripted_in(is_cluster, &[]);
        if greets {
            script.say(b"+OK\r\n:7\r\n$8\r\nrun_id:a\r\n");
            script.say(if is_cluster { b"*0\r\n" } else { b":0\r\n$1\r\n1\r\n" });
        }
        (0..8).for_each(|question| session.expect(question));
        let said = pieces.concat();
        let (before, behind) = said.split_at(cut.min(said.len()));
        let mut heard = 0;
        let mut has_ended = false;
        for part in [before, behind] {
            script.say(part);
            while let Some(news) = session.hear() {
                heard += 1;
                if let Heard::Open = news && let Some(slots) = session.take_slots() {
                    Cluster::new(session.address().clone()).learn(&slots, session.address());
                }
                if let Heard::Ended { .. } = news {
                    has_ended = true;
                    break;
                }
            }
            if has_ended {
                break;
            }
        }
        prop_assert!(heard <= 10, "an opening, eight answers and the end");
        if !has_ended {
            script.close();
            let ends = |news: Heard<u8>| matches!(news, Heard::Ended { .. });
            let is_over = std::iter::from_fn(|| session.hear()).take(12).any(ends);
            prop_assert!(is_over);
        }
    }
}
