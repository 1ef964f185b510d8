//! One shard's way into its stream, in commands: says to the server what [`Append`] decides, and takes its answers.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use engine::adapter::{AdapterError, Outcome};
use engine::event::Sequence;

use super::append::{Append, Broken, Next, Transaction};
use super::command;
use super::config::RedisConfig;
use super::entry;
use super::refusal::Refusal;
use super::reply::{Reply, Token};
use super::session::Session;

/// Appends to one stream.
pub(super) struct Writer {
    /// Key of the stream, and the command that appends to it.
    key: String,
    command: command::Append,
    pipeline_size: usize,
    replicas: u64,
    transactions: Transactions,
    pub(super) append: Append,
}

/// Whether the server does transactions for this user. One that executes what it is to gather would leave holes.
enum Transactions {
    /// So many of the two answers are to come.
    Unknown(u8),
    Done,
    Refused(Refusal),
}

/// What a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A transaction of nothing, before any other.
    Empty,
    /// `MULTI`, or an event that is to be in the transaction.
    Gathered,
    /// The transaction, or the one event that it is.
    Stored,
    /// `DISCARD`.
    Discarded,
    /// What is written so that replicas can be asked for.
    Written,
    /// `WAIT`.
    Replicas,
    /// The stream's end, for the mark.
    Mark,
}

impl Writer {
    /// For the shard `shard` of the producer `nonce`, whose identity may be new.
    pub(super) fn new(config: &RedisConfig, key: String, shard: u16, nonce: u64, is_new: bool) -> Writer {
        let max_len = config.max_stream_len.map(NonZeroU64::get);
        Writer {
            command: command::Append::new(&key, max_len, nonce, shard),
            key,
            pipeline_size: config.pipeline_size,
            replicas: config.wait_replicas,
            transactions: Transactions::Unknown(0),
            append: Append::new(nonce, shard, is_new, config.wait_replicas),
        }
    }

    /// Says what is to be said. The next transaction is made when what was said before has gone out, and the server has something
    /// to do meanwhile.
    pub(super) fn say<Q: Clone + From<Asked>>(
        &mut self,
        session: &mut Session<Q>,
        news: &mut VecDeque<Outcome>,
    ) {
        match &self.transactions {
            Transactions::Unknown(_) => return,
            Transactions::Refused(Refusal { code, detail }) => {
                let error = || AdapterError::Final(format!("MULTI: {code} {detail}"));
                let batch = self.append.cancel();
                news.extend(batch.map(|batch| Outcome::Refused { batch, error: error() }));
                return;
            }
            Transactions::Done => {}
        }
        loop {
            match self.append.next(self.pipeline_size, session.is_sent()) {
                Next::Nothing => return,
                Next::Gather(transaction) => {
                    session.take_leave();
                    session.say_word("MULTI");
                    let count = write(&mut self.command, session.outgoing(), &transaction);
                    session.expect_gathered(Asked::Gathered.into(), count + 1);
                }
                Next::Execute => {
                    session.say_word("EXEC");
                    session.expect(Asked::Stored.into());
                }
                Next::Alone(transaction) => {
                    session.take_leave();
                    write(&mut self.command, session.outgoing(), &transaction);
                    session.expect(Asked::Stored.into());
                }
                Next::Discard => {
                    session.say_word("DISCARD");
                    session.expect(Asked::Discarded.into());
                }
                Next::AskReplicas { must_write } => {
                    if must_write {
                        session.ask(Asked::Written.into(), |command| {
                            let key = format!("{}:wait", self.key);
                            command.arg("SET").arg(key).arg(1).arg("PX").arg(WRITTEN_MS);
                        });
                    }
                    session.ask(Asked::Replicas.into(), |command| {
                        command.arg("WAIT").arg(self.replicas).arg(REPLICAS_WAIT_MS);
                    });
                }
                Next::Stored(batch) => {
                    news.push_back(Outcome::Stored { first: batch.first(), spent: Some(batch) });
                    return;
                }
                Next::Refused(batch, error) => {
                    news.push_back(Outcome::Refused { batch, error });
                    return;
                }
            }
        }
    }

    /// A session has begun: asks whether it does transactions, and how far the stream has got, if that is not known.
    pub(super) fn begin<Q: Clone + From<Asked>>(&mut self, session: &mut Session<Q>) {
        self.transactions = Transactions::Unknown(2);
        for word in ["MULTI", "DISCARD"] {
            session.say_word(word);
            session.expect(Asked::Empty.into());
        }
        if self.append.seeks() {
            self.ask_mark(session, None);
        }
    }

    /// Takes an answer. Whether something was stored; `Err` says why the session is of no use any more. `is_sure`: nothing
    /// that was sent over another session can still be executed.
    pub(super) fn hear<Q: Clone + From<Asked>>(
        &mut self,
        asked: Asked,
        reply: &Reply,
        session: &mut Session<Q>,
        is_sure: bool,
    ) -> Result<bool, String> {
        let broken = |Broken| "the server's answer to a transaction makes no sense".to_owned();
        match asked {
            Asked::Empty => self.hear_empty(reply),
            Asked::Gathered => self.append.hear_gathered(reply),
            Asked::Stored => return self.append.hear_stored(reply).map_err(broken),
            Asked::Discarded => self.append.hear_discarded(reply).map_err(broken)?,
            Asked::Written => self.append.hear_written(reply),
            Asked::Replicas => self.append.hear_replicas(reply),
            Asked::Mark => match self.append.hear_end(reply, is_sure) {
                Some(before) => self.ask_mark(session, Some(before)),
                None if self.append.is_marked() => {}
                None => return Err(refusal(reply).to_string()),
            },
        }
        Ok(false)
    }

    /// The server's answer to a part of the transaction of nothing. What it refused first counts.
    fn hear_empty(&mut self, reply: &Reply) {
        self.transactions = match (&self.transactions, reply.first()) {
            (Transactions::Unknown(_), Token::Error(line)) => Transactions::Refused(Refusal::of(line)),
            (Transactions::Unknown(2..), _) => Transactions::Unknown(1),
            (Transactions::Unknown(_), _) => Transactions::Done,
            _ => return,
        };
    }

    fn ask_mark<Q: Clone + From<Asked>>(&self, session: &mut Session<Q>, before: Option<Sequence>) {
        // The newest is this shard's, unless somebody else writes too.
        let (end, count) = match before {
            None => ("+".to_owned(), 1),
            Some(before) => (format!("({}", entry::id(before)), MARK_ENTRIES),
        };
        session.ask(Asked::Mark.into(), |command| {
            command.arg("XREVRANGE").arg(&self.key).arg(end).arg("-").arg("COUNT").arg(count);
        });
    }
}

/// Writes the commands of a transaction behind `out`. How many.
fn write(command: &mut command::Append, out: &mut Vec<u8>, transaction: &Transaction<'_>) -> usize {
    let Transaction { batch, index, count } = *transaction;
    command.begin(batch.sequence(index).0);
    for place in 0..count {
        command.write(out, &batch.event(index + place), place);
    }
    count
}

/// What a server says instead of an answer.
pub(super) fn refusal(reply: &Reply) -> AdapterError {
    AdapterError::Transient(match reply.first() {
        Token::Error(line) => String::from_utf8_lossy(line).into_owned(),
        _ => "the server's answer makes no sense".to_owned(),
    })
}

/// Entries read at once in search of the newest of this shard.
const MARK_ENTRIES: usize = 100;
/// How long the server waits for replicas before it says how many they are; the connection's reads wait as long.
const REPLICAS_WAIT_MS: u64 = 100;
/// How long what is written for that stays. It is nobody's.
const WRITTEN_MS: u64 = 1_000;
