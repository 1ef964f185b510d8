//! What has come over a connection, reply by reply.

use super::link::Link;
use super::reply::{Framer, NoReply, Reply};

/// Bytes that have come and were not heard yet.
pub(super) struct Received {
    bytes: Vec<u8>,
    /// How many of them were heard.
    read: usize,
    framer: Framer,
    /// Whether any have come since that was asked last.
    is_fresh: bool,
}

impl Received {
    pub(super) fn new() -> Received {
        Received { bytes: Vec::new(), read: 0, framer: Framer::new(), is_fresh: false }
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

    /// Takes more over `link`. Whether there was any.
    pub(super) fn take_from(&mut self, link: &mut Link) -> bool {
        self.bytes.drain(..std::mem::take(&mut self.read));
        let is_any = link.receive(&mut self.bytes);
        self.is_fresh |= is_any;
        is_any
    }

    /// Whether any have come since this was asked last, be it a part of a reply.
    pub(super) fn is_fresh(&mut self) -> bool {
        std::mem::take(&mut self.is_fresh)
    }

    /// Bytes of them.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.read
    }
}

/// What a server says to a command that is to be in a transaction.
const GATHERED: &[u8] = b"+QUEUED\r\n";
