//! The first contact: asked before the shards start, on the thread that starts the bus.

use std::num::NonZeroU16;
use std::time::Instant;

use engine::adapter::AdapterError;
use redis::{Value, from_redis_value};

use super::client::{Client, NoAnswer};
use super::cluster::Redirect;
use super::config::{Address, RedisConfig};
use super::refusal::Refusal;
use super::streams::STREAMS_FIELD;

/// How many streams there are; `None` when there are none yet, or the server cannot be reached.
pub(super) fn stream_count(config: &RedisConfig) -> Result<Option<NonZeroU16>, AdapterError> {
    match ask(config) {
        Ok(reply) => match from_redis_value::<Option<u16>>(reply) {
            Ok(count) => Ok(count.and_then(NonZeroU16::new)),
            Err(error) => Err(AdapterError::Final(error.to_string())),
        },
        Err(NoAnswer::Ended(ended)) if !ended.is_final => Ok(None),
        Err(NoAnswer::Refused(Refusal { code, .. })) if AWAY.contains(&code.as_str()) => Ok(None),
        // A cluster that is being changed.
        Err(NoAnswer::Refused(refusal)) if redirect(config, &refusal, &config.server.address).is_some() => {
            Ok(None)
        }
        Err(no_answer) => Err(no_answer.into()),
    }
}

/// Asks the server, and in a cluster whoever it says has the answer.
fn ask(config: &RedisConfig) -> Result<Value, NoAnswer> {
    let deadline = Instant::now() + config.connect_timeout;
    let mut asked = config.server.address.clone();
    let mut client = Client::connect(config, &asked, deadline)?;
    if config.is_cluster {
        check_cluster(&mut client)?;
    }
    let mut answer = ask_count(config, &mut client);
    for _ in 0..REDIRECTS_MAX {
        let Err(NoAnswer::Refused(refusal)) = &answer else { break };
        let Some(Redirect { to, is_asking }) = redirect(config, refusal, &asked) else { break };
        client = Client::connect(config, &to, deadline)?;
        if is_asking {
            client.ask(|command| command.arg("ASKING"))?;
        }
        answer = ask_count(config, &mut client);
        asked = to;
    }
    answer
}

fn ask_count(config: &RedisConfig, client: &mut Client) -> Result<Value, NoAnswer> {
    client.ask(|command| command.arg("HGET").arg(config.meta_key()).arg(STREAMS_FIELD))
}

fn redirect(config: &RedisConfig, refusal: &Refusal, asked: &Address) -> Option<Redirect> {
    if config.is_cluster { Redirect::of(refusal, asked) } else { None }
}

/// That the server is part of a cluster, unless the user may not ask.
fn check_cluster(client: &mut Client) -> Result<(), NoAnswer> {
    match client.ask(|command| command.arg("CLUSTER").arg("SLOTS")) {
        Err(NoAnswer::Refused(refusal)) if refusal.code != "NOPERM" => Err(NoAnswer::Refused(refusal)),
        Err(NoAnswer::Ended(ended)) => Err(NoAnswer::Ended(ended)),
        _ => Ok(()),
    }
}

/// What a server says that will answer later.
const AWAY: [&str; 3] = ["LOADING", "MASTERDOWN", "CLUSTERDOWN"];
/// How often a node may send the question on.
const REDIRECTS_MAX: u32 = 5;
