//! `netload completions` and `netload man`: what shells and `man` read, made from the command line's own description.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::{Man, generate_to};

use crate::args::{Arguments, CompletionsArguments, ManArguments};
use crate::config::Refusal;
use crate::exit::ExitStatus;

/// Prints the completions of a shell.
pub(crate) fn completions(arguments: &CompletionsArguments) -> ExitStatus {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), NAME, &mut text);
    print!("{}", String::from_utf8_lossy(&text));
    ExitStatus::Success
}

/// Prints the page of the command, or writes the pages of it and of its verbs into a folder.
pub(crate) fn man(arguments: &ManArguments) -> Result<ExitStatus, Refusal> {
    let Some(folder) = &arguments.out else {
        let mut text = Vec::new();
        Man::new(Arguments::command()).render(&mut text).expect("memory takes it");
        print!("{}", String::from_utf8_lossy(&text));
        return Ok(ExitStatus::Success);
    };
    let written = fs::create_dir_all(folder).and_then(|()| generate_to(Arguments::command(), folder));
    written.map_err(|source| unwritable(folder, source))?;
    Ok(ExitStatus::Success)
}

fn unwritable(path: &Path, source: io::Error) -> Refusal {
    Refusal::Output { path: path.to_owned(), source }
}

const NAME: &str = "netload";
