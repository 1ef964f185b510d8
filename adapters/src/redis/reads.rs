//! Reading: what readers want of streams, asked over whatever connection leads there, and what they are told.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::adapter::{AdapterError, Outcome, ReadRequest};
use engine::event::ShardId;

use super::block::{self, RangeQuery};
use super::config::RedisConfig;
use super::portion::Portion;
use super::reply::Reply;
use super::session::Session;
use super::writer::refusal;

/// What readers want over one connection.
pub(super) struct Reads {
    /// What was asked for while there was no connection.
    waiting: VecDeque<(u64, Wanted)>,
    portion: Portion,
    /// Entries read that are no events.
    passed_over: u64,
}

/// What a reply answers.
#[derive(Clone)]
pub(super) enum Question {
    Read(u64, Arc<(ReadRequest, RangeQuery)>),
    End(u64, ShardId),
}

/// What a reader wants.
pub(super) enum Wanted {
    Read(ReadRequest),
    End(ShardId),
}

impl Reads {
    pub(super) fn new() -> Reads {
        Reads { waiting: VecDeque::new(), portion: Portion::new(), passed_over: 0 }
    }

    /// Entries read that were no events.
    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Whether something waits for a connection.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Asks for this, or keeps it until there is a session.
    pub(super) fn ask<Q: Clone + From<Question>>(
        &mut self,
        (ticket, wanted): (u64, Wanted),
        session: Option<&mut Session<Q>>,
        config: &RedisConfig,
        news: &mut VecDeque<Outcome>,
    ) {
        let Some(session) = session else {
            self.waiting.push_back((ticket, wanted));
            if self.waiting.len() > WAITING_MAX
                && let Some((ticket, wanted)) = self.waiting.pop_front()
            {
                news.push_back(wanted.fails(ticket, "too many wait for a connection"));
            }
            return;
        };
        if session.question_count() >= WAITING_MAX {
            news.push_back(wanted.fails(ticket, "too many wait for an answer"));
            return;
        }
        match wanted {
            Wanted::Read(request) => {
                let events_max = request.events_max.min(self.portion.entries(request.bytes_max));
                let query = RangeQuery::new(&request, events_max);
                let asked = Arc::new((request, query));
                let key = config.stream_key(request.stream.0);
                session.ask(Question::Read(ticket, Arc::clone(&asked)).into(), |command| {
                    command
                        .arg("XRANGE")
                        .arg(key)
                        .arg(&asked.1.from)
                        .arg("+")
                        .arg("COUNT")
                        .arg(asked.1.count);
                });
            }
            Wanted::End(stream) => {
                let key = config.stream_key(stream.0);
                session.ask(Question::End(ticket, stream).into(), |command| {
                    command.arg("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(1);
                });
            }
        }
    }

    /// Asks for what waits, now that there is a session.
    pub(super) fn ask_what_waits<Q: Clone + From<Question>>(
        &mut self,
        session: &mut Session<Q>,
        config: &RedisConfig,
        news: &mut VecDeque<Outcome>,
    ) {
        for wanted in std::mem::take(&mut self.waiting) {
            self.ask(wanted, Some(&mut *session), config, news);
        }
    }

    /// Takes an answer. Whether it is what was asked for.
    pub(super) fn hear(&mut self, question: Question, reply: &Reply, news: &mut VecDeque<Outcome>) -> bool {
        match question {
            Question::Read(ticket, asked) => {
                let (request, query) = &*asked;
                let result = block::block(reply, request, query).ok_or_else(|| refusal(reply));
                let is_of_use = result.is_ok();
                if let Ok(block) = &result {
                    self.passed_over += block.passed_over;
                    if let Some((entries, entry_bytes)) = block::entry_bytes(reply, block) {
                        self.portion.has_come(entries, entry_bytes);
                    }
                }
                news.push_back(Outcome::Read { ticket, result });
                is_of_use
            }
            Question::End(ticket, stream) => {
                let last = block::last_position(reply).ok_or_else(|| refusal(reply));
                let is_of_use = last.is_ok();
                let result = last.map(|last| last.advanced_by(1));
                news.push_back(Outcome::End { ticket: Some(ticket), stream, result });
                is_of_use
            }
        }
    }

    /// There will be no answer; who has asked is told why.
    pub(super) fn lose(&mut self, question: Question, reason: &str, news: &mut VecDeque<Outcome>) {
        self.portion.is_lost();
        let (ticket, wanted) = question.wanted();
        news.push_back(wanted.fails(ticket, reason));
    }

    /// Wants what was asked once more, over the next session: the one that it was asked in does not have it.
    pub(super) fn ask_again(&mut self, question: Question) {
        self.waiting.push_back(question.wanted());
    }

    /// Whoever waits for a session is told that none comes now.
    pub(super) fn fail(&mut self, reason: &str, news: &mut VecDeque<Outcome>) {
        news.extend(self.waiting.drain(..).map(|(ticket, wanted)| wanted.fails(ticket, reason)));
    }
}

impl Question {
    fn wanted(self) -> (u64, Wanted) {
        match self {
            Question::Read(ticket, asked) => (ticket, Wanted::Read(asked.0)),
            Question::End(ticket, stream) => (ticket, Wanted::End(stream)),
        }
    }
}

impl Wanted {
    /// The stream that it is about.
    pub(super) fn stream(&self) -> ShardId {
        match self {
            Wanted::Read(request) => request.stream,
            Wanted::End(stream) => *stream,
        }
    }

    /// The outcome of what was wanted in vain.
    fn fails(self, ticket: u64, reason: &str) -> Outcome {
        let error = AdapterError::Transient(reason.to_owned());
        match self {
            Wanted::Read(_) => Outcome::Read { ticket, result: Err(error) },
            Wanted::End(stream) => Outcome::End { ticket: Some(ticket), stream, result: Err(error) },
        }
    }
}

/// Questions that wait for a connection, or for an answer, at most.
pub(super) const WAITING_MAX: usize = 1_024;
