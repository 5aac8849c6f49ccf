//! Properties of the merge, on generated fleets whose nodes see the same cluster.

use proptest::prelude::*;

use super::*;
use crate::expose::snapshot::{
    AnswerAge, Cause, Client, ClientAnswers, ClientEndpoint, Dns, Endpoint, Histogram, History, MapFill,
    OtherPods, Quality, SCHEMA, TopologyState, Unanswered, Unreached, ZoneSum, ZoneTraffic, Zones,
};
use crate::expose::test_fixtures::{self, at, counts};
use crate::spread;

const PODS: usize = 4;
const WORKLOADS: [&str; 3] = ["cron", "web", "worker"];

/// The view of one node: connections to each pod by workload (if it runs there), and the pods that it saw leave.
#[derive(Clone, Debug)]
struct NodeView {
    clients: [Option<[u32; PODS]>; WORKLOADS.len()],
    has_left: [bool; PODS],
    is_mature: bool,
    start: i64,
    in_sync: bool,
}

fn view() -> impl Strategy<Value = NodeView> {
    let client = || proptest::option::of(any::<[u8; PODS]>().prop_map(|counts| counts.map(u32::from)));
    let parts =
        ([client(), client(), client()], any::<[bool; PODS]>(), any::<bool>(), 0..400_i64, any::<bool>());
    parts.prop_map(|(clients, has_left, is_mature, start, in_sync)| NodeView {
        clients,
        has_left,
        is_mature,
        start,
        in_sync,
    })
}

fn own(pod: usize, count: u64) -> ClientEndpoint {
    ClientEndpoint {
        pod: format!("orders-{pod}"),
        opened: count + 1,
        counted: count,
        selections: count / 2,
        expected: count as f64 / 4.0,
        counted_active: count % 3,
        active: count % 3,
        counted_bytes: count * 10,
        bytes: count * 10,
        last_connection: Some(at(500 + i64::try_from(count).unwrap())),
        resolution: counts([("service", count), ("hostname", 1)]),
        ..ClientEndpoint::default()
    }
}

/// Pods are in two zones, and nodes in three.
fn zones(number: usize, client: &Client) -> Zones {
    let row = |(pod, own): (usize, &ClientEndpoint)| ZoneTraffic {
        from: Some(format!("z{}", number % 3)),
        to: Some(format!("z{}", pod % 2)),
        sum: ZoneSum { connections: own.opened, bytes_sent: own.bytes, bytes_received: 1 },
    };
    Zones::of(client.endpoints.iter().enumerate().map(row))
}

fn client(workload: &str, made: &[u32; PODS]) -> Client {
    let endpoints: Vec<_> = made.iter().enumerate().map(|(pod, count)| own(pod, u64::from(*count))).collect();
    let total: u64 = endpoints.iter().map(|own| own.counted).sum();
    let (name, spread) = (format!("{workload}-{total}"), [("p0", total, 1), ("p1", total % 3, 0)]);
    Client {
        by_pod: vec![test_fixtures::client_pod(&name, &spread)],
        other_pods: OtherPods { pods: total % 2, opened: total % 5, failed: 0, active: total % 2 },
        program: Some(format!("{workload}-{}", total % 2)),
        pods: 1,
        answers: ClientAnswers {
            count: total,
            smallest: total % 3,
            largest: 4,
            first: Some(at(1)),
            last: Some(at(900)),
            last_of_oldest: Some(at(900)),
            interval_seconds: (total > 1).then_some(2.0),
            intervals: total.saturating_sub(1),
            ..ClientAnswers::default()
        },
        answer_age: AnswerAge { within_ttl: total, buckets: counts([("1", total)]), ..AnswerAge::default() },
        convergence: Histogram { count: 1, sum: 0.5, zero: 0, buckets: [(-8, 1)].into() },
        ..test_fixtures::client(workload, 0.0, endpoints)
    }
}

/// Buckets of one second for some nodes, of up to sixteen for others; half of the connections in each of two.
fn history(view: &NodeView, sum: impl Fn(usize, fn(&ClientEndpoint) -> u64) -> u64) -> History {
    let step = 1 << (view.start % 5);
    let from = at(view.start).as_second().div_euclid(step) * step;
    let opened = (0..PODS).filter_map(|pod| {
        let count = sum(pod, |own| own.counted);
        (count > 0).then(|| (format!("orders-{pod}"), vec![count / 2, 0, count - count / 2]))
    });
    let opened: BTreeMap<_, _> = opened.collect();
    if opened.is_empty() {
        return History::default();
    }
    History { step_seconds: step.cast_unsigned(), from: Timestamp::from_second(from).unwrap(), opened }
}

fn node(number: usize, view: &NodeView) -> Snapshot {
    let clients: Vec<Client> = WORKLOADS
        .iter()
        .zip(&view.clients)
        .filter_map(|(workload, made)| Some(client(workload, made.as_ref()?)))
        .map(|client| Client { zones: zones(number, &client), ..client })
        .collect();
    let sum = |pod: usize, figure: fn(&ClientEndpoint) -> u64| -> u64 {
        clients.iter().map(|client| figure(&client.endpoints[pod])).sum()
    };
    let endpoints = (0..PODS).map(|pod| {
        let has_left = view.has_left[pod];
        let since = at(if has_left { 500 } else { view.start });
        Endpoint {
            addresses: vec![format!("10.0.0.{pod}")],
            state: if has_left { "removed" } else { "ready" }.into(),
            state_since: Some(since),
            ready_since: (!has_left).then_some(since),
            mature: !has_left && view.is_mature,
            counted: sum(pod, |own| own.counted),
            selections: sum(pod, |own| own.selections),
            expected: clients.iter().map(|client| client.endpoints[pod].expected).sum(),
            counted_active: sum(pod, |own| own.counted_active),
            counted_bytes: sum(pod, |own| own.counted_bytes),
            ..test_fixtures::endpoint(&format!("orders-{pod}"), "ready", sum(pod, |own| own.opened), 0)
        }
    });
    let dns = Dns { answers: 3, listed: 9, listable: 10 + view.start.unsigned_abs(), ..Dns::default() };
    let service = Service {
        namespace: "shop".into(),
        name: "orders".into(),
        endpoints: endpoints.collect(),
        stale: counts([("removed", 1)]),
        history: history(view, sum),
        dns,
        clients,
        ..Service::default()
    };
    let mut snapshot = Snapshot {
        schema: SCHEMA.into(),
        node: format!("n{number}"),
        from: at(view.start),
        to: at(1_000),
        began: None,
        observation: None,
        zone: None,
        mature_after_seconds: 600.0,
        nodes: Vec::new(),
        quality: Quality {
            events_lost: counts([("ring_full", 2)]),
            probes: [("tcp".to_owned(), if view.is_mature { "tp_btf" } else { "none" }.to_owned())].into(),
            maps: [("FLOWS".to_owned(), MapFill { entries: 1, capacity: 9 })].into(),
            topology: TopologyState {
                source: "kubernetes".into(),
                synced: view.in_sync,
                ..TopologyState::default()
            },
            ..Quality::default()
        },
        services: vec![service],
        unanswered: vec![Unanswered {
            namespace: "shop".into(),
            workload: "web".into(),
            queries: number as u64 + 1,
        }],
        unreached: vec![Unreached {
            namespace: "shop".into(),
            workload: "web".into(),
            attempts: number as u64 + 1,
            since: at(number as i64),
            addresses: counts([("10.0.0.9:8080", 1), (&format!("10.0.0.{number}:8080"), number as u64)]),
        }],
    };
    verdict::judge_all(&mut snapshot);
    snapshot
}

fn fleet(views: &[NodeView]) -> Vec<Snapshot> {
    views.iter().enumerate().map(|(number, view)| node(number, view)).collect()
}

fn merge(snapshots: Vec<Snapshot>, missing: Vec<NodeStatus>) -> Result<Snapshot, Unmergeable> {
    super::merge(snapshots.into_iter().map(|snapshot| vec![snapshot]).collect(), missing)
}

fn merged(snapshots: Vec<Snapshot>) -> Snapshot {
    merge(snapshots, Vec::new()).unwrap()
}

proptest! {
    #[test]
    fn sums_are_sums_and_figures_are_made_of_them(views in proptest::collection::vec(view(), 2..5)) {
        let whole = merged(fleet(&views));
        let silences: Vec<u64> = whole.unanswered.iter().map(|row| row.queries).collect();
        prop_assert_eq!(silences, [(1..=views.len() as u64).sum::<u64>()]);
        let [row] = &whole.unreached[..] else { panic!() };
        prop_assert_eq!(row.attempts, (1..=views.len() as u64).sum::<u64>());
        prop_assert_eq!((row.addresses.values().sum::<u64>(), row.since), (row.attempts, at(0)));
        prop_assert_eq!(row.addresses["10.0.0.9:8080"], views.len() as u64);
        let [service] = &whole.services[..] else { panic!() };
        let made = |pod: usize, workload: usize| -> u64 {
            views.iter().filter_map(|view| view.clients[workload]).map(|made| u64::from(made[pod])).sum()
        };
        prop_assert_eq!(service.endpoints.len(), PODS);
        let Zones { within, across, unknown, .. } = &service.zones;
        let opened: u64 = service.endpoints.iter().map(|row| row.opened).sum();
        prop_assert_eq!((within.connections + across.connections, unknown.connections), (opened, 0));
        prop_assert_eq!(&service.zones, &Zones::sum(service.clients.iter().map(|client| &client.zones)));
        for (pod, row) in service.endpoints.iter().enumerate() {
            prop_assert_eq!(row.counted, (0..WORKLOADS.len()).map(|workload| made(pod, workload)).sum::<u64>());
            // The node that saw it leave knows best; that it is not new must be known to all others.
            let has_left = views.iter().any(|view| view.has_left[pod]);
            prop_assert_eq!(row.state.as_str(), if has_left { "removed" } else { "ready" });
            prop_assert_eq!(row.mature, !has_left && views.iter().all(|view| view.is_mature));
            let first = views.iter().map(|view| at(view.start)).min().filter(|_| !has_left);
            prop_assert_eq!(row.ready_since, first);
        }
        let mature = || service.endpoints.iter().filter(|row| row.mature);
        for (pod, row) in service.endpoints.iter().enumerate() {
            let history = &service.history;
            let opened: u64 = history.opened.get(&row.pod).into_iter().flatten().sum();
            prop_assert_eq!(opened, (0..WORKLOADS.len()).map(|workload| made(pod, workload)).sum::<u64>());
            prop_assert!(history.len() <= History::BUCKETS);
        }
        prop_assert_eq!(service.spread.connections, mature().map(|row| row.counted).sum::<u64>());
        let counted: Vec<_> = mature().map(|row| row.counted).collect();
        prop_assert_eq!(service.spread.cv, spread::of(&counted).cv);
        prop_assert_eq!(service.open, spread::of(&mature().map(|row| row.counted_active).collect::<Vec<_>>()));
        for (workload, name) in WORKLOADS.iter().enumerate() {
            let ran_on = views.iter().filter(|view| view.clients[workload].is_some()).count();
            let Some(client) = service.clients.iter().find(|client| client.workload == *name) else {
                prop_assert_eq!(ran_on, 0);
                continue;
            };
            prop_assert_eq!(client.pods, ran_on as u64);
            let rows: BTreeSet<_> = client.by_pod.iter().map(|pod| (&pod.node, &pod.pod)).collect();
            prop_assert_eq!(rows.len(), ran_on);
            prop_assert!(client.by_pod.iter().all(|pod| pod.node.is_some()));
            let counted: Vec<_> = client.endpoints.iter().map(|own| own.counted).collect();
            prop_assert_eq!(counted, (0..PODS).map(|pod| made(pod, workload)).collect::<Vec<_>>());
        }
        let listable: u64 = views.iter().map(|view| 10 + view.start.unsigned_abs()).sum();
        prop_assert_eq!(service.dns.completeness, spread::ratio(9 * views.len() as u64, listable));
        prop_assert_eq!(whole.quality.events_lost["ring_full"], 2 * views.len() as u64);
        prop_assert_eq!(whole.quality.topology.synced, views.iter().any(|view| view.in_sync));
        prop_assert_eq!(whole.nodes.iter().filter(|part| part.in_sync).count(),
            views.iter().filter(|view| view.in_sync).count());
    }

    #[test]
    fn neither_order_nor_steps_matter(views in proptest::collection::vec(view(), 3..5), turn in 0..4_usize) {
        let mut snapshots = fleet(&views);
        let whole = merged(snapshots.clone());
        let count = snapshots.len();
        snapshots.rotate_left(turn % count);
        prop_assert_eq!(&merged(snapshots.clone()), &whole);
        let rest = snapshots.split_off(2);
        let mut steps = vec![merged(snapshots)];
        steps.extend(rest);
        prop_assert_eq!(&merged(steps), &whole);
    }
}

#[test]
fn one_is_as_it_was_and_what_a_daemon_said_before_counts_once() {
    let one = test_fixtures::snapshot();
    assert_eq!(merge(vec![one.clone()], Vec::new()), Ok(one.clone()));
    let mut before = one.clone();
    before.to = at(20);
    before.services.clear();
    assert_eq!(merge(vec![one.clone(), before], Vec::new()), Ok(one.clone()));
    let other = Snapshot { node: "n2".into(), ..one.clone() };
    let both = merged(vec![one.clone(), other]);
    assert_eq!(merge(vec![both, one], Vec::new()), Err(Unmergeable::Twice("n1".into())));
    assert_eq!(merge(Vec::new(), Vec::new()), Err(Unmergeable::Nothing));
}

#[test]
fn twice_the_same_node_has_the_same_shares() {
    let one = test_fixtures::snapshot();
    let both = merged(vec![one.clone(), Snapshot { node: "n2".into(), ..one.clone() }]);
    let (orders, before) = (&both.services[0], &one.services[0]);
    assert_eq!(orders.spread.connections, 2 * before.spread.connections);
    assert!((orders.spread.cv - before.spread.cv).abs() < 0.001);
    assert!((orders.waste - 2.0 * before.waste).abs() < 0.001);
    assert_eq!(orders.idle, before.idle);
    assert_eq!(orders.dns.completeness, before.dns.completeness);
    let causes = |service: &Service| {
        let cause = |client: &Client| client.verdict.as_ref().map(|verdict| verdict.cause);
        service.clients.iter().map(cause).collect::<Vec<_>>()
    };
    let mut judged = one.clone();
    verdict::judge_all(&mut judged);
    assert_eq!(causes(orders), causes(&judged.services[0]), "twice as many are as uneven");
    assert_eq!((both.node.as_str(), both.nodes.len()), ("n1, n2", 2));
    // The view of each node alone is uneven: the other node has the other half of the endpoints.
    assert_eq!(causes(&both.services[1]), [None, Some(Cause::Even)]);
}

#[test]
fn what_a_bad_node_saw_alone_is_not_judged() {
    let mut bad = Snapshot { node: "n2".into(), ..test_fixtures::snapshot() };
    bad.quality.topology.synced = false;
    bad.services.remove(0);
    for client in &mut bad.services[0].clients {
        (client.verdict, client.withheld) = (None, Some("not_in_sync".into()));
    }
    bad.services[0].clients[1].workload = "alone".into();
    let both =
        merge(vec![test_fixtures::snapshot(), bad], vec![NodeStatus::missing("n3:9464", "refused")]).unwrap();
    let sessions = &both.services[1];
    let withheld = |name: &str| {
        let client = sessions.clients.iter().find(|client| client.workload == name).unwrap();
        (client.verdict.is_some(), client.withheld.clone())
    };
    assert_eq!(withheld("alone"), (false, Some("not_in_sync".into())));
    assert_eq!(withheld("web"), (true, None));
    let parts: Vec<_> =
        both.nodes.iter().map(|part| (part.node.as_str(), part.in_sync, part.missing.is_some())).collect();
    assert_eq!(parts, [("n1", true, false), ("n2", false, false), ("n3:9464", false, true)]);
    assert!(both.quality.topology.synced && both.node == "n1, n2");
}

#[test]
fn a_pod_that_came_back_under_its_name_has_two_rows() {
    let mut one = test_fixtures::snapshot();
    let mut back = one.services[0].endpoints[3].clone();
    (back.state, back.addresses, back.opened, back.counted) = ("ready".into(), vec!["10.9.9.9".into()], 7, 7);
    one.services[0].endpoints[3].addresses = vec!["10.9.9.8".into()];
    one.services[0].endpoints.push(back);
    for client in &mut one.services[0].clients {
        client.endpoints.push(test_fixtures::part("orders-3", 7, 0));
    }
    let both = merged(vec![one.clone(), Snapshot { node: "n2".into(), ..one }]);
    let rows: Vec<_> = both.services[0].endpoints.iter().map(|row| (row.pod.as_str(), row.opened)).collect();
    assert_eq!(rows[3..], [("orders-3", 14), ("orders-3", 24)], "that which left stands last");
    let web: Vec<_> = both.services[0].clients[1].endpoints.iter().map(|own| own.opened).collect();
    assert_eq!(web[3..], [14, 0]);
}

#[test]
fn a_snapshot_in_a_file_keeps_its_verdicts() {
    let mut snapshot = test_fixtures::snapshot();
    let web = &mut snapshot.services[0].clients[0];
    // Its figures alone do not lead to this: they are about a longer stretch than the verdict.
    web.verdict = Some(test_fixtures::verdict(Cause::Even, &[], None));
    let merged = merged(vec![snapshot.clone()]);
    assert_eq!(merged, snapshot);
}

#[test]
fn draws_of_each_node_are_added() {
    use crate::expose::snapshot::{ComparedTimes, EndpointLoad, LoadDraws};
    let draws = LoadDraws { minutes: 9, ahead: 7, ahead_by_chance: 3.0, behind: 1, behind_by_chance: 0.5 };
    let mut seconds = Histogram::default();
    seconds.record(0.02);
    let mut snapshot = test_fixtures::snapshot();
    let own = &mut snapshot.services[0].clients[0].endpoints[0];
    own.load = EndpointLoad { bytes: 100, connections: 3, ended: draws, exchanged: draws };
    own.connect_times = ComparedTimes { seconds, times: 4, slow: 3, slow_by_chance: 1.5 };
    let name = own.pod.clone();
    let other = Snapshot { node: "n2".to_owned(), ..snapshot.clone() };
    let merged = merge(vec![snapshot, other], Vec::new()).unwrap();
    let rows =
        merged.services.iter().flat_map(|service| &service.clients).flat_map(|client| &client.endpoints);
    let own = rows.into_iter().find(|own| own.pod == name && !own.load.is_empty()).unwrap();
    let twice = LoadDraws { minutes: 18, ahead: 14, ahead_by_chance: 6.0, behind: 2, behind_by_chance: 1.0 };
    assert_eq!(own.load, EndpointLoad { bytes: 200, connections: 6, ended: twice, exchanged: twice });
    let times = &own.connect_times;
    assert_eq!((times.seconds.count, times.times, times.slow, times.slow_by_chance), (2, 8, 6, 3.0));
}
