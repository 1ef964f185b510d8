//! A Redis Cluster of a test's own: primaries and their replicas on free ports of loopback, ended with the test; and what an operator does
//! to one: slots moved step by step, primaries that crash, replicas that take over.

use std::time::{Duration, Instant};

use crate::redis::{Redis, free_port};
use crate::until;

/// A running cluster. Its first nodes are made primaries, and the others their replicas in turn.
pub struct Cluster {
    nodes: Vec<Redis>,
}

/// The slot of a key that is on its way from one node to another.
pub struct Migration<'a> {
    cluster: &'a Cluster,
    slot: String,
    from: usize,
    to: usize,
}

impl Cluster {
    /// A cluster without replicas.
    pub fn start(primaries: usize) -> Cluster {
        Cluster::with_replicas(primaries, 0)
    }

    /// A cluster in which each primary has so many replicas.
    pub fn with_replicas(primaries: usize, replicas: usize) -> Cluster {
        // Nobody is to be taken for dead where nobody can take over, however busy the machine is.
        let timeout_ms = if replicas == 0 { "30000" } else { "1000" };
        let nodes: Vec<Redis> = (0..primaries * (1 + replicas)).map(|_| node(timeout_ms)).collect();
        let cluster = Cluster { nodes };
        for (index, node) in cluster.nodes.iter().enumerate() {
            node.order(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
        }
        for (index, node) in cluster.nodes[..primaries].iter().enumerate() {
            let (first, behind) = (SLOTS * index / primaries, SLOTS * (index + 1) / primaries);
            node.order(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(behind - 1).to_string()]);
        }
        for (index, node) in cluster.nodes.iter().enumerate() {
            let bus_port = node.ask(&["CONFIG", "GET", "cluster-port"]);
            let bus_port = bus_port.lines().last().expect("its value");
            for other in &cluster.nodes[..index] {
                other.order(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), bus_port]);
            }
        }
        let count = cluster.nodes.len();
        until("the nodes know each other", || {
            cluster.nodes.iter().all(|node| {
                let known = lines_of(node);
                known.len() == count && known.iter().all(|line| !line.contains("handshake"))
            })
        });
        for (index, replica) in cluster.nodes[primaries..].iter().enumerate() {
            let primary = cluster.nodes[index % primaries].ask(&["CLUSTER", "MYID"]);
            replica.order(&["CLUSTER", "REPLICATE", &primary]);
        }
        cluster.until_it_stands();
        cluster
    }

    /// Its `redis` section for a bus whose seed is a node, with more options.
    pub fn section(&self, seed: usize, options: &str) -> String {
        let port = self.nodes[seed].port();
        format!(r#""redis":{{"url":"redis://127.0.0.1:{port}","cluster":true{options}}}"#)
    }

    /// One of its nodes.
    pub fn node(&self, index: usize) -> &Redis {
        &self.nodes[index]
    }

    /// Who has the slot of a key, as that node says itself.
    pub fn owner(&self, key: &str) -> Option<usize> {
        let slot = self.slot(key);
        self.nodes.iter().position(|node| {
            node.try_ask(&["CLUSTER", "NODES"]).is_some_and(|nodes| {
                let mine = nodes.lines().find(|line| line.contains("myself"));
                mine.is_some_and(|line| line.contains("master") && has_slot(line, slot))
            })
        })
    }

    /// The replica of a node, which it is at the beginning.
    pub fn replica_of(&self, primary: usize) -> usize {
        let id = self.nodes[primary].ask(&["CLUSTER", "MYID"]);
        let is_its = |node: &Redis| {
            lines_of(node).iter().any(|line| line.contains("myself") && line.contains(&format!("slave {id}")))
        };
        self.nodes.iter().position(is_its).expect("it has one")
    }

    /// From now on the replica of a node hears nothing new of it, or does again.
    pub fn set_cut_off(&self, primary: usize, replica: usize, cut_off: bool) {
        let user = if cut_off { "nobody" } else { "" };
        self.nodes[replica].order(&["CONFIG", "SET", "masteruser", user, "masterauth", user]);
        if cut_off {
            self.nodes[primary].ask(&["CLIENT", "KILL", "TYPE", "replica"]);
            until("it has lost its primary", || {
                self.nodes[replica].ask(&["INFO", "replication"]).contains("master_link_status:down")
            });
        }
    }

    /// Ends a node at once, as a crash does.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Starts a node again, with nothing but its place in the cluster.
    pub fn launch(&mut self, node: usize) {
        self.nodes[node].launch();
    }

    /// Has a replica of the node take over that has the slot of a key, as an operator plans it: the node stands back until the
    /// replica has everything.
    pub fn fail_over(&self, key: &str) {
        let primary = self.owner(key).expect("somebody has it");
        let replica = &self.nodes[self.replica_of(primary)];
        let mut ordered_at: Option<Instant> = None;
        until("the replica takes over", || {
            // The others may not agree, and it gives up after five seconds.
            if ordered_at.is_none_or(|ordered_at| ordered_at.elapsed() > Duration::from_secs(6)) {
                replica.order(&["CLUSTER", "FAILOVER"]);
                ordered_at = Some(Instant::now());
            }
            self.owner(key).is_some_and(|owner| owner != primary)
        });
        self.until_it_stands();
    }

    /// Starts a node again whose place was taken, and waits until it is a replica that has everything.
    pub fn rejoin(&mut self, node: usize) {
        self.launch(node);
        until("it follows", || {
            let info = self.nodes[node].ask(&["INFO", "replication"]);
            info.contains("role:slave") && info.contains("master_link_status:up")
        });
    }

    /// Waits until somebody else than `before` has the slot of a key.
    pub fn until_taken_over(&self, key: &str, before: usize) -> usize {
        let mut owner = before;
        until("a replica is promoted", || {
            owner = self.owner(key).unwrap_or(before);
            owner != before
        });
        owner
    }

    /// Waits until the replicas of a node have all that it has. Nobody writes meanwhile.
    pub fn until_replicated(&self, primary: usize) {
        // Each command comes over a connection of its own, so what is waited for is everything.
        let is_in = |info: &str| {
            let field =
                |name: &str| info.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::to_owned);
            let replica = field("slave0:").expect("it has one");
            let reached = replica.split(',').find_map(|part| part.strip_prefix("offset=")).map(str::to_owned);
            reached == field("master_repl_offset:")
        };
        until("the replica has everything", || is_in(&self.nodes[primary].ask(&["INFO", "replication"])));
    }

    /// Waits until every slot is served and every replica is up to date.
    pub fn until_it_stands(&self) {
        until("every slot is served", || {
            self.nodes.iter().all(|node| {
                node.try_ask(&["CLUSTER", "INFO"]).is_some_and(|info| info.contains("cluster_state:ok"))
            })
        });
        until("every replica follows", || {
            self.nodes.iter().all(|node| {
                let info = node.ask(&["INFO", "replication"]);
                !info.contains("role:slave") || info.contains("master_link_status:up")
            })
        });
    }

    /// Begins to move the slot of a key to a node: each key is where it was until it is carried.
    pub fn begin_migration(&self, key: &str, to: usize) -> Migration<'_> {
        let from = self.owner(key).expect("somebody has it");
        let slot = self.slot(key).to_string();
        let id = |node: usize| self.nodes[node].ask(&["CLUSTER", "MYID"]);
        self.nodes[to].order(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
        self.nodes[from].order(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
        Migration { cluster: self, slot, from, to }
    }

    /// Moves the slot of a key to a node.
    pub fn migrate(&self, key: &str, to: usize) {
        let migration = self.begin_migration(key, to);
        migration.carry();
        migration.finish();
    }

    fn slot(&self, key: &str) -> usize {
        let asked = self.nodes.iter().find_map(|node| node.try_ask(&["CLUSTER", "KEYSLOT", key]));
        asked.expect("a node runs").parse().expect("a number")
    }
}

impl Migration<'_> {
    /// Carries the keys over. From then on who has the slot sends everybody on with `ASK`.
    pub fn carry(&self) {
        let (from, to) = (&self.cluster.nodes[self.from], &self.cluster.nodes[self.to]);
        loop {
            let keys = from.ask(&["CLUSTER", "GETKEYSINSLOT", &self.slot, "100"]);
            if keys.is_empty() {
                return;
            }
            for key in keys.lines() {
                let port = to.port().to_string();
                let answer = from.ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "10000"]);
                assert!(answer == "OK" || answer == "NOKEY", "{answer}");
            }
        }
    }

    /// The slot has moved, and everybody is told.
    pub fn finish(self) {
        let id = self.cluster.nodes[self.to].ask(&["CLUSTER", "MYID"]);
        for node in [self.to, self.from] {
            self.cluster.nodes[node].order(&["CLUSTER", "SETSLOT", &self.slot, "NODE", &id]);
        }
    }
}

/// A node that is alone yet.
fn node(timeout_ms: &str) -> Redis {
    let bus_port = free_port().to_string();
    let options = ["--cluster-enabled", "yes", "--cluster-port", &bus_port];
    let times = ["--cluster-node-timeout", timeout_ms, "--repl-diskless-sync-delay", "0"];
    let keeps = ["--save", "", "--appendonly", "no"];
    Redis::with(&[&options[..], &times[..], &keeps[..]].concat())
}

/// The nodes that a node knows.
fn lines_of(node: &Redis) -> Vec<String> {
    node.ask(&["CLUSTER", "NODES"]).lines().map(str::to_owned).collect()
}

/// Whether a node's own line in `CLUSTER NODES` names a slot as its own. One in brackets is on its way.
fn has_slot(line: &str, slot: usize) -> bool {
    let runs = line.split(' ').skip(8).filter(|run| !run.starts_with('['));
    runs.filter_map(|run| {
        let (first, last) = run.trim().split_once('-').unwrap_or((run.trim(), run.trim()));
        Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
    })
    .any(|run| run.contains(&slot))
}

const SLOTS: usize = 16_384;
