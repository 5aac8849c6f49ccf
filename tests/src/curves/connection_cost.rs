//! The daemon's cost of a connection with few and with many Services: the same traffic, one daemon after the other.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::process_usage::cpu_seconds;
use lab::{ClientSpec, DnsSpec, Lab, PodSpec, ServerMode, ServiceSpec};

use crate::sample::{rest, start};
use crate::steps::{address, shop};
use crate::{manifests, note};

/// Number of Services without traffic.
const SERVICES: [u32; 3] = [10, 1_000, 30_000];
const ROUNDS: usize = 3;
/// Connections of each round: enough to measure microseconds per connection with ticks of 10 ms.
const CONNECTIONS: u32 = 40_000;
const RATE: f64 = 4_000.0;

/// Processor time per connection in microseconds, including a tenth of a DNS answer.
pub(crate) fn table(lab: &Lab, part: u32) -> Result<String> {
    let connections = CONNECTIONS / part;
    let (node, pods, own) = shop(lab, "events", 3, ServerMode::Close)?;
    let dns = node.pod(PodSpec::new("kube-system", "dns").address(&address(node.gateway(), 53)?))?;
    let server = dns.dns(&DnsSpec::new(dns.sockets(53)))?;
    let service = ServiceSpec::new("events", "orders", 8080, &pods);
    for (name, data) in service.records("cluster.local") {
        server.set(&name, 30, data)?;
    }
    let resolver = *server.addresses().first().context("no DNS server")?;
    let web = node.pod(PodSpec::new("events", "web").address(&address(node.gateway(), 10)?))?;
    let spec = ClientSpec::new(&service.domain("cluster.local"), 8080, resolver, u64::from(connections));
    let spec = spec.round_robin(10).rate(RATE).dial(|dial| dial.reset_on_close = true);

    let mut costs = SERVICES.map(|_| Vec::new());
    for round in 0..ROUNDS {
        for (services, costs) in SERVICES.iter().zip(&mut costs) {
            note(&format!("connections beside {services} Services, round {}", round + 1));
            let path = manifests::write(&lab.folder().join("events"), *services, 1, &own)?;
            let (observer, _) = start(lab, &path, &[])?;
            let before = rest(observer.pid())?;
            let report = web.client(&spec)?.wait()?;
            // The last records arrive a moment later.
            thread::sleep(Duration::from_millis(200));
            let spent = cpu_seconds(observer.pid())? - before;
            anyhow::ensure!(report.total().connected == u64::from(connections), "{report:?}");
            costs.push(spent / f64::from(connections) * 1e6);
            observer.stop()?;
        }
    }
    let mut text =
        "| Services | processor per connection, µs: median (least to most) |\n|---:|---:|\n".to_owned();
    for (services, mut costs) in SERVICES.into_iter().zip(costs) {
        costs.sort_by(f64::total_cmp);
        let [least, middle, most] =
            [0, ROUNDS / 2, ROUNDS - 1].map(|at| costs.get(at).copied().unwrap_or(0.0));
        text.push_str(&format!(
            "| {} | {middle:.1} ({least:.1} to {most:.1}) |\n",
            crate::fit::grouped(services)
        ));
    }
    Ok(text)
}
