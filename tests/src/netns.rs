//! Two network namespaces that a pair of virtual Ethernet devices joins, where the test may make them: two hosts on one machine.
//! Made with `ip` of iproute2, and gone when this is dropped.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, ScopedJoinHandle};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Two hosts.
#[derive(Debug)]
pub struct TwoHosts {
    names: [String; 2],
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The first.
    Left,
    /// The other.
    Right,
}

impl TwoHosts {
    /// Makes them, with a link of `mtu` bytes in between; or says why this machine or this user does not.
    pub fn make(mtu: u32) -> Result<TwoHosts, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let names = ["left", "right"].map(|side| format!("libnet-{}-{number}-{side}", process::id()));
        // From here on what was made is taken away, whatever comes.
        let hosts = TwoHosts { names };
        let [left, right] = &hosts.names;
        ip(&["netns", "add", left])?;
        ip(&["netns", "add", right])?;
        let mtu = mtu.to_string();
        let veth = ["link", "add", "net0", "mtu", &mtu, "netns", left, "type", "veth", "peer"];
        ip(&[&veth[..], &["name", "net0", "mtu", &mtu, "netns", right]].concat())?;
        for host in [Host::Left, Host::Right] {
            let name = hosts.name(host);
            ip(&["-n", name, "address", "add", &format!("{}/24", host.ipv4()), "dev", "net0"])?;
            // Without the wait for an address that somebody else may have.
            ip(&["-n", name, "address", "add", &format!("{}/64", host.ipv6()), "dev", "net0", "nodad"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            ip(&["-n", name, "link", "set", "net0", "up"])?;
        }
        Ok(hosts)
    }

    /// A program on a host.
    pub fn command(&self, host: Host, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name(host), program]);
        command
    }

    /// A thread on a host; threads and sockets that it makes are there too.
    pub fn spawn<'scope, T: Send + 'scope>(
        &self,
        host: Host,
        scope: &'scope thread::Scope<'scope, '_>,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, T> {
        let path = format!("/run/netns/{}", self.name(host));
        scope.spawn(move || {
            let namespace = File::open(&path).expect("it was made");
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("who makes one may enter it");
            work()
        })
    }

    fn name(&self, host: Host) -> &str {
        &self.names[host as usize]
    }
}

impl Host {
    /// Its address.
    pub fn ipv4(self) -> IpAddr {
        [10, 77, 0, 1 + self as u8].into()
    }

    /// Its other address.
    pub fn ipv6(self) -> IpAddr {
        [0xfd77, 0, 0, 0, 0, 0, 0, 1 + self as u16].into()
    }
}

impl Drop for TwoHosts {
    fn drop(&mut self) {
        for name in &self.names {
            // One that was not made, or whose link has gone with the other, cannot be taken away.
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {}: {}", arguments.join(" "), said.trim()))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn two_hosts_hear_each_other_and_nobody_else_does() {
        let hosts = match TwoHosts::make(1500) {
            Ok(hosts) => hosts,
            Err(why) => return assert!(!rustix::process::geteuid().is_root(), "{why}"),
        };
        for address in [Host::ipv4, Host::ipv6] {
            let (right, left) = (address(Host::Right), address(Host::Left));
            thread::scope(|scope| {
                let bind = move || UdpSocket::bind((right, 0)).unwrap();
                let there = hosts.spawn(Host::Right, scope, bind).join().unwrap();
                there.set_read_timeout(Some(crate::HANG)).unwrap();
                let to = there.local_addr().unwrap();
                let say = move || UdpSocket::bind((left, 0)).unwrap().send_to(b"hello", to).unwrap();
                hosts.spawn(Host::Left, scope, say).join().unwrap();
                let mut buffer = [0; 16];
                let (length, from) = there.recv_from(&mut buffer).unwrap();
                assert_eq!((&buffer[..length], from.ip()), (&b"hello"[..], left));
            });
            assert!(UdpSocket::bind((right, 0)).is_err(), "this host has that address too");
        }
        let shown = hosts.command(Host::Left, "cat").arg("/sys/class/net/net0/mtu").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&shown.stdout).trim(), "1500");
    }
}
