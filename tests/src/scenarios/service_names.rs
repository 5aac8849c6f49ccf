//! Names that clients can use for a Service: the daemon understands each, and counts it once.

use anyhow::Result;
use lab::ClientSpec;
use lab::client::SrvHabit;
use lab::dns::Data;

use crate::scenario::{Scenario, Seen, find};
use crate::stage::{NAMESPACE, ORDERS, PORT, Stage, TTL, after, domain};

/// Connections of each client.
const EACH: u64 = 60;

/// The scenarios of this file.
pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "search",
            "a short name and the search list of a kubelet",
            "even service=60",
            |stage| asked(stage, ClientSpec::libc("orders", PORT, EACH), "service"),
        )
        .number(19),
        Scenario::new("custom_zone", "another zone, in random case", "even service=60", custom_zone)
            .number(20),
        Scenario::new("alias", "an alias of another namespace", "even service=60", alias).number(21),
        Scenario::new("srv", "an SRV lookup, with addresses beside it", "even srv=60", srv).number(22),
        Scenario::new(
            "per_pod_name",
            "the name of one pod: intended",
            "withheld:by_hostname hostname=60",
            per_pod,
        )
        .number(23),
        Scenario::new("dns_over_tcp", "DNS over TCP from the start", "even service=60", |stage| {
            asked(stage, plain(stage, &domain("orders")).stub(|stub| stub.tcp = true), "service")
        })
        .number(42),
    ]
}

fn plain(stage: &Stage, name: &str) -> ClientSpec {
    ClientSpec::new(name, PORT, stage.resolver, EACH)
}

/// The verdict on a client, and the number of its connections with this resolution.
fn asked(stage: &Stage, spec: ClientSpec, resolution: &str) -> Result<Seen> {
    let web = stage.pod("web", "10.244.1.10/32")?;
    stage.publish(&[stage.orders(&stage.backends("orders", 3)?)])?;
    let observer = stage.observe()?;
    web.client(&spec)?.wait()?;
    let snapshot = after(&observer, ORDERS, "web", EACH)?;
    let count = find(&snapshot, ORDERS, "web")?["resolution"][resolution].clone();
    Ok(Seen::verdict(&snapshot, ORDERS, "web")?.and(resolution, count))
}

fn custom_zone(stage: &Stage) -> Result<Seen> {
    let zone = "k8s.corp.example";
    // The pods do not exist yet, but their addresses are known.
    let addresses: Vec<Data> =
        (100..103).map(|last| Data::Address(std::net::Ipv4Addr::new(10, 244, 1, last).into())).collect();
    let name = format!("orders.{NAMESPACE}.svc.{zone}");
    stage.dns.set(&name, TTL, addresses)?;
    asked(stage, plain(stage, &name).stub(|stub| stub.random_case = true), "service")
}

fn alias(stage: &Stage) -> Result<Seen> {
    stage.dns.set("db.office.example", TTL, vec![Data::Cname(domain("orders"))])?;
    asked(stage, plain(stage, "db.office.example"), "service")
}

fn srv(stage: &Stage) -> Result<Seen> {
    let name = format!("_main._tcp.{}", domain("orders"));
    let habit = Some(SrvHabit::Additional);
    asked(stage, plain(stage, &name).random().stub(|stub| stub.srv = habit), "srv")
}

fn per_pod(stage: &Stage) -> Result<Seen> {
    asked(stage, plain(stage, &format!("orders-0.{}", domain("orders"))), "hostname")
}
