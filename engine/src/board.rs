//! The board: where a shard publishes its snapshot and what its adapter failed with last. The shard is the only writer; any
//! thread reads without stalling it.

use std::fmt::{self, Write};

use crate::adapter::AdapterError;
use crate::counters::{STATS_WORDS, ShardStats};
use crate::sequence_lock::SequenceLock;

/// What one shard publishes of itself.
#[derive(Debug, Default)]
pub(crate) struct Board {
    snapshot: SequenceLock<STATS_WORDS>,
    /// The length of the text in bytes, then the text.
    error: SequenceLock<ERROR_WORDS>,
}

impl Board {
    /// Publishes a snapshot. One thread only.
    pub(crate) fn publish(&self, stats: &ShardStats) {
        self.snapshot.publish(stats.words());
    }

    /// The snapshot last published.
    pub(crate) fn read(&self) -> ShardStats {
        ShardStats::from_words(&self.snapshot.read())
    }

    /// Publishes the text of an error, cut at [`ERROR_BYTES_MAX`]. One thread only.
    pub(crate) fn publish_error(&self, error: &AdapterError) {
        let mut text = Text { bytes: [0; ERROR_BYTES_MAX], len: 0 };
        // It fails when the text is full, and what fits is there.
        let _ = write!(text, "{error}");
        let (words, _) = text.bytes.as_chunks::<8>();
        let word = |at: usize| if at == 0 { text.len as u64 } else { u64::from_ne_bytes(words[at - 1]) };
        self.error.publish(std::array::from_fn(word));
    }

    /// The text of the error last published.
    pub(crate) fn last_error(&self) -> Option<String> {
        let words = self.error.read();
        let bytes: Vec<u8> = words[1..].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let text = String::from_utf8_lossy(&bytes[..words[0] as usize]);
        (!text.is_empty()).then(|| text.into_owned())
    }
}

/// A text of bounded length.
struct Text {
    bytes: [u8; ERROR_BYTES_MAX],
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = text.floor_char_boundary(ERROR_BYTES_MAX - self.len);
        self.bytes[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        if taken == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Bytes that are kept of an error's text.
const ERROR_BYTES_MAX: usize = (ERROR_WORDS - 1) * 8;
const ERROR_WORDS: usize = 31;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::AdapterState;

    #[test]
    fn every_term_of_a_snapshot_is_read_as_it_was_published() {
        let mut stats = ShardStats {
            ingested: 1,
            pending_bytes_max: 2,
            settled: 3,
            adapter: AdapterState::Down,
            ..ShardStats::default()
        };
        stats.batch_events.record(4);
        stats.submit_latency_ns.record(5);
        let board = Board::default();
        board.publish(&stats);
        assert_eq!(board.read(), stats);
        let mut sum = stats;
        sum.add(&stats);
        assert_eq!((sum.ingested, sum.settled, sum.adapter), (2, 3, AdapterState::Down));
        assert_eq!((sum.batch_events.count(), sum.submit_latency_ns.sum()), (2, 10));
    }

    #[test]
    fn an_error_is_read_back_and_a_long_one_is_cut_between_characters() {
        let board = Board::default();
        assert_eq!(board.last_error(), None);
        board.publish_error(&AdapterError::Final("é".repeat(1_000)));
        let long = board.last_error().expect("it was published");
        assert!(long.len() >= ERROR_BYTES_MAX - 1 && long.ends_with('é'), "{long}");
        board.publish_error(&AdapterError::Transient("busy".to_owned()));
        assert_eq!(board.last_error().as_deref(), Some("the store refused for now: busy"));
    }
}
