//! The adapters of libnet: where a shard's batches go and from where events are read back.
//!
//! Each is a synchronous core and, where it needs one, a thin file that moves bytes. Each is a Cargo feature.
//!
//! A bus in Rust, on the embedded default:
//!
//! ```
//! use engine::{bus::Bus, config::Config, consume::request::PollRequest, event::EventFlags};
//!
//! let (config, section) = Config::parse(r#"{"num_shards":1}"#, &adapters::SECTIONS)?;
//! let bus = Bus::start(config.clone(), adapters::factory(section, &config)?)?;
//! let mut producer = bus.producer();
//! producer.publish(Some(b"order-7"), br#"{"price":101}"#, EventFlags::NONE)?;
//! bus.flush()?;
//! let page = bus.poll(&PollRequest::default())?;
//! assert!(page.events().all(|(_, event)| event.payload == br#"{"price":101}"#));
//! assert_eq!((page.len(), page.has_more), (1, false));
//! assert_eq!(bus.shutdown(None), Ok(0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(any(feature = "memory", feature = "log"))]
mod retained;

#[cfg(feature = "log")]
pub mod log;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "named")]
pub mod named;
#[cfg(feature = "noop")]
pub mod noop;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "udp")]
pub mod udp;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;

use engine::adapter::{AdapterError, AdapterFactory};
use engine::config::{AdapterSection, Config, ConfigError};

/// The sections of a configuration that name a store. At most one may be there; none means `memory`.
pub const SECTIONS: [&str; 6] = ["memory", "log", "redis", "jetstream", "net", "noop"];

/// Why a section gives no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactoryError {
    /// Its options are wrong. For the operator.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The backend refuses this bus. For the operator.
    #[error("{0}")]
    Store(#[from] AdapterError),
    /// The store is not in this build. Final.
    #[error("the store `{0}` is not in this build")]
    Unsupported(&'static str),
}

/// The store that `section` describes, the memory store if there is none.
pub fn factory(
    section: Option<AdapterSection>,
    config: &Config,
) -> Result<Box<dyn AdapterFactory>, FactoryError> {
    let (name, options) = match section {
        Some(section) => (section.name, section.options),
        None => ("memory", serde_json::json!({})),
    };
    match name {
        #[cfg(feature = "memory")]
        "memory" => {
            Ok(Box::new(memory::MemoryStores::new(memory::Retention::parse(options)?, config.num_shards)))
        }
        #[cfg(feature = "log")]
        "log" => {
            log::LogStores::new(options, config).map(|stores| Box::new(stores) as Box<_>).map_err(|error| {
                match error {
                    log::LogError::Config(error) => FactoryError::Config(error),
                    log::LogError::Store(error) => FactoryError::Store(error),
                }
            })
        }
        #[cfg(feature = "redis")]
        "redis" => {
            let redis = redis::RedisConfig::parse(options)?;
            Ok(Box::new(redis::RedisStores::new(redis, config.num_shards)?))
        }
        #[cfg(feature = "udp")]
        "net" => {
            let udp = udp::UdpConfig::parse(options, config.num_shards)?;
            Ok(Box::new(udp::UdpStores::new(udp, config)?))
        }
        #[cfg(feature = "noop")]
        "noop" => Ok(Box::new(noop::NoopStores::parse(options)?)),
        name => Err(FactoryError::Unsupported(name)),
    }
}
