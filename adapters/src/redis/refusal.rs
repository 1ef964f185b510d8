//! What a server says instead of doing what it was told, and whether it may say otherwise later.

use engine::adapter::AdapterError;

/// A code, and what else the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) detail: String,
}

impl Refusal {
    /// Of an error's line.
    pub(super) fn of(line: &[u8]) -> Refusal {
        let line = String::from_utf8_lossy(line);
        let (code, detail) = line.split_once(' ').unwrap_or((&line, ""));
        Refusal { code: code.to_owned(), detail: detail.to_owned() }
    }

    /// Whether the server may say otherwise later.
    pub(super) fn is_transient(&self) -> bool {
        engine::planted!("26-a-wrong-type-is-retried")
            || !engine::planted!("26-a-failover-is-final") && TRANSIENT.contains(&self.code.as_str())
    }

    /// Why it was: a transaction is discarded for what was said to one of its commands, or for what its own end says.
    pub(super) fn cause(self, complaint: Option<Refusal>) -> Refusal {
        if self.code != "EXECABORT" {
            return self;
        }
        let said = self.detail.split_once("because of: ").map(|(_, cause)| Refusal::of(cause.as_bytes()));
        complaint.or(said).unwrap_or(self)
    }

    /// As the shard is told.
    pub(super) fn error(self) -> AdapterError {
        let text = format!("{} {}", self.code, self.detail);
        if self.is_transient() { AdapterError::Transient(text) } else { AdapterError::Final(text) }
    }
}

/// What a server says when it may say otherwise later.
const TRANSIENT: [&str; 13] = [
    "LOADING",
    "CLUSTERDOWN",
    "READONLY",
    "TRYAGAIN",
    "MASTERDOWN",
    "BUSY",
    "NOREPLICAS",
    "OOM",
    "MISCONF",
    "MOVED",
    "ASK",
    "UNBLOCKED",
    "NOGOODSLAVE",
];
