//! The program that `cargo xtask fuzz` runs: libFuzzer over the target that `LIBNET_FUZZ` names.
//!
//! It is one program for all targets, since each would link the whole library.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    chosen()(bytes);
});

/// What the target does.
#[cfg(fuzzing)]
fn chosen() -> fn(&[u8]) -> bool {
    static CHOSEN: std::sync::OnceLock<fn(&[u8]) -> bool> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let wanted = std::env::var("LIBNET_FUZZ").expect("LIBNET_FUZZ names a target");
        let targets = [engine::fuzzing::TARGETS, adapters::fuzzing::TARGETS, net::fuzzing::TARGETS].concat();
        let found = targets.iter().find(|(name, _)| *name == wanted);
        found.unwrap_or_else(|| panic!("`{wanted}` is no target")).1
    })
}

/// Built without cargo-fuzz, there is nothing in it.
#[cfg(not(fuzzing))]
fn main() {}
