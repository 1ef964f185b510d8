//! `include/REFERENCE.md`, from the C headers: codes, structs, and every function with what its documentation says of threads,
//! ownership and errors.

use std::fmt::Write as _;
use std::fs;

use harness::c::root;

/// A declaration with its documentation.
struct Item {
    /// The lines of the comment, without its stars.
    documentation: Vec<String>,
    /// What follows, up to its end.
    declaration: String,
}

/// The whole file.
pub(crate) fn document() -> String {
    let items: Vec<Item> = ["net.h", "net_cortex.h"].into_iter().flat_map(items_of).collect();
    let functions: Vec<(&str, &Item)> =
        items.iter().filter_map(|item| Some((item.function()?, item))).collect();
    let grouped = GROUPS.iter().flat_map(|(_, names)| names.iter().copied());
    let (mut declared, mut sorted): (Vec<&str>, Vec<&str>) =
        (functions.iter().map(|(name, _)| *name).collect(), grouped.collect());
    declared.sort_unstable();
    sorted.sort_unstable();
    assert_eq!(sorted, declared, "every function is in one group");

    let mut text = INTRODUCTION.to_owned();
    for (title, names) in GROUPS {
        let links = names.iter().map(|name| format!("[`{name}`](#{name})")).collect::<Vec<_>>().join(", ");
        writeln!(text, "| {title} | {links} |").expect("a string takes everything");
    }
    text.push_str("\n## Codes\n\n| code | number | meaning |\n|---|---|---|\n");
    let codes =
        items.iter().find(|item| item.declaration.starts_with("typedef enum")).expect("there are codes");
    for (member, meaning) in members(&codes.declaration) {
        let (name, number) = member.split_once(" = ").expect("a code has a number");
        writeln!(text, "| `{name}` | {number} | {meaning} |").expect("a string takes everything");
    }
    text.push_str("\n## Structs\n");
    for item in
        items.iter().filter(|item| item.declaration.contains("{\n") && item.declaration.contains("struct"))
    {
        let name = item.declaration.split(' ').nth(2).expect("a struct has a name");
        write!(text, "\n`{name}`: {}\n\n| field | meaning |\n|---|---|\n", item.documentation.join(" "))
            .expect("a string takes everything");
        for (member, meaning) in members(&item.declaration) {
            writeln!(text, "| `{member}` | {meaning} |").expect("a string takes everything");
        }
    }
    for (title, names) in GROUPS {
        write!(text, "\n## {title}\n").expect("a string takes everything");
        for name in *names {
            let (_, item) = functions.iter().find(|(known, _)| known == name).expect("it was compared");
            let declaration = &item.declaration;
            write!(text, "\n### {name}\n\n```c\n{declaration}\n```\n\n{}", item.text())
                .expect("a string takes everything");
        }
    }
    text
}

/// The names of all functions.
pub(crate) fn functions() -> Vec<&'static str> {
    GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect()
}

fn items_of(header: &str) -> Vec<Item> {
    let text = fs::read_to_string(root().join("include").join(header)).expect("the header is there");
    let text = text.split_once("#include <stdint.h>").expect("it needs its types").1;
    let comments = text.split("\n/**\n").skip(1);
    let item = |comment: &str| {
        let (documentation, rest) = comment.split_once(" */\n").expect("a comment ends");
        let lines = documentation.lines().map(|line| line.strip_prefix(" * ").unwrap_or_default().to_owned());
        let is_block = rest.lines().next().is_some_and(|line| line.ends_with('{'));
        let end = if is_block { rest.find("\n}").map(|at| at + 2) } else { rest.find(';').map(|at| at + 1) };
        let declaration = rest[..end.unwrap_or(rest.len())].to_owned();
        Item { documentation: lines.collect(), declaration }
    };
    comments.map(item).collect()
}

/// Each field of a struct or member of an enum, and what its comment says.
fn members(declaration: &str) -> Vec<(String, String)> {
    let mut members = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in declaration.lines().skip(1).map(str::trim) {
        match line {
            "/**" | "*/" => {}
            line if line.starts_with('*') && line != "*" => comment.push(line[1..].trim()),
            line if line.ends_with([',', ';']) => {
                members.push((line.trim_end_matches([',', ';']).to_owned(), comment.join(" ")));
                comment.clear();
            }
            _ => {}
        }
    }
    members
}

impl Item {
    /// Its name, if it is a function.
    fn function(&self) -> Option<&str> {
        let first = self.declaration.lines().next()?;
        let is_function = first.starts_with(|character: char| character.is_ascii_lowercase());
        let (before, _) = first.split_once('(').filter(|_| is_function && !first.starts_with("typedef"))?;
        before.rsplit([' ', '*']).next()
    }

    /// What its documentation says, with an item for each of [`PARTS`].
    fn text(&self) -> String {
        let (mut text, mut is_in_part, mut is_code) = (String::new(), false, false);
        for line in &self.documentation {
            if line.starts_with("```") {
                is_code = !is_code;
            }
            let mut line = line.clone();
            if !is_code {
                for part in PARTS {
                    line = line.replace(&format!(" {part}"), &format!("\n- {part}"));
                    if let Some(rest) = line.strip_prefix(part) {
                        line = format!("- {part}{rest}");
                    }
                }
            }
            for line in line.split('\n') {
                let begins = line.starts_with("- ");
                is_in_part |= begins && PARTS.iter().any(|part| line[2..].starts_with(part));
                match (is_in_part && !begins, line) {
                    (true, "") => {}
                    (true, line) => writeln!(text, "  {line}").expect("a string takes everything"),
                    (false, line) => writeln!(text, "{line}").expect("a string takes everything"),
                }
            }
        }
        text
    }
}

const PARTS: [&str; 4] = ["Threads:", "Ownership:", "Errors:", "Requires:"];

/// Every function by what it is used for.
const GROUPS: &[(&str, &[&str])] = &[
    ("Start and stop", &["net_init", "net_init_ex", "net_flush", "net_shutdown", "net_shutdown_within"]),
    (
        "Publish",
        &[
            "net_ingest",
            "net_ingest_raw",
            "net_ingest_raw_ex",
            "net_ingest_keyed",
            "net_ingest_batch",
            "net_ingest_raw_batch",
            "net_ingest_raw_batch_ex",
        ],
    ),
    ("Write an event in place", &["net_claim", "net_commit", "net_abort"]),
    (
        "Publish from code that hops between threads",
        &["net_producer_open", "net_producer_ingest", "net_producer_close"],
    ),
    (
        "Subscribe",
        &["net_subscribe", "net_next", "net_subscription_fd", "net_subscription_cursor", "net_unsubscribe"],
    ),
    ("Poll", &["net_poll_ex", "net_free_poll_result", "net_poll"]),
    ("Watch", &["net_stats", "net_stats_ex", "net_metrics"]),
    ("Know what went wrong", &["net_strerror", "net_last_error"]),
    ("Ask the library and the bus", &["net_version", "net_abi_version", "net_num_shards"]),
    ("Keys and strings", &["net_generate_keypair", "net_free_string"]),
    (
        "Tell duplicates",
        &[
            "net_redis_dedup_new",
            "net_redis_dedup_is_duplicate",
            "net_redis_dedup_len",
            "net_redis_dedup_capacity",
            "net_redis_dedup_is_empty",
            "net_redis_dedup_clear",
            "net_redis_dedup_free",
        ],
    ),
    (
        "Named files: open and close",
        &[
            "net_redex_new",
            "net_redex_open_file",
            "net_redex_file_close",
            "net_redex_file_free",
            "net_redex_free",
        ],
    ),
    (
        "Named files: append and read",
        &[
            "net_redex_file_append",
            "net_redex_file_sync",
            "net_redex_file_len",
            "net_redex_file_read_range",
            "net_redex_file_read_raw",
            "net_redex_records_free",
        ],
    ),
    ("Named files: follow", &["net_redex_file_tail", "net_redex_tail_next", "net_redex_tail_free"]),
];

const INTRODUCTION: &str = "# Reference

Generated from `net.h` and `net_cortex.h` by `cargo xtask docs`; do not edit. What holds for every function, and recipes, are in the
[manual](README.md).

| to | call |
|---|---|
";
