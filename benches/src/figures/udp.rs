//! The figures of the UDP store.

use super::{Effort, time};
use crate::percentiles::Percentiles;
use crate::quantity::{Quantity, Target};
use crate::report::Figure;
use crate::throughput::median;
use crate::udp;

pub(super) fn measure(effort: &Effort, figures: &mut Vec<Figure>, percentiles: &mut Vec<Percentiles>) {
    let [mut bare, mut none, mut full, mut arrived] = [const { Vec::new() }; 4];
    for _ in 0..effort.curve_rounds {
        bare.push(udp::one_send_each(effort.udp_events / 4));
        let unreliable = udp::one_way("none", effort.udp_events);
        none.push(unreliable.rate);
        arrived.push(unreliable.percent);
        full.push(udp::one_way("full", effort.udp_events).rate);
    }
    let [bare, none, full, arrived] = [bare, none, full, arrived].map(median);
    for (name, target, measured) in [
        ("UDP: 256-byte events with `none`, until the peer has them", 1.5e6, none),
        ("UDP: 256-byte events with `full`, until the peer has them", 1e6, full),
    ] {
        figures.push(Figure {
            name,
            target: Some(Target::AtLeast(Quantity::events_per_second(target))),
            measured: Quantity::events_per_second(measured),
            floor: Some(Quantity::events_per_second(bare)),
        });
    }
    figures.push(Figure {
        name: "UDP: `full`, of one `send_to` per event",
        target: Some(Target::AtLeast(Quantity::percent(800.0))),
        measured: Quantity::percent(100.0 * full / bare),
        floor: None,
    });
    figures.push(Figure {
        name: "UDP: events that `none` brings at that rate",
        target: None,
        measured: Quantity::percent(arrived),
        floor: None,
    });
    let (in_time, strangers) = udp::flooded(50_000, effort.loop_time);
    figures.push(Figure {
        name: "UDP: 50,000 events/s with `full`, arriving in time during a flood",
        target: Some(Target::AtLeast(Quantity::percent(80.0))),
        measured: Quantity::percent(in_time),
        floor: None,
    });
    figures.push(Figure {
        name: "UDP: strangers' packets of that flood",
        target: None,
        measured: Quantity::events_per_second(strangers),
        floor: None,
    });
    let [sealed, cipher, stranger] = udp::packet_costs(PACKET_BYTES, effort.wakes * 10);
    figures.push(Figure {
        name: "UDP: a packet sealed and opened, of the cipher alone",
        target: Some(Target::AtMost(Quantity::percent(120.0))),
        measured: Quantity::percent(100.0 * sealed as f64 / cipher as f64),
        floor: None,
    });
    time(figures, "UDP: a packet of no session, behind the kernel", Some(500), stranger, cipher);
    let ping_pong = udp::ping_pong(effort.wakes);
    let through = udp::to_remote_subscriber(10_000, effort.loop_time);
    let name = "UDP: net_ingest_raw → net_next of the peer at 10,000/s, p50";
    time(figures, name, Some(200_000), through.p50_ns, ping_pong.p50_ns);
    let name = "UDP: net_ingest_raw → net_next of the peer at 10,000/s, p99";
    time(figures, name, Some(1_000_000), through.p99_ns, ping_pong.p99_ns);
    percentiles.extend([ping_pong, through]);
}

/// As `net.mtu` has it by default.
const PACKET_BYTES: usize = 1_452;
