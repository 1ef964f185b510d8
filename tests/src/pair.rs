//! Two buses that exchange events over UDP on loopback.

use std::net::UdpSocket;
use std::time::Duration;

use adapters::udp::{KeyPair, Psk};
use engine::bus::Bus;

use crate::redis::bus;

/// What two buses need to meet: the responder's keys, what both know, and a port.
pub struct Meeting {
    keys: KeyPair,
    psk: Psk,
    port: u16,
}

impl Meeting {
    /// On a port that is free.
    pub fn new() -> Meeting {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("loopback is there");
        let port = socket.local_addr().expect("bound").port();
        let keys = KeyPair::generate().expect("the system has random bytes");
        Meeting { keys, psk: Psk::generate().expect("the system has random bytes"), port }
    }

    /// The port of the responder.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The responder's `net` section; `options` are more of its keys, each with a comma behind it.
    pub fn responder(&self, options: &str) -> String {
        let (port, psk) = (self.port, self.psk.to_hex());
        let keys = self.keys.to_json();
        let keys = keys.trim_start_matches('{').trim_end_matches('}');
        let psk = psk.as_str();
        format!(
            r#""net":{{"role":"responder","bind_addr":"127.0.0.1:{port}",{options}{keys},"psk":"{psk}"}}"#
        )
    }

    /// The initiator's, which looks for the responder on `port`.
    pub fn initiator_to(&self, port: u16, options: &str) -> String {
        let (public, psk) = (self.keys.public().to_string(), self.psk.to_hex());
        let psk = psk.as_str();
        format!(
            r#""net":{{"role":"initiator","peer_addr":"127.0.0.1:{port}",{options}"peer_public_key":"{public}","psk":"{psk}"}}"#
        )
    }

    /// The initiator's.
    pub fn initiator(&self, options: &str) -> String {
        self.initiator_to(self.port, options)
    }

    /// What the initiator says first.
    ///
    /// # Panics
    /// When it says nothing.
    pub fn first_message(&self) -> Vec<u8> {
        let socket = UdpSocket::bind(("127.0.0.1", self.port)).expect("the responder has not started");
        let initiator = bus(&format!(r#"{{"num_shards":1,{BUS}{}}}"#, self.initiator("")));
        let mut bytes = vec![0; 2_048];
        let count = socket.recv(&mut bytes).expect("it calls");
        initiator.shutdown(Some(Duration::ZERO)).expect("it is the only one");
        bytes.truncate(count);
        bytes
    }

    /// Both, with so many shards and these options in their `net` sections.
    pub fn start(&self, responder: u16, initiator: u16, options: &str) -> (Bus, Bus) {
        let with =
            |shards: u16, section: String| bus(&format!(r#"{{"num_shards":{shards},{BUS}{section}}}"#));
        (with(responder, self.responder(options)), with(initiator, self.initiator(options)))
    }
}

impl Default for Meeting {
    fn default() -> Meeting {
        Meeting::new()
    }
}

/// What the tests' buses have besides: producers wait for room, and a flush takes its time.
pub const BUS: &str =
    r#""backpressure_mode":"FailProducer","push_wait_us":60000000,"flush_timeout_ms":60000,"#;
