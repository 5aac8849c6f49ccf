//! How connections spread, by what clients do with whole and fresh answers.

use anyhow::Result;
use lab::ClientSpec;

use crate::scenario::{Scenario, Seen};
use crate::stage::{PORT, Stage, after, domain};

const ORDERS: &str = "shop/orders";

/// Those of this file.
pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "random",
        number: Some(3),
        title: "300 connections, each to the first of a shuffled answer",
        expected: "even",
        quick: true,
        run: random,
    }]
}

fn random(stage: &Stage) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/24")?;
    stage.publish(&[stage.orders(&stage.backends("orders", 3)?)])?;
    let observer = stage.observe()?;
    let spec = ClientSpec::new(&domain("orders"), PORT, stage.resolver, 300);
    web.client(&spec)?.wait()?;
    Seen::verdict(&after(&observer, ORDERS, "web", 300)?, ORDERS, "web")
}
