//! grpc-go makes one connection a channel, or one to each address of an answer. It looks up again only when a
//! connection breaks.

use std::time::Duration;

use anyhow::Result;
use lab::Pod;

use crate::real_programs::{Real, path};
use crate::scenario::{Scenario, Seen};
use crate::stage::{BEGINNING, ORDERS, PORT, Stage, after, domain, pass, wait_mature};

/// The scenarios of this file.
pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("pick_first", "gRPC's default: 100 calls on one connection", "pinned", |stage| {
            policy(stage, "pick_first", 1)
        })
        .number(1),
        Scenario::new("pick_first.fixed", "the same with round_robin", "even", |stage| {
            policy(stage, "round_robin", 3)
        })
        .number(2),
        Scenario::new(
            "scale_up",
            "round_robin keeps to the three pods that were six later",
            "never_re_resolved",
            |stage| scale_up(stage, "0s"),
        )
        .number(7),
        Scenario::new("scale_up.fixed", "the same with MaxConnectionAge on the servers", "even", |stage| {
            scale_up(stage, "1s")
        })
        .number(8),
    ]
}

fn serve(pods: &[Pod], max_age: &str) -> Result<Vec<Real>> {
    let program = path("GO")?;
    let serve = |pod: &Pod| {
        let address = format!("{}:{PORT}", pod.ip(true)?);
        Real::server(pod, &[&program, "grpc-serve", &address, max_age])
    };
    pods.iter().map(serve).collect()
}

fn channel(pod: &Pod, policy: &str, resolve_every: &str) -> Result<Real> {
    let target = format!("dns:///{}:{PORT}", domain("orders"));
    Real::start(pod, &[&path("GO")?, "grpc", &target, policy, resolve_every])
}

fn policy(stage: &Stage, policy: &str, connections: u64) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    let pods = stage.idle_pods("orders", 0..3)?;
    stage.publish(&[stage.orders(&pods)])?;
    let _servers = serve(&pods, "0s")?;
    let observer = stage.observe()?;
    let mut calls = channel(&web, policy, "0s")?;
    calls.make_all(50)?;
    // The daemon does not judge younger connections as a habit.
    pass(BEGINNING);
    calls.make_all(50)?;
    Seen::verdict(&after(&observer, ORDERS, "web", connections)?, ORDERS, "web")
}

/// grpc-go looks up at most every 30 s; here it does every second, so that convergence takes seconds.
fn scale_up(stage: &Stage, max_age: &str) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    let mut pods = stage.idle_pods("orders", 0..3)?;
    stage.publish(&[stage.orders(&pods)])?;
    let _servers = serve(&pods, max_age)?;
    let observer = stage.observe()?;
    let mut calls = channel(&web, "round_robin", "1s")?;
    calls.make_all(30)?;
    after(&observer, ORDERS, "web", 3)?;
    pass(BEGINNING);
    let more = stage.idle_pods("orders", 3..6)?;
    let _more_servers = serve(&more, max_age)?;
    pods.extend(more);
    stage.publish(&[stage.orders(&pods)])?;
    wait_mature(&observer, ORDERS, 6)?;
    for _ in 0..40 {
        calls.make_all(6)?;
        pass(Duration::from_millis(250));
    }
    Seen::verdict(&observer.snapshot()?, ORDERS, "web")
}
