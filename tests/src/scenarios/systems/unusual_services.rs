//! Services of unusual kinds: one without a selector, and two with the same pods.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::from_manifest::{Cast, path};
use super::install::debian;
use super::nginx::serve;
use super::real_pods::repeat_well;
use super::summary::{Counts, said};
use crate::scenario::{Scenario, Seen, client, service};
use crate::stage::{NAMESPACE, Stage};

/// The scenarios of this file.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "selectorless",
            "a Service with endpoints that somebody wrote by hand, outside of the cluster",
            "shopper@legacy=even[service:90] endpoints=192.0.2.10,192.0.2.11,192.0.2.12",
            selectorless,
        )
        .number(34),
        Scenario::new(
            "two_services",
            "the same pods behind a ClusterIP and a headless Service",
            "by-pods@web-headless=even[service:90] by-vip=absent",
            two_services,
        )
        .number(24),
    ]
}

fn selectorless(stage: &Stage) -> Result<Seen> {
    let cast = Cast::new(stage, include_str!("manifests/selectorless.yaml"))?;
    let machines = (10..13)
        .map(|last| stage.pod(&format!("machine-{last}"), &format!("192.0.2.{last}/32")))
        .collect::<Result<Vec<_>>>()?;
    let _servers = machines.iter().map(|machine| serve(stage, machine)).collect::<Result<Vec<_>>>()?;
    let observer = cast.observe()?;
    repeat_well(cast.pod("shopper")?, 90, "curl -sf http://legacy:8080/")?;
    let snapshot = observer.snapshot()?;
    let legacy = service(&snapshot, &format!("{NAMESPACE}/legacy"))?;
    let endpoints = legacy["endpoints"].as_array().into_iter().flatten();
    let names: Vec<&str> = endpoints.filter_map(|endpoint| endpoint["pod"].as_str()).collect();
    Ok(said(&snapshot, &[("legacy", "shopper", Counts::Exact)])?.and("endpoints", names.join(",")))
}

/// The node sends connections to the ClusterIP to the pods in turn, as kube-proxy does.
const PROXY: &str = "\
table ip services {
    chain sent {
        type nat hook prerouting priority dstnat;
        ip daddr 10.96.77.7 tcp dport 8080 dnat to numgen inc mod 3 map {
            0 : 10.244.1.100, 1 : 10.244.1.101, 2 : 10.244.1.102 }
    }
}
";

fn two_services(stage: &Stage) -> Result<Seen> {
    debian(&[("/usr/sbin/nft", "nftables")])?;
    let cast = Cast::new(stage, include_str!("manifests/two-services.yaml"))?;
    let _servers = cast.replicas("web").map(|(_, pod)| serve(stage, pod)).collect::<Result<Vec<_>>>()?;
    let rules = path(stage, "proxy.nft")?;
    fs::write(&rules, PROXY).context("cannot write the node's rules")?;
    let nft = stage.node.exec(&["nft", "-f", &rules])?.output()?;
    ensure!(nft.status.success(), "nft: {}", String::from_utf8_lossy(&nft.stderr));
    let observer = cast.observe()?;
    let served = repeat_well(cast.pod("by-vip")?, 90, "curl -sf http://web:8080/")?;
    for pod in ["web-0", "web-1", "web-2"] {
        ensure!(served.contains(pod), "no connection to the ClusterIP reached {pod}:\n{served}");
    }
    repeat_well(cast.pod("by-pods")?, 90, "curl -sf http://web-headless:8080/")?;
    let snapshot = observer.snapshot()?;
    let seen = said(&snapshot, &[("web-headless", "by-pods", Counts::Exact)])?;
    let services = snapshot["services"].as_array().into_iter().flatten();
    let is_there = services.filter_map(|service| client(service, "by-vip")).count() > 0;
    Ok(seen.and("by-vip", if is_there { "seen" } else { "absent" }))
}
