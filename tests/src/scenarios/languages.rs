//! Clients in other languages: the answers that they cache and the addresses that they try first.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::Pod;
use lab::dns::Order;

use crate::real_programs::{Real, path};
use crate::scenario::{Scenario, Seen};
use crate::stage::{BEGINNING, ORDERS, PORT, Stage, after, domain, pass, wait_left, wait_mature};

/// The scenarios of this file.
pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "stale_cache",
            "a JVM that keeps answers for ever, and pods that are replaced",
            "stale_cache",
            |stage| jvm(stage, "-1"),
        )
        .number(18),
        Scenario::new("stale_cache.fixed", "the same with networkaddress.cache.ttl=0", "even", |stage| {
            jvm(stage, "0")
        }),
        Scenario::new("keep_alive", "Node.js: an agent that keeps its connection", "pinned", |stage| {
            node(stage, "keep", 1)
        }),
        Scenario::new("keep_alive.fixed", "the same without keep-alive", "even", |stage| {
            node(stage, "close", 90)
        }),
        Scenario::new(
            "curl",
            "curl, a process for each request, in a pod with a /24",
            "address_sort",
            |stage| curl(stage, 24),
        ),
        Scenario::new("curl.fixed", "the same with a /32", "even", |stage| curl(stage, 32)),
        Scenario::new(
            "first_address",
            "Go's resolver, and a server that never shuffles",
            "answer_order",
            |stage| first_address(stage, Order::Fixed),
        ),
        Scenario::new("first_address.fixed", "the same with a server that shuffles", "even", |stage| {
            first_address(stage, Order::Shuffle)
        }),
    ]
}

fn jvm(stage: &Stage, seconds: &str) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/32")?;
    let old = stage.backends("orders", 3)?;
    stage.publish_for(&[stage.orders(&old)], 1)?;
    let observer = stage.observe()?;
    let classes = path("JAVA")?;
    let words = ["java", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-Xmx32m", "-cp", &classes, "Dial"];
    let name = domain("orders");
    let mut client = Real::start(&web, &[&words[..], &[&name, "8080", seconds]].concat())?;
    client.make_all(6)?;
    after(&observer, ORDERS, "web", 6)?;
    let new = stage.more_backends("orders", 3..6)?;
    stage.publish_for(&[stage.orders(&new)], 1)?;
    old.iter().try_for_each(Pod::remove)?;
    old.iter().try_for_each(|pod| wait_left(&observer, ORDERS, pod).map(drop))?;
    wait_mature(&observer, ORDERS, 3)?;
    // Longer than the answer's time to live plus the grace.
    pass(Duration::from_secs(2));
    client.make(60)?;
    Seen::verdict(&after(&observer, ORDERS, "web", 66)?, ORDERS, "web")
}

/// Pods with an HTTP server.
fn web_servers(stage: &Stage, places: &[u8]) -> Result<(Vec<Pod>, Vec<Real>)> {
    let program = path("GO")?;
    let mut pods = Vec::new();
    let mut servers = Vec::new();
    for (n, last) in places.iter().enumerate() {
        let pod = stage.pod(&format!("orders-{n}"), &format!("10.244.1.{last}/24"))?;
        let address = format!("{}:{PORT}", pod.ip(true)?);
        servers.push(Real::server(&pod, &[&program, "http-serve", &address])?);
        pods.push(pod);
    }
    Ok((pods, servers))
}

fn node(stage: &Stage, keep: &str, connections: u64) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/32")?;
    let (pods, _servers) = web_servers(stage, &[100, 101, 102])?;
    stage.publish(&[stage.orders(&pods)])?;
    let observer = stage.observe()?;
    let url = format!("http://{}:{PORT}/", domain("orders"));
    let mut client = Real::start(&web, &["node", &path("NODE")?, &url, keep])?;
    client.make_all(45)?;
    pass(BEGINNING);
    client.make_all(45)?;
    Seen::verdict(&after(&observer, ORDERS, "web", connections)?, ORDERS, "web")
}

fn curl(stage: &Stage, prefix: u8) -> Result<Seen> {
    let web = stage.pod("web", &format!("10.244.1.7/{prefix}"))?;
    let (pods, _servers) = web_servers(stage, &[6, 64, 128])?;
    stage.publish(&[stage.orders(&pods)])?;
    let observer = stage.observe()?;
    let once = format!("{} -sf -m 10 -o /dev/null http://orders:{PORT}/", path("CURL")?);
    let often = format!("for n in $(seq 60); do {once} || exit 1; done");
    let ended = web.exec(&["sh", "-c", &often])?.output()?;
    ensure!(ended.status.success(), "curl failed: {}", String::from_utf8_lossy(&ended.stderr));
    Seen::verdict(&after(&observer, ORDERS, "web", 60)?, ORDERS, "web")
}

fn first_address(stage: &Stage, order: Order) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    stage.publish(&[stage.orders(&stage.backends("orders", 4)?)])?;
    stage.answers(|options| options.order = order)?;
    let observer = stage.observe()?;
    let mut client = Real::start(&web, &[&path("GO")?, "net", &domain("orders"), "8080"])?;
    client.one_by_one(80)?;
    Seen::verdict(&after(&observer, ORDERS, "web", 80)?, ORDERS, "web")
}
