//! The view of a run while it lasts, on a terminal as its user sees it, and elsewhere.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::num::NonZeroU16;
use std::process::{Child, Command, Output, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::Parser;

#[test]
fn on_a_terminal_a_block_is_rewritten_in_place_fits_a_smaller_window_and_leaves_nothing_behind() {
    let mut terminal = Terminal::open(100, 60);
    let mut child =
        terminal.run(&["run", "--rate", "2k", "--duration", "1h", "--warmup", "0s", "--shards", "2"]);
    let begins = |rows: &[String], begin: &str| rows.iter().filter(|row| row.starts_with(begin)).count();
    terminal.until(|rows| {
        ["elapsed", "response  p50", "read back", "late", "dropped", "shard 0", "shard 1"]
            .iter()
            .all(|begin| begins(rows, begin) == 1)
    });
    terminal.resize(30, 60);
    let fits = |row: &String| row.starts_with("elapsed") && row.chars().count() == 29;
    terminal.until(|rows| rows.first().is_some_and(fits) && begins(rows, "shard 1") == 1);
    terminal.resize(100, 60);
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(interrupt.success());
    terminal.until_closed();
    let end = terminal.rows();
    assert_eq!(child.wait().expect("netload ends").code(), Some(130), "{end:#?}");
    assert!(end.first().is_some_and(|row| row.starts_with("libnet ")), "{end:#?}");
    assert!(!end.iter().any(|row| row.contains("pending in")), "{end:#?}");
}

#[test]
fn elsewhere_each_second_is_a_line_with_the_same_words() {
    let output = run(&["--rate", "2k", "--duration", "2500ms", "--warmup", "0s"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.lines().count() > 0);
    for line in errors.lines() {
        for word in [
            "elapsed ",
            " s of 2.5 s  ",
            "published",
            "response",
            "read back",
            "late",
            "dropped",
            "refused",
            "pending in",
        ] {
            assert!(line.contains(word), "{word}: {errors}");
        }
    }
    assert!(!errors.contains('\u{1b}'), "{errors}");
}

#[test]
fn a_quiet_run_says_nothing_until_it_ends() {
    let output = run(&["--quiet", "--rate", "2k", "--duration", "1500ms", "--warmup", "0s"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

fn run(options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netload"));
    command.args(["run", "--shards", "1"]).args(options).output().expect("netload runs")
}

/// A pseudo terminal, and what is to be seen on it.
struct Terminal {
    keeper: File,
    screen: Parser,
}

impl Terminal {
    fn open(columns: u16, rows: u16) -> Terminal {
        let keeper = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are pseudo terminals");
        grantpt(&keeper).expect("ours");
        unlockpt(&keeper).expect("ours");
        let screen = Parser::new(positive(rows), positive(columns), 0);
        let mut terminal = Terminal { keeper: keeper.into(), screen };
        terminal.resize(columns, rows);
        terminal
    }

    /// Starts netload with everything on this terminal.
    fn run(&self, words: &[&str]) -> Child {
        let name = ptsname(&self.keeper, Vec::new()).expect("it has a name");
        let path = name.to_str().expect("text").to_owned();
        let end = || OpenOptions::new().read(true).write(true).open(&path).expect("unlocked");
        let mut command = Command::new(env!("CARGO_BIN_EXE_netload"));
        command.args(words).env("TERM", "xterm");
        command.stdin(Stdio::from(end())).stdout(end()).stderr(end()).spawn().expect("netload runs")
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keeper, size).expect("a terminal");
        self.screen.screen_mut().set_size(positive(rows), positive(columns));
    }

    /// Follows what is written until the screen is like that.
    fn until(&mut self, is_so: impl Fn(&[String]) -> bool) {
        while !is_so(&self.rows()) {
            assert!(self.take(), "it ended before that: {:#?}", self.rows());
        }
    }

    fn until_closed(&mut self) {
        while self.take() {}
    }

    /// Takes what was written; false when nobody has the terminal open any more.
    fn take(&mut self) -> bool {
        let mut bytes = [0; 4_096];
        let count = self.keeper.read(&mut bytes).unwrap_or(0);
        self.screen.process(&bytes[..count]);
        count > 0
    }

    fn rows(&self) -> Vec<String> {
        let screen = self.screen.screen();
        screen.rows(0, screen.size().1.get()).collect()
    }
}

fn positive(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("positive")
}
