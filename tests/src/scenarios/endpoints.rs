//! Endpoints that come, go, fail or lead elsewhere; and connections that allow no verdict.

use std::time::Duration;

use anyhow::Result;
use lab::dns::Order;
use lab::{ClientSpec, EndpointSpec, Pod, ServiceSpec};

use crate::scenario::{Scenario, Seen, find};
use crate::stage::{NAMESPACE, ORDERS, PORT, Stage, after, domain, pass, wait_left};

/// The scenarios of this file.
pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("no_dns", "addresses from elsewhere than DNS", "withheld:no_dns none=30", no_dns)
            .number(26),
        Scenario::new("ip_reused", "a kept address is another Service's pod by now", "ip_reused", |stage| {
            ip_reused(stage, true)
        })
        .number(27),
        Scenario::new("ip_reused.fixed", "the same, looked up each time", "even", |stage| {
            ip_reused(stage, false)
        }),
        Scenario::new(
            "not_ready",
            "addresses that are published before they are ready",
            "dials_not_ready",
            |stage| not_ready(stage, true),
        )
        .number(29),
        Scenario::new("not_ready.fixed", "the same without publishNotReadyAddresses", "even", |stage| {
            not_ready(stage, false)
        }),
        Scenario::new(
            "port_mismatch",
            "port 80 is dialled where pods listen on 8080",
            "port_mismatch use=8080",
            |stage| port_mismatch(stage, 80),
        )
        .number(30),
        Scenario::new("port_mismatch.fixed", "the same with the pods' port", "even use=null", |stage| {
            port_mismatch(stage, PORT)
        }),
        Scenario::new("dns_stale", "DNS still lists a pod that has gone", "dns_stale", |stage| {
            gone(stage, true)
        }),
        Scenario::new("dns_stale.fixed", "the same, once DNS has followed", "even", |stage| {
            gone(stage, false)
        }),
        Scenario::new("failing_endpoint", "a ready pod refuses", "failing_endpoint", |stage| {
            failing(stage, true)
        }),
        Scenario::new("failing_endpoint.fixed", "the same, with a probe that says so", "even", |stage| {
            failing(stage, false)
        }),
        Scenario::new(
            "started_after",
            "30 connections that are older than the daemon",
            "withheld:started_after",
            started_after,
        )
        .number(39),
        Scenario::new(
            "losses",
            "a ring that overflows: what was seen carries no verdict",
            "withheld:losses",
            losses,
        )
        .number(40),
    ]
}

/// The verdict on `web` after this many attempts to reach `orders`.
fn verdict(observer: &lab::Observer, attempts: u64) -> Result<Seen> {
    Seen::verdict(&after(observer, ORDERS, "web", attempts)?, ORDERS, "web")
}

fn no_dns(stage: &Stage) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    let pods = stage.backends("orders", 3)?;
    stage.publish(&[stage.orders(&pods)])?;
    let observer = stage.observe()?;
    let addresses: Vec<_> = pods.iter().flat_map(Pod::addresses).collect();
    web.client(&ClientSpec::fixed(&addresses, PORT, 30))?.wait()?;
    let snapshot = after(&observer, ORDERS, "web", 30)?;
    let count = find(&snapshot, ORDERS, "web")?["resolution"]["none"].clone();
    Ok(Seen::verdict(&snapshot, ORDERS, "web")?.and("none", count))
}

fn ip_reused(stage: &Stage, is_kept: bool) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    let pods = stage.backends("orders", 3)?;
    stage.publish(&[stage.orders(&pods)])?;
    // The first address is that of the pod that is removed.
    stage.answers(|options| options.order = Order::Fixed)?;
    let observer = stage.observe()?;
    let spec = ClientSpec::new(&domain("orders"), PORT, stage.resolver, 0);
    let client = web.client(&if is_kept { spec.never_again() } else { spec })?;
    client.open(1)?;
    after(&observer, ORDERS, "web", 1)?;
    client.close(1)?;
    pods[0].remove()?;
    let audit = stage.backend("audit-0", 100)?;
    let audit = ServiceSpec::new(NAMESPACE, "audit", PORT, &[audit]);
    stage.publish(&[stage.orders(&pods[1..]), audit])?;
    stage.answers(|options| options.order = Order::Shuffle)?;
    wait_left(&observer, ORDERS, &pods[0])?;
    pass(Duration::from_secs(2));
    client.open(40)?;
    verdict(&observer, 41)
}

/// One of three pods is not ready and does not listen.
fn not_ready(stage: &Stage, is_published: bool) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    let mut pods = stage.backends("orders", 2)?;
    pods.extend(stage.idle_pods("orders", 2..3)?);
    let mut orders = stage.orders(&pods);
    orders.publish_not_ready = is_published;
    if let Some(endpoint) = orders.endpoints.last_mut() {
        endpoint.serving = false;
    }
    stage.publish(&[orders])?;
    let observer = stage.observe()?;
    pass(Duration::from_secs(2));
    web.client(&ClientSpec::new(&domain("orders"), PORT, stage.resolver, 60))?.wait()?;
    verdict(&observer, 60)
}

fn port_mismatch(stage: &Stage, port: u16) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    let orders = ServiceSpec { mapped_from: Some(80), ..stage.orders(&stage.backends("orders", 3)?) };
    stage.publish(&[orders])?;
    let observer = stage.observe()?;
    web.client(&ClientSpec::new(&domain("orders"), port, stage.resolver, 60))?.wait()?;
    let snapshot = after(&observer, ORDERS, "web", if port == PORT { 60 } else { 0 })?;
    let hint = find(&snapshot, ORDERS, "web")?["other_ports"][0]["use_port"].clone();
    Ok(Seen::verdict(&snapshot, ORDERS, "web")?.and("use", hint))
}

/// One of three pods is removed; DNS follows if `is_listed` is false.
fn gone(stage: &Stage, is_listed: bool) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/32")?;
    let pods = stage.backends("orders", 3)?;
    stage.publish(&[stage.orders(&pods)])?;
    let observer = stage.observe()?;
    let left = [stage.orders(&pods[1..])];
    if is_listed {
        stage.publish_manifests(&left)?;
    } else {
        stage.publish(&left)?;
    }
    pods[0].remove()?;
    wait_left(&observer, ORDERS, &pods[0])?;
    pass(Duration::from_secs(2));
    web.client(&ClientSpec::new(&domain("orders"), PORT, stage.resolver, 60))?.wait()?;
    verdict(&observer, 60)
}

fn failing(stage: &Stage, is_ready: bool) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    let mut pods = stage.backends("orders", 3)?;
    pods.extend(stage.idle_pods("orders", 3..4)?);
    let mut orders = stage.orders(&pods);
    let failing: Option<&mut EndpointSpec> = orders.endpoints.last_mut();
    failing.into_iter().for_each(|endpoint| endpoint.serving = is_ready);
    stage.publish(&[orders])?;
    let observer = stage.observe()?;
    web.client(&ClientSpec::new(&domain("orders"), PORT, stage.resolver, 80))?.wait()?;
    verdict(&observer, 80)
}

fn started_after(stage: &Stage) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    stage.publish(&[stage.orders(&stage.backends("orders", 3)?)])?;
    let client = web.client(&ClientSpec::new(&domain("orders"), PORT, stage.resolver, 0).round_robin(0))?;
    client.open(30)?;
    let observer = stage.observe()?;
    Seen::verdict(&after(&observer, ORDERS, "web", 0)?, ORDERS, "web")
}

/// Makes far more connections than the smallest ring has room for.
fn losses(stage: &Stage) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    stage.publish(&[stage.orders(&stage.backends("orders", 3)?)])?;
    let observer = stage.observe_with(&["--ring-size", "64KiB"])?;
    let spec = ClientSpec::new(&domain("orders"), PORT, stage.resolver, 20_000).round_robin(0).threads(4);
    web.client(&spec.dial(|dial| dial.reset_on_close = true))?.wait()?;
    verdict(&observer, 20_000)
}
