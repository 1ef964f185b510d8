//! The session: one connection and what is asked over it. Commands go out in order, and each reply finds the question it
//! answers.
//!
//! A session begins with a [greeting](Greeting), and is open when that has been answered. It ends with the first byte that cannot
//! be understood, and is not gone on with.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::adapter::Notify;
use redis::{Cmd, Value};

use super::cluster::{Cluster, Redirect};
use super::config::{Address, RedisConfig};
use super::greeting::{Greeting, Step, is_final, refused};
use super::link::{Ended, Link, State};
use super::received::Received;
use super::refusal::Refusal;
use super::reply::{Reply, Token};
use super::suspects::{Identity, Suspect};

/// One connection. `Q` tells the adapter which question a reply answers.
pub(super) struct Session<Q> {
    link: Link,
    outgoing: Vec<u8>,
    received: Received,
    command: Cmd,
    questions: VecDeque<Question<Q>>,
    greeting: Greeting,
    is_open: bool,
    address: Address,
    /// Whether it is a node of a cluster, so that others may have what is asked for.
    is_cluster: bool,
    /// Whether the slot of what is asked for is not the node's yet, so that each command needs leave.
    is_asking: bool,
}

/// What is heard from a session.
pub(super) enum Heard<Q> {
    /// The server knows who asks; questions may be asked.
    Open,
    /// An answer.
    Reply(Q, Reply),
    /// The answer to this is elsewhere. Nothing is executed here for it, nor for the transaction that it is in. Without a question
    /// nothing is owed, and the rest is to be asked elsewhere.
    Redirected(Option<Q>, Redirect),
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
    /// The nodes that may be asked.
    pub(super) cluster: Cluster,
    /// Rings the shard.
    pub(super) notify: Notify,
}

enum Question<Q> {
    Greeting(Step),
    /// Leave for what follows.
    Leave,
    Asked(Q),
    /// So many more commands of a transaction: that the server gathers them is no news.
    Gathered(Q, usize),
}

impl<Q: Clone> Session<Q> {
    /// Begins to connect to where a route leads. `suspects` are connections of ours that must execute nothing any more.
    pub(super) fn open(caller: &Caller, to: Redirect, suspects: &[Suspect]) -> Session<Q> {
        let Caller { config, notify, .. } = caller;
        let link = Link::open(config.target(&to.to), notify.clone());
        Session::over(link, caller, to, suspects)
    }

    /// Begins over a link.
    pub(super) fn over(link: Link, caller: &Caller, to: Redirect, suspects: &[Suspect]) -> Session<Q> {
        let mut session = Session {
            link,
            outgoing: Vec::new(),
            received: Received::new(),
            command: Cmd::new(),
            questions: VecDeque::new(),
            greeting: Greeting::default(),
            is_open: false,
            address: to.to,
            is_cluster: caller.config.is_cluster,
            is_asking: to.is_asking,
        };
        session.greeting = Greeting::begin(caller, suspects, |step, words| session.greet(step, words));
        session.flush();
        session
    }

    /// Whether questions may be asked.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Which connection this is, as far as the server has said.
    pub(super) fn identity(&self) -> &Identity {
        self.greeting.identity()
    }

    /// How many connections were to be killed and may execute something yet. Known when it is open.
    pub(super) fn not_killed(&self) -> u64 {
        self.greeting.not_killed
    }

    /// Whether a suspect is to be kept in mind, as it was not to be killed here.
    pub(super) fn keeps(&self, suspect: &Suspect) -> bool {
        self.greeting.keeps(suspect)
    }

    /// The node that is asked.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it is asked for what is not its own yet.
    pub(super) fn is_asking(&self) -> bool {
        self.is_asking
    }

    /// Who has which slots, as the node has said in its greeting. Given once.
    pub(super) fn take_slots(&mut self) -> Option<Value> {
        self.greeting.slots.take()
    }

    /// Whether something has come since this was asked last, be it a part of a reply.
    pub(super) fn take_received(&mut self) -> bool {
        self.received.is_fresh()
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
        self.take_leave();
        self.say(words);
        self.expect(question);
    }

    /// Before a command or a transaction that others may have the key of: asks leave for it, if it needs that. The server forgets
    /// it after the command, or after the transaction's end.
    pub(super) fn take_leave(&mut self) {
        if self.is_asking {
            self.say_word("ASKING");
            self.questions.push_back(Question::Leave);
        }
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

    /// Whether all that was said has gone out.
    pub(super) fn is_sent(&self) -> bool {
        self.outgoing.is_empty() && self.link.is_sent()
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
                Some(Question::Asked(question)) => return Some(self.heard(question, reply)),
                Some(Question::Gathered(question, count)) => {
                    if count > 1 {
                        self.questions.push_front(Question::Gathered(question.clone(), count - 1));
                    }
                    if reply.first() != Token::Simple(b"QUEUED") {
                        return Some(self.heard(question, reply));
                    }
                }
                Some(Question::Greeting(step)) => match self.hear_greeting(step, &reply.value()) {
                    Ok(()) if self.is_open => return Some(Heard::Open),
                    Ok(()) => {}
                    Err(ended) => return Some(ended),
                },
                Some(Question::Leave) => {
                    if let Err(reason) = refused("ASKING", &reply.value()) {
                        return Some(Heard::Ended { is_final: false, reason });
                    }
                }
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
            Question::Greeting(_) | Question::Leave => None,
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

    /// The server process is known, and with it which connections are to be killed.
    fn kill(&mut self) {
        for (client_id, is_sure) in self.greeting.kills() {
            self.greet(Step::Kill { is_sure }, |command| {
                command.arg("CLIENT").arg("KILL").arg("ID").arg(client_id);
            });
        }
        self.flush();
    }

    fn hear_greeting(&mut self, step: Step, value: &Value) -> Result<(), Heard<Q>> {
        let heard = self.greeting.hear(step, value);
        heard.map_err(|reason| Heard::Ended { reason, is_final: is_final(value) })?;
        if step == Step::Process {
            self.kill();
        }
        self.is_open = self.questions.is_empty();
        Ok(())
    }

    /// An answer, or where it is.
    fn heard(&self, question: Q, reply: Reply) -> Heard<Q> {
        let redirect = match reply.first() {
            Token::Error(line) if self.is_cluster => Redirect::of(&Refusal::of(line), &self.address),
            _ => None,
        };
        match redirect {
            Some(redirect) => Heard::Redirected(Some(question), redirect),
            None => Heard::Reply(question, reply),
        }
    }

    fn next_reply(&mut self) -> Result<Option<Reply>, Ended> {
        loop {
            if let Some(reply) =
                self.received.next_reply().map_err(|error| Ended::by_itself(error.to_string()))?
            {
                return Ok(Some(reply));
            }
            if self.received.len() > REPLY_BYTES_MAX {
                return Err(Ended::by_itself(format!("a reply of more than {REPLY_BYTES_MAX} bytes")));
            }
            if !self.received.take_from(&mut self.link) {
                return match self.link.state() {
                    State::Closed(ended) => Err(ended),
                    State::Connecting | State::Open => Ok(None),
                };
            }
        }
    }
}

/// Room for three of the largest events there may be, which a read asks for at least.
const REPLY_BYTES_MAX: usize = 256 << 20;

#[cfg(test)]
mod tests;
