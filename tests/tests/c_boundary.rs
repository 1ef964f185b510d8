//! Properties 1, 2 and 4 to 8, from C programs that are written against `net.h` alone. Properties 3 and 9 need a store
//! that hangs or panics, and are held by tests in Rust.

use std::net::UdpSocket;

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

#[test]
fn calls_that_race_a_shutdown_end_with_a_code_and_the_sums_agree() {
    c::run("shutdown_race", &[]);
}

#[test]
fn of_several_shutdowns_one_has_the_outcome_and_the_handle_is_refused_for_ever() {
    c::run("shutdown_twice", &[]);
}

#[test]
fn a_batch_names_the_entries_it_passes_over_and_accepts_the_others_once() {
    c::run("batch", &[]);
}

#[test]
fn a_short_poll_buffer_costs_nothing() {
    c::run("short_buffer", &[]);
}

#[test]
fn a_poll_result_is_given_back_twice_and_tampered_with_without_harm() {
    c::run("give_back", &[]);
}

#[test]
fn a_key_pair_that_the_library_makes_is_one_that_it_takes() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let port = socket.local_addr().expect("it is bound").port().to_string();
    drop(socket);
    c::run("keypair", &[&port]);
}

#[test]
fn a_mistyped_option_is_an_error_that_names_its_path() {
    c::run("options", &[]);
}
