//! MongoDB's driver and a replica set. No public package registry has the server, so a small program answers in its
//! place and stores nothing. The driver's lookups and connections are real.

use anyhow::Result;

use super::from_manifest::Cast;
use super::install::Jars;
use super::java::java;
use super::real_pods::{Running, client};
use super::summary::{Counts, said};
use crate::scenario::{Scenario, Seen};
use crate::stage::Stage;

const PORT: u16 = 27017;

/// The scenarios of this file.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "mongodb",
            "MongoDB's Java driver and a replica set of host names (its server is played by a small program)",
            "app@mongo=withheld:by_hostname[hostname]",
            mongodb,
        )
        .slow(),
    ]
}

fn mongodb(stage: &Stage) -> Result<Seen> {
    let jars =
        Jars::new("mongodb-5.2.1", &["org.mongodb:mongodb-driver-sync:5.2.1", "org.slf4j:slf4j-nop:1.7.36"])?;
    let members = jars.compile("Member.java", include_str!("java/Member.java"))?;
    let driver = jars.compile("Orders.java", include_str!("java/Orders.java"))?;
    let cast = Cast::new(stage, include_str!("manifests/mongodb.yaml"))?;
    let observer = cast.observe()?;
    let names: Vec<String> =
        cast.replicas("mongo").map(|(number, _)| format!("mongo-{number}.mongo:{PORT}")).collect();
    let all = names.join(",");
    let mut servers = cast
        .replicas("mongo")
        .map(|(number, pod)| {
            Running::start(pod, &[java("-Xmx64m", &members), vec!["Member", &names[number], &all]].concat())
        })
        .collect::<Result<Vec<_>>>()?;
    servers.iter_mut().try_for_each(|server| server.listens(PORT))?;
    let url = format!("mongodb://{all}/?replicaSet=shop");
    client(cast.pod("app")?, &[java("-Xmx64m", &driver), vec!["Orders", &url]].concat())?;
    said(&observer.snapshot()?, &[("mongo", "app", Counts::Any)])
}
