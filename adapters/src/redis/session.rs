//! The session: one connection and what is asked over it. Commands go out in order, and each reply finds the question it
//! answers.
//!
//! A session begins with who asks (`AUTH`, `SELECT`, `CLIENT SETNAME`), the connection's number at the server, and how many
//! streams there are. It ends with the first byte that cannot be understood, and is not gone on with.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::adapter::Notify;
use redis::{Cmd, Value};

use super::config::RedisConfig;
use super::link::{Ended, Link, State};
use super::reply::{Framer, NoReply, Reply, Token};

/// One connection. `Q` tells the adapter which question a reply answers.
pub(super) struct Session<Q> {
    link: Link,
    outgoing: Vec<u8>,
    received: Received,
    command: Cmd,
    questions: VecDeque<Question<Q>>,
    greeting: Greeting,
}

/// What is heard from a session.
pub(super) enum Heard<Q> {
    /// The server knows who asks; questions may be asked.
    Open,
    /// An answer.
    Reply(Q, Reply),
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
    Asked(Q),
    /// So many more commands of a transaction: that the server gathers them is no news.
    Gathered(Q, usize),
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
        Session::over(Link::open(config.target(&config.server.address), notify.clone()), caller, kills)
    }

    /// Begins over a link.
    pub(super) fn over(link: Link, caller: &Caller, kills: &[i64]) -> Session<Q> {
        let Caller { config, name, streams, .. } = caller;
        let mut session = Session {
            link,
            outgoing: Vec::new(),
            received: Received::new(),
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
        self.expect(question);
    }

    /// Says a command that is one word; its reply is [`expect`](Session::expect)ed apart.
    pub(super) fn say_word(&mut self, word: &str) {
        self.say(|command| {
            command.arg(word);
        });
    }

    fn say(&mut self, words: impl FnOnce(&mut Cmd)) {
        self.command.clear();
        words(&mut self.command);
        self.command.write_packed_command(&mut self.outgoing);
    }

    /// Where commands that are packed already go; their replies are [`expect`](Session::expect)ed apart.
    pub(super) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// The next reply that is not spoken for answers `question`.
    pub(super) fn expect(&mut self, question: Q) {
        self.questions.push_back(Question::Asked(question));
    }

    /// So do the next `count`, and of them only those are heard that do not say that a command was gathered.
    pub(super) fn expect_gathered(&mut self, question: Q, count: usize) {
        self.questions.push_back(Question::Gathered(question, count));
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
            if let Some(Question::Gathered(_, count)) = self.questions.front_mut() {
                *count -= self.received.skip_gathered(*count);
                if *count == 0 {
                    self.questions.pop_front();
                    continue;
                }
            }
            let reply = match self.next_reply() {
                Ok(reply) => reply?,
                Err(Ended { reason, is_final }) => return Some(Heard::Ended { reason, is_final }),
            };
            match self.questions.pop_front() {
                Some(Question::Asked(question)) => return Some(Heard::Reply(question, reply)),
                Some(Question::Gathered(question, count)) => {
                    if count > 1 {
                        self.questions.push_front(Question::Gathered(question.clone(), count - 1));
                    }
                    if reply.first() != Token::Simple(b"QUEUED") {
                        return Some(Heard::Reply(question, reply));
                    }
                }
                Some(Question::Greeting(step)) => match self.hear_greeting(step, &reply.value()) {
                    Ok(()) if self.greeting.is_open => return Some(Heard::Open),
                    Ok(()) => {}
                    Err(ended) => return Some(ended),
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
            Question::Asked(question) | Question::Gathered(question, _) => Some(question),
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

    fn hear_greeting(&mut self, step: Step, value: &Value) -> Result<(), Heard<Q>> {
        let heard = self.greeting.hear(step, value);
        heard.map_err(|reason| Heard::Ended { reason, is_final: is_final(value) })
    }

    fn next_reply(&mut self) -> Result<Option<Reply>, Ended> {
        loop {
            if let Some(reply) =
                self.received.next_reply().map_err(|error| Ended::by_itself(error.to_string()))?
            {
                return Ok(Some(reply));
            }
            if !self.link.receive(self.received.rest()) {
                return match self.link.state() {
                    State::Closed(ended) => Err(ended),
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
                    if !matches!(value, Value::BulkString(_)) {
                        return Err("HGET: no number".to_owned());
                    }
                    self.is_open = true;
                    Ok(())
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

/// Bytes that have come and were not heard yet.
struct Received {
    bytes: Vec<u8>,
    /// How many of them were heard.
    read: usize,
    framer: Framer,
}

impl Received {
    fn new() -> Received {
        Received { bytes: Vec::new(), read: 0, framer: Framer::new() }
    }

    /// The next reply, if all of it has come.
    fn next_reply(&mut self) -> Result<Option<Reply>, NoReply> {
        let Some(len) = self.framer.end(&self.bytes[self.read..])? else { return Ok(None) };
        let is_all = len == self.bytes.len();
        let bytes =
            if is_all { std::mem::take(&mut self.bytes) } else { self.bytes[self.read..][..len].to_vec() };
        self.read = if is_all { 0 } else { self.read + len };
        Ok(Some(Reply::new(bytes)))
    }

    /// Passes over the replies that come next and say that a command was gathered, at most `count` of them. How many.
    fn skip_gathered(&mut self, count: usize) -> usize {
        if self.framer.has_begun() {
            return 0;
        }
        let replies = self.bytes[self.read..].chunks_exact(GATHERED.len()).take(count);
        let skipped = replies.take_while(|reply| *reply == GATHERED).count();
        self.read += skipped * GATHERED.len();
        skipped
    }

    /// The bytes of a reply of which not all has come, to put more behind them.
    fn rest(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..std::mem::take(&mut self.read));
        &mut self.bytes
    }
}

/// What a server says to a command that is to be in a transaction.
const GATHERED: &[u8] = b"+QUEUED\r\n";
/// Of the hash that says how the streams are kept.
pub(super) const STREAMS_FIELD: &str = "num_streams";

#[cfg(test)]
mod tests;
