//! The filter language, clause by clause, and both parsers against each other.

use std::thread;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn filter(filter: &Value) -> Filter {
    Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"))
}

fn matches(of: &Value, payload: &[u8]) -> bool {
    filter(of).matches(payload, &mut FilterScratch::default())
}

const EVENT: &[u8] = br#" {"user": {"name": "ada", "age": 36, "tags": ["x", {"k": 1.0}], "0": "zero"},
    "big": 9007199254740993, "none": null, "list": [1, 2], "object": {"b": [true], "a": 1}, "twice": 1, "twice": 2,
    "": "empty"} "#;

#[test]
fn each_operator_says_what_its_name_says() {
    for (expected, of) in [
        (true, json!({"path": "user.name", "value": "ada"})),
        (false, json!({"path": "user.name", "value": "bob"})),
        (true, json!({"$eq": {"path": "user.age", "value": 36.0}})),
        (true, json!({"$ne": {"path": "user.age", "value": 37}})),
        (true, json!({"$ne": {"path": "user.age", "value": "36"}})),
        (false, json!({"$ne": {"path": "user.age", "value": 36}})),
        (true, json!({"$gt": {"path": "user.age", "value": 35.5}})),
        (false, json!({"$gt": {"path": "user.age", "value": 36}})),
        (true, json!({"$gte": {"path": "user.age", "value": 36}})),
        (true, json!({"$lt": {"path": "user.name", "value": "b"}})),
        (false, json!({"$lt": {"path": "user.name", "value": 5}})),
        (true, json!({"$lte": {"path": "user.age", "value": 36}})),
        (false, json!({"$lte": {"path": "none", "value": null}})),
        (true, json!({"$in": {"path": "user.age", "values": ["36", 36]}})),
        (true, json!({"$in": {"path": "user.age", "value": [36]}})),
        (false, json!({"$in": {"path": "user.age", "values": []}})),
        (true, json!({"$exists": {"path": "none"}})),
        (true, json!({"$exists": {"path": "nowhere", "value": false}})),
        (false, json!({"$exists": {"path": "none", "value": false}})),
        (true, json!({"$prefix": {"path": "user.name", "value": "ad"}})),
        (false, json!({"$prefix": {"path": "user.age", "value": "3"}})),
        (true, json!({"path": "none", "value": null})),
        (false, json!({"path": "big", "value": 9_007_199_254_740_992.0})),
        (true, json!({"path": "object", "value": {"a": 1.0, "b": [true]}})),
        (false, json!({"path": "object", "value": {"a": 1}})),
        (true, json!({"path": "list", "value": [1.0, 2]})),
        (false, json!({"path": "list", "value": [2, 1]})),
        (true, json!({"path": "twice", "value": 2})),
    ] {
        assert_eq!(matches(&of, EVENT), expected, "{of}");
    }
}

#[test]
fn a_path_leads_through_members_and_indices() {
    for (expected, path) in [
        (true, "user.tags.1.k"),
        (true, "user.0"),
        (true, "list.0"),
        (false, "list.2"),
        (false, "list.00"),
        (false, "list.+1"),
        (false, "list.99999999999999999999999"),
        (false, "user.name.0"),
        (false, "user..name"),
        (true, ""),
        (false, "."),
    ] {
        assert_eq!(matches(&json!({"$exists": {"path": path}}), EVENT), expected, "{path}");
    }
    assert!(matches(&json!({"path": "", "value": [1]}), b"[1.0]"));
    assert!(matches(&json!({"path": ".", "value": 3}), br#"{"":{"":3}}"#));
}

#[test]
fn a_missing_path_is_false_for_every_leaf() {
    for operator in ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"] {
        assert!(!matches(&json!({operator: {"path": "nowhere", "value": null}}), EVENT), "{operator}");
    }
    assert!(matches(&json!({"$not": {"path": "nowhere", "value": 1}}), EVENT));
}

#[test]
fn clauses_combine() {
    let (yes, no) = (json!({"path": "user.age", "value": 36}), json!({"path": "user.age", "value": 0}));
    for (expected, of) in [
        (true, json!({"$and": [yes, yes]})),
        (false, json!({"$and": [yes, no]})),
        (true, json!({"$or": [no, yes]})),
        (false, json!({"$or": [no, no]})),
        (true, json!({"$not": no})),
        (true, json!({"$and": [{"$or": [no, yes]}, {"$not": {"$not": yes}}]})),
    ] {
        assert_eq!(matches(&of, EVENT), expected, "{of}");
    }
}

#[test]
fn a_payload_that_is_not_json_has_no_paths() {
    for payload in [&b""[..], b" ", b"text", b"{", br#"{"a":1}}"#, b"\xff", b"\"\xff\"", b"[1,]", b"nul"] {
        assert!(matches(&json!({"$exists": {"path": "", "value": false}}), payload), "{payload:?}");
        assert!(!matches(&json!({"$exists": {"path": ""}}), payload), "{payload:?}");
    }
}

#[test]
fn integers_past_64_bits_are_read() {
    let payload = br#"{"a":123456789012345678901234567890,"b":1}"#;
    assert!(matches(&json!({"path": "b", "value": 1}), payload));
    assert!(matches(&json!({"$gt": {"path": "a", "value": u64::MAX}}), payload));
}

#[test]
fn both_parsers_read_the_edges_of_the_grammar_alike() {
    let edges = [
        "1e400",
        "-1e400",
        "1e-400",
        "-0",
        "-0.0",
        "01",
        "1.",
        ".5",
        "+1",
        "1E5",
        "1e05",
        "0e99999999999",
        "--1",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud83d\ude00""#,
        r#""\ud83d\u0041""#,
        r#""\u0000""#,
        r#""\x""#,
        "\"\t\"",
        "\u{feff}1",
        "1 1",
        "\u{b}1",
        "\u{a0}1",
        "nan",
        "Infinity",
        "[1,]",
        "{\"a\":1,}",
        "{1:1}",
        "'a'",
        "tru",
        "true1",
        "// 1\n1",
        "1\0",
        "\0",
    ];
    let questions = [json!({"$exists": {"path": ""}}), json!({"$gt": {"path": "", "value": 1}})];
    for payload in edges {
        for of in &questions {
            let of = filter(of);
            let verdict = of.matches(payload.as_bytes(), &mut FilterScratch::default());
            assert_eq!(verdict, of.matches_tree(payload.as_bytes()), "{payload}");
        }
    }
}

#[test]
fn a_refusal_names_its_place() {
    let deep = (0..FILTER_DEPTH_MAX).fold(json!({"path": "a", "value": 1}), |of, _| json!({"$not": of}));
    let wide = json!({"$in": {"path": "a", "values": vec![0; FILTER_NODES_MAX]}});
    for (of, path, fault) in [
        (json!([]), "", FilterFault::NotAnObject),
        (json!({}), "", FilterFault::NotOneOperator),
        (json!({"$and": [], "$or": []}), "", FilterFault::NotOneOperator),
        (json!({"$xor": {}}), "$xor", FilterFault::UnknownOperator),
        (json!({"$and": []}), "$and", FilterFault::EmptyList),
        (json!({"$or": []}), "$or", FilterFault::EmptyList),
        (json!({"$and": {}}), "$and", FilterFault::WrongType("a list of filters")),
        (json!({"$or": [{"path": "", "value": 0}, 1]}), "$or[1]", FilterFault::NotAnObject),
        (json!({"path": "a"}), "value", FilterFault::MissingOption),
        (json!({"value": 1}), "path", FilterFault::MissingOption),
        (json!({"path": 1, "value": 1}), "path", FilterFault::WrongType("a string")),
        (json!({"path": "a", "value": 1, "x": 1}), "x", FilterFault::UnknownOption),
        (json!({"$gt": {"path": "a", "values": [1]}}), "$gt.value", FilterFault::MissingOption),
        (json!({"$in": {"path": "a"}}), "$in.values", FilterFault::MissingOption),
        (json!({"$in": {"path": "a", "value": [], "values": []}}), "$in.value", FilterFault::UnknownOption),
        (json!({"$in": {"path": "a", "value": 1}}), "$in.value", FilterFault::WrongType("a list of values")),
        (
            json!({"$and": [{"$prefix": {"path": "a", "value": 1}}]}),
            "$and[0].$prefix.value",
            FilterFault::WrongType("a string"),
        ),
        (
            json!({"$exists": {"path": "a", "value": 1}}),
            "$exists.value",
            FilterFault::WrongType("true or false"),
        ),
        (wide, "$in.values", FilterFault::TooLarge),
        (deep, &vec!["$not"; FILTER_DEPTH_MAX].join("."), FilterFault::TooDeep),
    ] {
        assert_eq!(Filter::parse(&of), Err(fault.at(path)), "{of}");
    }
}

#[test]
fn deep_nesting_overflows_no_small_stack() {
    let hostile = |open: &str| open.repeat((1 << 20) / open.len()).into_bytes();
    let run = move || {
        let of = json!({"path": "", "value": 1});
        for payload in [hostile("["), hostile("{\"a\":"), hostile("[{\"a\":")] {
            assert!(!matches(&of, &payload));
        }
        let closed = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        // The deepest payload that is read, by either parser, compared with the deepest value.
        let value: Value = serde_json::from_str(&closed(PAYLOAD_DEPTH_MAX)).expect("deep");
        let of = filter(&json!({"$ne": {"path": "", "value": value}}));
        let payload = closed(PAYLOAD_DEPTH_MAX);
        assert!(!of.matches(payload.as_bytes(), &mut FilterScratch::default()));
        assert!(!of.matches_tree(payload.as_bytes()));
        let payload = closed(PAYLOAD_DEPTH_MAX + 1);
        let of = filter(&json!({"$exists": {"path": ""}}));
        assert!(!of.matches(payload.as_bytes(), &mut FilterScratch::default()));
        assert!(!of.matches_tree(payload.as_bytes()));
    };
    let small = thread::Builder::new().stack_size(256 << 10).spawn(run).expect("a thread");
    small.join().expect("no panic, no overflow");
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..4).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-6i32..7).prop_map(|halves| Value::from(f64::from(halves) / 2.0)),
        any::<f64>().prop_map(Value::from),
        "[ab\\\\\"\u{e4}\n]{0,3}".prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[ab01]{0,1}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_filter() -> impl Strategy<Value = Value> {
    let operator = prop::sample::select(vec![
        "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$exists", "$prefix", "$none",
    ]);
    let leaf = (operator, "([ab01](\\.[ab01]){0,2})?", any_value()).prop_map(|(operator, path, value)| {
        let value = match operator {
            "$in" => json!([value, 1, "a"]),
            "$prefix" => value.as_str().map_or(json!("a"), Value::from),
            "$exists" => json!(value.is_null()),
            _ => value,
        };
        json!({operator: {"path": path, "value": value}})
    });
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|list| json!({"$and": list})),
            vec(inner.clone(), 0..3).prop_map(|list| json!({"$or": list})),
            inner.prop_map(|of| json!({"$not": of})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn both_parsers_give_one_verdict(of in any_filter(), document in any_value(), cut: prop::sample::Index, byte: u8) {
        let Ok(of) = Filter::parse(&of) else { return Ok(()) };
        let mut payload = document.to_string().into_bytes();
        let mut scratch = FilterScratch::default();
        prop_assert_eq!(of.matches(&payload, &mut scratch), of.matches_tree(&payload));
        let cut = cut.index(payload.len());
        payload[cut] = byte;
        prop_assert_eq!(of.matches(&payload, &mut scratch), of.matches_tree(&payload));
        payload.truncate(cut);
        prop_assert_eq!(of.matches(&payload, &mut scratch), of.matches_tree(&payload));
    }

    #[test]
    fn random_bytes_are_no_filter_and_match_or_not(bytes in vec(any::<u8>(), 0..80), text in "[\\[\\]{}\",:0-9a-fnulrs\\\\.eE+ -]{0,40}") {
        let of = filter(&json!({"$or": [{"path": "a", "value": 1}, {"$exists": {"path": ""}}]}));
        let mut scratch = FilterScratch::default();
        for payload in [&bytes[..], text.as_bytes()] {
            prop_assert_eq!(of.matches(payload, &mut scratch), of.matches_tree(payload));
            let _ = serde_json::from_slice(payload).map(|value: Value| Filter::parse(&value));
        }
    }
}
