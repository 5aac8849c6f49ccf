//! Whole systems with their own manifests, clients and, where available, real servers: databases, brokers, search
//! engines and proxies.
//!
//! In: the stage. Out: one line with the daemon's verdict on each client of each Service ([`summary`]). The first run
//! installs packages of Debian and Maven Central; a system that cannot be installed or started is an error with its
//! reason.

mod cassandra;
mod dns_names;
mod elasticsearch;
mod from_manifest;
mod install;
mod java;
mod kafka;
mod mongodb;
mod mysql;
mod nginx;
mod postgres;
mod proxy;
mod real_pods;
mod summary;
mod unusual_services;

use crate::scenario::Scenario;

/// All systems.
pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        mysql::scenarios(),
        postgres::scenarios(),
        nginx::scenarios(),
        unusual_services::scenarios(),
        proxy::scenarios(),
        mongodb::scenarios(),
        kafka::scenarios(),
        cassandra::scenarios(),
        elasticsearch::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
