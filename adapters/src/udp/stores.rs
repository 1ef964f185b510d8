//! Makes the stores of one bus: opens all sockets at once, and gives each shard its own.

use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};

use engine::adapter::{Adapter, AdapterError, AdapterFactory, ShardContext, Streams};
use engine::clock::Monotonic;
use engine::config::Config;
use engine::counters::CountName;
use engine::identity::random_word;
use zeroize::Zeroizing;

use super::aead::Cipher;
use super::answerer::Answerer;
use super::arrivals::Arrivals;
use super::channel::Settings;
use super::claim::Claim;
use super::config::{ReceivedStore, UdpConfig};
use super::counts;
use super::departures::Departures;
use super::dialer::Dialer;
use super::endpoint::{Endpoint, Side};
use super::entropy::SystemEntropy;
use super::initiator::Initiator;
use super::keyring::Peer;
use super::place::Place;
use super::readiness::Readiness;
use super::resolve::Resolved;
use super::responder::Responder;
use super::role::{PeerAddress, Role};
use super::socket::Socket;
use super::sockets;
use super::store::UdpStore;
use crate::memory::MemoryStores;
use crate::noop::NoopStores;

/// Makes the stores of one bus, whose events go to another process.
pub struct UdpStores {
    config: UdpConfig,
    local: Peer,
    /// The socket of each shard, until the shard takes it.
    sockets: Mutex<Vec<Option<Socket>>>,
    /// Where the responder is; of an initiator.
    responder: Option<Resolved>,
    claim: Arc<Claim>,
    /// Where received events go.
    received: Box<dyn AdapterFactory>,
    event_bytes_max: usize,
}

impl UdpStores {
    /// Opens the sockets. Nothing is sent before the shards run.
    pub fn new(udp: UdpConfig, config: &Config) -> Result<UdpStores, AdapterError> {
        let shards = config.num_shards;
        let (role, bind) = match &udp.role {
            Role::Initiator(initiator) => (sockets::Role::Initiator, initiator.bind_addr()),
            Role::Responder(responder) => (sockets::Role::Responder, responder.bind),
        };
        let failed = |error: &dyn std::fmt::Display| AdapterError::Final(error.to_string());
        let opened = sockets::open(role, bind, shards, udp.batched_io).map_err(|error| failed(&error))?;
        let responder = match &udp.role {
            Role::Responder(_) => None,
            Role::Initiator(initiator) => Some(match &initiator.peer {
                PeerAddress::Socket(peer) => Resolved::known(*peer),
                PeerAddress::Name { host, port } => {
                    Resolved::look_up(host.clone(), *port, bind.is_ipv4()).map_err(|error| failed(&error))?
                }
            }),
        };
        let received: Box<dyn AdapterFactory> = match udp.store {
            ReceivedStore::Memory(retention) => Box::new(MemoryStores::new(retention, shards)),
            ReceivedStore::Noop => Box::new(NoopStores::new()),
        };
        Ok(UdpStores {
            local: Peer { instance: random_word(), shards: shards.get(), mtu: udp.mtu as u16 },
            config: udp,
            sockets: Mutex::new(opened.into_iter().map(Some).collect()),
            responder,
            claim: Arc::default(),
            received,
            event_bytes_max: config.max_event_bytes,
        })
    }

    fn side(&self) -> Result<Side, AdapterError> {
        let psk = Zeroizing::new(*self.config.psk.bytes());
        Ok(match (&self.config.role, &self.responder) {
            (Role::Initiator(config), Some(address)) => {
                let initiator = Initiator::new(psk, *config.peer_public_key.bytes())
                    .map_err(|_| AdapterError::Final("`net.peer_public_key` is no key".to_owned()))?;
                let cipher = self.config.cipher.unwrap_or_else(Cipher::auto);
                Side::Initiator(Dialer::new(initiator, cipher, address.clone(), fastrand::Rng::new()))
            }
            (Role::Initiator(_), None) => unreachable!("an initiator was given an address above"),
            (Role::Responder(config), _) => {
                let mut entropy = SystemEntropy::new();
                let secret = Zeroizing::new(*config.keys.secret().bytes());
                let responder = Responder::new(psk, secret, START, &mut entropy);
                let claim = Arc::clone(&self.claim);
                Side::Responder(Answerer::new(responder, claim, self.config.cipher, config.peer, entropy))
            }
        })
    }
}

impl AdapterFactory for UdpStores {
    fn tag(&self) -> &'static str {
        "net"
    }

    fn incarnation(&self) -> u64 {
        self.received.incarnation()
    }

    fn streams(&self) -> Streams {
        // What is read is what was received, and not what was sent.
        Streams::Shared(NonZeroU16::new(self.local.shards).unwrap_or(NonZeroU16::MIN))
    }

    fn count_names(&self) -> &'static [CountName] {
        &counts::NAMES
    }

    fn open(&self, context: ShardContext) -> Result<Box<dyn Adapter>, AdapterError> {
        let ShardContext { shard, shards, nonce, is_new, notify } = context;
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = sockets.get_mut(shard.index()).and_then(Option::take);
        let socket =
            socket.ok_or_else(|| AdapterError::Final("a shard's socket was taken before".to_owned()))?;
        let readiness = Readiness::watch(&socket, notify.clone())
            .map_err(|error| AdapterError::Final(format!("the socket cannot be watched: {error}")))?;
        let place = Place {
            shard: shard.0,
            local: self.local,
            settings: Settings {
                reliability: self.config.reliability,
                plaintext_max: self.config.mtu,
                window_blocks: self.config.packet_pool_size as u32,
                event_bytes_max: self.event_bytes_max,
                kept_bytes_max: self.config.packet_pool_size * self.config.mtu,
            },
            heartbeat: self.config.heartbeat_interval,
            timeout: self.config.session_timeout,
        };
        let received = self.received.open(ShardContext { shard, shards, nonce, is_new, notify })?;
        let departures = Departures::new(self.config.mtu);
        let endpoint = Endpoint::new(self.side()?, place, START);
        Ok(Box::new(UdpStore::new(endpoint, socket, readiness, Arrivals::new(received, shard), departures)))
    }
}

/// What the clock shows before the first round.
const START: Monotonic = Monotonic(0);
