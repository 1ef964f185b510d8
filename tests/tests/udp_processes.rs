//! Two processes that exchange events over UDP in both directions, with `full`: over a network that loses 5 % of all packets, and between two
//! hosts. Each polls what the other has published, once and in order, and nothing of its own.
//!
//! Short by default; `cargo xtask soak udp` gives them ten million events each way.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::c;
use harness::netns::{Host, TwoHosts};
use harness::pair::Meeting;
use harness::udp_proxy::{Faults, UdpProxy};

#[test]
fn over_a_network_that_loses_a_packet_in_twenty() {
    let meeting = Meeting::new();
    let network = UdpProxy::start(SocketAddr::from(([127, 0, 0, 1], meeting.port())), 5);
    network.inflict(Faults { lost: 50, ..Faults::default() });
    let sections = [meeting.responder(""), meeting.initiator_to(network.address().port(), "")];
    exchange(sections, |program, _| c::command(Path::new(program)));
    let counts = network.counts();
    assert!(counts.lost * 25 > counts.came, "{counts:?}");
}

#[test]
fn between_two_hosts() {
    let hosts = TwoHosts::make(1_500).expect("as root, with iproute2, two hosts can be made");
    let meeting = Meeting::new();
    let at = |section: String, host: Host| section.replace("127.0.0.1", &host.ipv4().to_string());
    // The initiator looks for the other host.
    let sections = [at(meeting.responder(""), Host::Left), at(meeting.initiator(""), Host::Left)];
    exchange(sections, |program, side| hosts.command([Host::Left, Host::Right][side], program));
}

/// Has two processes exchange events. `command` starts the program for one of them.
fn exchange(sections: [String; 2], command: impl Fn(&str, usize) -> Command) {
    let events = std::env::var("LIBNET_UDP_EVENTS").unwrap_or_else(|_| "50000".to_owned());
    let program = c::compile("udp_pair");
    let mut processes: Vec<Process> = sections
        .into_iter()
        .enumerate()
        .map(|(side, section)| {
            // Their numbers of shards differ. What arrives stays until it was polled.
            let section = section.replacen(r#""net":{"#, r#""net":{"store":{"memory":{"retention_events":20000000,"retention_bytes":4000000000}},"#, 1);
            let config = format!(
                r#"{{"num_shards":{},"backpressure_mode":"FailProducer","push_wait_us":60000000,"flush_timeout_ms":600000,{section}}}"#,
                side + 1
            );
            let mut command = command(program.to_str().expect("its path is text"), side);
            Process::start(command.args([&config, &events]))
        })
        .collect();
    processes.iter_mut().for_each(Process::wait_until_done);
    processes.into_iter().for_each(Process::end);
}

/// A running program. Killed when it is dropped.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Process {
        Process(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts"))
    }

    fn wait_until_done(&mut self) {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().expect("piped")).read_line(&mut line).expect("it is read");
        assert_eq!(line, "done\n", "it has said why on its standard error");
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().expect("it is our own").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended is nobody's any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
