//! A slow subscriber is its own problem: neither the producers nor the other subscribers notice that it stands still, and
//! it gets every event afterwards. `LIBNET_SOAK_SECONDS` says how long this lasts, 15 seconds by default.

use std::env;

use harness::c;

#[test]
fn a_hundred_subscribers_get_every_event_although_one_stands_still_for_ten_seconds() {
    // Longer runs than this end with a hang in `c::run`.
    let seconds = env::var("LIBNET_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(15);
    c::run("subscribe_fleet", &[&seconds.clamp(1, 100).to_string()]);
}
