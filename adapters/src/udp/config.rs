//! The `net` section of a configuration, parsed into what cannot be wrong.

use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::config::{ConfigError, parse_section};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::aead::{Cipher, TAG_BYTES};
use super::channel::{PLAINTEXT_MAX, PLAINTEXT_MIN, Reliability};
use super::keyring::{MTU_MIN, SHARDS_MAX};
use super::keys::{KeyPair, Psk, PublicKey, SecretKey};
use super::packet::HEADER_BYTES;
use super::role::{Initiator, PeerAddress, Responder, Role, parse_admitted};
use super::secret_file;
use crate::memory::Retention;
use crate::noop::NoopStores;

/// How a bus exchanges events with one in another process.
#[derive(Clone, Debug)]
pub struct UdpConfig {
    /// Which side it is, where, and with which keys.
    pub(super) role: Role,
    /// What both sides know.
    pub(super) psk: Psk,
    /// What becomes of lost packets. Default `full`.
    pub(super) reliability: Reliability,
    /// How packets are encrypted. Default: as the initiator, with what this machine is faster at; as the responder, as the
    /// initiator proposes.
    pub(super) cipher: Option<Cipher>,
    /// Packets that a shard keeps room for, 64 to 65,536. Default 4,096.
    pub(super) packet_pool_size: usize,
    /// How long a session is silent before it says that it lives. 10 ms to 1 h; default 1 s, or a third of
    /// `session_timeout` if that is less.
    pub(super) heartbeat_interval: Duration,
    /// Without a packet for so long a session is over. More than `heartbeat_interval`, up to 1 d; default 10 s, or three
    /// `heartbeat_interval` if that is more.
    pub(super) session_timeout: Duration,
    /// Whether many packets go through the kernel at a time. Default: yes.
    pub(super) batched_io: bool,
    /// Bytes of a UDP payload at most, 576 to 65,507. Default 1,452: Ethernet's 1,500 less the headers of IPv6 and UDP.
    pub(super) mtu: usize,
    /// Where received events go. Default: memory.
    pub(super) store: ReceivedStore,
}

/// Where received events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceivedStore {
    /// Into memory, until retention removes them.
    Memory(Retention),
    /// To subscribers that keep up, and nowhere else.
    Noop,
}

impl UdpConfig {
    /// Parses the `net` section of a bus with `shards` shards. Reads the files that it names; looks no name up.
    pub fn parse(options: Value, shards: NonZeroU16) -> Result<UdpConfig, ConfigError> {
        let document: Document = parse_section(SECTION, options)?;
        if shards.get() > SHARDS_MAX {
            let reason = format!("{shards} are more than the {SHARDS_MAX} that a `net` section goes with");
            return Err(ConfigError::new("num_shards", reason));
        }
        let packet_pool_size = document.packet_pool_size.unwrap_or(4_096);
        let mtu = document.mtu.unwrap_or(1_452);
        within(
            "packet_pool_size",
            packet_pool_size as u64,
            POOL_PACKETS_MIN as u64,
            POOL_PACKETS_MAX as u64,
        )?;
        within("mtu", mtu as u64, u64::from(MTU_MIN), MTU_BYTES_MAX as u64)?;
        let (heartbeat_interval, session_timeout) =
            intervals(document.heartbeat_interval_ms, document.session_timeout_ms)?;
        Ok(UdpConfig {
            psk: document.psk()?,
            reliability: document.reliability.unwrap_or(Reliability::Full),
            cipher: document.cipher.and_then(CipherName::cipher),
            packet_pool_size,
            heartbeat_interval,
            session_timeout,
            batched_io: document.batched_io.unwrap_or(true),
            mtu,
            store: ReceivedStore::parse(document.store.clone())?,
            role: match document.role {
                RoleName::Initiator => Role::Initiator(document.initiator(shards)?),
                RoleName::Responder => Role::Responder(document.responder()?),
            },
        })
    }
}

impl ReceivedStore {
    /// Reads the name of a store, or an object with one store section.
    fn parse(value: Option<Value>) -> Result<ReceivedStore, ConfigError> {
        let (name, options) = match value {
            None => return Ok(ReceivedStore::Memory(Retention::default())),
            Some(Value::String(name)) => (name, Value::Null),
            Some(Value::Object(section)) if section.len() == 1 => {
                section.into_iter().next().expect("it has one key")
            }
            Some(_) => return Err(refused("store", "expected \"memory\" or {\"memory\":{…}}")),
        };
        let options = if options.is_null() { json!({}) } else { options };
        let below =
            |error: ConfigError| ConfigError::new(format!("{SECTION}.store.{}", error.path), error.reason);
        match name.as_str() {
            "memory" => Retention::parse(options).map(ReceivedStore::Memory).map_err(below),
            "noop" => NoopStores::parse(options).map(|_| ReceivedStore::Noop).map_err(below),
            name => {
                Err(refused("store", &format!("`{name}` takes no received events; expected memory or noop")))
            }
        }
    }
}

/// The bus of another process, over encrypted UDP. `null` means the default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Who begins.
    role: RoleName,
    /// Where its sockets are. The responder's shards share this port; the initiator's have this and those that follow, or with port 0 any.
    ///
    /// `IP:port`. Default: of an initiator any; a responder must have one.
    bind_addr: Option<SocketAddr>,
    /// Of an initiator: where the responder is. Of a responder: the only address from which packets are looked at, whatever the port.
    ///
    /// `IP:port` or `name:port`; of a responder `IP` or `IP:port`. Default: of a responder any; an initiator must have one.
    peer_addr: Option<String>,
    /// The responder's public key; an initiator must have it.
    ///
    /// 64 hexadecimal digits. Default: none.
    peer_public_key: Option<String>,
    /// The responder's secret key; together with `public_key`.
    ///
    /// 64 hexadecimal digits. Default: none.
    secret_key: Option<Zeroizing<String>>,
    /// The public key that belongs to it; together with `secret_key`.
    ///
    /// 64 hexadecimal digits. Default: none.
    public_key: Option<String>,
    /// Both keys of a responder, as `net_generate_keypair` prints them, instead of `secret_key` and `public_key`.
    ///
    /// A file that only its owner can read. Default: none.
    key_file: Option<PathBuf>,
    /// What both sides know, and nobody else; `psk` or `psk_file` must be there.
    ///
    /// 64 hexadecimal digits. Default: none.
    psk: Option<Zeroizing<String>>,
    /// The same.
    ///
    /// A file with 64 hexadecimal digits, which only its owner can read. Default: none.
    psk_file: Option<PathBuf>,
    /// What becomes of lost packets; the same on both sides.
    ///
    /// Default: `"full"`.
    reliability: Option<Reliability>,
    /// How packets are encrypted. An initiator proposes this, or with `auto` what its CPU is faster at; a responder takes nothing else, or with
    /// `auto` either.
    ///
    /// Default: `"auto"`.
    cipher: Option<CipherName>,
    /// Packets that a session has under way at most; what it keeps of them is that times `mtu`.
    ///
    /// 64 to 65,536. Default: 4,096.
    packet_pool_size: Option<usize>,
    /// How long a session is silent before it says that it lives.
    ///
    /// 10 to 3,600,000. Default: 1,000, or a third of `session_timeout_ms` if that is less.
    heartbeat_interval_ms: Option<u64>,
    /// Without a packet for so long the peer is gone, and is called again.
    ///
    /// Above `heartbeat_interval_ms`, up to 86,400,000. Default: 10,000, or three `heartbeat_interval_ms` if that is more.
    session_timeout_ms: Option<u64>,
    /// Whether many packets go through the kernel at a time.
    ///
    /// Default: true.
    batched_io: Option<bool>,
    /// Bytes of a UDP payload at most; the default fits Ethernet with IPv6.
    ///
    /// 576 to 65,507. Default: 1,452.
    mtu: Option<usize>,
    /// Where received events go: `memory` has its retention, `noop` keeps nothing for polls.
    ///
    /// `"memory"`, `{"memory":{…}}` or `"noop"`. Default: `"memory"`.
    store: Option<Value>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RoleName {
    /// It knows the responder's address and public key, and calls.
    Initiator,
    /// It has a key pair and a port, and answers.
    Responder,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CipherName {
    /// What the initiator's CPU is faster at.
    Auto,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
    /// AES-256-GCM.
    Aes256Gcm,
}

impl CipherName {
    fn cipher(self) -> Option<Cipher> {
        match self {
            CipherName::Auto => None,
            CipherName::ChaCha20Poly1305 => Some(Cipher::ChaCha20Poly1305),
            CipherName::Aes256Gcm => Some(Cipher::Aes256Gcm),
        }
    }
}

impl Document {
    fn psk(&self) -> Result<Psk, ConfigError> {
        match (&self.psk, &self.psk_file) {
            (Some(hex), None) => Psk::from_hex(hex).map_err(|error| refused("psk", &error)),
            (None, Some(path)) => {
                let text = content("psk_file", path)?;
                let hex = text.strip_suffix('\n').unwrap_or(&text);
                Psk::from_hex(hex.strip_suffix('\r').unwrap_or(hex))
                    .map_err(|error| refused("psk_file", &format!("{}: {error}", path.display())))
            }
            (Some(_), Some(_)) => Err(refused("psk_file", "`psk` already says it")),
            (None, None) => Err(refused("psk", "missing; `psk` or `psk_file` says it")),
        }
    }

    fn initiator(self, shards: NonZeroU16) -> Result<Initiator, ConfigError> {
        let of_responders = [
            ("secret_key", self.secret_key.is_some()),
            ("public_key", self.public_key.is_some()),
            ("key_file", self.key_file.is_some()),
        ];
        if let Some((key, _)) = of_responders.iter().find(|(_, is_there)| *is_there) {
            return Err(refused(key, "only of a responder; an initiator makes its keys itself"));
        }
        let peer = self.peer_addr.ok_or_else(|| refused("peer_addr", "missing; an initiator has one"))?;
        let peer = PeerAddress::parse(&peer).map_err(|reason| refused("peer_addr", reason))?;
        let key = self
            .peer_public_key
            .ok_or_else(|| refused("peer_public_key", "missing; an initiator has one"))?;
        let peer_public_key =
            PublicKey::from_hex(&key).map_err(|error| refused("peer_public_key", &error))?;
        if let Some(bind) = self.bind_addr {
            let last = u32::from(bind.port()) + u32::from(shards.get()) - 1;
            if bind.port() != 0 && last > u32::from(u16::MAX) {
                let reason =
                    format!("the socket of each of {shards} shards has a port of its own, the last {last}");
                return Err(refused("bind_addr", &reason));
            }
            if matches!(peer, PeerAddress::Socket(peer) if peer.is_ipv4() != bind.is_ipv4()) {
                return Err(refused("bind_addr", &format!("nothing goes from there to {peer}")));
            }
        }
        Ok(Initiator { peer, peer_public_key, bind: self.bind_addr })
    }

    fn responder(self) -> Result<Responder, ConfigError> {
        if self.peer_public_key.is_some() {
            return Err(refused(
                "peer_public_key",
                "only of an initiator, whom nobody needs to know by a key",
            ));
        }
        let bind = self.bind_addr.ok_or_else(|| refused("bind_addr", "missing; a responder has one"))?;
        if bind.port() == 0 {
            return Err(refused("bind_addr", "a responder has a port that its peer knows"));
        }
        let peer = match &self.peer_addr {
            Some(text) => parse_admitted(text).map_err(|reason| refused("peer_addr", reason))?,
            None => None,
        };
        Ok(Responder { bind, peer, keys: self.keys()? })
    }

    fn keys(self) -> Result<KeyPair, ConfigError> {
        match (self.secret_key, self.public_key, self.key_file) {
            (Some(secret), Some(public), None) => {
                let secret = SecretKey::from_hex(&secret).map_err(|error| refused("secret_key", &error))?;
                let public = PublicKey::from_hex(&public).map_err(|error| refused("public_key", &error))?;
                KeyPair::new(secret, public).map_err(|error| refused("public_key", &error))
            }
            (None, None, Some(path)) => {
                let text = content("key_file", &path)?;
                KeyPair::from_json(&text)
                    .map_err(|error| refused("key_file", &format!("{}: {error}", path.display())))
            }
            (None, None, None) => Err(refused(
                "key_file",
                "missing; it or `secret_key` with `public_key` says a responder's keys",
            )),
            (Some(_), None, None) => Err(refused("secret_key", "only together with `public_key`")),
            (None, Some(_), None) => Err(refused("public_key", "only together with `secret_key`")),
            (Some(_), _, Some(_)) => Err(refused("key_file", "`secret_key` already says it")),
            (None, Some(_), Some(_)) => Err(refused("key_file", "`public_key` already says it")),
        }
    }
}

/// Heartbeat and timeout, each the default or what goes with the other.
fn intervals(heartbeat: Option<u64>, timeout: Option<u64>) -> Result<(Duration, Duration), ConfigError> {
    let heartbeat_ms = match (heartbeat, timeout) {
        (Some(heartbeat), _) => heartbeat,
        (None, Some(timeout)) => (timeout / BEATS).clamp(HEARTBEAT_MS_MIN, HEARTBEAT_MS),
        (None, None) => HEARTBEAT_MS,
    };
    if !engine::planted!("33-any-heartbeat-is-taken") {
        within("heartbeat_interval_ms", heartbeat_ms, HEARTBEAT_MS_MIN, HEARTBEAT_MS_MAX)?;
    }
    let timeout_ms = timeout.unwrap_or_else(|| (heartbeat_ms * BEATS).max(SESSION_TIMEOUT_MS));
    within("session_timeout_ms", timeout_ms, heartbeat_ms + 1, SESSION_TIMEOUT_MS_MAX)?;
    Ok((Duration::from_millis(heartbeat_ms), Duration::from_millis(timeout_ms)))
}

fn within(key: &str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if value < min || value > max {
        return Err(refused(key, &format!("{value} is not in {min}..={max}")));
    }
    Ok(())
}

fn content(key: &str, path: &Path) -> Result<Zeroizing<String>, ConfigError> {
    secret_file::read(path).map_err(|error| refused(key, &format!("{}: {error}", path.display())))
}

fn refused(key: &str, reason: &(impl Display + ?Sized)) -> ConfigError {
    ConfigError::new(format!("{SECTION}.{key}"), reason.to_string())
}

const SECTION: &str = "net";
const POOL_PACKETS_MIN: usize = 64;
const POOL_PACKETS_MAX: usize = 65_536;
/// What IPv4 has room for: 65,535 less its header and UDP's.
const MTU_BYTES_MAX: usize = 65_507;
const _: () = assert!(MTU_BYTES_MAX - HEADER_BYTES - TAG_BYTES <= PLAINTEXT_MAX);
const _: () = assert!(MTU_MIN as usize - HEADER_BYTES - TAG_BYTES >= PLAINTEXT_MIN);
const HEARTBEAT_MS: u64 = 1_000;
const HEARTBEAT_MS_MIN: u64 = 10;
const HEARTBEAT_MS_MAX: u64 = 3_600_000;
const SESSION_TIMEOUT_MS: u64 = 10_000;
const SESSION_TIMEOUT_MS_MAX: u64 = 86_400_000;
/// Heartbeats of a timeout: one or two may be lost.
const BEATS: u64 = 3;

#[cfg(test)]
mod tests;
