//! PostgreSQL: primary and replicas have separate Services, by a label of the pods.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use lab::Pod;

use super::from_manifest::{Cast, path};
use super::install::debian;
use super::real_pods::{Running, repeat_well, run};
use super::summary::{Counts, said};
use crate::scenario::{Scenario, Seen};
use crate::stage::Stage;

const PORT: u16 = 5432;
/// Debian 12 has version 15 only.
const BIN: &str = "/usr/lib/postgresql/15/bin";
/// The server refuses to run as root.
const AS_USER: [&str; 6] =
    ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig", "KILL"];

/// The scenarios of this file.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new(
        "postgres",
        "PostgreSQL with two standbys: db-primary, db-replicas, and libpq's list of hosts",
        "writer@db-primary=even[service:20] reader@db-replicas=even[service:90] \
                   db@db-primary=even[service] failover@db=withheld:by_hostname[hostname:30]",
        postgres,
    )]
}

fn postgres(stage: &Stage) -> Result<Seen> {
    debian(&[(&format!("{BIN}/postgres"), "postgresql-15"), ("/usr/bin/psql", "postgresql-client-15")])?;
    let cast = Cast::new(stage, include_str!("manifests/postgres.yaml"))?;
    let data = |number: usize| path(stage, &format!("db-{number}"));
    let first = data(0)?;
    run(Command::new("install").args(["-d", "-o", "postgres", "-g", "postgres", "-m", "700", &first]))?;
    run(Command::new(AS_USER[0])
        .args(&AS_USER[1..])
        .arg(format!("{BIN}/initdb"))
        .args(["--no-sync", "--auth=trust", "-D", &first])
        .current_dir("/"))?;
    fs::write(format!("{first}/pg_hba.conf"), "host all all all trust\nhost replication all all trust\n")
        .context("cannot write PostgreSQL's rules of access")?;
    let observer = cast.observe()?;
    let mut servers = Vec::new();
    for (number, pod) in cast.replicas("db") {
        let data = data(number)?;
        if number > 0 {
            // A copy of a server that has never run is a valid backup.
            run(Command::new("cp").args(["-a", &first, &data]))?;
            run(Command::new("touch").arg(format!("{data}/standby.signal")))?;
        }
        servers.push((pod, data));
    }
    let mut servers = servers.iter().map(|(pod, data)| start(pod, data)).collect::<Result<Vec<_>>>()?;
    for (number, server) in servers.iter_mut().enumerate() {
        server.says(if number == 0 { "ready to accept connections" } else { "started streaming WAL" })?;
    }

    let sql =
        |hosts: &str, sql: &str| format!("psql -q 'host={hosts} user=postgres dbname=postgres' -c '{sql}'");
    repeat_well(cast.pod("writer")?, 20, &sql("db-primary", "create temporary table orders (n int)"))?;
    repeat_well(cast.pod("reader")?, 90, &sql("db-replicas", "select pg_is_in_recovery()"))?;
    // The client tries the primary last.
    let hosts = "db-1.db,db-2.db,db-0.db target_session_attrs=read-write";
    repeat_well(cast.pod("failover")?, 10, &sql(hosts, "create temporary table orders (n int)"))?;
    let clients = [
        ("db-primary", "writer", Counts::Exact),
        ("db-replicas", "reader", Counts::Exact),
        ("db-primary", "db", Counts::Any),
        ("db", "failover", Counts::Exact),
    ];
    said(&observer.snapshot()?, &clients)
}

/// Starts a server with its own namespace of shared memory, so that no shared memory is left however the server ends.
fn start(pod: &Pod, data: &str) -> Result<Running> {
    let words = [
        &format!("{BIN}/postgres"),
        "-D",
        data,
        "-p",
        &PORT.to_string(),
        "-h",
        "*",
        "-c",
        "unix_socket_directories=",
        "-c",
        "dynamic_shared_memory_type=mmap",
        "-c",
        "shared_buffers=8MB",
        "-c",
        "fsync=off",
        "-c",
        "wal_retrieve_retry_interval=200ms",
        "-c",
        "primary_conninfo=host=db-primary user=postgres",
    ];
    Running::start(pod, &[&["unshare", "--ipc"], &AS_USER[..], &words[..]].concat())
}
