//! Replies in any pieces, against what the library makes of them.

use proptest::prelude::*;
use redis::Parser;

use super::*;

impl Reply {
    /// As a server says it.
    pub(in super::super) fn of(value: &Value) -> Reply {
        let mut bytes = Vec::new();
        write(&mut bytes, value);
        assert_eq!(Framer::new().end(&bytes), Ok(Some(bytes.len())));
        Reply(bytes)
    }
}

fn write(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Nil => bytes.extend_from_slice(b"$-1\r\n"),
        Value::Okay => bytes.extend_from_slice(b"+OK\r\n"),
        Value::Int(number) => bytes.extend_from_slice(format!(":{number}\r\n").as_bytes()),
        Value::SimpleString(text) => bytes.extend_from_slice(format!("+{text}\r\n").as_bytes()),
        Value::BulkString(text) => {
            bytes.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
            bytes.extend_from_slice(text);
            bytes.extend_from_slice(b"\r\n");
        }
        Value::Array(values) => {
            bytes.extend_from_slice(format!("*{}\r\n", values.len()).as_bytes());
            for value in values {
                write(bytes, value);
            }
        }
        Value::ServerError(error) => {
            let text = format!("-{} {}\r\n", error.code(), error.details().unwrap_or_default());
            bytes.extend_from_slice(text.as_bytes());
        }
        other => panic!("{other:?} is of another protocol"),
    }
}

/// A value that a server may send.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::BulkString),
        1 => Just(Value::Nil),
        1 => Just(Value::Okay),
        1 => any::<i64>().prop_map(Value::Int),
        1 => "[A-Za-z ]{1,12}".prop_filter("another value", |text| text != "OK").prop_map(Value::SimpleString),
        1 => "[A-Z]{2,9} [a-z ]{1,20}".prop_map(|text| parse_redis_value(format!("-{text}\r\n").as_bytes()).expect("an error")),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| prop::collection::vec(inner, 0..6).prop_map(Value::Array))
}

#[test]
fn what_is_no_reply_is_refused_at_once() {
    for said in [
        "x\r\n",
        "$x\r\n",
        "$1x\r\n",
        "$-2\r\n",
        "$-x",
        "*-7\r\n",
        "$\r\n",
        "*\r\n",
        "$1\r\nab\r\n",
        "$1\rx",
        "%1\r\n",
        "$1234567890123",
        "*9999999999999\r\n",
        "\r\n",
    ] {
        assert_eq!(Framer::new().end(said.as_bytes()), Err(NoReply), "{said:?}");
    }
    let long = format!("+{}", "x".repeat(LINE_BYTES_MAX + 1));
    assert_eq!(Framer::new().end(long.as_bytes()), Err(NoReply));
}

#[test]
fn what_is_not_whole_is_waited_for_and_nothing_is_made_ready_for_it() {
    for said in [
        "",
        "$",
        "$-",
        "$-1",
        "$-1\r",
        "*2\r\n+a\r\n",
        "$5\r\nabcde",
        "$5\r\nabcde\r",
        "*999999999999\r\n",
        "$999999999999\r\nab",
    ] {
        assert_eq!(Framer::new().end(said.as_bytes()), Ok(None), "{said:?}");
    }
}

proptest! {
    #[test]
    fn replies_end_where_the_library_says_and_hold_what_was_said(values in prop::collection::vec(value(), 1..5), cuts in prop::collection::vec(0_usize..400, 0..6)) {
        let mut said = Vec::new();
        for value in &values {
            write(&mut said, value);
        }
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(said.len())).chain([said.len()]).collect();
        cuts.sort_unstable();
        let (mut framer, mut begin, mut heard) = (Framer::new(), 0, Vec::new());
        for cut in cuts {
            while begin < cut && let Some(len) = framer.end(&said[begin..cut]).expect("replies") {
                heard.push(Reply(said[begin..begin + len].to_vec()).value());
                begin += len;
            }
        }
        prop_assert_eq!(heard, values);
    }

    #[test]
    fn the_library_takes_what_is_taken_here(said in prop::collection::vec(prop::sample::select(b"+-:$*019\r\n\r\nab".to_vec()), 0..24)) {
        if let Ok(Some(len)) = Framer::new().end(&said) {
            let mut left = &said[..len];
            // A number or a text may be none to the library.
            if Parser::new().parse_value(&mut left).is_ok() {
                prop_assert!(left.is_empty());
            }
        }
    }
}
