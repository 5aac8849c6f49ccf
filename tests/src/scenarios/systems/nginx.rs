//! nginx on a port that differs from the Service's: a headless Service maps no ports.

use std::fs;

use anyhow::{Context as _, Result};
use lab::Pod;

use super::from_manifest::{Cast, path};
use super::install::debian;
use super::real_pods::{Running, repeat, repeat_well};
use super::summary::{Counts, said};
use crate::scenario::{Scenario, Seen};
use crate::stage::{PORT, Stage};

const SERVER: &str = "/usr/sbin/nginx";

/// The scenarios of this file.
pub(super) fn scenarios() -> Vec<Scenario> {
    let title = "nginx on 8080 behind a Service that says 80";
    vec![
        Scenario::new(
            "nginx",
            title,
            "shopper@web=port_mismatch[other_port:60] use=8080",
            port_of_the_service,
        )
        .number(30),
        Scenario::new("nginx.fixed", title, "shopper@web=even[service:90]", port_of_the_pods).number(30),
    ]
}

fn port_of_the_service(stage: &Stage) -> Result<Seen> {
    let (cast, _servers) = open(stage)?;
    let observer = cast.observe()?;
    // curl tries all three addresses each time.
    repeat(cast.pod("shopper")?, 20, "curl -s http://web/")?;
    let seen = said(&observer.snapshot()?, &[("web", "shopper", Counts::Exact)])?;
    let port = seen.facts[0]["client"]["other_ports"][0]["use_port"].clone();
    Ok(seen.and("use", port))
}

fn port_of_the_pods(stage: &Stage) -> Result<Seen> {
    let (cast, _servers) = open(stage)?;
    let observer = cast.observe()?;
    repeat_well(cast.pod("shopper")?, 90, "curl -sf http://web:8080/")?;
    said(&observer.snapshot()?, &[("web", "shopper", Counts::Exact)])
}

fn open(stage: &Stage) -> Result<(Cast<'_>, Vec<Running>)> {
    let cast = Cast::new(stage, include_str!("manifests/nginx.yaml"))?;
    let servers = cast.replicas("web").map(|(_, pod)| serve(stage, pod)).collect::<Result<_>>()?;
    Ok((cast, servers))
}

/// Starts an nginx in a pod, which answers with the pod's name. It has one process, so that ending this process ends
/// all of nginx.
pub(super) fn serve(stage: &Stage, pod: &Pod) -> Result<Running> {
    debian(&[(SERVER, "nginx-light"), ("/usr/bin/curl", "curl")])?;
    let (name, prefix) = (pod.name(), path(stage, &format!("nginx-{}", pod.name()))?);
    fs::create_dir_all(&prefix).with_context(|| format!("cannot make {prefix}"))?;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {prefix}/{kind};\n"))
        .collect();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {prefix}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n\
         {temporary}    access_log off;\n    server {{ listen {PORT}; location / {{ return 200 \"{name}\\n\"; }} }}\n}}\n"
    );
    let file = format!("{prefix}/nginx.conf");
    fs::write(&file, config).with_context(|| format!("cannot write {file}"))?;
    let mut server = Running::start(pod, &[SERVER, "-p", &prefix, "-c", &file, "-e", "stderr"])?;
    server.listens(PORT)?;
    Ok(server)
}
