//! What has come over a connection, reply by reply.

use super::reply::{Framer, NoReply, Reply};

/// Bytes that have come and were not heard yet.
pub(super) struct Received {
    bytes: Vec<u8>,
    /// How many of them were heard.
    read: usize,
    framer: Framer,
}

impl Received {
    pub(super) fn new() -> Received {
        Received { bytes: Vec::new(), read: 0, framer: Framer::new() }
    }

    /// The next reply, if all of it has come.
    pub(super) fn next_reply(&mut self) -> Result<Option<Reply>, NoReply> {
        let Some(len) = self.framer.end(&self.bytes[self.read..])? else { return Ok(None) };
        let is_all = len == self.bytes.len();
        let bytes =
            if is_all { std::mem::take(&mut self.bytes) } else { self.bytes[self.read..][..len].to_vec() };
        self.read = if is_all { 0 } else { self.read + len };
        Ok(Some(Reply::new(bytes)))
    }

    /// Passes over the replies that come next and say that a command was gathered, at most `count` of them. How many.
    pub(super) fn skip_gathered(&mut self, count: usize) -> usize {
        if self.framer.has_begun() {
            return 0;
        }
        let replies = self.bytes[self.read..].chunks_exact(GATHERED.len()).take(count);
        let skipped = replies.take_while(|reply| *reply == GATHERED).count();
        self.read += skipped * GATHERED.len();
        skipped
    }

    /// The bytes of a reply of which not all has come, to put more behind them.
    pub(super) fn rest(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..std::mem::take(&mut self.read));
        &mut self.bytes
    }

    /// Bytes of them.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.read
    }
}

/// What a server says to a command that is to be in a transaction.
const GATHERED: &[u8] = b"+QUEUED\r\n";
