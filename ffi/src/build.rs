//! What was built: found by the build script, told by `net_stats` and `net_metrics`.

use serde::Serialize;

/// The library's version and how it was built.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Build {
    /// The library's version.
    pub(crate) version: &'static str,
    /// The commit, `unknown` where it was built without git.
    pub(crate) git: &'static str,
    /// `debug` or `release`.
    pub(crate) profile: &'static str,
    /// What it was built for, as Rust names it.
    pub(crate) target: &'static str,
}

pub(crate) const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    git: env!("LIBNET_GIT"),
    profile: env!("LIBNET_PROFILE"),
    target: env!("LIBNET_TARGET"),
};
