//! The filter: which events a reader wants, by what their JSON says.
//!
//! A leaf is `{"path":p,"value":v}`, short for `{"$eq":{"path":p,"value":v}}`, or one of `$ne $gt $gte $lt $lte $prefix`
//! in its place, or `{"$in":{"path":p,"values":[…]}}` (`value` in place of `values` too), or
//! `{"$exists":{"path":p,"value":bool}}` with `true` where `value` is left out. `{"$and":[…]}`, `{"$or":[…]}` and
//! `{"$not":…}` combine filters.
//!
//! A path is dotted; `""` is the root; decimal numbers index arrays, and name members of objects. A key with a dot in
//! it cannot be named. A leaf whose path is missing is false, `$ne` included; only `$exists` with `false` asks for it.
//! Numbers compare by value, exactly; ordering operators compare numbers with numbers and strings with strings and are
//! false for anything else; arrays and objects compare by what they hold.
//!
//! A payload that is not JSON, or is nested deeper than [`PAYLOAD_DEPTH_MAX`], has no paths at all, not even the root.
//! Every filter that was parsed is evaluated in bounded stack.

use std::cmp::Ordering;
use std::mem;

use serde_json::{Map, Value};
use simd_json::{Buffers, INPUT_PADDING, Tape};

use super::json::{Json, Scalar, Step, order, same};

/// A parsed filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    root: Clause,
}

/// Memory that evaluation reuses from event to event.
#[derive(Debug)]
pub struct FilterScratch {
    bytes: Vec<u8>,
    parser: Parser,
    tape: Tape<'static>,
}

/// Why a filter was refused. Final: the same filter is refused again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {fault}")]
pub struct FilterError {
    /// Where in the filter, as in `$and[1].$gt.path`; empty for the filter itself.
    pub path: String,
    /// What is wrong there.
    pub fault: FilterFault,
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterFault {
    /// Something else stands where a filter or its options must.
    #[error("expected an object")]
    NotAnObject,
    /// No operator, or several.
    #[error("expected one operator, or `path` and `value`")]
    NotOneOperator,
    /// An operator that does not exist.
    #[error("there is no such operator")]
    UnknownOperator,
    /// An option that the operator does not have.
    #[error("the operator has no such option")]
    UnknownOption,
    /// An option that the operator must have.
    #[error("is missing")]
    MissingOption,
    /// Another type than the operator needs.
    #[error("expected {0}")]
    WrongType(&'static str),
    /// `$and` or `$or` of nothing.
    #[error("the list is empty")]
    EmptyList,
    /// Nested deeper than [`FILTER_DEPTH_MAX`].
    #[error("nested deeper than {FILTER_DEPTH_MAX}")]
    TooDeep,
    /// More operators and listed values than [`FILTER_NODES_MAX`].
    #[error("more than {FILTER_NODES_MAX} operators and values")]
    TooLarge,
}

impl Filter {
    /// Reads a filter.
    pub fn parse(filter: &Value) -> Result<Filter, FilterError> {
        let mut nodes_left = FILTER_NODES_MAX;
        Ok(Filter { root: Clause::parse(filter, FILTER_DEPTH_MAX, &mut nodes_left)? })
    }

    /// Whether the event with this payload is wanted. Any thread, each with a scratch of its own.
    pub fn matches(&self, payload: &[u8], scratch: &mut FilterScratch) -> bool {
        let FilterScratch { bytes, parser, tape: spare } = scratch;
        bytes.clear();
        bytes.extend_from_slice(payload);
        bytes.resize(payload.len() + INPUT_PADDING, 0);
        let mut tape = mem::replace(spare, Tape(Vec::new())).reset();
        let read = simd_json::fill_tape_padded(bytes, payload.len(), &mut parser.0, &mut tape);
        let verdict = read.is_ok().then(|| self.root.holds(Some(tape.0.as_slice())));
        *spare = tape.reset();
        verdict.unwrap_or_else(|| self.matches_tree(payload))
    }

    /// The same for what simd-json refuses: integers past 64 bits, and what is not JSON.
    fn matches_tree(&self, payload: &[u8]) -> bool {
        let tree: Option<Value> = serde_json::from_slice(payload).ok();
        self.root.holds(tree.as_ref())
    }
}

impl Default for FilterScratch {
    fn default() -> FilterScratch {
        let parser = Parser(Buffers::with_max_depth(0, PAYLOAD_DEPTH_MAX));
        FilterScratch { bytes: Vec::new(), parser, tape: Tape(Vec::new()) }
    }
}

/// simd-json's own memory, which has no `Debug`.
struct Parser(Buffers);

impl std::fmt::Debug for Parser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parser")
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Clause {
    All(Vec<Clause>),
    Any(Vec<Clause>),
    Not(Box<Clause>),
    Leaf { path: Vec<Step>, test: Test },
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Equal(Value),
    Unequal(Value),
    Above(Value),
    AtLeast(Value),
    Below(Value),
    AtMost(Value),
    In(Vec<Value>),
    Exists(bool),
    Prefix(String),
}

impl Clause {
    fn holds<'a, J: Json<'a>>(&'a self, root: Option<J>) -> bool {
        match self {
            Clause::All(clauses) => clauses.iter().all(|clause| clause.holds(root)),
            Clause::Any(clauses) => clauses.iter().any(|clause| clause.holds(root)),
            Clause::Not(clause) => !clause.holds(root),
            Clause::Leaf { path, test } => {
                let found = path.iter().try_fold(root, |at, step| at?.child(step).map(Some)).flatten();
                match (test, found) {
                    (Test::Exists(expected), found) => found.is_some() == *expected,
                    (test, Some(found)) => test.holds(found),
                    (_, None) => false,
                }
            }
        }
    }

    fn parse(filter: &Value, depth_left: usize, nodes_left: &mut usize) -> Result<Clause, FilterError> {
        let depth_left = depth_left.checked_sub(1).ok_or(FilterFault::TooDeep)?;
        spend(nodes_left, 1)?;
        let object = filter.as_object().ok_or(FilterFault::NotAnObject)?;
        if object.contains_key("path") || object.contains_key("value") {
            return Clause::leaf("$eq", object, nodes_left);
        }
        let mut members = object.iter();
        let (Some((operator, options)), None) = (members.next(), members.next()) else {
            return Err(FilterFault::NotOneOperator.into());
        };
        let mut several = || -> Result<Vec<Clause>, FilterError> {
            let list = options.as_array().ok_or(FilterFault::WrongType("a list of filters"))?;
            if list.is_empty() {
                return Err(FilterFault::EmptyList.into());
            }
            let parse = |(index, filter)| {
                Clause::parse(filter, depth_left, nodes_left).map_err(|error| error.inside_index(index))
            };
            list.iter().enumerate().map(parse).collect()
        };
        let clause = match operator.as_str() {
            "$and" => several().map(Clause::All),
            "$or" => several().map(Clause::Any),
            "$not" => {
                Clause::parse(options, depth_left, nodes_left).map(|clause| Clause::Not(Box::new(clause)))
            }
            leaf => match options.as_object() {
                Some(options) => Clause::leaf(leaf, options, nodes_left),
                None => Err(FilterFault::NotAnObject.into()),
            },
        };
        clause.map_err(|error| error.inside(operator))
    }

    fn leaf(
        operator: &str,
        options: &Map<String, Value>,
        nodes_left: &mut usize,
    ) -> Result<Clause, FilterError> {
        let test = Test::parse(operator, options, nodes_left)?;
        let listed = matches!(test, Test::In(_));
        let known = |key: &str| key == "path" || key == "value" || (listed && key == "values");
        if let Some(key) = options.keys().find(|key| !known(key)) {
            return Err(FilterFault::UnknownOption.at(key));
        }
        let path = option(options, "path")?;
        let path = path.as_str().ok_or_else(|| FilterFault::WrongType("a string").at("path"))?;
        Ok(Clause::Leaf { path: Step::path(path), test })
    }
}

impl Test {
    fn holds<'a>(&'a self, found: impl Json<'a>) -> bool {
        match self {
            Test::Equal(value) => same(value, found),
            Test::Unequal(value) => !same(value, found),
            Test::Above(value) => order(found, value) == Some(Ordering::Greater),
            Test::AtLeast(value) => order(found, value).is_some_and(Ordering::is_ge),
            Test::Below(value) => order(found, value) == Some(Ordering::Less),
            Test::AtMost(value) => order(found, value).is_some_and(Ordering::is_le),
            Test::In(values) => values.iter().any(|value| same(value, found)),
            Test::Exists(expected) => *expected,
            Test::Prefix(prefix) => {
                matches!(found.scalar(), Some(Scalar::Text(text)) if text.starts_with(prefix))
            }
        }
    }

    fn parse(
        operator: &str,
        options: &Map<String, Value>,
        nodes_left: &mut usize,
    ) -> Result<Test, FilterError> {
        let value = || option(options, "value").cloned();
        Ok(match operator {
            "$eq" => Test::Equal(value()?),
            "$ne" => Test::Unequal(value()?),
            "$gt" => Test::Above(value()?),
            "$gte" => Test::AtLeast(value()?),
            "$lt" => Test::Below(value()?),
            "$lte" => Test::AtMost(value()?),
            "$in" => Test::In(listed(options, nodes_left)?),
            "$exists" => match options.get("value") {
                None => Test::Exists(true),
                Some(Value::Bool(expected)) => Test::Exists(*expected),
                Some(_) => return Err(FilterFault::WrongType("true or false").at("value")),
            },
            "$prefix" => match value()? {
                Value::String(prefix) => Test::Prefix(prefix),
                _ => return Err(FilterFault::WrongType("a string").at("value")),
            },
            _ => return Err(FilterFault::UnknownOperator.into()),
        })
    }
}

/// The values of `$in`, under exactly one of its two names.
fn listed(options: &Map<String, Value>, nodes_left: &mut usize) -> Result<Vec<Value>, FilterError> {
    let (name, values) = match (options.get("values"), options.get("value")) {
        (Some(_), Some(_)) => return Err(FilterFault::UnknownOption.at("value")),
        (None, Some(values)) => ("value", values),
        (values, None) => ("values", values.ok_or_else(|| FilterFault::MissingOption.at("values"))?),
    };
    let values = values.as_array().ok_or_else(|| FilterFault::WrongType("a list of values").at(name))?;
    spend(nodes_left, values.len()).map_err(|error| error.inside(name))?;
    Ok(values.clone())
}

fn option<'a>(options: &'a Map<String, Value>, name: &str) -> Result<&'a Value, FilterError> {
    options.get(name).ok_or_else(|| FilterFault::MissingOption.at(name))
}

fn spend(nodes_left: &mut usize, count: usize) -> Result<(), FilterError> {
    *nodes_left = nodes_left.checked_sub(count).ok_or(FilterFault::TooLarge)?;
    Ok(())
}

impl FilterFault {
    fn at(self, path: &str) -> FilterError {
        FilterError { path: path.to_owned(), fault: self }
    }
}

impl From<FilterFault> for FilterError {
    fn from(fault: FilterFault) -> FilterError {
        fault.at("")
    }
}

impl FilterError {
    fn inside(mut self, key: &str) -> FilterError {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{key}{separator}{}", self.path);
        self
    }

    fn inside_index(self, index: usize) -> FilterError {
        self.inside(&format!("[{index}]"))
    }
}

/// How deep `$and`, `$or` and `$not` may nest, the leaf included.
pub const FILTER_DEPTH_MAX: usize = 32;
/// Operators of a filter, and values listed in its `$in`s, together.
pub const FILTER_NODES_MAX: usize = 4_096;
/// How deep arrays and objects of a payload may nest. `serde_json`, which validates on the way in, has the same bound.
pub const PAYLOAD_DEPTH_MAX: usize = 127;

#[cfg(test)]
mod tests;
