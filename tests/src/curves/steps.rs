//! The curves: the load of each step, and the daemon that is measured with it.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lab::{ClientSpec, Lab, Node, Pod, PodSpec, ServerMode, ServerSpec, ServiceSpec};

use crate::fit::table;
use crate::sample::{PATIENCE, Sample, lines, start};
use crate::{STEPS, manifests, note};

const PORT: u16 = 8080;
/// Endpoints of each Service in the curve of endpoints.
const PER_SERVICE: u32 = 50;
/// Number of server pods; each pair of client and server has its own 51,000 ports.
const SERVERS: u32 = 4;
const CLIENTS: u32 = 4;

/// Zero, and the steps up to the full size.
fn steps(whole: u32) -> Vec<u32> {
    std::iter::once(0).chain(STEPS.map(|part| whole / part)).collect()
}

/// Measures endpoints, in Services of fifty each.
pub(crate) fn endpoints(lab: &Lab, whole: u32) -> Result<String> {
    topology(lab, &format!("endpoints, {PER_SERVICE} in each Service"), whole, PER_SERVICE)
}

/// Measures Services of one endpoint each.
pub(crate) fn services(lab: &Lab, whole: u32) -> Result<String> {
    topology(lab, "Services, one endpoint in each", whole, 1)
}

fn topology(lab: &Lab, of: &str, whole: u32, each: u32) -> Result<String> {
    let steps = steps(whole);
    let mut samples = Vec::new();
    for &step in &steps {
        note(&format!("{step} {of}"));
        let path = manifests::write(&lab.folder().join("many"), step / each, each, NOTHING)?;
        let (observer, mut sample) = start(lab, &path, &[])?;
        sample.look(&observer)?;
        sample.relist(&observer, &path, NOTHING)?;
        observer.stop()?;
        samples.push(sample);
    }
    Ok(table(of, &steps, &lines(&samples, true)))
}

/// A Pod that is no endpoint: a source of files needs at least one object.
const NOTHING: &str = "{apiVersion: v1, kind: Pod, metadata: {namespace: none, name: none}}\n";

/// A node with servers of one Service, and their manifests.
pub(crate) fn shop(lab: &Lab, name: &str, pods: u32, mode: ServerMode) -> Result<(Node, Vec<Pod>, String)> {
    let node = lab.node(name)?;
    let gateway = node.gateway();
    let pods: Vec<Pod> = (0..pods)
        .map(|number| {
            let spec = PodSpec::new(name, &format!("orders-{number}"));
            let pod = node.pod(spec.address(&address(gateway, 100 + number)?))?;
            pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(mode))?;
            Ok(pod)
        })
        .collect::<Result<_>>()?;
    let own = lab.manifests(&[ServiceSpec::new(name, "orders", PORT, &pods)]);
    Ok((node, pods, own))
}

/// An address of the node's range, with its prefix.
pub(crate) fn address(gateway: IpAddr, last: u32) -> Result<String> {
    let IpAddr::V4(gateway) = gateway else { anyhow::bail!("the node has no IPv4") };
    let [a, b, c, _] = gateway.octets();
    Ok(format!("{a}.{b}.{c}.{last}/24"))
}

/// Measures connections of sixteen clients to four pods that stay open. A daemon that runs sees them open; a later one
/// finds them.
pub(crate) fn connections(lab: &Lab, whole: u32) -> Result<String> {
    let (node, pods, own) = shop(lab, "connections", SERVERS, ServerMode::Hold)?;
    let path = folder(lab, "connections", &own)?;
    let mut clients = Vec::new();
    for number in 0..SERVERS * CLIENTS {
        let pod = node.pod(
            PodSpec::new("connections", &format!("web-{number}"))
                .address(&address(node.gateway(), 10 + number)?),
        )?;
        pod.set("net/ipv4/ip_local_port_range", "10000 60999")?;
        let to = pods.get(usize::try_from(number % SERVERS)?).context("no pods")?.ip(true)?;
        clients.push(pod.client(&ClientSpec::fixed(&[to], PORT, 0).keep())?);
    }
    let room = ["--max-connections", "131072"];
    let steps = steps(whole);
    let (first, _) = start(lab, &path, &room)?;
    let (mut samples, mut memory, mut open) = (Vec::new(), Vec::new(), 0);
    for &step in &steps {
        note(&format!("{step} open connections"));
        let each = (step - open) / (SERVERS * CLIENTS);
        for client in &clients {
            client.open(each.into())?;
        }
        open += each * SERVERS * CLIENTS;
        let active = |observer: &lab::Observer| {
            observer.snapshot_when(PATIENCE, |snapshot| {
                let services = snapshot["services"].as_array().into_iter().flatten();
                let endpoints =
                    services.flat_map(|service| service["endpoints"].as_array().into_iter().flatten());
                endpoints.filter_map(|endpoint| endpoint["active"].as_u64()).sum::<u64>() == u64::from(open)
            })
        };
        active(&first)?;
        let mut sample = Sample::default();
        sample.look(&first)?;
        memory.push(sample.resident_mib);
        let (observer, mut sample) = start(lab, &path, &room)?;
        active(&observer)?;
        sample.look(&observer)?;
        observer.stop()?;
        samples.push(sample);
    }
    first.stop()?;
    drop(clients);
    let mut lines = lines(&samples, false);
    for (line, label) in lines.iter_mut().zip([
        "resident memory of a daemon that starts later, MiB",
        "start to ready, all found, s",
        "processor until ready, all found, s",
    ]) {
        line.label = label;
    }
    lines.insert(
        0,
        crate::fit::Line {
            label: "resident memory of a daemon that saw them open, MiB",
            decimals: 1,
            noise: 2.0,
            values: memory,
        },
    );
    Ok(table("open connections", &steps, &lines))
}

/// Measures clients in separate cgroups that connect once: one process moves from cgroup to cgroup.
pub(crate) fn cgroups(lab: &Lab, whole: u32) -> Result<String> {
    let (node, pods, own) = shop(lab, "cgroups", 1, ServerMode::Close)?;
    let path = folder(lab, "cgroups", &own)?;
    let web = node.pod(PodSpec::new("cgroups", "web").address(&address(node.gateway(), 10)?))?;
    let to = pods.first().context("no pods")?.ip(true)?;
    let steps = steps(whole);
    let mut samples = Vec::new();
    for &step in &steps {
        note(&format!("{step} client cgroups"));
        let (observer, mut sample) = start(lab, &path, &[])?;
        visit(&web, &lab.cgroup().join("clients"), step, to)?;
        observer.snapshot_when(PATIENCE, |snapshot| {
            let services = snapshot["services"].as_array().into_iter().flatten();
            let endpoints =
                services.flat_map(|service| service["endpoints"].as_array().into_iter().flatten());
            endpoints.filter_map(|endpoint| endpoint["opened"].as_u64()).sum::<u64>() == u64::from(step)
        })?;
        sample.look(&observer)?;
        observer.stop()?;
        samples.push(sample);
    }
    let mut lines = lines(&samples, false);
    lines.retain(|line| !line.label.contains("ready"));
    Ok(table("cgroups of clients", &steps, &lines))
}

/// Connects once from each of `count` cgroups: a socket belongs to the cgroup in which it was made. The cgroups stay
/// until the lab ends.
fn visit(web: &Pod, parent: &Path, count: u32, to: IpAddr) -> Result<()> {
    for number in 0..count {
        let group = parent.join(format!("client-{number}"));
        fs::create_dir_all(&group).with_context(|| format!("cannot make {}", group.display()))?;
    }
    let walk = format!(
        "for ((n = 0; n < {count}; n++)); do echo $$ > {}/client-$n/cgroup.procs && exec 3<>/dev/tcp/{to}/{PORT} \
         && exec 3>&- || exit 1; done",
        parent.display()
    );
    let walked = web.exec(&["bash", "-c", &walk])?.output()?;
    anyhow::ensure!(walked.status.success(), "cannot connect from each cgroup: {walked:?}");
    Ok(())
}

/// A folder with one file of manifests.
pub(crate) fn folder(lab: &Lab, name: &str, own: &str) -> Result<PathBuf> {
    manifests::write(&lab.folder().join(name), 0, 1, own)
}
