//! A batch on its way: what of it is stored, what is being executed, and what the server gathers meanwhile.

use engine::batch::Batch;
use engine::event::Sequence;

use super::super::refusal::Refusal;
use super::super::reply::{Reply, Token};
use super::Broken;

/// A batch that is being stored.
pub(super) struct Flight {
    pub(super) batch: Batch,
    /// Index of the first event that is not stored yet.
    pub(super) next: usize,
    /// Events from there on whose transaction is being executed; 0 when none is.
    executing: usize,
    /// Events behind those whose transaction the server gathers; 0 when it gathers none.
    gathered: usize,
    /// What the server said to a command of the transaction that it was told first.
    complaint: Option<Refusal>,
    /// Whether it executed a command that it was to gather.
    is_torn: bool,
    /// The server was told to forget what it gathered, and has not answered.
    is_discarding: bool,
    /// What ends it before all of it is stored.
    pub(super) refusal: Option<Refusal>,
    pub(super) replication: Replication,
    /// Why what was to be written before replicas can be asked for was not.
    pub(super) not_written: Option<Refusal>,
}

/// Whether as many replicas as are asked for have what is stored of a batch.
pub(super) enum Replication {
    Unknown,
    Asked,
    Confirmed,
    /// The server does not say.
    Refused(Refusal),
}

/// What is to be said of a flight next.
pub(super) enum Step {
    /// Nothing before the server answers.
    Nothing,
    Gather {
        index: usize,
        count: usize,
    },
    Execute,
    Discard,
    Alone {
        index: usize,
    },
    /// No more of it is to be sent.
    Over,
}

impl Flight {
    /// Of a batch of which everything up to `stored` is stored.
    pub(super) fn new(batch: Batch, stored: Sequence) -> Flight {
        let next = batch.index_after(stored);
        Flight {
            batch,
            next,
            executing: 0,
            gathered: 0,
            complaint: None,
            is_torn: false,
            is_discarding: false,
            refusal: None,
            replication: Replication::Unknown,
            not_written: None,
        }
    }

    /// Whether the server gathers commands, and would gather any other too.
    pub(super) fn is_gathering(&self) -> bool {
        self.gathered > 0
    }

    /// What is to be said next, in transactions of at most `events_max` events, and while one is executed only if it `goes_ahead`.
    /// Once it is given it counts as said.
    pub(super) fn step(&mut self, events_max: usize, goes_ahead: bool) -> Step {
        if self.is_discarding {
            return Step::Nothing;
        }
        if self.executing == 0 && self.gathered > 0 {
            let gathered = std::mem::take(&mut self.gathered);
            if self.refusal.is_some() {
                self.is_discarding = true;
                return Step::Discard;
            }
            self.executing = gathered;
            return Step::Execute;
        }
        let index = self.next + self.executing;
        let count = portion(self.batch.len() - index, events_max, self.executing == 0);
        if self.gathered > 0 || self.executing > 0 && (count == 0 || !goes_ahead) {
            return Step::Nothing;
        }
        if count == 0 || self.refusal.is_some() {
            return Step::Over;
        }
        if count == 1 && self.executing == 0 {
            self.executing = 1;
            return Step::Alone { index };
        }
        self.gathered = count;
        Step::Gather { index, count }
    }

    /// The server's answer to a command while it gathers a transaction.
    pub(super) fn hear_gathered(&mut self, reply: &Reply) {
        match reply.first() {
            Token::Error(line) => {
                self.complaint.get_or_insert_with(|| Refusal::of(line));
            }
            Token::Simple(_) => {}
            _ => self.is_torn = true,
        }
    }

    /// The server's answer to the transaction, or to the one command that it is. How many events were stored.
    pub(super) fn hear_stored(&mut self, reply: &Reply) -> Result<usize, Broken> {
        if (self.executing == 0 || self.is_torn) && !engine::planted!("27-a-torn-stream-goes-on") {
            return Err(Broken);
        }
        let mut tokens = reply.tokens().peekable();
        tokens.next_if(|token| matches!(token, Token::Array(_)));
        let mut stored = 0;
        while tokens.next_if(|token| matches!(token, Token::Bulk(_))).is_some() {
            stored += 1;
        }
        let refusal = match tokens.next() {
            None if stored == self.executing => None,
            // Nothing is stored behind what was refused, or it would come twice.
            Some(Token::Error(line)) if stored < self.executing && tokens.all(is_error) => {
                Some(Refusal::of(line))
            }
            _ => return Err(Broken),
        };
        self.executing = 0;
        self.next += stored;
        let complaint = self.complaint.take();
        self.refusal = refusal.map(|refusal| refusal.cause(complaint));
        Ok(stored)
    }

    /// The server's answer to that it is to forget what it gathered.
    pub(super) fn hear_discarded(&mut self, reply: &Reply) -> Result<(), Broken> {
        (self.complaint, self.is_discarding) = (None, false);
        let is_forgotten = matches!(reply.first(), Token::Simple(_)) && !self.is_torn;
        if is_forgotten { Ok(()) } else { Err(Broken) }
    }

    /// Another node has the stream: the transaction is not executed.
    pub(super) fn hear_elsewhere(&mut self) {
        self.executing = 0;
    }

    /// The connection has gone, and what was gathered on it. What was refused is tried again. Whether a transaction may be
    /// executed yet.
    pub(super) fn lose_connection(&mut self) -> bool {
        (self.gathered, self.complaint, self.refusal) = (0, None, None);
        (self.is_torn, self.is_discarding) = (false, false);
        (self.replication, self.not_written) = (Replication::Unknown, None);
        std::mem::take(&mut self.executing) > 0
    }
}

/// Events of the next transaction, of those that are left. The server rests while the first is made, so that is a short one, but
/// not where it is all; the others are alike, so that none is made for a few.
fn portion(left: usize, events_max: usize, is_first: bool) -> usize {
    if left <= events_max {
        left
    } else if is_first {
        (events_max / 4).max(events_max.min(FIRST_EVENTS_MIN))
    } else {
        left.div_ceil(left.div_ceil(events_max))
    }
}

/// A shorter transaction costs more for what goes around it than it saves.
const FIRST_EVENTS_MIN: usize = 64;

fn is_error(token: Token<'_>) -> bool {
    matches!(token, Token::Error(_))
}
