//! Elasticsearch: nodes find one another by one headless Service, and clients use another one.

use anyhow::Result;

use super::from_manifest::{Cast, path};
use super::install::{Jars, debian};
use super::java::java;
use super::real_pods::{Running, repeat_well};
use super::summary::{Counts, said};
use crate::scenario::{Scenario, Seen};
use crate::stage::Stage;

const PORT: u16 = 9200;

/// The scenarios of this file.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "elasticsearch",
            "three nodes of Elasticsearch that discover one another, and clients of the same pods",
            "search@es=even[service:90] es@es-discovery=even[service]",
            elasticsearch,
        )
        .number(25)
        .slow(),
    ]
}

fn elasticsearch(stage: &Stage) -> Result<Seen> {
    debian(&[("/usr/bin/curl", "curl")])?;
    let jars = Jars::new(
        "elasticsearch-6.8.23",
        &[
            "org.elasticsearch:elasticsearch:6.8.23",
            "org.elasticsearch.client:transport:6.8.23",
            "org.apache.logging.log4j:log4j-core:2.17.1",
        ],
    )?;
    let class_path = jars.compile("Search.java", include_str!("java/Search.java"))?;
    let cast = Cast::new(stage, include_str!("manifests/elasticsearch.yaml"))?;
    let observer = cast.observe()?;
    let mut servers = Vec::new();
    for (_, pod) in cast.replicas("es") {
        let (home, address) = (path(stage, pod.name())?, pod.ip(true)?.to_string());
        let home_option = format!("-Des.path.home={home}");
        let words = vec![&home_option, "Search", pod.name(), &home, &address, "es-discovery"];
        servers.push(Running::start(pod, &[java("-Xmx256m", &class_path), words].concat())?);
    }
    servers.iter_mut().try_for_each(|server| server.listens(PORT))?;
    let search = cast.pod("search")?;
    // Any node answers once the cluster has three nodes.
    let health = "_cluster/health?wait_for_nodes=3&timeout=60s";
    repeat_well(search, 1, &format!("curl -sf 'http://es:{PORT}/{health}'"))?;
    repeat_well(search, 89, &format!("curl -sf http://es:{PORT}/_cluster/health"))?;
    said(&observer.snapshot()?, &[("es", "search", Counts::Exact), ("es-discovery", "es", Counts::Any)])
}
