//! What the process tells the shell when it ends.

use std::process::{ExitCode, Termination};

/// The exit statuses, of every verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitStatus {
    /// Everything went as it must.
    Success = 0,
    /// It could not begin, or events were lost, duplicated or out of order, or a check failed.
    Failed = 1,
    /// The open loop did not keep 99 % of its rate: its latencies are those of another load.
    BelowRate = 2,
    /// A comparison found what it was told to fail on.
    Regression = 3,
    /// The command line is wrong.
    Usage = 64,
    /// Ctrl-C ended it; what was measured until then was kept.
    Interrupted = 130,
}

impl Termination for ExitStatus {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// The exit statuses as `--help` shows them.
pub(crate) const EXIT_STATUSES: &str = "\
Exit status:
  0    everything went as it must
  1    it could not begin; or events were lost, duplicated or out of order; or a check failed
  2    the open loop kept less than 99 % of its rate
  3    `compare` found what it was told to fail on
  64   the command line is wrong
  130  Ctrl-C; the partial result is kept";
