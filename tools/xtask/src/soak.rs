//! `cargo xtask soak`: the soak tests for as long as is asked.

use crate::deps;
use crate::shell::{self, Failure, Shell};

/// Runs the soak of the bus for `minutes` in all, one test after the other: shards spin only while nobody else does.
pub(crate) fn bus(shell: &Shell, minutes: u64) -> Result<(), Failure> {
    let mut command = shell.cargo();
    command.args(["test", "--release", "--package", "libnet-tests", "--test", "soak"]);
    command.args(["--", "--test-threads", "1", "--nocapture"]);
    command.env("LIBNET_SOAK_SECONDS", (minutes * 60).to_string());
    shell::stage("soak of the bus", &mut command)
}

/// Runs each fault of a Redis server for its part of `minutes`, 50 crashes at least, then one that stands still for a minute of
/// full load, and the faults of clusters, replicas and TLS.
pub(crate) fn redis(shell: &Shell, minutes: u64) -> Result<(), Failure> {
    deps::ensure(shell)?;
    let mut command = shell.cargo();
    command.args([
        "test",
        "--release",
        "--package",
        "libnet-tests",
        "--test",
        "redis_soak",
        "--test",
        "redis_hung",
    ]);
    command.args(["--", "--test-threads", "1", "--nocapture"]);
    command.env("LIBNET_SOAK_SECONDS", (minutes * 60).to_string());
    shell::stage("soak of the Redis store", &mut command)
}

/// Has two processes exchange `millions` of events each way over a bad network and between two hosts, and then goes through many seeds of
/// the simulations.
pub(crate) fn udp(shell: &Shell, millions: u64) -> Result<(), Failure> {
    deps::ensure(shell)?;
    let mut command = shell.cargo();
    command.args(["test", "--release", "--package", "libnet-tests", "--test", "udp_processes"]);
    command.args(["--", "--test-threads", "1", "--nocapture"]);
    command.env("LIBNET_UDP_EVENTS", (millions * 1_000_000).to_string());
    shell::stage("two processes over UDP", &mut command)?;
    let mut command = shell.cargo();
    command.args(["test", "--release", "--package", "libnet-adapters", "--lib", "udp"]);
    command.env("LIBNET_SIM_SEEDS", (millions * 10_000).to_string());
    shell::stage("simulations of UDP", &mut command)
}

/// Kills a process that appends to a log `kills` times, and then goes through a thousand seeds of the disk's simulation for each.
pub(crate) fn log(shell: &Shell, kills: u64) -> Result<(), Failure> {
    deps::ensure(shell)?;
    let mut command = shell.cargo();
    command.args(["test", "--release", "--package", "libnet-tests", "--test", "log_faults"]);
    command.args(["--", "--test-threads", "1", "--nocapture"]);
    command.env("LIBNET_LOG_KILLS", kills.to_string());
    shell::stage("a process that is killed", &mut command)?;
    let mut command = shell.cargo();
    command.args(["test", "--release", "--package", "libnet-adapters", "--lib", "log::simulation"]);
    command.env("LIBNET_SIM_SEEDS", (kills * 1_000).to_string());
    shell::stage("simulations of the log", &mut command)
}

/// Sends `millions` of events through one bus, and opens and closes a hundred buses for each.
pub(crate) fn limits(shell: &Shell, millions: u64) -> Result<(), Failure> {
    let mut command = shell.cargo();
    command.args(["test", "--release", "--package", "libnet-tests", "--test", "limits"]);
    command.env("LIBNET_LIMIT_EVENTS", (millions * 1_000_000).to_string());
    command.env("LIBNET_LIMIT_LIVES", (millions * 100).to_string());
    shell::stage("limits", &mut command)
}

/// Ends `rounds` buses under threads that call whatever there is.
pub(crate) fn abuse(shell: &Shell, rounds: u64) -> Result<(), Failure> {
    let mut command = shell.cargo();
    command.args(["test", "--release", "--package", "libnet-tests", "--test", "abuse", "sixteen_threads"]);
    command.env("LIBNET_ABUSE_ROUNDS", rounds.to_string());
    shell::stage("buses that end under sixteen threads", &mut command)
}

/// Goes through `seeds` seeds of the simulation of whole buses, behind those of the tests.
pub(crate) fn sim(shell: &Shell, seeds: u64) -> Result<(), Failure> {
    let mut command = shell.cargo();
    command.args(["test", "--release", "--package", "libnet-engine", "--lib", "simulation"]);
    command.env("LIBNET_BUS_FIRST", TESTED_BUSES.to_string()).env("LIBNET_BUS_SEEDS", seeds.to_string());
    shell::stage("simulations of the bus", &mut command)
}

/// Seeds of the simulation of buses that the tests go through.
const TESTED_BUSES: u64 = 2_000;
