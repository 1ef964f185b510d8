//! The list of an interface beside what there is now.

use std::collections::BTreeMap;

/// Where two lists differ. A line's first two words say what it is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    removed: Vec<String>,
    /// Before and now.
    changed: Vec<(String, String)>,
    new: Vec<String>,
}

impl Difference {
    /// What became of the `listed` lines.
    pub(super) fn between(listed: &[impl AsRef<str>], now: &[impl AsRef<str>]) -> Difference {
        let (listed, now) = (by_subject(listed), by_subject(now));
        let mut difference = Difference::default();
        for (subject, line) in &listed {
            match now.get(subject) {
                None => difference.removed.push((*line).to_owned()),
                Some(other) if other != line => {
                    difference.changed.push(((*line).to_owned(), (*other).to_owned()));
                }
                Some(_) => {}
            }
        }
        let new = now.iter().filter(|(subject, _)| !listed.contains_key(*subject));
        difference.new = new.map(|(_, line)| (*line).to_owned()).collect();
        difference
    }

    /// Whether programs that were built before may fail.
    pub(super) fn breaks(&self) -> bool {
        !self.removed.is_empty() || !self.changed.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Difference::default()
    }

    /// For people.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let removed = self.removed.iter().map(|line| format!("removed: {line}"));
        let changed = self.changed.iter().map(|(before, now)| format!("changed: {before}\n    now: {now}"));
        removed.chain(changed).chain(self.new.iter().map(|line| format!("new: {line}")))
    }
}

fn by_subject(lines: &[impl AsRef<str>]) -> BTreeMap<(&str, &str), &str> {
    lines
        .iter()
        .filter_map(|line| {
            let mut words = line.as_ref().splitn(3, ' ');
            Some(((words.next()?, words.next()?), line.as_ref()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: [&str; 3] = [
        "code NET_SUCCESS 0",
        "field net_stats_t.lost offset 0 size 8 uint64_t",
        "function net_flush int (net_handle_t)",
    ];

    #[test]
    fn what_is_removed_or_changed_breaks_and_what_is_new_does_not() {
        let same = Difference::between(&LISTED, &LISTED);
        assert!(same.is_empty() && !same.breaks());
        let removed = Difference::between(&LISTED, &LISTED[..2]);
        assert!(removed.breaks());
        assert_eq!(removed.lines().collect::<Vec<_>>(), ["removed: function net_flush int (net_handle_t)"]);
        let mut now = LISTED;
        now[0] = "code NET_SUCCESS 1";
        let changed = Difference::between(&LISTED, &now);
        assert!(changed.breaks());
        assert_eq!(
            changed.lines().collect::<Vec<_>>(),
            ["changed: code NET_SUCCESS 0\n    now: code NET_SUCCESS 1"]
        );
        let new = Difference::between(&LISTED[..2], &LISTED);
        assert!(!new.breaks() && !new.is_empty());
    }
}
