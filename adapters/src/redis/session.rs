//! The session: one connection and what is asked over it. Commands go out in order, and each reply finds the question it
//! answers.
//!
//! A session begins with who asks (`AUTH`, `SELECT`, `CLIENT SETNAME`), the connection's number at the server, and how many
//! streams there are. It ends with the first byte that cannot be understood, and is not gone on with.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use engine::adapter::Notify;
use redis::{Cmd, Parser, Value};

use super::config::RedisConfig;
use super::link::{Link, State};

/// One connection. `Q` tells the adapter which question a reply answers.
pub(super) struct Session<Q> {
    link: Link,
    outgoing: Vec<u8>,
    received: Received,
    parser: Parser,
    command: Cmd,
    questions: VecDeque<Question<Q>>,
    greeting: Greeting,
}

/// What is heard from a session.
pub(super) enum Heard<Q> {
    /// The server knows who asks; questions may be asked.
    Open,
    /// An answer.
    Reply(Q, Value),
    /// It is over: why, and whether only the operator can help.
    Ended { reason: String, is_final: bool },
}

/// Who asks, and for how many streams.
pub(super) struct Caller {
    pub(super) config: Arc<RedisConfig>,
    /// The connection's name at the server.
    pub(super) name: String,
    /// Streams that the bus reckons with.
    pub(super) streams: u16,
    /// Rings the shard.
    pub(super) notify: Notify,
}

enum Question<Q> {
    Greeting(Step),
    /// The next so many replies.
    Asked(Q, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Auth,
    Select,
    Name,
    Id,
    Kill,
    Streams,
    StreamsKept,
}

#[derive(Default)]
struct Greeting {
    streams: u16,
    client_id: Option<i64>,
    /// Connections that were to be killed and were not.
    not_killed: u64,
    is_open: bool,
}

impl<Q: Clone> Session<Q> {
    /// Begins to connect. `kills` are connections of ours that must execute nothing any more.
    pub(super) fn open(caller: &Caller, kills: &[i64]) -> Session<Q> {
        let Caller { config, notify, .. } = caller;
        Session::over(
            Link::open(&config.server.address, config.connect_timeout, notify.clone()),
            caller,
            kills,
        )
    }

    /// Begins over a link.
    pub(super) fn over(link: Link, caller: &Caller, kills: &[i64]) -> Session<Q> {
        let Caller { config, name, streams, .. } = caller;
        let mut session = Session {
            link,
            outgoing: Vec::new(),
            received: Received::default(),
            parser: Parser::new(),
            command: Cmd::new(),
            questions: VecDeque::new(),
            greeting: Greeting { streams: *streams, ..Greeting::default() },
        };
        let server = &config.server;
        if let Some(password) = &server.password {
            session.greet(Step::Auth, |command| {
                command.arg("AUTH").arg(server.username.as_deref()).arg(password);
            });
        }
        if server.database != 0 {
            session.greet(Step::Select, |command| {
                command.arg("SELECT").arg(server.database);
            });
        }
        session.greet(Step::Name, |command| {
            command.arg("CLIENT").arg("SETNAME").arg(name);
        });
        session.greet(Step::Id, |command| {
            command.arg("CLIENT").arg("ID");
        });
        for kill in kills {
            session.greet(Step::Kill, |command| {
                command.arg("CLIENT").arg("KILL").arg("ID").arg(*kill);
            });
        }
        let meta = config.meta_key();
        session.greet(Step::Streams, |command| {
            command.arg("HSETNX").arg(&meta).arg(STREAMS_FIELD).arg(*streams);
        });
        session.greet(Step::StreamsKept, |command| {
            command.arg("HGET").arg(&meta).arg(STREAMS_FIELD);
        });
        session.flush();
        session
    }

    /// Whether questions may be asked.
    pub(super) fn is_open(&self) -> bool {
        self.greeting.is_open
    }

    /// The connection's number at the server, once it has said so.
    pub(super) fn client_id(&self) -> Option<i64> {
        self.greeting.client_id
    }

    /// How many connections were to be killed and may execute something yet. Known when it is open.
    pub(super) fn not_killed(&self) -> u64 {
        self.greeting.not_killed
    }

    /// Whether a reply is still to come.
    pub(super) fn is_waiting(&self) -> bool {
        !self.questions.is_empty()
    }

    /// How many questions are not answered.
    pub(super) fn question_count(&self) -> usize {
        self.questions.len()
    }

    /// Says one command, whose reply answers `question`. Sent with the next [`flush`](Session::flush).
    pub(super) fn ask(&mut self, question: Q, words: impl FnOnce(&mut Cmd)) {
        self.say(words);
        self.expect(question, 1);
    }

    /// Says one command, whose reply is [`expect`](Session::expect)ed apart.
    pub(super) fn say(&mut self, words: impl FnOnce(&mut Cmd)) {
        self.command.clear();
        words(&mut self.command);
        self.command.write_packed_command(&mut self.outgoing);
    }

    /// Where commands that were written already go; their replies are [`expect`](Session::expect)ed apart.
    pub(super) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// The next `count` replies that are not spoken for answer `question`.
    pub(super) fn expect(&mut self, question: Q, count: usize) {
        self.questions.push_back(Question::Asked(question, count));
    }

    /// Sends what was said.
    pub(super) fn flush(&mut self) {
        if !self.outgoing.is_empty() {
            self.link.send(&mut self.outgoing);
        }
    }

    /// The next that has come.
    pub(super) fn hear(&mut self) -> Option<Heard<Q>> {
        loop {
            let value = match self.next_reply() {
                Ok(value) => value?,
                Err(reason) => return Some(Heard::Ended { reason, is_final: false }),
            };
            match self.questions.pop_front() {
                Some(Question::Asked(question, count)) => {
                    if count > 1 {
                        self.questions.push_front(Question::Asked(question.clone(), count - 1));
                    }
                    return Some(Heard::Reply(question, value));
                }
                Some(Question::Greeting(step)) => match self.greeting.hear(step, &value) {
                    Ok(()) if step == Step::StreamsKept => {
                        self.greeting.is_open = true;
                        return Some(Heard::Open);
                    }
                    Ok(()) => {}
                    Err(reason) => return Some(Heard::Ended { is_final: is_final(&value), reason }),
                },
                None => {
                    let reason = "the server said something unasked".to_owned();
                    return Some(Heard::Ended { reason, is_final: false });
                }
            }
        }
    }

    /// The questions that will not be answered, when the session is given up.
    pub(super) fn unanswered(&mut self) -> impl Iterator<Item = Q> + use<'_, Q> {
        self.questions.drain(..).filter_map(|question| match question {
            Question::Asked(question, _) => Some(question),
            Question::Greeting(_) => None,
        })
    }

    /// Closes the connection. What is left is to be kept until it [is over](Link::is_over).
    pub(super) fn end(mut self) -> Link {
        self.link.close();
        self.link
    }

    fn greet(&mut self, step: Step, words: impl FnOnce(&mut Cmd)) {
        self.say(words);
        self.questions.push_back(Question::Greeting(step));
    }

    fn next_reply(&mut self) -> Result<Option<Value>, String> {
        loop {
            if !self.received.is_empty() {
                match self.parser.parse_value(&mut self.received) {
                    Ok(value) => return Ok(Some(value)),
                    // The parser keeps the beginning of the reply. There may be more of it by now.
                    Err(error) if error.is_io_error() => {}
                    Err(error) => return Err(format!("the server said what is no reply: {error}")),
                }
            }
            if !self.link.receive(&mut self.received.bytes) {
                return match self.link.state() {
                    State::Closed(reason) => Err(reason),
                    State::Connecting | State::Open => Ok(None),
                };
            }
        }
    }
}

impl Greeting {
    /// What the server says to a step; why that ends the session.
    fn hear(&mut self, step: Step, value: &Value) -> Result<(), String> {
        let refused = |what: &str| match value {
            Value::ServerError(error) => {
                Err(format!("{what}: {} {}", error.code(), error.details().unwrap_or_default()))
            }
            _ => Ok(()),
        };
        match step {
            Step::Auth => refused("AUTH"),
            Step::Select => refused("SELECT"),
            // A connection without a name, or whose number is not told, is one all the same.
            Step::Name => Ok(()),
            // Who may only read is told the number all the same.
            Step::Streams if is_only_here(value) => Ok(()),
            Step::Streams => refused("HSETNX"),
            Step::Id => {
                self.client_id = if let Value::Int(id) = value { Some(*id) } else { None };
                Ok(())
            }
            Step::Kill => {
                self.not_killed += u64::from(!matches!(value, Value::Int(_)));
                Ok(())
            }
            Step::StreamsKept => match value {
                Value::BulkString(kept) if kept != self.streams.to_string().as_bytes() => Err(format!(
                    "the server keeps {} streams, not {}",
                    String::from_utf8_lossy(kept),
                    self.streams
                )),
                value => {
                    refused("HGET")?;
                    matches!(value, Value::BulkString(_))
                        .then_some(())
                        .ok_or_else(|| "HGET: no number".to_owned())
                }
            },
        }
    }
}

/// Whether the server refuses just this command, or nothing.
fn is_only_here(value: &Value) -> bool {
    !matches!(value, Value::ServerError(error) if !["NOPERM", "READONLY", "OOM", "MISCONF", "NOREPLICAS"].contains(&error.code()))
}

/// Whether asking again is of no use before the operator has acted.
fn is_final(value: &Value) -> bool {
    match value {
        Value::ServerError(error) => {
            ["NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE", "ERR"].contains(&error.code())
        }
        _ => true,
    }
}

/// Bytes that have come and are not parsed yet. As a reader it says `WouldBlock` at their end, so that the parser keeps the
/// beginning of a reply that is still on its way.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    read: usize,
}

impl Received {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = &self.bytes[self.read..];
        if left.is_empty() {
            self.bytes.clear();
            self.read = 0;
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.read += count;
        Ok(count)
    }
}

/// Of the hash that says how the streams are kept.
pub(super) const STREAMS_FIELD: &str = "num_streams";

#[cfg(test)]
mod tests;
