//! A reply of the server (RESP2), as the bytes that came: where it ends, and what is in it, token by token.
//!
//! Nothing is taken apart into values of its own, because replies hold an entry for each event. What is not read for every
//! event the library takes apart: [`Reply::value`]. Source of the format: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use redis::{Value, parse_redis_value};

/// One whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply(Vec<u8>);

/// What a reply is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Simple(&'a [u8]),
    Error(&'a [u8]),
    Integer(&'a [u8]),
    Bulk(&'a [u8]),
    /// So many elements follow.
    Array(u64),
    /// A bulk string or an array that is not there.
    Nil,
}

/// The tokens of a reply, in order.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a>(&'a [u8]);

/// Finds where a reply ends that comes in pieces. Looks at every byte once.
#[derive(Debug)]
pub(super) struct Framer {
    /// Where the next token begins, from the start of the reply.
    at: usize,
    /// Elements that are still to come.
    missing: u64,
}

/// Bytes that are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server said what is no reply")]
pub(super) struct NoReply;

impl Reply {
    /// Of bytes that a [`Framer`] has found to be one.
    pub(super) fn new(bytes: Vec<u8>) -> Reply {
        Reply(bytes)
    }

    /// Its tokens.
    pub(super) fn tokens(&self) -> Tokens<'_> {
        Tokens(&self.0)
    }

    /// Its bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Its first token; of a reply that is no array, all of it.
    pub(super) fn first(&self) -> Token<'_> {
        self.tokens().next().unwrap_or(Token::Nil)
    }

    /// As the library takes it apart; nil where it cannot.
    pub(super) fn value(&self) -> Value {
        parse_redis_value(&self.0).unwrap_or(Value::Nil)
    }
}

impl<'a> Tokens<'a> {
    /// The number of elements of an array that begins here.
    pub(super) fn array(&mut self) -> Option<u64> {
        match self.next()? {
            Token::Array(count) => Some(count),
            _ => None,
        }
    }

    /// A bulk string that stands here.
    pub(super) fn bulk(&mut self) -> Option<&'a [u8]> {
        match self.next()? {
            Token::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    #[inline]
    fn next(&mut self) -> Option<Token<'a>> {
        let (token, bytes) = token(self.0).ok()??;
        self.0 = &self.0[bytes..];
        Some(token)
    }
}

impl Framer {
    pub(super) fn new() -> Framer {
        Framer { at: 0, missing: 1 }
    }

    /// Whether it is in the middle of a reply.
    pub(super) fn has_begun(&self) -> bool {
        self.at > 0
    }

    /// How many bytes the reply has that begins at the start of `bytes`; `None` before all of it has come, and then it goes on
    /// where it was with more behind the same bytes.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, NoReply> {
        while self.missing > 0 {
            let Some((token, count)) = token(&bytes[self.at..])? else { return Ok(None) };
            self.at += count;
            self.missing = (self.missing - 1).checked_add(elements(token)).ok_or(NoReply)?;
        }
        let end = self.at;
        *self = Framer::new();
        Ok(Some(end))
    }
}

fn elements(token: Token<'_>) -> u64 {
    if let Token::Array(count) = token { count } else { 0 }
}

/// The token at the start of `bytes` and how many of them it takes; `None` when not all of it is there.
#[inline]
fn token(bytes: &[u8]) -> Result<Option<(Token<'_>, usize)>, NoReply> {
    let Some(&kind) = bytes.first() else { return Ok(None) };
    match kind {
        b'$' => {
            let Some((len, begin)) = length(bytes)? else { return Ok(None) };
            let Some(len) = len else { return Ok(Some((Token::Nil, begin))) };
            let end = begin + len as usize;
            match bytes.get(end..end + LINE_END.len()) {
                None => Ok(None),
                Some(LINE_END) => Ok(Some((Token::Bulk(&bytes[begin..end]), end + LINE_END.len()))),
                Some(_) => Err(NoReply),
            }
        }
        b'*' => {
            let Some((len, end)) = length(bytes)? else { return Ok(None) };
            Ok(Some((len.map_or(Token::Nil, Token::Array), end)))
        }
        b'+' | b'-' | b':' => {
            let line = &bytes[1..];
            let Some(end) = line.windows(LINE_END.len()).position(|end| end == LINE_END) else {
                return if line.len() > LINE_BYTES_MAX { Err(NoReply) } else { Ok(None) };
            };
            let text = &line[..end];
            let token = match kind {
                b'+' => Token::Simple(text),
                b'-' => Token::Error(text),
                _ => Token::Integer(text),
            };
            Ok(Some((token, 1 + end + LINE_END.len())))
        }
        _ => Err(NoReply),
    }
}

/// The length in the line at the start of `bytes`, behind its first byte, and where the line ends. A length of -1 is none.
#[inline]
fn length(bytes: &[u8]) -> Result<Option<(Option<u64>, usize)>, NoReply> {
    let mut len = 0;
    for (at, &byte) in bytes.iter().enumerate().skip(1).take(LENGTH_DIGITS_MAX + 1) {
        match byte {
            b'0'..=b'9' => len = len * 10 + u64::from(byte - b'0'),
            b'\r' if at > 1 => {
                return match bytes.get(at + 1) {
                    None => Ok(None),
                    Some(b'\n') => Ok(Some((Some(len), at + 2))),
                    Some(_) => Err(NoReply),
                };
            }
            b'-' if at == 1 => {
                let is_nil = bytes.iter().zip(NIL_LENGTH).skip(1).all(|(byte, nil)| byte == nil);
                let is_whole = bytes.len() >= NIL_LENGTH.len();
                return match (is_nil, is_whole) {
                    (false, _) => Err(NoReply),
                    (true, false) => Ok(None),
                    (true, true) => Ok(Some((None, NIL_LENGTH.len()))),
                };
            }
            _ => return Err(NoReply),
        }
    }
    if bytes.len() > LENGTH_DIGITS_MAX + 1 { Err(NoReply) } else { Ok(None) }
}

const LINE_END: &[u8] = b"\r\n";
/// The line that says that there is nothing, whatever its first byte.
const NIL_LENGTH: &[u8] = b"?-1\r\n";
/// Digits of a length: a terabyte and more, and nothing that overflows.
const LENGTH_DIGITS_MAX: usize = 12;
/// Bytes of a line that is no length.
const LINE_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests;
