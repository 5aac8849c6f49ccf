//! Proxies and clients that balance connections over the addresses of DNS answers.

use std::fs;

use anyhow::{Context as _, Result};

use super::from_manifest::{Cast, path};
use super::install::debian;
use super::nginx::serve;
use super::real_pods::{Running, repeat_well};
use super::summary::{Counts, said};
use crate::scenario::{Scenario, Seen};
use crate::stage::{PORT, Stage, domain};

const PROXY: &str = "/usr/sbin/haproxy";
/// The proxy's port.
const FRONT: u16 = 9000;

/// The scenarios of this file.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "haproxy.srv",
            "HAProxy takes ports and addresses from _http._tcp.web and turns over them",
            "proxy@web=even[srv:90]",
            srv,
        )
        .number(22),
        Scenario::new(
            "haproxy",
            "HAProxy turns over the addresses of web",
            "proxy@web=even[service:90]",
            addresses,
        )
        .number(2),
    ]
}

fn srv(stage: &Stage) -> Result<Seen> {
    haproxy(stage, &format!("_http._tcp.{}", domain("web")))
}

fn addresses(stage: &Stage) -> Result<Seen> {
    haproxy(stage, &format!("{}:{PORT}", domain("web")))
}

fn haproxy(stage: &Stage, target: &str) -> Result<Seen> {
    debian(&[(PROXY, "haproxy")])?;
    let cast = Cast::new(stage, include_str!("manifests/proxy.yaml"))?;
    let _servers = cast.replicas("web").map(|(_, pod)| serve(stage, pod)).collect::<Result<Vec<_>>>()?;
    let observer = cast.observe()?;
    let file = path(stage, "haproxy.cfg")?;
    let config = format!(
        "resolvers cluster\n    nameserver dns {}\n    accepted_payload_size 4096\n    timeout resolve 1s\n    hold valid 1s\n\
         defaults\n    mode http\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n    option http-server-close\n\
         frontend front\n    bind 127.0.0.1:{FRONT}\n    default_backend web\n\
         backend web\n    balance roundrobin\n    server-template web 3 {target} resolvers cluster init-addr none\n",
        stage.resolver
    );
    fs::write(&file, config).context("cannot write HAProxy's settings")?;
    let pod = cast.pod("proxy")?;
    let mut proxy = Running::start(pod, &[PROXY, "-db", "-f", &file])?;
    proxy.listens(FRONT)?;
    // The proxy has no servers before its first DNS answer.
    let url = format!("http://127.0.0.1:{FRONT}/");
    repeat_well(pod, 1, &format!("curl -sf --retry 100 --retry-all-errors --retry-delay 1 {url}"))?;
    repeat_well(pod, 89, &format!("curl -sf {url}"))?;
    said(&observer.snapshot()?, &[("web", "proxy", Counts::Exact)])
}
