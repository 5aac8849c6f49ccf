//! Whole systems, each with manifests of its own and real servers where they can be had: databases, brokers, search
//! engines and proxies, with their own clients.
//!
//! In: the stage. Out: what the daemon says of each client of each Service, in a line ([`said`]). What Debian and Maven
//! Central have is installed at the first run; a system that cannot be installed or started is an error with its reason.

mod cassandra;
mod cast;
mod elasticsearch;
mod install;
mod java;
mod kafka;
mod mongodb;
mod mysql;
mod names;
mod nginx;
mod postgres;
mod proxy;
mod running;
mod said;
mod services;

use crate::scenario::Scenario;

/// All systems.
pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        mysql::scenarios(),
        postgres::scenarios(),
        nginx::scenarios(),
        services::scenarios(),
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
