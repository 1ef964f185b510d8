//! Named files, from C programs that are written against `net_cortex.h` alone.

use harness::c;

#[test]
fn four_threads_append_ranges_are_read_tails_follow_and_everything_is_freed_in_any_order() {
    c::run("redex", &[]);
}

#[test]
fn what_is_refused_of_named_files_has_its_code_and_changes_nothing() {
    c::run("redex_codes", &[]);
}
