//! The two sides: who begins, with the other's public key, and who answers, with a key pair of its own.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::keys::{KeyPair, PublicKey};

/// Which side a bus is.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// It begins every handshake.
    Initiator(Initiator),
    /// It answers.
    Responder(Responder),
}

/// Who begins, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Initiator {
    /// Where the responder is.
    pub(super) peer: PeerAddress,
    /// By what it is known.
    pub(super) peer_public_key: PublicKey,
    /// Address of the socket of shard 0. Default: any of the system's choice.
    pub(super) bind: Option<SocketAddr>,
}

/// Who answers.
#[derive(Clone, Debug)]
pub(super) struct Responder {
    /// Address of every shard's socket.
    pub(super) bind: SocketAddr,
    /// Its own keys.
    pub(super) keys: KeyPair,
    /// The only address from which packets are looked at. Default: any.
    pub(super) peer: Option<IpAddr>,
}

/// Where a peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PeerAddress {
    Socket(SocketAddr),
    /// A name, to be looked up again when nobody answers, so that a peer may move.
    Name {
        host: String,
        port: u16,
    },
}

impl Initiator {
    /// Address of the socket of shard 0; where it has a port, the other shards have those that follow. For a peer whose name is
    /// yet to be looked up, any of IPv4 is the default.
    pub(super) fn bind_addr(&self) -> SocketAddr {
        let any = match self.peer {
            PeerAddress::Socket(SocketAddr::V6(_)) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
            PeerAddress::Socket(_) | PeerAddress::Name { .. } => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        };
        self.bind.unwrap_or(SocketAddr::new(any, 0))
    }
}

/// Whether a responder that admits `admitted` looks at packets from `source`.
pub(super) fn is_admitted(admitted: Option<IpAddr>, source: SocketAddr) -> bool {
    admitted.is_none_or(|admitted| admitted == source.ip().to_canonical())
}

impl PeerAddress {
    /// Reads `IP:PORT` or `NAME:PORT`. What is wrong with it otherwise.
    pub(super) fn parse(text: &str) -> Result<PeerAddress, &'static str> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return match address {
                _ if address.port() == 0 => Err("a peer has a port"),
                _ if address.ip().is_unspecified() || address.ip().is_multicast() => {
                    Err("not the address of one machine")
                }
                _ => Ok(PeerAddress::Socket(address)),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or("expected IP:PORT or NAME:PORT")?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or("expected a port from 1 to 65535")?;
        let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        // What has no letter was meant as an address.
        if host.len() > NAME_BYTES_MAX
            || !host.bytes().all(is_of_a_name)
            || !host.bytes().any(|byte| byte.is_ascii_alphabetic())
        {
            return Err("neither an address nor a name");
        }
        Ok(PeerAddress::Name { host: host.to_owned(), port })
    }
}

/// Reads the address that a responder admits: `IP` or `IP:PORT`, of which the port does not matter. The unspecified address is any.
pub(super) fn parse_admitted(text: &str) -> Result<Option<IpAddr>, &'static str> {
    let address = text.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| text.parse::<IpAddr>());
    let address = address.map_err(|_| "of a responder, an address: IP or IP:PORT")?.to_canonical();
    Ok(Some(address).filter(|address| !address.is_unspecified()))
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddress::Socket(address) => address.fmt(formatter),
            PeerAddress::Name { host, port } => write!(formatter, "{host}:{port}"),
        }
    }
}

/// RFC 1035, 2.3.4, as it is written.
const NAME_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn initiator(bind: Option<&str>) -> Initiator {
        let mut bytes = [0; 32];
        bytes[0] = 9;
        Initiator {
            peer: PeerAddress::Name { host: "h".to_owned(), port: 1 },
            peer_public_key: PublicKey::new(bytes).expect("the base point"),
            bind: bind.map(address),
        }
    }

    #[test]
    fn a_peer_is_an_address_or_a_name_with_a_port() {
        for text in ["10.0.0.1:7000", "[::1]:7000", "[fe80::1%3]:7000"] {
            assert_eq!(PeerAddress::parse(text), Ok(PeerAddress::Socket(address(text))), "{text}");
        }
        for text in ["localhost:7000", "bus-2.example.org:1", "a_b:65535", "1and1.com:9"] {
            let peer = PeerAddress::parse(text).expect(text);
            assert!(matches!(peer, PeerAddress::Name { .. }), "{text}");
            assert_eq!(peer.to_string(), text);
        }
        let long = format!("{}:1", "a".repeat(254));
        for text in [
            "",
            ":",
            ":1",
            "h",
            "h:",
            "h:0",
            "h:65536",
            "h:-1",
            "10.0.0.1",
            "10.0.0.1:0",
            "10.0.0:1",
            "[::1]",
            "::1:7000",
            "[::1:7000",
            "0.0.0.0:1",
            "[::]:1",
            "224.0.0.1:1",
            "a b:1",
            "udp://h:1",
            "a/b:1",
            &long,
        ] {
            assert!(PeerAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_responder_admits_one_address_with_any_port_or_all() {
        for (text, admitted, refused) in [
            ("10.0.0.1", Some("10.0.0.1:5"), Some("10.0.0.2:5")),
            ("10.0.0.1:7000", Some("[::ffff:10.0.0.1]:5"), Some("[::ffff:10.0.0.2]:7000")),
            ("::1", Some("[::1]:9"), Some("127.0.0.1:9")),
            ("[::1]:7000", Some("[::1]:9"), Some("[::2]:7000")),
            ("0.0.0.0:0", Some("10.0.0.1:5"), None),
            ("::", Some("10.0.0.1:5"), None),
        ] {
            let peer = parse_admitted(text).expect(text);
            assert!(admitted.is_none_or(|source| is_admitted(peer, address(source))), "{text}");
            assert!(refused.is_none_or(|source| !is_admitted(peer, address(source))), "{text}");
        }
        for text in ["", "h", "h:1", "10.0.0", "10.0.0.1:"] {
            assert!(parse_admitted(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sockets_are_bound_to_any_address_of_the_peers_family_by_default() {
        let bound = |peer: &str, bind: Option<&str>| {
            let peer = PeerAddress::parse(peer).expect("a peer");
            Initiator { peer, ..initiator(bind) }.bind_addr().to_string()
        };
        assert_eq!(bound("10.0.0.1:1", None), "0.0.0.0:0");
        assert_eq!(bound("[::1]:1", None), "[::]:0");
        assert_eq!(bound("host:1", None), "0.0.0.0:0");
        assert_eq!(bound("host:1", Some("[::]:7000")), "[::]:7000");
    }
}
