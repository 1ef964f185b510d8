//! `netload keygen`: keys for two buses that exchange events over UDP.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use adapters::udp::{KeyPair, Psk};

use crate::args::KeygenArguments;
use crate::config::Refusal;
use crate::exit::ExitStatus;

/// Prints a new key pair, or writes it and a new pre-shared key into files of their owner's alone.
pub(crate) fn keygen(arguments: &KeygenArguments) -> Result<ExitStatus, Refusal> {
    let pair = KeyPair::generate().map_err(Refusal::Random)?;
    let Some(folder) = &arguments.out else {
        println!("{}", pair.to_json().as_str());
        return Ok(ExitStatus::Success);
    };
    let psk = Psk::generate().map_err(Refusal::Random)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| unwritable(folder, source))?;
    let (key_file, psk_file) = (folder.join("key.json"), folder.join("psk"));
    create(&key_file, &pair.to_json())?;
    if let Err(refusal) = create(&psk_file, &psk.to_hex()) {
        // One without the other is of no use, and would be in the way of the next attempt.
        let _ = fs::remove_file(&key_file);
        return Err(refusal);
    }
    let (key, psk, public) = (key_file.display(), psk_file.display(), pair.public());
    println!("public key  {public}");
    println!("receive     netload serve --bind 0.0.0.0:7000 --key-file {key} --psk-file {psk}");
    println!("send        netload run --target 'udp://HOST:7000?public_key={public}&psk_file={psk}'");
    println!("the sender needs {psk} and the public key, and never {key}");
    Ok(ExitStatus::Success)
}

/// Writes a file that was not there before.
fn create(path: &Path, secret: &str) -> Result<(), Refusal> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|source| unwritable(path, source))?;
    let written = file.write_all(secret.as_bytes()).and_then(|()| file.write_all(b"\n"));
    written.and_then(|()| file.sync_all()).map_err(|source| unwritable(path, source))
}

fn unwritable(path: &Path, source: io::Error) -> Refusal {
    Refusal::Output { path: path.to_owned(), source }
}
