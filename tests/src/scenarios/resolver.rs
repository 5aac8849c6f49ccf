//! C libraries and DNS answers: the addresses that they sort, cut or never receive.

use anyhow::Result;
use lab::ClientSpec;
use lab::dns::Order;

use crate::real_programs::{Real, path};
use crate::scenario::{Scenario, Seen, service};
use crate::stage::{ORDERS, PORT, Stage, after, wait_answers};

/// The scenarios of this file.
pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "phantom",
            "getaddrinfo connects to 40 addresses to sort them",
            "opened=0 failed=0",
            phantom,
        )
        .number(12),
        Scenario::new(
            "address_sort",
            "getaddrinfo of a pod that believes in a /24",
            "address_sort",
            |stage| address_sort(stage, 24),
        )
        .number(13),
        Scenario::new("address_sort.fixed", "the same with a /32", "even", |stage| address_sort(stage, 32)),
        Scenario::new(
            "truncation",
            "40 addresses: glibc asks again over TCP",
            "even incomplete=0 truncated_used=0",
            truncation,
        )
        .number(14),
        Scenario::new("client_cap", "60 addresses, of which musl 1.2.5 takes 48", "client_cap", |stage| {
            whole_answer(stage, "MUSL", 60)
        })
        .number(15),
        Scenario::new("client_cap.fixed", "the same program with glibc", "even", |stage| {
            whole_answer(stage, "GLIBC", 60)
        }),
        Scenario::new(
            "truncated_answer",
            "40 addresses, of which 512 bytes have 28: musl 1.2.3",
            "truncated_answer",
            |stage| whole_answer(stage, "OLD_MUSL", 40),
        )
        .number(16),
        Scenario::new(
            "truncated_answer.fixed",
            "the same program with musl 1.2.5, which asks again over TCP",
            "even",
            |stage| whole_answer(stage, "MUSL", 40),
        ),
    ]
}

fn phantom(stage: &Stage) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/32")?;
    stage.publish(&[stage.orders(&stage.idle_pods("orders", 0..40)?)])?;
    let observer = stage.observe()?;
    web.client(&ClientSpec::libc("orders", PORT, 0))?.resolve()?;
    let snapshot = wait_answers(&observer, ORDERS, 1)?;
    let endpoints = service(&snapshot, ORDERS)?["endpoints"].as_array().cloned().unwrap_or_default();
    let opened: u64 = endpoints.iter().filter_map(|endpoint| endpoint["opened"].as_u64()).sum();
    let counts = endpoints.iter().filter_map(|endpoint| endpoint["failed"].as_object());
    let failed: u64 = counts.flat_map(|counts| counts.values()).filter_map(serde_json::Value::as_u64).sum();
    Ok(Seen::nothing(service(&snapshot, ORDERS)?).and("opened", opened).and("failed", failed))
}

/// Only the pod at .6 shares more than 24 bits with the client at .7.
fn address_sort(stage: &Stage, prefix: u8) -> Result<Seen> {
    let web = stage.pod("web", &format!("10.244.1.7/{prefix}"))?;
    let places = [6, 64, 96, 128, 160, 192].into_iter().enumerate();
    let pods =
        places.map(|(n, last)| stage.backend(&format!("orders-{n}"), last)).collect::<Result<Vec<_>>>()?;
    stage.publish(&[stage.orders(&pods)])?;
    let observer = stage.observe()?;
    web.client(&ClientSpec::libc("orders", PORT, 300))?.wait()?;
    Seen::verdict(&after(&observer, ORDERS, "web", 300)?, ORDERS, "web")
}

fn truncation(stage: &Stage) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/32")?;
    stage.publish(&[stage.orders(&stage.backends("orders", 40)?)])?;
    let observer = stage.observe()?;
    web.client(&ClientSpec::libc("orders", PORT, 400))?.wait()?;
    let snapshot = after(&observer, ORDERS, "web", 400)?;
    let dns = &service(&snapshot, ORDERS)?["dns"];
    let seen = Seen::verdict(&snapshot, ORDERS, "web")?;
    Ok(seen.and("incomplete", &dns["incomplete"]).and("truncated_used", &dns["truncated_used"]))
}

/// The client uses the addresses in turn, one for each lookup; the order of the answers is always the same.
fn whole_answer(stage: &Stage, program: &str, pods: u8) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/32")?;
    stage.publish(&[stage.orders(&stage.backends("orders", pods)?)])?;
    stage.answers(|options| options.order = Order::Fixed)?;
    let observer = stage.observe()?;
    let connections = u64::from(pods) * 8;
    let mut client = Real::start(&web, &[&path(program)?, "orders", "8080", "turn"])?;
    client.one_by_one(connections)?;
    Seen::verdict(&after(&observer, ORDERS, "web", connections)?, ORDERS, "web")
}
