//! JSON values as a filter sees them, whichever parser read them, and how they compare.
//!
//! The tape of simd-json and the tree of `serde_json` are two implementations of [`Json`]; a filter is evaluated by the
//! same code over both. Numbers compare by value, exactly: no integer is rounded to a float. Of a key that an object holds more
//! than once, the last counts.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Value};
use simd_json::{Node, StaticNode};

/// A place in a parsed document.
pub(super) trait Json<'a>: Copy {
    /// The member or element that `step` leads to.
    fn child(self, step: &Step) -> Option<Self>;
    /// The value, unless it is an array or an object.
    fn scalar(self) -> Option<Scalar<'a>>;
    /// The value as a tree.
    fn to_tree(self) -> Cow<'a, Value>;
}

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    name: String,
    index: Option<usize>,
}

/// A value that holds no other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
}

/// A number. Integers are those of 64 bits, signed or not; any other is the nearest double.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

/// Whether two values are the same: numbers by value, arrays and objects by what they hold.
pub(super) fn same<'a>(left: impl Json<'a>, right: impl Json<'a>) -> bool {
    match (left.scalar(), right.scalar()) {
        (Some(left), Some(right)) => left == right,
        (None, None) => same_tree(&left.to_tree(), &right.to_tree()),
        _ => false,
    }
}

/// How two values compare: numbers with numbers, strings with strings (by code points), and nothing else.
pub(super) fn order<'a>(left: impl Json<'a>, right: impl Json<'a>) -> Option<Ordering> {
    match (left.scalar()?, right.scalar()?) {
        (Scalar::Number(left), Scalar::Number(right)) => left.partial_cmp(&right),
        (Scalar::Text(left), Scalar::Text(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// The depth is bounded by the parsers, and by the shallower of the two.
fn same_tree(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_tree(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same_tree(left, right)))
        }
        _ => left.scalar().is_some_and(|left| right.scalar() == Some(left)),
    }
}

impl Step {
    /// The segments of a dotted path; the empty path has none.
    pub(super) fn path(dotted: &str) -> Vec<Step> {
        let segments = dotted.split('.').filter(|_| !dotted.is_empty());
        segments.map(|name| Step { name: name.to_owned(), index: index(name) }).collect()
    }
}

/// The array index that `name` spells: decimal digits without leading zeros.
fn index(name: &str) -> Option<usize> {
    let canonical = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    canonical.then(|| name.parse().ok()).flatten()
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        match (*self, *other) {
            (Number::Integer(left), Number::Integer(right)) => Some(left.cmp(&right)),
            (Number::Float(left), Number::Float(right)) => left.partial_cmp(&right),
            (Number::Integer(left), Number::Float(right)) => integer_to_float(left, right),
            (Number::Float(left), Number::Integer(right)) => {
                integer_to_float(right, left).map(Ordering::reverse)
            }
        }
    }
}

/// The cast truncates, and saturates far outside of what 64 bits hold, so the integral parts compare exactly.
fn integer_to_float(integer: i128, float: f64) -> Option<Ordering> {
    match integer.cmp(&(float as i128)) {
        Ordering::Equal => 0.0.partial_cmp(&float.fract()),
        unequal => Some(unequal),
    }
}

impl<'a> Json<'a> for &'a Value {
    fn child(self, step: &Step) -> Option<&'a Value> {
        match self {
            Value::Object(members) => members.get(&step.name),
            Value::Array(elements) => elements.get(step.index?),
            _ => None,
        }
    }

    fn scalar(self) -> Option<Scalar<'a>> {
        match self {
            Value::Null => Some(Scalar::Null),
            Value::Bool(bool) => Some(Scalar::Bool(*bool)),
            Value::String(text) => Some(Scalar::Text(text)),
            Value::Number(number) => Some(Scalar::Number(match (number.as_u64(), number.as_i64()) {
                (Some(integer), _) => Number::Integer(integer.into()),
                (None, Some(integer)) => Number::Integer(integer.into()),
                (None, None) => Number::Float(number.as_f64().unwrap_or(f64::NAN)),
            })),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn to_tree(self) -> Cow<'a, Value> {
        Cow::Borrowed(self)
    }
}

/// A value on simd-json's tape: its first node, and whatever follows on the tape.
impl<'a> Json<'a> for &'a [Node<'a>] {
    fn child(self, step: &Step) -> Option<&'a [Node<'a>]> {
        match *self.first()? {
            Node::Object { len, .. } => {
                let members = Members { left: len, nodes: &self[1..] };
                members.filter(|&(key, _)| key == step.name).last().map(|(_, value)| value)
            }
            Node::Array { len, .. } => Elements { left: len, nodes: &self[1..] }.nth(step.index?),
            _ => None,
        }
    }

    fn scalar(self) -> Option<Scalar<'a>> {
        match *self.first()? {
            Node::String(text) => Some(Scalar::Text(text)),
            Node::Static(StaticNode::Null) => Some(Scalar::Null),
            Node::Static(StaticNode::Bool(bool)) => Some(Scalar::Bool(bool)),
            Node::Static(StaticNode::I64(integer)) => Some(Scalar::Number(Number::Integer(integer.into()))),
            Node::Static(StaticNode::U64(integer)) => Some(Scalar::Number(Number::Integer(integer.into()))),
            Node::Static(StaticNode::F64(float)) => Some(Scalar::Number(Number::Float(float))),
            Node::Object { .. } | Node::Array { .. } => None,
        }
    }

    fn to_tree(self) -> Cow<'a, Value> {
        Cow::Owned(match self.first() {
            Some(&Node::Object { len, .. }) => {
                let members = Members { left: len, nodes: &self[1..] };
                let members = members.map(|(key, value)| (key.to_owned(), value.to_tree().into_owned()));
                Value::Object(members.collect::<Map<_, _>>())
            }
            Some(&Node::Array { len, .. }) => {
                let elements = Elements { left: len, nodes: &self[1..] };
                Value::Array(elements.map(|value| value.to_tree().into_owned()).collect())
            }
            Some(&Node::String(text)) => Value::from(text),
            Some(&Node::Static(StaticNode::Bool(bool))) => Value::from(bool),
            Some(&Node::Static(StaticNode::I64(integer))) => Value::from(integer),
            Some(&Node::Static(StaticNode::U64(integer))) => Value::from(integer),
            Some(&Node::Static(StaticNode::F64(float))) => Value::from(float),
            Some(&Node::Static(StaticNode::Null)) | None => Value::Null,
        })
    }
}

/// The elements of an array on the tape.
struct Elements<'a> {
    left: usize,
    nodes: &'a [Node<'a>],
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [Node<'a>];

    fn next(&mut self) -> Option<&'a [Node<'a>]> {
        self.left = self.left.checked_sub(1)?;
        let value = self.nodes;
        self.nodes = after(value);
        Some(value)
    }
}

/// The members of an object on the tape.
struct Members<'a> {
    left: usize,
    nodes: &'a [Node<'a>],
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a [Node<'a>]);

    fn next(&mut self) -> Option<(&'a str, &'a [Node<'a>])> {
        self.left = self.left.checked_sub(1)?;
        let (Node::String(key), value) = self.nodes.split_first()? else { return None };
        self.nodes = after(value);
        Some((key, value))
    }
}

/// What follows the first value of `nodes`.
fn after<'a>(nodes: &'a [Node<'a>]) -> &'a [Node<'a>] {
    let inside = match nodes.first() {
        Some(&(Node::Object { count, .. } | Node::Array { count, .. })) => count,
        _ => 0,
    };
    nodes.get(1 + inside..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_compare_by_value_past_the_precision_of_a_float() {
        use Ordering::{Equal, Greater, Less};
        for (left, right, expected) in [
            (json!(1), json!(1.0), Equal),
            (json!(-1), json!(-1.5), Greater),
            (json!(0), json!(-0.0), Equal),
            (json!(9_007_199_254_740_993u64), json!(9_007_199_254_740_992.0), Greater),
            (json!(u64::MAX), json!(18_446_744_073_709_551_616.0), Less),
            (json!(i64::MIN), json!(-9_223_372_036_854_775_808.0), Equal),
            (json!(i64::MIN), json!(-1e300), Greater),
            (json!(u64::MAX), json!(i64::MIN), Greater),
            (json!(1e300), json!(u64::MAX), Greater),
        ] {
            assert_eq!(order(&left, &right), Some(expected), "{left} to {right}");
            assert_eq!(order(&right, &left), Some(expected.reverse()), "{right} to {left}");
            assert_eq!(same(&left, &right), expected == Equal, "{left} and {right}");
        }
    }

    #[test]
    fn only_numbers_and_strings_have_an_order() {
        assert_eq!(order(&json!("a"), &json!("b")), Some(Ordering::Less));
        assert_eq!(order(&json!("1"), &json!(1)), None);
        assert_eq!(order(&json!(true), &json!(false)), None);
        assert_eq!(order(&json!([1]), &json!([2])), None);
    }
}
