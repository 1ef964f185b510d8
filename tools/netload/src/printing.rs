//! Standard output: `print!` and `println!` of this program. A reader that has gone away (`netload run | head`) has read
//! enough, and what cannot be written otherwise is told at the end.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

macro_rules! print {
    ($($words:tt)*) => { $crate::printing::write(format_args!($($words)*)) };
}

macro_rules! println {
    () => { $crate::printing::write(format_args!("\n")) };
    ($($words:tt)*) => { $crate::printing::write(format_args!("{}\n", format_args!($($words)*))) };
}

/// Writes it, or keeps the first failure.
pub(crate) fn write(words: Arguments<'_>) {
    keep(io::stdout().lock().write_fmt(words));
}

/// Why something could not be written, if so.
pub(crate) fn failure() -> Option<&'static io::Error> {
    keep(io::stdout().lock().flush());
    FAILURE.get()
}

fn keep(written: io::Result<()>) {
    if let Some(error) = written.err().filter(|error| error.kind() != ErrorKind::BrokenPipe) {
        // A second failure tells nothing new.
        let _ = FAILURE.set(error);
    }
}

static FAILURE: OnceLock<io::Error> = OnceLock::new();
