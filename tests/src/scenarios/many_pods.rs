//! Many clients of one workload: each uses few pods, and together they are even.

use anyhow::Result;
use lab::dns::Order;
use lab::{ClientSpec, Pod};

use crate::real_programs::{Real, path};
use crate::scenario::{Scenario, Seen};
use crate::stage::{BEGINNING, ORDERS, PORT, Stage, after, domain, pass};

/// The scenarios of this file.
pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "many_pinned",
            "100 client pods, a connection each, over 10 pods",
            "subset",
            many_pinned,
        )
        .number(10),
        Scenario::new("subsetting", "each of 12 client pods uses its 2 of 6 pods", "subset", subsetting)
            .number(11),
        Scenario::new(
            "frozen_order",
            "a cache on the node gives all pods the same first address",
            "answer_order",
            |stage| restarted(stage, Order::Fixed, false),
        )
        .number(17),
        Scenario::new("frozen_order.fixed", "the same with a server that shuffles", "even", |stage| {
            restarted(stage, Order::Shuffle, false)
        }),
        Scenario::new(
            "frozen_order.fixed_by_client",
            "the same with clients that shuffle",
            "even",
            |stage| restarted(stage, Order::Fixed, true),
        ),
    ]
}

/// Pods of the Deployment `web`, at 10.244.2.1 and up.
fn fleet(stage: &Stage, count: u8) -> Result<Vec<Pod>> {
    let pod = |n: u8| {
        let spec = stage.spec(&format!("web-{n}"), &format!("10.244.2.{}/32", n + 1));
        stage.node.pod(spec.known_as("main", "web").workload("Deployment", "web"))
    };
    (0..count).map(pod).collect()
}

fn many_pinned(stage: &Stage) -> Result<Seen> {
    let fleet = fleet(stage, 100)?;
    stage.publish(&[stage.orders(&stage.backends("orders", 10)?)])?;
    let observer = stage.observe()?;
    let spec = ClientSpec::new(&domain("orders"), PORT, stage.resolver, 1).keep();
    let clients = fleet.iter().map(|pod| pod.client(&spec)).collect::<Result<Vec<_>>>()?;
    clients.iter().try_for_each(|client| client.wait().map(drop))?;
    after(&observer, ORDERS, "web", 100)?;
    // The daemon does not judge younger connections as a habit.
    pass(BEGINNING);
    Seen::verdict(&observer.snapshot()?, ORDERS, "web")
}

fn subsetting(stage: &Stage) -> Result<Seen> {
    let fleet = fleet(stage, 12)?;
    stage.publish(&[stage.orders(&stage.backends("orders", 6)?)])?;
    let observer = stage.observe()?;
    let program = path("GLIBC")?;
    for (n, pod) in fleet.iter().enumerate() {
        Real::start(pod, &[&program, "orders", "8080", &format!("subset:{n}:2")])?.one_by_one(12)?;
    }
    Seen::verdict(&after(&observer, ORDERS, "web", 144)?, ORDERS, "web")
}

/// Starts 20 pods within the time to live of one answer; each makes three connections.
fn restarted(stage: &Stage, order: Order, is_random: bool) -> Result<Seen> {
    let fleet = fleet(stage, 20)?;
    stage.publish(&[stage.orders(&stage.backends("orders", 4)?)])?;
    stage.answers(|options| options.order = order)?;
    let observer = stage.observe()?;
    let mut spec = ClientSpec::new(&domain("orders"), PORT, stage.resolver, 3);
    if is_random {
        spec = spec.random();
    }
    for pod in &fleet {
        pod.client(&spec)?.wait()?;
    }
    Seen::verdict(&after(&observer, ORDERS, "web", 60)?, ORDERS, "web")
}
