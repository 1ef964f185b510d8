//! Connections that are over and may execute something yet: the answer to what they were last told never came.
//!
//! A connection whose last commands have no answer is killed by its number, over a new connection to the same server
//! process. To another process the number means nothing, or a stranger. What the old connection may then execute yet is
//! nothing, without its number being told:
//! - The server was started anew: its old process has gone, and what lay in its buffers with it.
//! - The slot has moved to another node, or has been moving: whoever had it before answers what still comes with `MOVED` or
//!   `ASK`, and what it had executed before it gave the key away came along with the key.
//! - A replica was promoted: what the old primary still executes is thrown away when it becomes a replica itself.
//!
//! The slot may come back to a node while bytes are still on their way there. So in a cluster such a connection is kept in mind,
//! and killed when its process is reached again.

use super::session::Session;

/// A connection, by its number at a server process; the one is worth nothing without the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) client_id: Option<i64>,
    /// The process's `run_id`; `None` where the user may not see it.
    pub(super) run_id: Option<String>,
}

/// A connection that is over and may execute something yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suspect {
    pub(super) client_id: i64,
    pub(super) run_id: Option<String>,
}

/// Those of one shard's way into its stream.
pub(super) struct Suspects {
    pub(super) all: Vec<Suspect>,
    /// More of them, which have no number, or one that was forgotten.
    nameless: u64,
    /// Whether none executes anything any more, since the mark was known last.
    is_sure: bool,
    /// How many were not killed that were to be.
    pub(super) not_killed: u64,
}

impl Suspects {
    pub(super) fn new() -> Suspects {
        Suspects { all: Vec::new(), nameless: 0, is_sure: true, not_killed: 0 }
    }

    /// A connection is about to end that may execute something yet.
    pub(super) fn add(&mut self, Identity { client_id, run_id }: &Identity) {
        match *client_id {
            Some(client_id) => self.all.push(Suspect { client_id, run_id: run_id.clone() }),
            None => self.nameless += 1,
        }
        if self.all.len() > SUSPECTS_MAX {
            self.all.remove(0);
            self.nameless += 1;
        }
    }

    /// A session has begun, and has said which of them execute nothing any more.
    pub(super) fn settle<Q: Clone>(&mut self, session: &Session<Q>) {
        let not_killed = session.not_killed() + std::mem::take(&mut self.nameless);
        self.is_sure &= not_killed == 0;
        self.not_killed += not_killed;
        self.all.retain(|suspect| session.keeps(suspect));
    }

    /// Whether what was sent before can be executed no more.
    pub(super) fn is_sure(&self) -> bool {
        self.is_sure
    }

    /// It is known what the stream has, so what may be executed yet was counted.
    pub(super) fn are_counted(&mut self) {
        self.is_sure = true;
    }
}

/// How many are kept in mind; those in a cluster whose process was not met again.
const SUSPECTS_MAX: usize = 64;
