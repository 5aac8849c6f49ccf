//! Cassandra: clients find the seed by its name; nodes and drivers know all other addresses by gossip.

use std::fs;

use anyhow::{Context as _, Result};

use super::from_manifest::{Cast, path};
use super::install::Jars;
use super::java::java;
use super::real_pods::{Running, client};
use super::summary::{Counts, said};
use crate::scenario::{Scenario, Seen};
use crate::stage::Stage;

const PORT: u16 = 9042;

/// The scenarios of this file.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "cassandra",
            "two nodes of Cassandra and a driver: the seed by its name, the rest by gossip",
            "app@cassandra=withheld:no_dns[hostname,none] cassandra@cassandra=withheld:no_dns[hostname,none]",
            cassandra,
        )
        .number(26)
        .slow(),
    ]
}

/// The packages of the JDK that Cassandra's own launcher opens.
const OPENED: [&str; 24] = [
    "--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED",
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=java.management.rmi/com.sun.jmx.remote.internal.rmi=ALL-UNNAMED",
    "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
    "--add-exports=java.rmi/sun.rmi.server=ALL-UNNAMED",
    "--add-exports=java.base/java.lang.ref=ALL-UNNAMED",
    "--add-exports=jdk.unsupported/sun.misc=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.lang.module=ALL-UNNAMED",
    "--add-opens=java.base/java.lang.reflect=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.loader=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.math=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.module=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.reflect=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.util.jar=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED",
];

fn cassandra(stage: &Stage) -> Result<Seen> {
    let jars = Jars::new(
        "cassandra-5.0.5",
        &["org.apache.cassandra:cassandra-all:5.0.5", "org.apache.cassandra:java-driver-core:4.18.1"],
    )?;
    let (nodes, driver) = (jars.class_path()?, jars.compile("Ask.java", include_str!("java/Ask.java"))?);
    let cast = Cast::new(stage, include_str!("manifests/cassandra.yaml"))?;
    let logging = path(stage, "logback.xml")?;
    fs::write(&logging, include_str!("conf/logback.xml")).context("cannot write settings")?;
    let logging = format!("-Dlogback.configurationFile={logging}");
    let observer = cast.observe()?;
    let mut servers = Vec::new();
    for (number, pod) in cast.replicas("cassandra") {
        let data = path(stage, &format!("cassandra-{number}"))?;
        fs::create_dir_all(&data).with_context(|| format!("cannot make {data}"))?;
        let file = format!("{data}/cassandra.yaml");
        let settings = include_str!("conf/cassandra.yaml")
            .replace("@ADDRESS@", &pod.ip(true)?.to_string())
            .replace("@DATA@", &data);
        fs::write(&file, settings).with_context(|| format!("cannot write {file}"))?;
        let (file, storage) =
            (format!("-Dcassandra.config=file://{file}"), format!("-Dcassandra.storagedir={data}"));
        let logs = format!("-Dcassandra.logdir={data}");
        let options = [
            "-Xms200m",
            "-Xss512k",
            "-Djdk.attach.allowAttachSelf=true",
            "-Dcassandra-foreground=yes",
            "-Dcassandra.superuser_setup_delay_ms=0",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-Dcassandra.ring_delay_ms=1000",
            &logging,
            &file,
            &storage,
            &logs,
        ];
        let words = [&java("-Xmx320m", &nodes)[..], &OPENED, &options, &[MAIN]].concat();
        servers.push(Running::start(pod, &words)?);
    }
    servers.iter_mut().try_for_each(|server| server.listens(PORT))?;
    cast.serve()?;
    client(
        cast.pod("app")?,
        &[java("-Xmx128m", &driver), vec![&logging, "Ask", "cassandra-0.cassandra", "100"]].concat(),
    )?;
    let clients = [("cassandra", "app", Counts::Any), ("cassandra", "cassandra", Counts::Any)];
    said(&observer.snapshot()?, &clients)
}

const MAIN: &str = "org.apache.cassandra.service.CassandraDaemon";
