//! Planted faults: changes of one line that take a mechanism away, so that `cargo xtask planted` can show that a test sees each.
//! They are there under `cfg(planted)` only, and of those the one that `LIBNET_PLANTED` names when the process starts.

/// Whether the fault of this name is planted. Without `cfg(planted)` it is never, and costs nothing.
#[doc(hidden)]
#[macro_export]
macro_rules! planted {
    ($name:literal) => {
        cfg!(planted) && $crate::planted::is($name)
    };
}

/// Whether `name` is what `LIBNET_PLANTED` says.
#[doc(hidden)]
pub fn is(name: &str) -> bool {
    use std::sync::OnceLock;

    static NAME: OnceLock<Option<String>> = OnceLock::new();
    NAME.get_or_init(|| std::env::var("LIBNET_PLANTED").ok()).as_deref() == Some(name)
}
