//! `udp://HOST:PORT?public_key=HEX&psk_file=PATH`: the `net` section of an initiator in short.
//!
//! What stands behind the `?` are keys of that section. Secrets have no place there: everybody on the machine sees the command line.

use std::str::FromStr;

use serde_json::{Map, Value, json};

/// The section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UdpTarget(Map<String, Value>);

impl UdpTarget {
    /// As a configuration has it.
    pub(crate) fn section(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

impl FromStr for UdpTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<UdpTarget, String> {
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| format!("expected {FORM}"))?;
        let (peer, query) = rest.split_once('?').unwrap_or((rest, ""));
        let peer = peer.strip_suffix('/').unwrap_or(peer);
        let mut section = Map::new();
        section.insert("role".to_owned(), json!("initiator"));
        section.insert("peer_addr".to_owned(), json!(peer));
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` has no value"))?;
            if ["psk", "secret_key"].contains(&name) {
                return Err(format!(
                    "`{name}` is a secret, which a command line is no place for: see {FORM}"
                ));
            }
            let Some((_, key, kind)) = KEYS.iter().find(|(known, ..)| *known == name) else {
                let known: Vec<&str> = KEYS.iter().map(|(name, ..)| *name).collect();
                return Err(format!("`{name}` is none of {}", known.join(", ")));
            };
            let value = kind.value(value).ok_or_else(|| format!("`{value}` is no value of {name}"))?;
            if section.insert((*key).to_owned(), value).is_some() {
                return Err(format!("`{name}` stands there twice"));
            }
        }
        match REQUIRED.iter().find(|(_, key)| !section.contains_key(*key)) {
            Some((name, _)) => Err(format!("`{name}` is missing: expected {FORM}")),
            None => Ok(UdpTarget(section)),
        }
    }
}

/// What a value is.
enum Kind {
    Text,
    Number,
    Truth,
}

impl Kind {
    fn value(&self, text: &str) -> Option<Value> {
        match self {
            Kind::Text => (!text.is_empty()).then(|| json!(text)),
            Kind::Number => text.parse::<u64>().ok().map(|number| json!(number)),
            Kind::Truth => text.parse::<bool>().ok().map(|truth| json!(truth)),
        }
    }
}

/// What a target of this kind begins with.
pub(crate) const SCHEME: &str = "udp://";
const FORM: &str = "udp://HOST:PORT?public_key=HEX&psk_file=PATH";
const REQUIRED: [(&str, &str); 2] = [("public_key", "peer_public_key"), ("psk_file", "psk_file")];
/// How a key is named in the short form and in the section, and what its value is.
const KEYS: [(&str, &str, Kind); 10] = [
    ("public_key", "peer_public_key", Kind::Text),
    ("psk_file", "psk_file", Kind::Text),
    ("bind_addr", "bind_addr", Kind::Text),
    ("reliability", "reliability", Kind::Text),
    ("cipher", "cipher", Kind::Text),
    ("mtu", "mtu", Kind::Number),
    ("packet_pool_size", "packet_pool_size", Kind::Number),
    ("heartbeat_interval_ms", "heartbeat_interval_ms", Kind::Number),
    ("session_timeout_ms", "session_timeout_ms", Kind::Number),
    ("batched_io", "batched_io", Kind::Truth),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_is_the_section_of_an_initiator() {
        let target: UdpTarget = "udp://[::1]:7000/?public_key=ab&psk_file=keys/psk&mtu=9000&batched_io=false"
            .parse()
            .expect("it has what it must");
        let section = json!({
            "role": "initiator", "peer_addr": "[::1]:7000", "peer_public_key": "ab", "psk_file": "keys/psk", "mtu": 9000,
            "batched_io": false,
        });
        assert_eq!(target.section(), section);
    }

    #[test]
    fn what_is_missing_unknown_doubled_or_secret_is_refused_by_name() {
        for (text, says) in [
            ("udp://h:1", "`public_key` is missing"),
            ("udp://h:1?public_key=ab", "`psk_file` is missing"),
            ("udp://h:1?public_key=&psk_file=p", "`` is no value of public_key"),
            ("udp://h:1?public_key=ab&psk=cd", "`psk` is a secret"),
            ("udp://h:1?secret_key=ab", "`secret_key` is a secret"),
            ("udp://h:1?public_key=ab&public_key=ab", "twice"),
            ("udp://h:1?role=responder", "`role` is none of"),
            ("udp://h:1?mtu=big", "`big` is no value of mtu"),
            ("udp://h:1?mtu", "`mtu` has no value"),
            ("tcp://h:1", "expected udp://"),
        ] {
            let error = text.parse::<UdpTarget>().expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
