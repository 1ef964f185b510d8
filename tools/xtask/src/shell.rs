//! Running other programs from the workspace root, one named stage at a time.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use tempfile::TempDir;

/// Starts programs in the root of the workspace.
pub(crate) struct Shell {
    root: PathBuf,
    cargo: PathBuf,
}

/// Why a command ended. All are final: mend the cause and run it again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("not started by cargo: {0} is not set")]
    NotUnderCargo(&'static str),
    #[error("`{program}` does not start: {source}")]
    Start { program: String, source: io::Error },
    #[error("stage `{stage}` failed ({status})")]
    Stage { stage: String, status: ExitStatus },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("these system packages are missing: {0} (a C compiler is needed too: gcc and libc6-dev)")]
    Packages(String),
    #[error("the toolchain has no `cargo {0}`: run `rustup component add rustfmt clippy`")]
    Component(&'static str),
    #[error("{0} house rule violations")]
    Rules(usize),
    #[error("the header: {0}")]
    Header(String),
    #[error("sanitizers: {0}")]
    Sanitize(String),
    #[error("fuzzing: {0}")]
    Fuzz(String),
    #[error("the installation: {0}")]
    Install(String),
    #[error("the interface: {0}")]
    Abi(String),
    #[error("planted faults: {0}")]
    Planted(String),
}

impl Shell {
    /// The shell of the workspace whose cargo started this program.
    pub(crate) fn at_workspace_root() -> Result<Shell, Failure> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).ok_or(Failure::NotUnderCargo(name));
        let manifest = variable("CARGO_MANIFEST_DIR")?;
        let root = manifest.join("../..");
        let root = root.canonicalize().map_err(|source| Failure::File { path: root, source })?;
        Ok(Shell { root, cargo: variable("CARGO")? })
    }

    /// A path of the workspace.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Where cargo builds.
    pub(crate) fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.path("target"), |folder| self.path(folder))
    }

    /// A command that will run in the workspace root. What cargo told this program about its own package is kept from
    /// it: build scripts ask for the same variables, and a cargo that finds them changed builds everything anew.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let is_of_package =
                |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
            if name.to_str().is_some_and(is_of_package) {
                command.env_remove(name);
            }
        }
        command.current_dir(&self.root);
        command
    }

    /// A command that will run cargo.
    pub(crate) fn cargo(&self) -> Command {
        self.command(&self.cargo)
    }

    /// The paths that git tracks, relative to the root.
    pub(crate) fn tracked_files(&self) -> Result<Vec<PathBuf>, Failure> {
        self.files(&["--cached"])
    }

    /// Those, and the files that git would take.
    pub(crate) fn source_files(&self) -> Result<Vec<PathBuf>, Failure> {
        self.files(&["--cached", "--others", "--exclude-standard"])
    }

    fn files(&self, which: &[&str]) -> Result<Vec<PathBuf>, Failure> {
        let mut command = self.command("git");
        command.args(["ls-files", "-z"]).args(which);
        let names = output("git ls-files", &mut command)?;
        let names = String::from_utf8_lossy(&names);
        let mut paths: Vec<PathBuf> = names.split_terminator('\0').map(PathBuf::from).collect();
        paths.retain(|path| self.path(path).is_file());
        Ok(paths)
    }
}

/// Prints a stage's line, runs `command`, and fails unless it ends with status 0.
pub(crate) fn stage(stage: &str, command: &mut Command) -> Result<(), Failure> {
    println!("── {stage}");
    let start = Instant::now();
    let status = command.status().map_err(|source| start_failure(command, source))?;
    if !status.success() {
        return Err(Failure::Stage { stage: stage.to_owned(), status });
    }
    println!("── {stage}: ok, {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// A folder for what is made on the way; it goes when it is dropped.
pub(crate) fn scratch() -> Result<TempDir, Failure> {
    tempfile::tempdir().map_err(|source| Failure::File { path: std::env::temp_dir(), source })
}

/// What `command` prints on its standard output; fails as [`stage`] does, but prints no line.
pub(crate) fn output(stage: &str, command: &mut Command) -> Result<Vec<u8>, Failure> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|source| start_failure(command, source))?;
    if !output.status.success() {
        return Err(Failure::Stage { stage: stage.to_owned(), status: output.status });
    }
    Ok(output.stdout)
}

pub(crate) fn start_failure(command: &Command, source: io::Error) -> Failure {
    Failure::Start { program: command.get_program().to_string_lossy().into_owned(), source }
}
