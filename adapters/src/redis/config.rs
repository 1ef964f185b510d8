//! The `redis` section of a configuration, parsed into what cannot be wrong.

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::adapter::AdapterError;
use engine::config::{ConfigError, parse_section};
use redis::{ConnectionAddr, IntoConnectionInfo};
use rustls::ClientConfig;
use serde::Deserialize;
use serde_json::Value;

use super::client::Client;
use super::cluster;
use super::connect::Target;
use super::tls;
use super::trust::Files;

/// How the shards of a bus use a Redis server.
#[derive(Clone)]
pub struct RedisConfig {
    /// Where the server is, and who asks.
    pub(super) server: Server,
    /// Whether it is a node of a Redis Cluster. Default: no.
    pub(super) is_cluster: bool,
    /// What the keys begin with: the stream of shard 3 is `{prefix}:shard:3`, in braces in a cluster. 1 to 200 bytes. Default `net`.
    pub(super) prefix: String,
    /// Events of one transaction, 1 to 100,000. Default 1,000.
    pub(super) pipeline_size: usize,
    /// Entries that a stream keeps, approximately. Default: all.
    pub(super) max_stream_len: Option<NonZeroU64>,
    /// Replicas that must have a batch before it is stored, 0 to 100. Default 0.
    pub(super) wait_replicas: u64,
    /// How long one attempt to connect may take. 1 ms to 10 s; default 1 s.
    pub(super) connect_timeout: Duration,
    /// Whom TLS trusts, where the URL asks for it. Default: whom the system trusts.
    trust: Option<Arc<ClientConfig>>,
}

/// A server, and who asks.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: i64,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(host, port) => write!(formatter, "{host}:{port}"),
            Address::Unix(path) => path.display().fmt(formatter),
        }
    }
}

impl fmt::Debug for RedisConfig {
    /// Without the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisConfig")
            .field("address", &self.server.address)
            .field("is_cluster", &self.is_cluster)
            .field("prefix", &self.prefix)
            .field("pipeline_size", &self.pipeline_size)
            .field("max_stream_len", &self.max_stream_len)
            .field("wait_replicas", &self.wait_replicas)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

/// The store in Redis Streams.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// The server. With `rediss://` it has to prove over TLS that it is the URL's host.
    ///
    /// `redis://user:password@host:port/db`, `rediss://…`, or `redis+unix:///path?db=2&user=u&pass=p`.
    url: String,
    /// Whether the server is a node of a Redis Cluster.
    ///
    /// Default: false.
    #[serde(default)]
    cluster: bool,
    /// What the keys begin with: the stream of shard 3 is `net:shard:3`, and `net:meta` says how many streams there are.
    ///
    /// A text of 1 to 200 bytes. Default: `net`.
    prefix: Option<String>,
    /// Events of one transaction at most.
    ///
    /// 1 to 100,000. Default: 1,000.
    pipeline_size: Option<usize>,
    /// About how many entries a stream keeps (`MAXLEN ~`).
    ///
    /// At least 1. Default: everything is kept.
    max_stream_len: Option<NonZeroU64>,
    /// Replicas that must have a batch before it counts as stored (`WAIT`).
    ///
    /// 0 to 100. Default: 0.
    wait_replicas: Option<u64>,
    /// How long one attempt to connect may take, with looking up the name and the TLS handshake.
    ///
    /// 1 to 10,000. Default: 1,000.
    connect_timeout_ms: Option<u64>,
    /// Who may vouch for the server.
    ///
    /// A PEM file. Default: whom the system trusts.
    tls_ca_path: Option<PathBuf>,
    /// As whom the bus speaks to a server that asks; together with `tls_key_path`.
    ///
    /// A PEM file. Default: no certificate.
    tls_cert_path: Option<PathBuf>,
    /// Its key; together with `tls_cert_path`.
    ///
    /// A PEM file. Default: none.
    tls_key_path: Option<PathBuf>,
}

impl RedisConfig {
    /// Parses the `redis` section.
    pub fn parse(options: Value) -> Result<RedisConfig, ConfigError> {
        let document: Document = parse_section("redis", options)?;
        let prefix = document.prefix.unwrap_or_else(|| "net".to_owned());
        if prefix.is_empty() || prefix.len() > PREFIX_BYTES_MAX {
            return Err(ConfigError::new("redis.prefix", format!("not 1 to {PREFIX_BYTES_MAX} bytes long")));
        }
        let pipeline_size = document.pipeline_size.unwrap_or(1_000);
        if !(1..=PIPELINE_SIZE_MAX).contains(&pipeline_size) {
            let reason = format!("{pipeline_size} is not in 1..={PIPELINE_SIZE_MAX}");
            return Err(ConfigError::new("redis.pipeline_size", reason));
        }
        let connect_timeout_ms = document.connect_timeout_ms.unwrap_or(1_000);
        if !(1..=CONNECT_TIMEOUT_MS_MAX).contains(&connect_timeout_ms) {
            let reason = format!("{connect_timeout_ms} is not in 1..={CONNECT_TIMEOUT_MS_MAX}");
            return Err(ConfigError::new("redis.connect_timeout_ms", reason));
        }
        let wait_replicas = document.wait_replicas.unwrap_or(0);
        if wait_replicas > REPLICAS_MAX {
            let reason = format!("{wait_replicas} is not in 0..={REPLICAS_MAX}");
            return Err(ConfigError::new("redis.wait_replicas", reason));
        }
        let files =
            Files { ca: document.tls_ca_path, cert: document.tls_cert_path, key: document.tls_key_path };
        let (server, wants_tls) = Server::parse(&document.url)?;
        let trust = match files.first_key() {
            Some(key) if !wants_tls => {
                return Err(ConfigError::new(key, "only with a `rediss://` URL".to_owned()));
            }
            _ => wants_tls.then(|| files.read()).transpose()?,
        };
        if document.cluster {
            server.check_cluster()?;
            if prefix.contains(['{', '}']) {
                let reason = "a brace: with `cluster` the keys have braces of their own".to_owned();
                return Err(ConfigError::new("redis.prefix", reason));
            }
        }
        Ok(RedisConfig {
            server,
            trust,
            is_cluster: document.cluster,
            prefix,
            pipeline_size,
            max_stream_len: document.max_stream_len,
            wait_replicas,
            connect_timeout: Duration::from_millis(connect_timeout_ms),
        })
    }

    /// How to connect to the server, or to another node, at `address`.
    pub(super) fn target(&self, address: &Address) -> Target {
        Target { address: address.clone(), trust: self.trust.clone(), timeout: self.connect_timeout }
    }

    /// Has the server execute one command, over a connection of its own, within `connect_timeout_ms`. For tools.
    pub fn execute(&self, words: &[&str]) -> Result<(), AdapterError> {
        let deadline = Instant::now() + self.connect_timeout;
        let mut client = Client::connect(self, &self.server.address, deadline)?;
        client.ask(|command| words.iter().fold(command, |command, word| command.arg(word)))?;
        Ok(())
    }

    /// Key of a stream. In a cluster all of it is the hash tag, so that what others keep beside a stream can be put into its slot.
    pub(super) fn stream_key(&self, stream: u16) -> String {
        let key = format!("{}:shard:{stream}", self.prefix);
        if self.is_cluster { format!("{{{key}}}") } else { key }
    }

    /// Key of the hash that says how many streams there are.
    pub(super) fn meta_key(&self) -> String {
        format!("{}:meta", self.prefix)
    }

    /// Slot of a key; `None` where there is one server.
    pub(super) fn slot(&self, key: &str) -> Option<u16> {
        self.is_cluster.then(|| cluster::slot(key.as_bytes()))
    }
}

impl Server {
    /// The server that a URL names, and whether it asks for TLS.
    fn parse(url: &str) -> Result<(Server, bool), ConfigError> {
        let refused = |reason: String| ConfigError::new("redis.url", reason);
        let (plain, wants_tls) = without_tls(url);
        if wants_tls && let Some((_, fragment)) = url.split_once('#') {
            let reason = match fragment {
                "insecure" => {
                    "`#insecure`: verification cannot be turned off; name who is trusted with `tls_ca_path`"
                }
                _ => "nothing can follow a `#`",
            };
            return Err(refused(reason.to_owned()));
        }
        let info = plain.into_connection_info().map_err(|error| refused(error.to_string()))?;
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Address::Tcp(host.clone(), *port),
            ConnectionAddr::Unix(path) => Address::Unix(path.clone()),
            _ => return Err(refused("expected redis://, rediss:// or redis+unix://".to_owned())),
        };
        if let (true, Address::Tcp(host, _)) = (wants_tls, &address)
            && tls::server_name(host).is_none()
        {
            return Err(refused(format!("`{host}` is no name that a certificate could be for")));
        }
        let settings = info.redis_settings();
        let server = Server {
            address,
            username: settings.username().map(str::to_owned),
            password: settings.password().map(str::to_owned),
            database: settings.db(),
        };
        Ok((server, wants_tls))
    }

    /// Whether it can be a node of a cluster.
    fn check_cluster(&self) -> Result<(), ConfigError> {
        let reason = match (&self.address, self.database) {
            (Address::Unix(_), _) => "a cluster's nodes are reached by host and port",
            (_, 1..) => "a cluster has the database 0 only",
            _ => return Ok(()),
        };
        Err(ConfigError::new("redis.url", reason.to_owned()))
    }
}

/// The same URL for a connection without TLS, and whether it asks for TLS.
fn without_tls(url: &str) -> (String, bool) {
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("rediss") => (format!("redis://{rest}"), true),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("valkeys") => (format!("valkey://{rest}"), true),
        _ => (url.to_owned(), false),
    }
}

const PREFIX_BYTES_MAX: usize = 200;
const PIPELINE_SIZE_MAX: usize = 100_000;
const REPLICAS_MAX: u64 = 100;
const CONNECT_TIMEOUT_MS_MAX: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_of_url_is_understood() {
        let server = |url: &str| RedisConfig::parse(json!({ "url": url })).expect(url).server;
        assert_eq!(server("redis://localhost").address, Address::Tcp("localhost".to_owned(), 6379));
        let full = server("redis://user:secret@10.0.0.1:7000/3");
        assert_eq!(full.address, Address::Tcp("10.0.0.1".to_owned(), 7000));
        assert_eq!((full.username.as_deref(), full.password.as_deref()), (Some("user"), Some("secret")));
        assert_eq!(full.database, 3);
        let unix = server("redis+unix:///run/redis.sock?db=2");
        assert_eq!((unix.address, unix.database), (Address::Unix("/run/redis.sock".into()), 2));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        for (options, path) in [
            (json!({}), "redis"),
            (json!({ "url": "http://localhost" }), "redis.url"),
            (json!({ "url": "rediss://localhost#insecure" }), "redis.url"),
            (json!({ "url": "rediss://localhost/#other" }), "redis.url"),
            (json!({ "url": "rediss://two..dots" }), "redis.url"),
            (json!({ "url": "redis://h", "tls_ca_path": "ca.pem" }), "redis.tls_ca_path"),
            (json!({ "url": "redis+unix:///s", "tls_key_path": "key.pem" }), "redis.tls_key_path"),
            (json!({ "url": "rediss://h", "tls_ca_path": "missing/ca.pem" }), "redis.tls_ca_path"),
            (json!({ "url": "redis://h", "prefix": "" }), "redis.prefix"),
            (json!({ "url": "redis://h", "pipeline_size": 0 }), "redis.pipeline_size"),
            (json!({ "url": "redis://h", "max_stream_len": 0 }), "redis.max_stream_len"),
            (json!({ "url": "redis://h", "wait_replicas": 101 }), "redis.wait_replicas"),
            (json!({ "url": "redis://h", "connect_timeout_ms": 0 }), "redis.connect_timeout_ms"),
            (json!({ "url": "redis://h", "streams": 4 }), "redis"),
            (json!({ "url": "redis://h", "cluster": 1 }), "redis"),
            (json!({ "url": "redis://h/1", "cluster": true }), "redis.url"),
            (json!({ "url": "redis+unix:///run/redis.sock", "cluster": true }), "redis.url"),
            (json!({ "url": "redis://h", "prefix": "a{b", "cluster": true }), "redis.prefix"),
        ] {
            let error = RedisConfig::parse(options.clone()).expect_err(&options.to_string());
            assert!(error.path.starts_with(path), "{options}: {error}");
        }
    }

    #[test]
    fn a_url_may_ask_for_tls() {
        let parse = |url: &str| {
            let (server, wants_tls) = Server::parse(url).expect(url);
            (server.address.to_string(), wants_tls)
        };
        assert_eq!(parse("rediss://user:secret@localhost/3"), ("localhost:6379".to_owned(), true));
        assert_eq!(parse("REDISS://[::1]:7000"), ("::1:7000".to_owned(), true));
        assert_eq!(parse("redis://localhost"), ("localhost:6379".to_owned(), false));
    }

    #[test]
    fn verification_cannot_be_turned_off() {
        let error = RedisConfig::parse(json!({ "url": "rediss://h#insecure" })).expect_err("refused");
        assert!(error.to_string().contains("verification cannot be turned off"), "{error}");
    }

    #[test]
    fn a_streams_key_in_a_cluster_is_its_own_hash_tag() {
        let keys = |cluster: bool| {
            let config =
                RedisConfig::parse(json!({ "url": "redis://h", "cluster": cluster })).expect("valid");
            (config.stream_key(3), config.slot("net:shard:3"), config.slot("{net:shard:3}"))
        };
        assert_eq!(keys(false), ("net:shard:3".to_owned(), None, None));
        let (key, bare, tagged) = keys(true);
        assert_eq!((key.as_str(), bare), ("{net:shard:3}", tagged));
    }

    #[test]
    fn a_password_is_in_no_debug_text() {
        let config = RedisConfig::parse(json!({ "url": "redis://user:secret@h" })).expect("valid");
        assert!(!format!("{config:?}").contains("secret"));
    }
}
