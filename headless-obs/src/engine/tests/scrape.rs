//! The input of series: Services with clients on this node, counts of forgotten endpoints, and folding.

use super::*;
use crate::expose::metrics::cardinality::{ClientLabels, Config as Limits, Detail};
use crate::expose::metrics::{Format, Scrape, encode};
use crate::expose::snapshot::ClientEndpoint;
use crate::topology::test_builders::pod;

const MINUTE: Duration = Duration::from_secs(60);

impl World {
    pub(super) fn scrape(&mut self) -> Scrape {
        let kernel = self.kernel();
        self.engine.scrape(&kernel)
    }

    /// The lines of a scrape that are of a metric and have this in their labels.
    pub(super) fn lines(&mut self, metric: &str, labels: &str) -> Vec<String> {
        let text = encode(self.scrape().into(), Format::Plain).unwrap();
        let text = String::from_utf8(text).unwrap();
        let of = |line: &&str| line.starts_with(&format!("{metric}{{")) && line.contains(labels);
        text.lines().filter(of).map(|line| line.replace(metric, "")).collect()
    }

    /// The sum of their values.
    pub(super) fn sum(&mut self, metric: &str, labels: &str) -> u64 {
        let value = |line: &String| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        self.lines(metric, labels).iter().map(value).sum()
    }

    /// One of very many clients.
    fn connect_as(&mut self, client: u16, address: &str) {
        let Dialled(mut record) = self.dial(1, address);
        let [high, low] = client.to_be_bytes();
        record.header.cgroup = client.into();
        record.source = abi(IpAddr::from([10, 8, high, low]));
        record.comm = [0; 16];
        record.comm.iter_mut().zip(format!("many-{client}").bytes()).for_each(|(to, from)| *to = from);
        self.open(Dialled(record));
    }
}

const OPENED: &str = "headless_connections_opened_total";
const READY: &str = "headless_endpoint_ready";

#[test]
fn only_what_has_clients_here_and_of_that_everything() {
    let mut world = World::new([orders(&pods(3)), service("idle", &[ready("idle-0", "10.0.1.1")])]);
    assert_eq!(world.scrape().snapshot.services.len(), 0);
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    world.connect(1, "10.0.0.1");
    let labels = |pod: u8| {
        format!(
            "{{namespace=\"shop\",service=\"orders\",pod=\"orders-{pod}\",port=\"8080\",client_namespace=\"\",\
             client_workload=\"client-1\",resolution=\"service\"}}"
        )
    };
    let expected = [1, 0, 0].into_iter().zip(0..).map(|(opened, pod)| format!("{} {opened}", labels(pod)));
    assert_eq!(world.lines(OPENED, ""), expected.collect::<Vec<_>>());
    assert_eq!(world.lines(READY, "").len(), 3);
    assert_eq!(world.lines(READY, "idle-0").len(), 0);
    assert_eq!(world.lines("headless_connect_failures_total", "").len(), 18, "by six reasons");
}

#[test]
fn clients_ports_bytes_and_answers_are_told_apart() {
    let mut world = World::new([orders(&pods(1)).ports(&[PORT, 9090])]);
    for (name, address) in [("web-1", "10.9.0.1"), ("cron-1", "10.9.0.2")] {
        let workload: &str = name.split('-').next().unwrap();
        world.apply(crate::topology::model::Pod {
            workload: workload.into(),
            ..pod("shop", name, &[address])
        });
    }
    for client in [1, 2] {
        world.resolve(client, ORDERS, &["10.0.0.1"]);
        let dialled = world.connect(client, "10.0.0.1");
        world.close(dialled);
    }
    let Dialled(mut other) = world.dial(1, "10.0.0.1");
    other.port = 9090;
    world.fail(Dialled(other), reason::REFUSED);
    let mut denied = response(ORDERS, RecordType::AAAA, vec![]);
    denied.metadata.response_code = ResponseCode::ServFail;
    world.answer(1, &denied);

    let scrape = world.scrape();
    let service = &scrape.snapshot.services[0];
    let web = service.clients.iter().find(|client| client.workload == "web").unwrap();
    let ClientEndpoint { bytes_sent, bytes_received, ports, .. } = &web.endpoints[0];
    assert_eq!((*bytes_sent, *bytes_received), (10, 20));
    let ports: Vec<_> = ports
        .iter()
        .map(|counts| (counts.port, counts.opened.get("service"), counts.failed.get("refused")))
        .collect();
    assert_eq!(ports, [(PORT, Some(&1), None), (9090, None, Some(&1))]);
    let responses: Vec<_> =
        web.responses.iter().map(|one| (&*one.rcode, &*one.qtype, &*one.transport, one.count)).collect();
    assert_eq!(responses, [("noerror", "a", "udp", 1), ("servfail", "aaaa", "udp", 1)]);
    let responses = "headless_dns_responses_total";
    assert_eq!((world.sum(responses, "\"cron\""), world.sum(responses, "servfail")), (1, 1));
    // Born at zero at both ports for `web`, at one for `cron`.
    assert_eq!(world.lines(OPENED, "").len(), 3);
    assert_eq!(service.endpoints[0].ports, [PORT, 9090]);
    assert!(web.since.is_some_and(|since| since < scrape.snapshot.to));
}

#[test]
fn the_first_connection_to_a_later_endpoint_counts_once() {
    let mut world = World::with(Config { mature_after: MINUTE, ..config() }, [orders(&pods(1))]);
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    world.connect(1, "10.0.0.1");
    world.pass(MINUTE);
    world.apply(orders(&pods(2)));
    world.pass(3 * MINUTE);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    for _ in 0..3 {
        world.connect(1, "10.0.0.2");
    }
    let client = &world.scrape().snapshot.services[0].clients[0];
    assert_eq!(client.convergence.count, 1, "not the one that was there from the beginning");
    assert!((180.0..180.1).contains(&client.convergence.sum), "{:?}", client.convergence);
    assert_eq!(client.answer_age.histogram.count, 4);
}

#[test]
fn an_endpoint_goes_a_while_after_it_was_removed_and_no_sum_with_it() {
    let mut world = World::new([orders(&pods(2))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    for address in ["10.0.0.1", "10.0.0.2"] {
        let dialled = world.connect(1, address);
        world.close(dialled);
    }
    world.apply(orders(&pods(1)));
    let dialled = world.connect(1, "10.0.0.2");
    world.close(dialled);
    let sums = |world: &mut World| {
        let stale = world.sum("headless_stale_connections_total", "removed");
        let second = world.sum("headless_connect_answer_position_total", "position=\"1\"");
        (world.lines(READY, "").len(), stale, second)
    };
    assert_eq!(sums(&mut world), (2, 1, 2));
    world.pass(14 * MINUTE);
    assert_eq!(sums(&mut world), (2, 1, 2));
    world.pass(2 * MINUTE);
    assert_eq!(sums(&mut world), (1, 1, 2));
    world.pass(60 * MINUTE);
    let now = world.tick();
    world.engine.expire(now);
    assert_eq!(world.service("orders").stale["removed"], 0, "it is forgotten");
    assert_eq!(sums(&mut world), (1, 1, 2), "and its counts are not");
}

#[test]
fn a_pod_that_is_back_under_its_name_goes_on_counting() {
    let back = || ready("orders-0", "10.0.0.9").uid("another");
    let mut world = World::new([orders(&pods(1))]);
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    for _ in 0..5 {
        let dialled = world.connect(1, "10.0.0.1");
        world.close(dialled);
    }
    world.apply(orders(&[back()]));
    world.resolve(1, ORDERS, &["10.0.0.9"]);
    world.connect(1, "10.0.0.9");
    assert_eq!(world.sum(OPENED, "orders-0"), 6);
    world.pass(30 * MINUTE);
    assert_eq!(world.sum(OPENED, "orders-0"), 6, "it has no series of its own any more");
    world.pass(60 * MINUTE);
    let now = world.tick();
    world.engine.expire(now);
    assert_eq!(world.sum(OPENED, "orders-0"), 6, "it is forgotten");
    assert_eq!(world.rows("orders"), ["orders-0 1/1/0/1"], "a report is about the one that is");
}

#[test]
fn a_client_goes_once_it_is_silent_for_long_and_no_sum_of_many_with_it() {
    for clients in [ClientLabels::Workload, ClientLabels::None] {
        let series = Limits { clients, ..Limits::default() };
        let mut world = World::with(Config { series, ..config() }, [orders(&pods(2))]);
        let mut held = Vec::new();
        for client in [1, 2] {
            world.resolve(client, ORDERS, &["10.0.0.1"]);
            let dialled = world.connect(client, "10.0.0.1");
            if client == 1 {
                world.close(dialled);
            } else {
                held.push(dialled);
            }
        }
        world.pass(25 * 60 * MINUTE);
        let now = world.tick();
        world.engine.expire(now);
        let ages = |world: &mut World| world.sum("headless_dns_answer_age_seconds_count", "");
        let is_whole = clients == ClientLabels::Workload;
        let lines = world.lines(OPENED, "");
        assert!(!lines.iter().any(|line| line.contains("client-1")), "{lines:?}");
        assert_eq!(lines.iter().any(|line| line.contains("client-2")), is_whole, "it holds a connection");
        assert_eq!((world.sum(OPENED, ""), ages(&mut world)), if is_whole { (1, 1) } else { (2, 2) });
        // It comes back where it was.
        world.resolve(1, ORDERS, &["10.0.0.1"]);
        held.push(world.connect(1, "10.0.0.1"));
        assert_eq!((world.sum(OPENED, ""), ages(&mut world)), (3, 3));
        held.into_iter().for_each(|dialled| world.close(dialled));
        // Also if its former connections are forgotten.
        world.apply(orders(&[ready("other", "10.0.0.77")]));
        for _ in 0..3 {
            world.pass(25 * 60 * MINUTE);
            let now = world.tick();
            world.engine.expire(now);
        }
        assert_eq!(ages(&mut world), if is_whole { 0 } else { 3 });
    }
}

#[test]
fn clients_can_be_summed_up_by_namespace_or_all() {
    for (clients, expected) in
        [(ClientLabels::Namespace, vec![("", ""), ("shop", "")]), (ClientLabels::None, vec![("", "")])]
    {
        let series = Limits { clients, ..Limits::default() };
        let mut world = World::with(Config { series, ..config() }, [orders(&pods(2))]);
        world.apply(pod("shop", "web-1", &["10.9.0.1"]));
        for client in [1, 2] {
            world.resolve(client, ORDERS, &["10.0.0.1"]);
            world.connect(client, "10.0.0.1");
        }
        let scrape = world.scrape();
        let names: Vec<_> = scrape.snapshot.services[0]
            .clients
            .iter()
            .map(|client| (client.namespace.as_str(), client.workload.as_str()))
            .collect();
        assert_eq!(names, expected);
        assert_eq!((world.sum(OPENED, "orders-0"), world.lines("headless_client_verdict", "").len()), (2, 0));
    }
}

#[test]
fn ten_thousand_endpoints_and_five_hundred_clients_stay_within_the_limits() {
    const ENDPOINTS: u16 = 10_000;
    const CLIENTS: u16 = 500;
    let address = |endpoint: u16| {
        let [high, low] = endpoint.to_be_bytes();
        format!("10.1.{high}.{low}")
    };
    let all: Vec<_> = (0..ENDPOINTS).map(|n| ready(&format!("orders-{n}"), &address(n))).collect();
    for (per_service, total, detail) in [
        (10_000, 50_000, Detail::Service),
        (100_000, 60_000, Detail::Essentials),
        (200_000, 150_000, Detail::Endpoints),
    ] {
        let series = Limits { per_service, total, ..Limits::default() };
        let config = Config { series, cells: 100_000, ..config() };
        let mut world =
            World::with(config, [service("orders", &all), service("small", &[ready("small-0", "10.2.0.1")])]);
        for client in 0..CLIENTS {
            for turn in 0..4 {
                world.connect_as(client, &address((client * 19 + turn * 2_477) % ENDPOINTS));
            }
        }
        world.connect_as(7, "10.2.0.1");
        let truth = world.rows_of_largest();
        let scrape = world.scrape();
        assert_eq!(scrape.notices.len(), 1);
        assert_eq!(scrape.notices[0].detail, detail);
        assert!(scrape.notices[0].series > 55_000_000);
        let edges: usize = scrape
            .snapshot
            .services
            .iter()
            .flat_map(|service| &service.clients)
            .map(|client| client.endpoints.len())
            .sum();
        assert!(edges <= usize::from(ENDPOINTS) + 1, "{edges} rows were made");
        let text = String::from_utf8(encode(scrape.into(), Format::Plain).unwrap()).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#')).count() as u64;
        assert!(lines <= total, "{lines} of {total}");
        let of_orders = text.lines().filter(|line| line.contains("service=\"orders\"")).count() as u64;
        assert!(of_orders <= per_service, "{of_orders} of {per_service}");
        assert!(text.contains("client_workload=\"many-7\""), "the small one is whole");
        // Sums over clients are exact.
        let of_pod = |pod: &str| {
            let labels = format!("service=\"orders\",pod=\"{pod}\"");
            let lines = text.lines().filter(|line| line.starts_with(OPENED) && line.contains(&labels));
            lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
        };
        if detail == Detail::Service {
            assert_eq!(of_pod(""), truth.iter().map(|(_, opened)| opened).sum::<u64>());
        } else {
            for (pod, opened) in truth.iter().step_by(97) {
                assert_eq!(of_pod(pod), *opened, "{pod}");
            }
        }
    }
}

impl World {
    /// Pods of `orders` that have connections, by the flows themselves.
    fn rows_of_largest(&self) -> Vec<(String, u64)> {
        let key = crate::topology::test_builders::service_key("shop", "orders");
        let state = self.engine.topology.service(&key).unwrap();
        let mut opened: BTreeMap<String, u64> = BTreeMap::new();
        for (key, cell) in self.engine.reconciler.ledger.cells() {
            if let Some(endpoint) = state.endpoint(key.endpoint.endpoint) {
                *opened.entry(endpoint.label().to_string()).or_default() += cell.total().opened;
            }
        }
        opened.into_iter().collect()
    }
}

#[test]
fn sum_of_a_namespace_does_not_decrease_when_its_clients_are_forgotten() {
    let series = Limits { clients: ClientLabels::Namespace, ..Limits::default() };
    let mut world = World::with(Config { series, ..config() }, [orders(&pods(1))]);
    for (client, namespace) in [(1, "shop"), (2, "shop"), (3, "bank")] {
        let one = pod(namespace, &format!("{namespace}-{client}"), &[&format!("10.9.0.{client}")]);
        world.apply(crate::topology::model::Pod { workload: format!("workload-{client}").into(), ..one });
        world.resolve(client, ORDERS, &["10.0.0.1"]);
        for _ in 0..5 {
            let dialled = world.connect(client, "10.0.0.1");
            world.close(dialled);
        }
    }
    let of = |world: &mut World| {
        ["shop", "bank", ""].map(|namespace| world.sum(OPENED, &format!("client_namespace=\"{namespace}\"")))
    };
    assert_eq!(of(&mut world), [10, 5, 0]);
    // The pod is replaced, and its first clients end one after the other; another client keeps the Service known.
    world.apply(pod("stock", "teller-1", &["10.9.0.9"]));
    world.apply(orders(&[ready("orders-0", "10.0.0.9").uid("another")]));
    for hour in 0..120 {
        if let Some((namespace, client)) = [("shop", 1), ("shop", 2), ("bank", 3)].get(hour / 30) {
            let key = crate::topology::test_builders::key(namespace, &format!("{namespace}-{client}"));
            world.apply(Change::Delete(crate::topology::model::Kind::Pod, key));
        }
        world.pass(60 * MINUTE);
        world.resolve(9, ORDERS, &["10.0.0.9"]);
        let now = world.time();
        world.engine.expire(now);
        assert_eq!(of(&mut world), [10, 5, 0], "hour {hour}");
    }
    assert_eq!(world.engine.clients().workload(crate::client::WorkloadId(1)), None, "it is forgotten");
}
