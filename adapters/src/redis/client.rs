//! A client that blocks: one question at a time over a connection of its own, for the thread that starts a bus and for tools.

use std::io::{self, ErrorKind, Read};
use std::time::Instant;

use engine::adapter::AdapterError;
use redis::{Cmd, Parser, Value};

use super::config::{Address, RedisConfig};
use super::connect::Connected;
use super::link::Ended;
use super::refusal::Refusal;

/// A connection that the server knows the user of.
pub(super) struct Client {
    replies: Replies,
    parser: Parser,
    deadline: Instant,
}

impl Client {
    /// Connects to `address` and says who asks. All that is asked must be answered by `deadline`.
    pub(super) fn connect(
        config: &RedisConfig,
        address: &Address,
        deadline: Instant,
    ) -> Result<Client, NoAnswer> {
        let connected = config.target(address).connect(deadline)?;
        let replies = Replies { connected, deadline, bytes: Vec::new(), read: 0, ended: None };
        let mut client = Client { replies, parser: Parser::new(), deadline };
        let server = &config.server;
        if let Some(password) = &server.password {
            client.ask(|command| command.arg("AUTH").arg(server.username.as_deref()).arg(password))?;
        }
        if server.database != 0 {
            client.ask(|command| command.arg("SELECT").arg(server.database))?;
        }
        Ok(client)
    }

    /// The answer to a command.
    pub(super) fn ask(&mut self, words: impl FnOnce(&mut Cmd) -> &mut Cmd) -> Result<Value, NoAnswer> {
        let mut command = Cmd::new();
        words(&mut command);
        // Where the server has gone, what it has said before tells why.
        let _ = self.replies.connected.send(&command.get_packed_command(), self.deadline);
        match self.parser.parse_value(&mut self.replies) {
            Ok(Value::ServerError(error)) => Err(NoAnswer::Refused(Refusal {
                code: error.code().to_owned(),
                detail: error.details().unwrap_or_default().to_owned(),
            })),
            Ok(value) => Ok(value),
            Err(error) => {
                let ended = self.replies.ended.take();
                Err(ended.unwrap_or_else(|| Ended::by_itself(error.to_string())).into())
            }
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// There is no connection, or none any more.
    Ended(Ended),
    /// The server refuses.
    Refused(Refusal),
}

impl From<Ended> for NoAnswer {
    fn from(ended: Ended) -> NoAnswer {
        NoAnswer::Ended(ended)
    }
}

impl From<NoAnswer> for AdapterError {
    fn from(no_answer: NoAnswer) -> AdapterError {
        match no_answer {
            NoAnswer::Ended(Ended { reason, is_final: false }) => AdapterError::Transient(reason),
            NoAnswer::Ended(Ended { reason, is_final: true }) => AdapterError::Final(reason),
            NoAnswer::Refused(Refusal { code, detail }) => AdapterError::Final(format!("{code} {detail}")),
        }
    }
}

/// What a server says.
struct Replies {
    connected: Connected,
    deadline: Instant,
    bytes: Vec<u8>,
    read: usize,
    /// Why it says no more.
    ended: Option<Ended>,
}

impl Read for Replies {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.bytes.len() {
            self.bytes.clear();
            self.read = 0;
            let received = self.connected.receive(&mut self.bytes, self.deadline);
            if let (Err(ended), true) = (received, self.bytes.is_empty()) {
                self.ended = Some(ended);
                return Err(ErrorKind::ConnectionAborted.into());
            }
        }
        let count = (&self.bytes[self.read..]).read(buffer)?;
        self.read += count;
        Ok(count)
    }
}
