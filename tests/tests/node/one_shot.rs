//! A `report --for` of a few seconds: every client and every attempt is in a figure of it, those in trouble included, and
//! the figures add up to what the clients and the servers counted.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use lab::client::Outcomes;
use lab::*;
use rustix::process::Signal;
use serde_json::Value;

use crate::shop::{Live, Shop};
use crate::snapshot_figures::{client, endpoint};
use crate::{ORDERS, PATIENCE, PORT, accepted, orders, service};

/// Longer than all traffic here; the test ends each report when the traffic is over.
const LIMIT: &str = "10m";
/// The Service of which DNS knows machines that are no endpoints.
const LEGACY: &str = "legacy.shop.svc.cluster.local";

/// Attempts of each client.
const BY_NAME: u64 = 30;
const REFUSED: u64 = 5;
const WITHOUT_DNS: u64 = 6;
const TO_NOBODY: u64 = 9;
const TO_REMOVED: u64 = 4;

/// Makes all attempts of a spec from a pod.
fn attempt(from: &Pod, spec: &ClientSpec) -> Outcomes {
    from.client(spec).unwrap().wait().unwrap().total()
}

/// Starts a report and waits until it observes.
fn report(shop: &Shop, options: &[&str]) -> Live {
    let words = ["report", "--for", LIMIT, "--topology", &shop.topology];
    let report = shop.live(&[&words[..], options].concat());
    report.wait_for("Ctrl-C ends the observation and prints the result");
    report
}

fn figure(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value:#}"))
}

fn all(counts: &Value) -> u64 {
    counts.as_object().unwrap().values().map(figure).sum()
}

#[test]
fn a_short_report_leaves_nobody_out() {
    let mut shop = Shop::open();
    let pod = |name: &str, last: u8| shop.scene.pod(name, &format!("10.244.1.{last}/24"));
    let [refused, direct, lost, left, asker] =
        [("refused", 40), ("direct", 41), ("lost", 42), ("left", 43), ("asker", 44)]
            .map(|(name, last)| pod(name, last));
    let machine = pod("machine", 30);
    machine.serve_port(PORT).unwrap();
    let closed = pod("orders-3", 103);
    let mut known = shop.service.clone();
    known.endpoints.push(EndpointSpec::new(&closed));
    let leaving = known.endpoints[2].pod.clone();
    let legacy = ServiceSpec { name: "legacy".to_owned(), endpoints: Vec::new(), ..known.clone() };
    shop.publish(&[known.clone(), legacy.clone()]);
    shop.scene.dns.set_addresses(LEGACY, &machine.addresses()).unwrap();

    let observer = shop.observe(&[], &[]);
    let (table, raw) = (report(&shop, &[]), report(&shop, &["-o", "json"]));
    let resolver = shop.scene.resolver;
    shop.scene.dns.set_addresses(ORDERS, &closed.addresses()).unwrap();
    let outcome = attempt(&refused, &ClientSpec::new(ORDERS, PORT, resolver, REFUSED));
    assert_eq!(outcome.refused, REFUSED);
    let open: Vec<IpAddr> = known.endpoints[..3].iter().flat_map(|open| open.pod.addresses()).collect();
    shop.scene.dns.set_addresses(ORDERS, &open).unwrap();
    shop.connect(BY_NAME);
    let fixed = |connections| ClientSpec::fixed(&leaving.addresses(), PORT, connections);
    assert_eq!(attempt(&direct, &fixed(WITHOUT_DNS)).connected, WITHOUT_DNS);
    let by_other_name = ClientSpec::new(LEGACY, PORT, resolver, TO_NOBODY);
    assert_eq!(attempt(&lost, &by_other_name).connected, TO_NOBODY);
    asker.client(&ClientSpec::new(ORDERS, PORT, resolver, 0)).unwrap().resolve().unwrap();

    known.endpoints.remove(2);
    shop.publish(&[known, legacy]);
    let gone = |snapshot: &Value| endpoint(orders(snapshot), leaving.name())["state"] == "removed";
    observer.snapshot_when(PATIENCE, gone).unwrap();
    // The reports read the manifests at their own time.
    thread::sleep(stretched(Duration::from_secs(5)));
    assert_eq!(attempt(&left, &fixed(TO_REMOVED)).connected, TO_REMOVED);
    observer.snapshot_when(PATIENCE, |snapshot| is_told(&snapshot["quality"]["attempts"])).unwrap();

    let (table, raw) = (table.end(Signal::INT), raw.end(Signal::INT));
    assert_eq!((table.code, raw.code), (Some(0), Some(0)), "{table:?} {raw:?}");
    let snapshot: Value = serde_json::from_str(&raw.out).unwrap();
    let quality = &snapshot["quality"];
    assert!(is_told(&quality["attempts"]), "{quality:#}");
    let parts = ["attributed", "unattributed", "waiting", "excluded", "unrelated"];
    let parts: u64 = parts.iter().map(|part| figure(&quality["attempts"][part])).sum();
    assert_eq!(quality["attempts"]["seen"], parts, "{quality:#}");
    assert_eq!(quality["attempts"]["excluded"], all(&quality["excluded"]), "{quality:#}");
    let reasons = all(&quality["unattributed"]) - figure(&quality["unattributed"]["no_dns"]);
    assert_eq!(quality["attempts"]["unattributed"], reasons, "{quality:#}");

    let orders = orders(&snapshot);
    for (workload, opened, failed) in [
        ("web", BY_NAME, 0),
        ("refused", 0, REFUSED),
        ("direct", WITHOUT_DNS, 0),
        ("left", TO_REMOVED, 0),
        ("asker", 0, 0),
    ] {
        let row = client(orders, workload);
        assert_eq!((&row["opened"], &row["failed"]), (&opened.into(), &failed.into()), "{row:#}");
        assert!(table.out.contains(workload), "{}", table.out);
    }
    assert_eq!(client(orders, "asker")["usable_answers"], 1);
    assert_eq!(orders["stale"]["removed"], TO_REMOVED, "{:#}", orders["stale"]);
    let lost = client(service(&snapshot, "legacy"), "lost");
    let told = ["not_endpoint", "waiting"].map(|place| lost[place].as_u64().unwrap_or(0));
    assert_eq!((told.iter().sum::<u64>(), &lost["opened"]), (TO_NOBODY, &0.into()), "{lost:#}");
    let served: u64 = accepted(&shop.scene.lab).values().sum();
    assert_eq!(served, BY_NAME + WITHOUT_DNS + TO_NOBODY + TO_REMOVED);
    assert!(table.out.contains("Complete: no event was lost."), "{}", table.out);
    assert!(!table.out.lines().any(|line| line.trim_end().ends_with("resolved by")), "{}", table.out);
}

/// All attempts have their place. Those to addresses that nobody owns wait for an endpoint at first.
fn is_told(attempts: &Value) -> bool {
    let to_nobody = figure(&attempts["unattributed"]) + figure(&attempts["waiting"]);
    (figure(&attempts["attributed"]), to_nobody) == (BY_NAME + REFUSED + WITHOUT_DNS + TO_REMOVED, TO_NOBODY)
}
