//! How many streams there are: settled by the first bus that comes, and compared by every other.
//!
//! One server is asked by each session as it begins. In a cluster one node has the number and others have the streams, so a
//! connection of its own asks that node before the store's others are made; once it has agreed it is not asked again.

use engine::clock::Monotonic;
use redis::{Cmd, Value};

use super::connection::Connection;
use super::greeting::{is_final, refused};
use super::link::Link;
use super::session::{Caller, Heard};

/// Two commands, of which the second's answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// Settles it, where nobody has.
    Settle,
    Ask,
}

impl Count {
    pub(super) const ALL: [Count; 2] = [Count::Settle, Count::Ask];

    /// The command.
    pub(super) fn say(self, meta_key: &str, streams: u16, command: &mut Cmd) {
        match self {
            Count::Settle => command.arg("HSETNX").arg(meta_key).arg(STREAMS_FIELD).arg(streams),
            Count::Ask => command.arg("HGET").arg(meta_key).arg(STREAMS_FIELD),
        };
    }

    /// What the server says to it; why this bus and the server do not go together.
    pub(super) fn hear(self, value: &Value, streams: u16) -> Result<(), String> {
        match (self, value) {
            (Count::Settle, value) if is_only_here(value) => Ok(()),
            (Count::Settle, value) => refused("HSETNX", value),
            (Count::Ask, Value::BulkString(kept)) if kept == streams.to_string().as_bytes() => Ok(()),
            (Count::Ask, Value::BulkString(kept)) => {
                Err(format!("the server keeps {} streams, not {streams}", String::from_utf8_lossy(kept)))
            }
            (Count::Ask, value) => refused("HGET", value).and_then(|()| Err("HGET: no number".to_owned())),
        }
    }
}

/// Whether the server refuses just this command, or nothing: who may only read is told the number all the same.
fn is_only_here(value: &Value) -> bool {
    !matches!(value, Value::ServerError(error) if !["NOPERM", "READONLY", "OOM", "MISCONF", "NOREPLICAS"].contains(&error.code()))
}

/// What a store waits for in a cluster before it does anything else.
pub(super) struct Agreement {
    connection: Connection<Count>,
    is_reached: bool,
}

impl Agreement {
    /// With one server each session sees to it.
    pub(super) fn new(caller: &Caller) -> Agreement {
        let config = &caller.config;
        let connection = Connection::new(config.slot(&config.meta_key()));
        Agreement { connection, is_reached: !config.is_cluster }
    }

    /// Whether the number is known to be the bus's.
    pub(super) fn is_reached(&self) -> bool {
        self.is_reached
    }

    /// Moves on. `Err` is why there is none yet.
    pub(super) fn step(&mut self, caller: &mut Caller, now: Monotonic) -> Result<(), String> {
        if self.is_reached {
            self.connection.reap();
            return Ok(());
        }
        let mut failure = Ok(());
        self.connection.step(caller, &[], now);
        while let Some(heard) = self.connection.hear(caller, now) {
            match heard {
                Heard::Open => self.ask(caller),
                Heard::Reply(count, reply) => match count.hear(&reply.value(), caller.streams) {
                    Ok(()) if count == Count::Ask => {
                        self.is_reached = true;
                        self.connection.end();
                    }
                    Ok(()) => {}
                    Err(reason) => {
                        self.connection.fail(now, is_final(&reply.value()));
                        failure = Err(reason);
                    }
                },
                Heard::Redirected(_, redirect) => self.connection.redirect(redirect, now),
                Heard::Ended { reason, is_final } => {
                    self.connection.fail(now, is_final);
                    failure = Err(reason);
                }
            }
        }
        self.connection.flush();
        failure
    }

    /// When a session is to be begun, or has been quiet for too long.
    pub(super) fn due(&self, caller: &Caller) -> Option<Monotonic> {
        if self.is_reached { None } else { self.connection.due(caller) }
    }

    /// Whether the kernel is asked for anything.
    pub(super) fn is_outstanding(&self) -> bool {
        self.connection.is_outstanding()
    }

    /// Whether the server has said that trying again is of no use.
    pub(super) fn is_refused(&self) -> bool {
        self.connection.is_refused()
    }

    /// How many sessions have ended before there was one.
    pub(super) fn losses(&self) -> u64 {
        self.connection.losses()
    }

    /// Ends it, and gives what the kernel has to let go of.
    pub(super) fn close(&mut self) -> Vec<Link> {
        self.connection.close()
    }

    fn ask(&mut self, caller: &Caller) {
        let Some(session) = self.connection.open_session() else { return };
        for count in Count::ALL {
            session.ask(count, |command| count.say(&caller.config.meta_key(), caller.streams, command));
        }
    }
}

/// Of the hash that says how the streams are kept.
pub(super) const STREAMS_FIELD: &str = "num_streams";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::adapter::Notify;
    use serde_json::json;

    use super::super::cluster::{Cluster, Redirect};
    use super::super::config::{Address, RedisConfig};
    use super::super::link::{Link, Script};
    use super::super::session::Session;
    use super::*;

    const NOW: Monotonic = Monotonic(1);
    const GREETING: &[u8] = b"+OK\r\n:7\r\n$8\r\nrun_id:a\r\n*0\r\n";

    fn caller() -> Caller {
        let options = json!({ "url": "redis://localhost:1", "cluster": true });
        let config = Arc::new(RedisConfig::parse(options).expect("valid"));
        let cluster = Cluster::new(config.server.address.clone());
        Caller { config, name: "net-0".to_owned(), streams: 4, cluster, notify: Notify::default() }
    }

    /// Its next session, over a script that has let it in.
    fn connect(agreement: &mut Agreement, caller: &mut Caller) -> Script {
        let (link, script) = Link::scripted();
        let to = agreement.connection.goes_to(caller);
        agreement.connection.begin(Session::over(link, caller, to, &[]), NOW);
        script.say(GREETING);
        assert_eq!(agreement.step(caller, NOW), Ok(()));
        script
    }

    #[test]
    fn the_number_is_asked_of_who_has_it_and_no_more_when_it_is_the_same() {
        let mut caller = caller();
        let mut agreement = Agreement::new(&caller);
        connect(&mut agreement, &mut caller).say(b"-MOVED 14524 localhost:2\r\n-MOVED 14524 localhost:2\r\n");
        let to = Redirect { to: Address::Tcp("localhost".to_owned(), 2), is_asking: false };
        // A step would connect to it.
        let heard = agreement.connection.hear(&mut caller, NOW);
        assert!(matches!(heard, Some(Heard::Redirected(Some(Count::Settle), next)) if next == to));
        agreement.connection.redirect(to, NOW);
        connect(&mut agreement, &mut caller).say(b":0\r\n$1\r\n4\r\n");
        assert!(!agreement.is_reached());
        assert_eq!(agreement.step(&mut caller, NOW), Ok(()));
        assert!(agreement.is_reached() && agreement.due(&caller).is_none());
    }

    #[test]
    fn another_number_is_told_and_stops_everything() {
        let mut caller = caller();
        let mut agreement = Agreement::new(&caller);
        connect(&mut agreement, &mut caller).say(b":0\r\n$1\r\n5\r\n");
        let error = agreement.step(&mut caller, NOW).expect_err("they do not go together");
        assert_eq!(error, "the server keeps 5 streams, not 4");
        assert!(agreement.is_refused() && !agreement.is_reached());
    }
}
