//! Room of a run's own on a Redis server: keys under a fresh prefix, looked at before the run and deleted after it.

use std::time::Duration;

use redis::{Client, Connection, RedisError};

/// The keys of one run.
pub(crate) struct Scratch {
    url: String,
    prefix: String,
}

impl Scratch {
    /// A prefix that no other run has.
    pub(crate) fn on(url: &str) -> Scratch {
        Scratch { url: url.to_owned(), prefix: format!("netload:{:016x}", fastrand::u64(..)) }
    }

    /// Whether the server can be used.
    pub(crate) fn look(&self) -> Result<(), RedisError> {
        redis::cmd("PING").exec(&mut self.connect()?)
    }

    /// What the run's keys begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Deletes the keys of a bus that had `shards` shards.
    pub(crate) fn delete(&self, shards: u16) -> Result<(), RedisError> {
        let mut unlink = redis::cmd("UNLINK");
        unlink.arg(format!("{}:meta", self.prefix));
        for shard in 0..shards {
            unlink.arg(format!("{}:shard:{shard}", self.prefix));
        }
        unlink.exec(&mut self.connect()?)
    }

    fn connect(&self) -> Result<Connection, RedisError> {
        let connection = Client::open(self.url.as_str())?.get_connection_with_timeout(PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        Ok(connection)
    }
}

/// A text without the users and passwords of the URLs in it.
pub(crate) fn discreet(text: &str) -> String {
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

/// Those of a socket stand in its query.
fn without_query(url: &str) -> String {
    let Some((before, rest)) = url.split_once("pass=") else { return url.to_owned() };
    let after = rest.find(['&', '"', ' ']).map_or("", |end| &rest[end..]);
    format!("{before}pass=…{after}")
}

const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (text, shown) in [
            ("redis://user:secret@host:1/2", "redis://host:1/2"),
            ("--target=redis://:secret@host", "--target=redis://host"),
            (r#"{"url":"redis://:secret@host","prefix":"a@b"}"#, r#"{"url":"redis://host","prefix":"a@b"}"#),
            ("redis+unix:///run/socket?pass=secret&db=3", "redis+unix:///run/socket?pass=…&db=3"),
            ("a@b no URL pass=port", "a@b no URL pass=port"),
        ] {
            assert_eq!(discreet(text), shown);
        }
    }
}
