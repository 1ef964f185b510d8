//! How a session begins: who asks (`AUTH`, `SELECT`, `CLIENT SETNAME`), which connection of which server process this is, the end
//! of those before it, and what the whole is like: how many streams there are, or who has which slots of a cluster.

use redis::{Cmd, Value};

use super::session::Caller;
use super::streams::Count;
use super::suspects::{Identity, Suspect};

/// What a session has said to begin with, and has heard.
#[derive(Default)]
pub(super) struct Greeting {
    is_cluster: bool,
    streams: u16,
    suspects: Vec<Suspect>,
    identity: Identity,
    /// Connections that were to be killed and may execute something yet.
    pub(super) not_killed: u64,
    /// The answer to `CLUSTER SLOTS`.
    pub(super) slots: Option<Value>,
}

/// What of the greeting a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Auth,
    Select,
    Name,
    Id,
    Process,
    Kill { is_sure: bool },
    Slots,
    Count(Count),
}

impl Greeting {
    /// Says all that needs no answer before it. `suspects` must execute nothing any more.
    pub(super) fn begin(
        caller: &Caller,
        suspects: &[Suspect],
        mut say: impl FnMut(Step, &dyn Fn(&mut Cmd)),
    ) -> Greeting {
        let Caller { config, name, streams, .. } = caller;
        let server = &config.server;
        if let Some(password) = &server.password {
            say(Step::Auth, &|command| {
                command.arg("AUTH").arg(server.username.as_deref()).arg(password);
            });
        }
        if server.database != 0 {
            say(Step::Select, &|command| {
                command.arg("SELECT").arg(server.database);
            });
        }
        say(Step::Name, &|command| {
            command.arg("CLIENT").arg("SETNAME").arg(name);
        });
        say(Step::Id, &|command| {
            command.arg("CLIENT").arg("ID");
        });
        say(Step::Process, &|command| {
            command.arg("INFO").arg("server");
        });
        if config.is_cluster {
            say(Step::Slots, &|command| {
                command.arg("CLUSTER").arg("SLOTS");
            });
        } else {
            for count in Count::ALL {
                say(Step::Count(count), &|command| count.say(&config.meta_key(), *streams, command));
            }
        }
        Greeting {
            is_cluster: config.is_cluster,
            streams: *streams,
            suspects: suspects.to_vec(),
            ..Greeting::default()
        }
    }

    /// Which connection this is, as far as the server has said.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the server says to a step; why that ends the session.
    pub(super) fn hear(&mut self, step: Step, value: &Value) -> Result<(), String> {
        match step {
            Step::Auth => refused("AUTH", value),
            Step::Select => refused("SELECT", value),
            // A connection without a name, or whose number is not told, is one all the same.
            Step::Name => Ok(()),
            Step::Id => {
                self.identity.client_id = if let Value::Int(id) = value { Some(*id) } else { None };
                Ok(())
            }
            Step::Process => {
                self.identity.run_id = run_id(value);
                Ok(())
            }
            Step::Kill { is_sure } => {
                self.not_killed += u64::from(!is_sure || !matches!(value, Value::Int(_)));
                Ok(())
            }
            // Who may not ask is told by `MOVED` all the same.
            Step::Slots if matches!(value, Value::ServerError(error) if error.code() == "NOPERM") => Ok(()),
            Step::Slots => {
                self.slots = Some(value.clone());
                refused("CLUSTER SLOTS", value)
            }
            Step::Count(count) => count.hear(value, self.streams),
        }
    }

    /// Which connections are to be killed now that the server process is known, and whether each is known to be one of its own.
    pub(super) fn kills(&mut self) -> Vec<(i64, bool)> {
        let here = self.identity.run_id.as_ref();
        let mut kills = Vec::new();
        for Suspect { client_id, run_id } in self.suspects.drain(..) {
            match (run_id.as_ref(), here) {
                (Some(run_id), Some(here)) if run_id == here => kills.push((client_id, true)),
                // Of another process, which needs none: see `suspects`.
                (Some(_), Some(_)) => {}
                // In a cluster it may be anywhere, and a stranger has the number here.
                _ if self.is_cluster => self.not_killed += 1,
                _ => kills.push((client_id, false)),
            }
        }
        kills
    }

    /// Whether a suspect is to be kept in mind although the session is open.
    pub(super) fn keeps(&self, suspect: &Suspect) -> bool {
        let (one, here) = (&suspect.run_id, &self.identity.run_id);
        self.is_cluster && one.is_some() && here.is_some() && one != here
    }
}

/// Why a command that was refused was.
pub(super) fn refused(what: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::ServerError(error) => {
            Err(format!("{what}: {} {}", error.code(), error.details().unwrap_or_default()))
        }
        _ => Ok(()),
    }
}

/// Whether asking again is of no use before the operator has acted.
pub(super) fn is_final(value: &Value) -> bool {
    match value {
        Value::ServerError(error) => {
            let is_crowded =
                error.details().is_some_and(|detail| detail.starts_with("max number of clients"));
            ["NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE", "ERR"].contains(&error.code()) && !is_crowded
        }
        _ => true,
    }
}

/// What a server process calls itself, from what it tells of itself.
fn run_id(info: &Value) -> Option<String> {
    let text = match info {
        Value::BulkString(text) => std::str::from_utf8(text).ok()?,
        Value::VerbatimString { text, .. } => text,
        _ => return None,
    };
    text.lines().find_map(|line| line.strip_prefix("run_id:")).map(|id| id.trim().to_owned())
}
