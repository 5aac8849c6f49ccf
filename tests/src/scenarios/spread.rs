//! The spread of connections, depending on the way clients use complete and fresh answers.

use std::time::Duration;

use anyhow::Result;
use lab::ClientSpec;
use lab::dns::Order;

use crate::real_programs::{Real, path};
use crate::scenario::{Scenario, Seen, service};
use crate::stage::{BEGINNING, ORDERS, PORT, Stage, after, domain, pass, wait_mature, wait_state};

/// The scenarios of this file.
pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "random",
            "each of 300 connections goes to the first address of a shuffled answer",
            "even",
            random,
        )
        .number(3),
        Scenario::new("tiny", "three connections: 2, 1 and 0", "too_few", tiny).number(4),
        Scenario::new("hot_pod", "the client itself prefers one pod", "unexplained", hot_pod).number(5),
        Scenario::new(
            "under_shuffle",
            "the DNS server puts one of 15 first twice as often",
            "answer_order",
            |stage| under_shuffle(stage, false),
        )
        .number(6),
        Scenario::new("under_shuffle.fixed", "the same with a server that shuffles well", "even", |stage| {
            under_shuffle(stage, true)
        }),
        Scenario::new(
            "kept_list",
            "six pods where three were, and a client that keeps its list",
            "never_re_resolved",
            |stage| kept_list(stage, 0),
        ),
        Scenario::new(
            "kept_list.fixed",
            "the same, looked up again every six connections",
            "even",
            |stage| kept_list(stage, 6),
        ),
        Scenario::new(
            "grown",
            "six pods where three were, and a client that has been fair for long",
            "even",
            grown,
        ),
        Scenario::new(
            "young_pod",
            "a pod counts once it has been ready for long enough",
            "endpoints=3 coverage=1 endpoints=4 coverage=0.75",
            young_pod,
        )
        .number(9),
    ]
}

fn random(stage: &Stage) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    stage.publish(&[stage.orders(&stage.backends("orders", 3)?)])?;
    let observer = stage.observe()?;
    web.client(&ClientSpec::new(&domain("orders"), PORT, stage.resolver, 300))?.wait()?;
    Seen::verdict(&after(&observer, ORDERS, "web", 300)?, ORDERS, "web")
}

fn tiny(stage: &Stage) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    let pods = stage.backends("orders", 3)?;
    stage.publish(&[stage.orders(&pods)])?;
    stage.answers(|options| options.order = Order::Fixed)?;
    let observer = stage.observe()?;
    let client = web.client(&ClientSpec::new(&domain("orders"), PORT, stage.resolver, 0))?;
    client.open(2)?;
    stage.publish_dns(&[stage.orders(&[pods[1].clone(), pods[0].clone(), pods[2].clone()])])?;
    client.open(1)?;
    Seen::verdict(&after(&observer, ORDERS, "web", 3)?, ORDERS, "web")
}

/// The pods get 100/50/50/50/50 connections, whatever the order of the answers.
fn hot_pod(stage: &Stage) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/32")?;
    stage.publish(&[stage.orders(&stage.backends("orders", 5)?)])?;
    let observer = stage.observe()?;
    let mut client = Real::start(&web, &[&path("GLIBC")?, "orders", "8080", "favourite"])?;
    client.one_by_one(300)?;
    Seen::verdict(&after(&observer, ORDERS, "web", 300)?, ORDERS, "web")
}

/// The pod that is first twice as often gets 200 connections, each other pod 100.
fn under_shuffle(stage: &Stage, is_fixed: bool) -> Result<Seen> {
    const PODS: u8 = 15;
    let web = stage.pod("web", "10.244.1.10/24")?;
    let pods = stage.backends("orders", PODS)?;
    stage.publish(&[stage.orders(&pods)])?;
    let observer = stage.observe()?;
    let name = format!("{}.", domain("orders"));
    let mut client = Real::start(&web, &[&path("GO")?, "net", &name, "8080"])?;
    if is_fixed {
        client.one_by_one(1_600)?;
    } else {
        stage.answers(|options| options.order = Order::Fixed)?;
        for n in 0..1_600 {
            let mut turned = pods.clone();
            turned.rotate_left((n % 16_usize).saturating_sub(1));
            stage.publish_dns(&[stage.orders(&turned)])?;
            client.make_all(1)?;
        }
    }
    Seen::verdict(&after(&observer, ORDERS, "web", 1_600)?, ORDERS, "web")
}

fn kept_list(stage: &Stage, per_lookup: u64) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    let mut pods = stage.backends("orders", 3)?;
    stage.publish(&[stage.orders(&pods)])?;
    let observer = stage.observe()?;
    let spec = ClientSpec::new(&domain("orders"), PORT, stage.resolver, 0).round_robin(per_lookup);
    let client = web.client(&spec)?;
    client.open(6)?;
    pass(BEGINNING);
    pods.extend(stage.more_backends("orders", 3..6)?);
    stage.publish(&[stage.orders(&pods)])?;
    wait_mature(&observer, ORDERS, 6)?;
    client.open(84)?;
    Seen::verdict(&after(&observer, ORDERS, "web", 90)?, ORDERS, "web")
}

/// The later pods have a tenth of the connections of the others. They could expect no more, because they came late.
fn grown(stage: &Stage) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    let mut pods = stage.backends("orders", 3)?;
    stage.publish(&[stage.orders(&pods)])?;
    let observer = stage.observe()?;
    let client = web.client(&ClientSpec::new(&domain("orders"), PORT, stage.resolver, 0))?;
    client.open(600)?;
    pass(BEGINNING);
    pods.extend(stage.more_backends("orders", 3..6)?);
    stage.publish(&[stage.orders(&pods)])?;
    wait_mature(&observer, ORDERS, 6)?;
    client.open(120)?;
    Seen::verdict(&after(&observer, ORDERS, "web", 720)?, ORDERS, "web")
}

fn young_pod(stage: &Stage) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    let mut pods = stage.backends("orders", 3)?;
    stage.publish(&[stage.orders(&pods)])?;
    // Long enough to take the snapshot `young` before the fourth pod is mature.
    let observer = stage.observe_with(&["--mature-after", "5s"])?;
    pass(Duration::from_millis(5_200));
    let spec = ClientSpec::new(&domain("orders"), PORT, stage.resolver, 30).round_robin(0);
    web.client(&spec)?.wait()?;
    after(&observer, ORDERS, "web", 30)?;
    pods.extend(stage.more_backends("orders", 3..4)?);
    stage.publish(&[stage.orders(&pods)])?;
    let young = wait_state(&observer, ORDERS, "ready", 4)?;
    let grown = wait_mature(&observer, ORDERS, 4)?;
    let mut seen = Seen::nothing(&grown);
    for snapshot in [young, grown] {
        let spread = &service(&snapshot, ORDERS)?["spread"];
        let coverage = spread["coverage"].as_f64().unwrap_or_default();
        seen = seen.and("endpoints", &spread["endpoints"]).and("coverage", coverage);
    }
    Ok(seen)
}
