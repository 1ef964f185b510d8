//! The command that appends an event, as the server reads it. Written by hand because it is written for every event: all but the
//! event's own bytes is the same each time.

use engine::event::Event;

/// `XADD` to one stream under one producer's name.
pub(super) struct Append {
    /// Everything before an event without a key.
    head: Vec<u8>,
    /// The same for one with a key, which is a field more.
    keyed_head: Vec<u8>,
    /// What dedup ids begin with.
    name: String,
    /// What those of the transaction that is being written begin with.
    start: Vec<u8>,
}

impl Append {
    /// To the stream at `key`, of about `max_len` entries if it is to be trimmed, by a shard of the producer `nonce`.
    pub(super) fn new(key: &str, max_len: Option<u64>, nonce: u64, shard: u16) -> Append {
        let max_len = max_len.map(|max_len| max_len.to_string());
        let mut words = vec!["XADD", key];
        if let Some(max_len) = &max_len {
            words.extend(["MAXLEN", "~", max_len]);
        }
        words.extend(["*", "d"]);
        let head = |words_behind: usize| {
            let mut head = format!("*{}\r\n", words.len() + words_behind).into_bytes();
            for word in &words {
                write_bulk(&mut head, word.as_bytes());
            }
            head
        };
        // The event, and two or three fields of two words.
        let (head, keyed_head) = (head(1 + 4), head(1 + 6));
        Append { head, keyed_head, name: format!("{nonce:016x}:{shard}:"), start: Vec::new() }
    }

    /// A transaction begins, whose first event has this sequence.
    pub(super) fn begin(&mut self, first: u64) {
        self.start.clear();
        self.start.extend_from_slice(self.name.as_bytes());
        self.start.extend_from_slice(itoa::Buffer::new().format(first).as_bytes());
        self.start.push(b':');
    }

    /// Writes the command for the event at `index` of the transaction behind `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>, event: &Event<'_>, index: usize) {
        out.extend_from_slice(if event.key.is_some() { &self.keyed_head } else { &self.head });
        write_bulk(out, event.payload);
        out.extend_from_slice(b"$1\r\nt\r\n");
        write_bulk(out, itoa::Buffer::new().format(event.timestamp_ns).as_bytes());
        if let Some(key) = event.key {
            out.extend_from_slice(b"$1\r\nk\r\n");
            write_bulk(out, key);
        }
        out.extend_from_slice(b"$8\r\ndedup_id\r\n");
        let mut digits = itoa::Buffer::new();
        let index = digits.format(index);
        write_len(out, self.start.len() + index.len());
        out.extend_from_slice(&self.start);
        out.extend_from_slice(index.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn write_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    write_len(out, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn write_len(out: &mut Vec<u8>, len: usize) {
    out.push(b'$');
    out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::event::{EventFlags, Sequence};

    #[test]
    fn it_is_what_the_library_packs() {
        for max_len in [None, Some(1_000)] {
            let mut append = Append::new("net:shard:3", max_len, 0xabc, 3);
            append.begin(1_000);
            for (index, payload, key) in [
                (0, &b""[..], None),
                (7, b"event", Some(&b""[..])),
                (99, b"event", Some(b"a\0\r\nb\xff")),
                (10_000, &[b'x'; 1_000], Some(&[b'k'; 300])),
            ] {
                let event = Event {
                    sequence: Sequence(1),
                    timestamp_ns: 1_763_660_000_000_000_007,
                    hash: 0,
                    flags: EventFlags::NONE,
                    payload,
                    key,
                };
                let mut written = Vec::new();
                append.write(&mut written, &event, index);
                let mut command = redis::cmd("XADD");
                command.arg("net:shard:3");
                if let Some(max_len) = max_len {
                    command.arg("MAXLEN").arg("~").arg(max_len);
                }
                command.arg("*").arg("d").arg(payload).arg("t").arg(1_763_660_000_000_000_007_u64);
                if let Some(key) = key {
                    command.arg("k").arg(key);
                }
                command.arg("dedup_id").arg(format!("0000000000000abc:3:1000:{index}"));
                assert_eq!(written, command.get_packed_command());
            }
        }
    }
}
