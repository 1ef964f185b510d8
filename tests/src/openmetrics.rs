//! A reader of `OpenMetrics` text that refuses what the format does not allow: <https://prometheus.io/docs/specs/om/open_metrics_spec/>,
//! as far as the bus writes it.

use std::collections::{BTreeMap, BTreeSet};

/// What a text says: each sample under its name and labels, as it is written there.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
}

/// The family whose samples are being read.
#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    unit: Option<String>,
}

impl Metrics {
    /// Reads a text. One that breaks the format fails the test.
    pub fn parse(text: &str) -> Metrics {
        let body = text.strip_suffix("# EOF\n").expect("it ends with its mark");
        let (mut metrics, mut names) = (Metrics::default(), BTreeSet::new());
        let mut family = Family::default();
        for line in body.lines() {
            let mut words = line.splitn(4, ' ');
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                    assert!(help.ends_with('.') && names.insert(name.to_owned()), "{line}");
                    assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
                    family = Family { name: name.to_owned(), ..Family::default() };
                }
                (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                    assert!(name == family.name && family.kind.is_empty(), "{line}");
                    kind.clone_into(&mut family.kind);
                }
                (Some("#"), Some("UNIT"), Some(name), Some(unit)) => {
                    assert!(name == family.name && name.ends_with(&format!("_{unit}")), "{line}");
                    family.unit = Some(unit.to_owned());
                }
                _ => metrics.sample(&family, line),
            }
        }
        metrics.check_histograms();
        metrics
    }

    /// The value of a sample; its labels in the order in which they are written.
    pub fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("no {sample} in {:?}", self.samples.keys()))
    }

    /// The sum over all samples of one name whose labels contain `label`.
    pub fn sum(&self, name: &str, label: &str) -> f64 {
        let is_one = |sample: &&String| name_of(sample) == name && sample.contains(label);
        self.samples.keys().filter(is_one).map(|sample| self.samples[sample]).sum()
    }

    fn sample(&mut self, family: &Family, line: &str) {
        let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_sum", "_count", "_bucket"],
            kind => panic!("no type `{kind}`: {line}"),
        };
        let name = name_of(sample);
        assert!(suffixes.iter().any(|suffix| name == format!("{}{suffix}", family.name)), "{line}");
        check_labels(&sample[name.len()..]);
        assert!(value >= 0.0 && self.samples.insert(sample.to_owned(), value).is_none(), "{line}");
    }

    /// Buckets never fall, and the last one, which has no bound, holds what is counted.
    fn check_histograms(&self) {
        let counts = self.samples.iter().filter(|(sample, _)| name_of(sample).ends_with("_count"));
        for (count, &counted) in counts {
            let (name, labels) = count.split_once("_count").expect("it ends so");
            let labels = labels.trim_matches(['{', '}']);
            let mut buckets: Vec<(f64, f64)> = Vec::new();
            for (sample, &value) in &self.samples {
                let Some(rest) = sample.strip_prefix(&format!("{name}_bucket{{le=\"")) else { continue };
                let (bound, rest) = rest.split_once('"').expect("a quoted bound");
                if rest.trim_matches([',', '}']) == labels {
                    buckets.push((bound.trim_start_matches('+').parse().expect("a number"), value));
                }
            }
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{count}: {buckets:?}");
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, counted)), "{count}");
        }
    }
}

fn name_of(sample: &str) -> &str {
    sample.split('{').next().expect("a part")
}

/// `{name="value",…}`, where no value holds a quote or a comma, or nothing.
fn check_labels(labels: &str) {
    if labels.is_empty() {
        return;
    }
    let inner = labels.strip_prefix('{').and_then(|labels| labels.strip_suffix('}')).expect("braces");
    for label in inner.split(',') {
        let (name, value) = label.split_once('=').unwrap_or_else(|| panic!("no label: {labels}"));
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase()), "{labels}");
        let text = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        assert!(text.is_some_and(|text| !text.contains(['"', '\\'])), "{labels}");
    }
}
