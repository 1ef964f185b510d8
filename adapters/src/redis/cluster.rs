//! A cluster as one shard knows it: its nodes, which of them has which slot, and where a connection goes next. Knows no
//! connection.
//!
//! A key has one slot and a slot one owner at a time, but what is known of owners may be old: a node that is asked for a
//! slot of another says so (`MOVED`), and the owner of a slot that is just moving says who has a key already (`ASK`).
//! Without a cluster there is one node, and all of this leads to it.

use redis::Value;

use super::config::Address;
use super::refusal::Refusal;
use super::reply::{Reply, Token};

/// The nodes, and who has what.
pub(super) struct Cluster {
    /// The node that the operator has named.
    seed: Address,
    /// As a node has told last, the seed apart.
    nodes: Vec<Address>,
    owners: Vec<Owner>,
}

/// A run of slots, both ends included, and the index of the node that has them.
struct Owner {
    first: u16,
    last: u16,
    node: usize,
}

/// What a node says when somebody else has the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirect {
    pub(super) to: Address,
    /// For this key only and until its slot has moved: the other answers what follows `ASKING`.
    pub(super) is_asking: bool,
}

/// Where one connection goes.
pub(super) struct Route {
    /// Slot of the key that it is for; `None` where there is one server.
    pub(super) slot: Option<u16>,
    /// Where a node has sent it.
    sent: Option<Redirect>,
}

impl Cluster {
    pub(super) fn new(seed: Address) -> Cluster {
        Cluster { seed, nodes: Vec::new(), owners: Vec::new() }
    }

    /// Takes the answer to `CLUSTER SLOTS` of the node that was reached under `asked`. One that names no node has been put out of
    /// its cluster, and knows less than is known here.
    pub(super) fn learn(&mut self, reply: &Value, asked: &Address) {
        let Value::Array(runs) = reply else { return };
        let mut told = Cluster::new(self.seed.clone());
        for run in runs {
            let Value::Array(run) = run else { continue };
            let [Value::Int(first), Value::Int(last), nodes @ ..] = run.as_slice() else { continue };
            // The owner comes first, its replicas follow.
            let mut nodes = nodes.iter().map_while(|node| node_address(node, asked));
            let owner = nodes.next().and_then(|owner| told.index(owner));
            if let (Ok(first), Ok(last), Some(node)) = (u16::try_from(*first), u16::try_from(*last), owner)
                && told.owners.len() < usize::from(SLOTS)
            {
                told.owners.push(Owner { first, last, node });
            }
            for replica in nodes {
                told.index(replica);
            }
        }
        if !told.nodes.is_empty() {
            *self = told;
        }
    }

    /// Who has a slot, as far as is known.
    pub(super) fn owner(&self, slot: u16) -> Option<&Address> {
        let owner = self.owners.iter().find(|owner| (owner.first..=owner.last).contains(&slot))?;
        self.nodes.get(owner.node)
    }

    /// The index of a node, which is new or not; `None` when there are too many.
    fn index(&mut self, node: Address) -> Option<usize> {
        let known = self.nodes.iter().position(|known| *known == node);
        known.or_else(|| {
            (self.nodes.len() < NODES_MAX).then(|| {
                self.nodes.push(node);
                self.nodes.len() - 1
            })
        })
    }
}

impl Redirect {
    /// Of what the node says that was reached under `asked`; `None` when it says something else.
    pub(super) fn of(refusal: &Refusal, asked: &Address) -> Option<Redirect> {
        let Refusal { code, detail } = refusal;
        let is_asking = match code.as_str() {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let (_slot, to) = detail.split_once(' ')?;
        Redirect::parse(to, is_asking, asked)
    }

    /// `to` is `host:port`, where a host may have colons, or be left out.
    fn parse(to: &str, is_asking: bool, asked: &Address) -> Option<Redirect> {
        let (host, port) = to.split_whitespace().next()?.rsplit_once(':')?;
        Some(Redirect { to: address(host, port.parse().ok()?, asked)?, is_asking })
    }
}

impl Route {
    /// To who has the slot.
    pub(super) fn new(slot: Option<u16>) -> Route {
        Route { slot, sent: None }
    }

    /// Where to go after so many failures running: to where a node has sent it, or to the owner, once more if that has failed; then
    /// to each of the others, who may know of a new one.
    pub(super) fn next(&self, cluster: &Cluster, failures: u32) -> Redirect {
        if let Some(sent) = &self.sent {
            return sent.clone();
        }
        let owner = self.slot.and_then(|slot| cluster.owner(slot));
        let others = cluster.nodes.iter().chain([&cluster.seed]).filter(|node| Some(*node) != owner);
        let all: Vec<&Address> = owner.into_iter().chain(others).collect();
        let turn = failures.saturating_sub(1) as usize % all.len();
        Redirect { to: all[turn].clone(), is_asking: false }
    }

    /// A node has sent it elsewhere.
    pub(super) fn send(&mut self, redirect: Redirect) {
        self.sent = Some(redirect);
    }

    /// Where it was sent to is of no use, or no longer.
    pub(super) fn forget(&mut self) {
        self.sent = None;
    }

    /// Who else has the slot than the node that was reached under `asked`, as far as is known.
    pub(super) fn elsewhere(&self, cluster: &Cluster, asked: &Address) -> Option<Redirect> {
        let owner = cluster.owner(self.slot?).filter(|owner| *owner != asked)?;
        Some(Redirect { to: owner.clone(), is_asking: false })
    }
}

/// Whether a node cannot do what it is asked although it may have the slot, so that another may have taken its place.
pub(super) fn is_astray(reply: &Reply) -> bool {
    let codes = ["CLUSTERDOWN", "MASTERDOWN", "READONLY", "LOADING"];
    matches!(reply.first(), Token::Error(line) if codes.contains(&Refusal::of(line).code.as_str()))
}

/// Slot of a key: of what stands between its first `{` and the `}` after that, if anything does, or of all of it. The sum is
/// CRC-16/XMODEM (the cluster specification, "Key distribution model").
pub(super) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let behind = &key[open + 1..];
        let len = behind.iter().position(|byte| *byte == b'}')?;
        (len > 0).then(|| &behind[..len])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
        })
    })
}

/// A node of a run of slots: its host, its port, and more.
fn node_address(node: &Value, asked: &Address) -> Option<Address> {
    let Value::Array(parts) = node else { return None };
    let [host, Value::Int(port), ..] = parts.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::Nil => "",
        _ => return None,
    };
    address(host, u16::try_from(*port).ok()?, asked)
}

/// A node without a host is where the one is that says so.
fn address(host: &str, port: u16, asked: &Address) -> Option<Address> {
    match (host, asked) {
        ("" | "?", Address::Tcp(host, _)) => Some(Address::Tcp(host.clone(), port)),
        ("" | "?", Address::Unix(_)) => None,
        (host, _) => Some(Address::Tcp(host.to_owned(), port)),
    }
}

const SLOTS: u16 = 16_384;
/// Nodes that are known at most: more than a cluster is made for.
const NODES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(port: u16) -> Address {
        Address::Tcp("10.0.0.1".to_owned(), port)
    }

    /// The answer of a node to `CLUSTER SLOTS`: runs, and the ports of who has them.
    fn slots(runs: &[(i64, i64, &[u16])]) -> Value {
        let host = |host: &str| Value::BulkString(host.as_bytes().to_vec());
        let node =
            |port: &u16| Value::Array(vec![host("10.0.0.1"), Value::Int(i64::from(*port)), host("id")]);
        let run = |(first, last, ports): &(i64, i64, &[u16])| {
            let nodes = ports.iter().map(node);
            Value::Array([Value::Int(*first), Value::Int(*last)].into_iter().chain(nodes).collect())
        };
        Value::Array(runs.iter().map(run).collect())
    }

    fn reached(route: &Route, cluster: &Cluster, failures: u32) -> Address {
        route.next(cluster, failures).to
    }

    #[test]
    fn a_key_has_the_slot_that_the_specification_says() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, slot) in [("foo", 12_182), ("{net:shard:0}", 7_593), ("net:meta", 14_524)] {
            assert_eq!(super::slot(key.as_bytes()), slot, "{key}");
        }
        assert_eq!(super::slot(b"a{foo}b{c}"), super::slot(b"foo"));
        assert_ne!(super::slot(b"{}foo"), super::slot(b"foo"));
        assert_eq!(super::slot(b"{foo"), crc16(b"{foo") % SLOTS);
    }

    #[test]
    fn a_route_leads_to_the_owner_and_after_failures_to_each_that_is_known() {
        let mut cluster = Cluster::new(tcp(1));
        let route = Route::new(Some(200));
        assert_eq!(reached(&route, &cluster, 7), tcp(1), "the seed is all that is known");
        cluster.learn(&slots(&[(0, 99, &[2, 5]), (100, 16_383, &[3, 6])]), &tcp(1));
        let tried: Vec<_> = (0..7).map(|failures| reached(&route, &cluster, failures)).collect();
        assert_eq!(tried, [3, 3, 2, 5, 6, 1, 3].map(tcp));
    }

    #[test]
    fn a_route_follows_where_it_is_sent_until_that_fails() {
        let mut cluster = Cluster::new(tcp(1));
        cluster.learn(&slots(&[(0, 16_383, &[2])]), &tcp(1));
        let mut route = Route::new(Some(0));
        let ask = Redirect { to: tcp(3), is_asking: true };
        route.send(ask.clone());
        assert_eq!(route.next(&cluster, 0), ask);
        route.forget();
        assert_eq!(reached(&route, &cluster, 1), tcp(2));
    }

    #[test]
    fn a_node_that_is_alone_takes_nothing_from_what_is_known() {
        let mut cluster = Cluster::new(tcp(1));
        cluster.learn(&slots(&[(0, 16_383, &[2])]), &tcp(1));
        cluster.learn(&slots(&[]), &tcp(1));
        cluster.learn(&Value::Nil, &tcp(1));
        assert_eq!(cluster.owner(5), Some(&tcp(2)));
        assert_eq!(Route::new(Some(5)).elsewhere(&cluster, &tcp(2)), None);
        let elsewhere = Route::new(Some(5)).elsewhere(&cluster, &tcp(1)).map(|redirect| redirect.to);
        assert_eq!(elsewhere, Some(tcp(2)));
    }

    #[test]
    fn a_node_without_a_host_is_where_it_was_asked() {
        let parse = |to: &str| Redirect::parse(to, false, &tcp(1)).map(|redirect| redirect.to);
        assert_eq!(parse("10.0.0.1:7"), Some(tcp(7)));
        assert_eq!((parse(":7"), parse("?:7")), (Some(tcp(7)), Some(tcp(7))));
        assert_eq!(parse("::1:7"), Some(Address::Tcp("::1".to_owned(), 7)));
        assert_eq!((parse("7"), parse("h:70000"), parse("")), (None, None, None));
        let nameless = Value::Array(vec![Value::Nil, Value::Int(7)]);
        assert_eq!(node_address(&nameless, &tcp(1)), Some(tcp(7)));
    }
}
