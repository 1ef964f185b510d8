//! Room of a run's own on a Redis server: keys under a fresh prefix, looked at before the run and deleted after it.

use adapters::FactoryError;
use adapters::redis::RedisConfig;
use serde_json::json;

/// The keys of one run.
pub(crate) struct Scratch {
    server: RedisConfig,
    prefix: String,
}

impl Scratch {
    /// A prefix that no other run has.
    pub(crate) fn on(url: &str) -> Result<Scratch, FactoryError> {
        let server = RedisConfig::parse(json!({ "url": url, "connect_timeout_ms": PATIENCE_MS }))?;
        Ok(Scratch { server, prefix: format!("netload:{:016x}", fastrand::u64(..)) })
    }

    /// Whether the server can be used.
    pub(crate) fn look(&self) -> Result<(), FactoryError> {
        Ok(self.server.execute(&["PING"])?)
    }

    /// What the run's keys begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Deletes the keys of a bus that had `shards` shards.
    pub(crate) fn delete(&self, shards: u16) -> Result<(), FactoryError> {
        let streams = (0..shards).map(|shard| format!("{}:shard:{shard}", self.prefix));
        let keys: Vec<String> = streams.chain([format!("{}:meta", self.prefix)]).collect();
        let words: Vec<&str> = ["UNLINK"].into_iter().chain(keys.iter().map(String::as_str)).collect();
        Ok(self.server.execute(&words)?)
    }
}

/// A text without the users and passwords of the URLs in it, and without the keys of a `net` section.
pub(crate) fn discreet(text: &str) -> String {
    SECRETS.iter().fold(without_users(text), |text, name| without_value(&text, name))
}

fn without_users(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let authority = part.find(['/', '"', ' ']).unwrap_or(part.len());
        let host = part[..authority].rfind('@').map_or(0, |at| at + 1);
        shown += "://";
        shown += without_query(&part[host..]).as_str();
    }
    shown
}

/// JSON, or a part of it, without the text that is the value of `name`.
fn without_value(text: &str, name: &str) -> String {
    let mut parts = text.split(name);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown += name;
        let before = part.len() - part.trim_start_matches([' ', '\t', '\n', '\r', ':']).len();
        match part[before..].strip_prefix('"').and_then(|value| value.split_once('"')) {
            Some((_, after)) => shown.extend([&part[..before], "\"…\"", after]),
            None => shown += part,
        }
    }
    shown
}

/// Those of a socket stand in its query.
fn without_query(url: &str) -> String {
    let Some((before, rest)) = url.split_once("pass=") else { return url.to_owned() };
    let after = rest.find(['&', '"', ' ']).map_or("", |end| &rest[end..]);
    format!("{before}pass=…{after}")
}

/// Keys whose values are nobody else's business.
const SECRETS: [&str; 2] = [r#""psk""#, r#""secret_key""#];
const PATIENCE_MS: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (text, shown) in [
            ("redis://user:secret@host:1/2", "redis://host:1/2"),
            ("rediss://user:secret@host:1/2", "rediss://host:1/2"),
            ("--target=redis://:secret@host", "--target=redis://host"),
            (r#"{"url":"redis://:secret@host","prefix":"a@b"}"#, r#"{"url":"redis://host","prefix":"a@b"}"#),
            ("redis+unix:///run/socket?pass=secret&db=3", "redis+unix:///run/socket?pass=…&db=3"),
            (
                r#"{"net":{"psk":"ab","public_key":"cd","secret_key" : "ef","psk_file":"p"}}"#,
                r#"{"net":{"psk":"…","public_key":"cd","secret_key" : "…","psk_file":"p"}}"#,
            ),
            (r#"{"psk":null,"secret_key":"unended"#, r#"{"psk":null,"secret_key":"unended"#),
            ("a@b no URL pass=port", "a@b no URL pass=port"),
        ] {
            assert_eq!(discreet(text), shown);
        }
    }
}
