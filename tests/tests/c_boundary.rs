//! Properties 1 to 9, from C programs that are written against `net.h` alone.

use harness::c;

#[test]
fn a_program_written_from_the_header_publishes_reads_back_and_is_told_what_is_wrong() {
    c::run("smoke", &[]);
}

#[test]
fn four_threads_publish_and_a_cursor_reads_every_event_once_in_order_per_key() {
    c::run("publish_poll", &[]);
}

#[test]
fn a_length_that_no_object_has_is_refused_before_anything_is_read() {
    c::run("lengths", &[]);
}
