//! The house rules that neither the compiler nor clippy knows, checked line by line on plain text.
//!
//! A line is cut at `//` before words are looked for, so that comments may name what code may not.

use std::fmt;
use std::path::Path;

/// A line that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) rule: Rule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Past [`FILE_LINES_MAX`] a file is two files.
    FileLength,
    /// Unsafe lives in the lane, the system calls, the C ABI and what tests them.
    Unsafe,
    /// The runtime is named where it is driven, and nowhere else.
    Runtime,
    /// A path of one machine.
    MachinePath,
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Rule::FileLength => "the file is past 600 lines: make it two",
            Rule::Unsafe => "`unsafe` outside engine/src/lane, engine/src/os.rs, ffi, tests, tools, benches",
            Rule::Runtime => {
                "the runtime is named outside engine/src/executor.rs and the adapters' io.rs, readiness and files.rs"
            }
            Rule::MachinePath => "an absolute path of one machine",
        })
    }
}

/// Every violation in one file, in the order of its lines.
pub(crate) fn check(path: &Path, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let code = path.extension().and_then(|extension| extension.to_str());
    let (is_rust, is_source) =
        (code == Some("rs"), matches!(code, Some("rs" | "c" | "cc" | "cpp" | "hpp" | "go" | "py" | "sh")));
    for (index, line) in text.lines().enumerate() {
        let mut broken = |rule| violations.push(Violation { line: index + 1, rule });
        if is_source && index == FILE_LINES_MAX {
            broken(Rule::FileLength);
        }
        let statement = line.split("//").next().unwrap_or_default();
        if is_rust && !may_be_unsafe(path) && has_unsafe(statement) {
            broken(Rule::Unsafe);
        }
        if is_rust && !may_name_runtime(path) && names_runtime(statement) {
            broken(Rule::Runtime);
        }
        if names_machine_path(line) {
            broken(Rule::MachinePath);
        }
    }
    violations
}

fn may_be_unsafe(path: &Path) -> bool {
    UNSAFE_PLACES.iter().any(|place| path.starts_with(place))
}

fn may_name_runtime(path: &Path) -> bool {
    path == Path::new("engine/src/executor.rs")
        || path == Path::new("tests/src/echo.rs")
        || (path.starts_with("adapters")
            && path.components().any(|part| IO_ROOMS.iter().any(|room| part.as_os_str() == *room)))
}

/// Whether the keyword opens a block, a function, an implementation, a trait, an extern block or an attribute.
fn has_unsafe(statement: &str) -> bool {
    let mut words = words(statement).peekable();
    while let Some(word) = words.next() {
        if word == "unsafe" {
            let next = words.peek().copied();
            if matches!(next, None | Some("{" | "(" | "fn" | "impl" | "trait" | "extern")) {
                return true;
            }
        }
    }
    false
}

/// Whether a path starts at the runtime's crate.
fn names_runtime(statement: &str) -> bool {
    let mut words = words(statement).peekable();
    let mut previous = "";
    while let Some(word) = words.next() {
        if word == RUNTIME && (words.peek() == Some(&":") || previous == "use") {
            return true;
        }
        previous = word;
    }
    false
}

fn names_machine_path(line: &str) -> bool {
    MACHINE_FOLDERS.iter().any(|folder| {
        line.match_indices(folder).any(|(at, _)| {
            let before = line[..at].strip_suffix('/').map(|rest| rest.chars().next_back());
            let starts_path = before.is_some_and(|previous| {
                !previous.is_some_and(|previous| previous.is_alphanumeric() || "._-~/}".contains(previous))
            });
            starts_path && line[at + folder.len()..].starts_with('/')
        })
    })
}

/// Identifiers, and every other character that is not white space by itself.
fn words(statement: &str) -> impl Iterator<Item = &str> {
    let mut rest = statement;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let is_identifier = |character: char| character.is_alphanumeric() || character == '_';
        let end = if is_identifier(first) {
            rest.find(|character| !is_identifier(character)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, tail) = rest.split_at(end);
        rest = tail;
        Some(word)
    })
}

const FILE_LINES_MAX: usize = 600;
const RUNTIME: &str = "glommio";
/// What the files and folders of an adapter are called that meet the runtime.
const IO_ROOMS: [&str; 4] = ["io.rs", "readiness.rs", "readiness", "files.rs"];
const UNSAFE_PLACES: [&str; 6] = ["engine/src/lane", "engine/src/os.rs", "ffi", "tests", "tools", "benches"];
const MACHINE_FOLDERS: [&str; 4] = ["home", "root", "work", "Users"];

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<Rule> {
        check(Path::new(path), text).iter().map(|violation| violation.rule).collect()
    }

    #[test]
    fn unsafe_code_is_seen_outside_its_places_only() {
        for code in
            ["    unsafe { read() }", "unsafe fn f() {}", "unsafe impl Send for T {}", "let x = unsafe"]
        {
            assert_eq!(rules("engine/src/bus.rs", code), [Rule::Unsafe], "{code}");
            assert_eq!(rules("engine/src/lane/ring.rs", code), [], "{code}");
        }
        for harmless in ["// unsafe { }", "unsafe_op_in_unsafe_fn = 1", "let not_unsafe = 1;"] {
            assert_eq!(rules("engine/src/bus.rs", harmless), [], "{harmless}");
        }
    }

    #[test]
    fn the_runtime_is_seen_outside_the_executor_and_the_adapters_io() {
        for code in [format!("use {RUNTIME};"), format!("    {RUNTIME}::executor()")] {
            assert_eq!(rules("engine/src/bus.rs", &code), [Rule::Runtime]);
            assert_eq!(rules("engine/src/executor.rs", &code), []);
            assert_eq!(rules("adapters/src/log/io.rs", &code), []);
        }
        assert_eq!(rules("engine/src/bus.rs", &format!("// {RUNTIME}::executor")), []);
    }

    #[test]
    fn a_path_of_one_machine_is_seen_and_a_relative_one_is_not() {
        let path = |folder: &str| format!("see /{folder}/project");
        for folder in MACHINE_FOLDERS {
            assert_eq!(rules("README.md", &path(folder)), [Rule::MachinePath]);
        }
        assert_eq!(rules("README.md", "src/home/page and https://example.org/root/x"), []);
    }

    #[test]
    fn a_file_past_the_limit_is_named_once() {
        let line = "x\n";
        assert_eq!(rules("engine/src/bus.rs", &line.repeat(FILE_LINES_MAX)), []);
        assert_eq!(rules("engine/src/bus.rs", &line.repeat(FILE_LINES_MAX + 5)), [Rule::FileLength]);
        assert_eq!(rules("Cargo.lock", &line.repeat(FILE_LINES_MAX + 5)), []);
    }
}
