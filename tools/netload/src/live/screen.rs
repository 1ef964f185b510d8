//! Puts the view on standard error.
//!
//! On a terminal the cursor rests at the begin of the block. Erasing from there down removes it whole, whatever has become
//! of its lines when the window changed its size.

use std::io::{self, IsTerminal, Write};

use rustix::termios::tcgetwinsize;

use super::snapshot::Snapshot;
use super::text;

/// Where the view goes. What cannot be written is no reason to end a run.
pub(crate) struct Screen {
    is_terminal: bool,
}

impl Screen {
    /// Standard error; nothing where it is to be quiet.
    pub(crate) fn of_stderr(quiet: bool) -> Option<Screen> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
        (!quiet).then(|| Screen { is_terminal: io::stderr().is_terminal() && !is_dumb })
    }

    /// Puts this in place of what was shown, or under it where that cannot be.
    pub(crate) fn show(&mut self, snapshot: &Snapshot) {
        if self.is_terminal {
            let (columns, rows) = size();
            put(&frame(&text::block(snapshot, columns, rows)));
        } else {
            put(&format!("{}\n", text::line(snapshot)));
        }
    }

    /// Removes it.
    pub(crate) fn leave(&mut self) {
        if self.is_terminal {
            put(ERASE);
        }
    }
}

/// What puts the lines where the cursor is, in place of everything below, and the cursor back.
fn frame(lines: &[String]) -> String {
    let back = match lines.len().saturating_sub(1) {
        0 => "\r".to_owned(),
        up => format!("\r\x1b[{up}A"),
    };
    format!("{ERASE}{}{back}", lines.join("\r\n"))
}

/// In one write, so that no half of it is seen.
fn put(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Columns and rows, as they are now.
fn size() -> (usize, usize) {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => (80, 24),
    }
}

const ERASE: &str = "\r\x1b[J";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::text::tests::snapshot;
    use std::num::NonZeroU16;
    use vt100::Parser;

    /// A terminal on which something was printed before.
    fn terminal(columns: u16, rows: u16) -> Parser {
        let mut terminal = Parser::new(positive(rows), positive(columns), 0);
        terminal.process(b"$ netload run\r\n");
        terminal
    }

    fn positive(number: u16) -> NonZeroU16 {
        NonZeroU16::new(number).expect("positive")
    }

    fn shown(terminal: &Parser) -> Vec<String> {
        terminal.screen().rows(0, terminal.screen().size().1.get()).collect()
    }

    #[test]
    fn a_block_takes_the_place_of_the_one_before_and_leaves_nothing() {
        let mut terminal = terminal(60, 24);
        for shards in [5, 2, 4] {
            terminal.process(frame(&text::block(&snapshot(shards), 60, 24)).as_bytes());
        }
        let rows = shown(&terminal);
        assert_eq!(rows[0], "$ netload run");
        assert!(rows[1].contains("published"), "{rows:?}");
        assert_eq!(rows.iter().filter(|row| row.starts_with("shard")).count(), 4, "{rows:?}");
        terminal.process(ERASE.as_bytes());
        assert_eq!(terminal.screen().contents(), "$ netload run");
        assert_eq!(terminal.screen().cursor_position(), (1, 0));
    }

    #[test]
    fn at_the_end_of_the_screen_and_when_it_shrinks_only_the_block_is_rewritten() {
        let mut terminal = terminal(60, 8);
        terminal.process(b"before\r\n".repeat(10).as_slice());
        terminal.process(frame(&text::block(&snapshot(3), 60, 8)).as_bytes());
        terminal.screen_mut().set_size(positive(8), positive(20));
        terminal.process(frame(&text::block(&snapshot(1), 20, 8)).as_bytes());
        let rows = shown(&terminal);
        assert_eq!(rows.iter().filter(|row| row.contains("3 s of")).count(), 1, "{rows:?}");
        assert_eq!(rows[0], "before", "{rows:?}");
        terminal.process(ERASE.as_bytes());
        assert_eq!(terminal.screen().contents().trim_end(), "before", "{rows:?}");
    }
}
