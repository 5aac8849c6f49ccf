//! Responses: transports, counts, rejected messages, and learned Services.

use super::*;
use crate::expose::snapshot::Unanswered;
use crate::topology::learned::LearnConfig;
use headless_obs_ebpf::dns_query::{MAX_SERVERS, PEER, PendingQuery};

fn framed(message: &Message) -> Vec<u8> {
    let bytes = message.to_bytes().unwrap();
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat()
}

#[test]
fn answers_over_tcp_count_however_they_are_cut() {
    let addresses: Vec<String> = (1..=40).map(|last| format!("10.0.0.{last}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let bytes = framed(&addresses_of(ORDERS, &addresses));
    let mut world = World::new([orders(&pods(40))]);
    let mut cut = addresses_of(ORDERS, &addresses[..28]);
    cut.metadata.truncation = true;
    world.answer(1, &cut);
    let mut sequence = 1000;
    for part in bytes.chunks(100) {
        world.segment(1, sequence, part);
        sequence += u32::try_from(part.len()).unwrap();
    }
    world.connect(1, "10.0.0.40");
    assert_eq!(world.rows("orders"), ["orders-39 1/1/0/1"]);
    let service = world.service("orders");
    assert_eq!(service.clients[0].answer_position, Counts::from([("32+".to_owned(), 1)]));
    assert_eq!((service.dns.answers, service.dns.truncated), (2, 1));
    assert_eq!((service.dns.transports["udp"], service.dns.transports["tcp"]), (1, 1));
    assert!((service.dns.completeness - 68.0 / 80.0).abs() < 1e-9, "28 and 40 of 40");
}

#[test]
fn two_messages_in_one_segment() {
    let mut world = World::new([orders(&pods(2))]);
    let both =
        [framed(&addresses_of(ORDERS, &["10.0.0.1"])), framed(&addresses_of(ORDERS, &["10.0.0.2"]))].concat();
    world.segment(1, 1, &both);
    world.connect(1, "10.0.0.2");
    assert_eq!(world.clients("orders"), ["client-1 service=1"]);
    assert_eq!(world.service("orders").dns.answers, 2);
}

#[test]
fn answers_by_response_code_and_those_without_addresses() {
    let mut world = World::new([orders(&pods(1))]);
    for code in [ResponseCode::NXDomain, ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NoError]
    {
        let mut message = response(ORDERS, RecordType::A, vec![]);
        message.metadata.response_code = code;
        world.answer(1, &message);
    }
    let dns = world.service("orders").dns;
    assert_eq!((dns.answers, dns.completeness), (0, 1.0));
    assert!(
        ["noerror", "nxdomain", "servfail", "other"].iter().all(|code| dns.rcodes[*code] == 1),
        "{dns:?}"
    );
    world.connect(1, "10.0.0.1");
    assert_eq!(world.clients("orders"), ["client-1 none=1"], "none of them told an address");
}

#[test]
fn completeness_is_by_ready_endpoints_of_the_family_that_was_asked_for() {
    let dual = [
        ready("p-0", "10.0.0.1"),
        ready("p-0", "fd00::1"),
        ready("p-1", "10.0.0.2"),
        crate::topology::test_builders::unready("p-2", "10.0.0.3"),
    ];
    let mut world = World::new([orders(&dual)]);
    world.resolve(1, ORDERS, &["fd00::1"]);
    assert_eq!(world.service("orders").dns.completeness, 1.0);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.3"]);
    assert!((world.service("orders").dns.completeness - 2.0 / 3.0).abs() < 1e-9);
    world.resolve(1, "p-0.orders.shop.svc.cluster.local", &["10.0.0.1"]);
    assert!(
        (world.service("orders").dns.completeness - 2.0 / 3.0).abs() < 1e-9,
        "a pod's own name lists one"
    );
    // While endpoints come and go.
    world.apply(orders(&dual[..2]));
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    assert!((world.service("orders").dns.completeness - 3.0 / 4.0).abs() < 1e-9);
}

#[test]
fn what_is_no_answer_is_rejected_with_the_reason() {
    let mut world = World::new([]);
    let mut question = addresses_of(ORDERS, &["10.0.0.1"]);
    question.metadata.message_type = hickory_proto::op::MessageType::Query;
    world.answer(1, &question);
    for junk in [&b""[..], &[0xff; 40]] {
        let record = world.dns_record(1, 17, junk.len());
        world.engine.on_dns(&record, junk);
    }
    let rejected = world.snapshot().quality.dns_rejected;
    assert_eq!(rejected.values().sum::<u64>(), 3);
    assert_eq!((rejected["not_a_response"], rejected["too_short"]), (1, 1));
}

fn learning() -> World {
    World::with(Config { learner: Some(Learner::new(LearnConfig::default())), ..config() }, [])
}

#[test]
fn services_are_learnt_from_answers_where_nothing_is_configured() {
    let mut world = learning();
    world.resolve(1, "db.corp", &["10.0.0.1", "10.0.0.2"]);
    world.connect(1, "10.0.0.1");
    world.resolve(1, ORDERS, &["10.0.1.1", "10.0.1.2"]);
    world.connect(1, "10.0.1.2");
    world.resolve(2, "www.example.org", &["10.0.2.1"]);
    world.connect(2, "10.0.2.1");
    assert_eq!(world.rows("db.corp"), ["10.0.0.1 1/1/0/1"]);
    assert_eq!(world.rows("orders"), ["10.0.1.2 1/1/0/1"]);
    assert_eq!(world.snapshot().services.len(), 2);
    assert_eq!(world.service("db.corp").spread.endpoints, 2);
}

#[test]
fn srv_outside_of_kubernetes_is_learnt_and_counts() {
    let mut world = learning();
    let owner = "_web._tcp.service.consul";
    let record_of =
        |host: &str| Record::from_rdata(name(owner), 30, RData::SRV(SRV::new(0, 1, PORT, name(host))));
    let mut message =
        response(owner, RecordType::SRV, vec![record_of("n1.node.consul"), record_of("n2.node.consul")]);
    message.add_additional(record("n1.node.consul", "10.0.0.1"));
    message.add_additional(record("n2.node.consul", "10.0.0.2"));
    world.answer(1, &message);
    world.connect(1, "10.0.0.2");
    assert_eq!(world.clients(owner), ["client-1 srv=1"]);
    assert_eq!(world.rows(owner), ["n2.node.consul 1/1/0/1"]);
}

#[test]
fn an_answer_took_as_long_as_its_question_waited() {
    let mut world = World::new([orders(&pods(2))]);
    let ask = |world: &mut World, name: &str, addresses: &[&str], waited: Option<Duration>| {
        let payload = addresses_of(name, addresses).to_bytes().unwrap();
        let record = world.dns_record(1, 17, payload.len());
        let asked = waited.map_or(0, |waited| Time(record.header.time).minus(waited).0);
        world.engine.on_dns(&DnsRecord { queried_at: asked, ..record }, &payload);
    };
    world.pass(Duration::from_secs(60));
    ask(&mut world, ORDERS, &["10.0.0.1"], Some(Duration::from_millis(3)));
    ask(&mut world, ORDERS, &["10.0.0.1"], Some(Duration::from_secs(5)));
    // Without query tracking, latencies are not known; and other names have none.
    ask(&mut world, ORDERS, &["10.0.0.1"], None);
    ask(&mut world, "example.org", &["10.9.9.9"], Some(Duration::from_secs(1)));
    let latency = world.service("orders").dns.latency;
    assert_eq!(latency.count, 2);
    assert!((latency.sum - 5.003).abs() < 1e-9, "{latency:?}");
    // Up to 2^-8 s, about 4 ms.
    assert_eq!(latency.up_to(-64), 1);
}

#[test]
fn questions_that_nobody_answered_are_their_clients() {
    let mut world = World::new([orders(&pods(1))]);
    let asked = |client: u8| PendingQuery {
        time: 1,
        cgroup: client.into(),
        client: address_of(client),
        servers: [PEER; MAX_SERVERS],
        ports: [53, 0, 0, 0],
        _pad: [0; 6],
        state: 0,
    };
    for client in [1, 2] {
        let path = format!("/system.slice/client-{client}.service");
        world.engine.clients().cgroup(client, &path);
    }
    for client in [1, 2, 1] {
        let now = world.tick();
        world.engine.on_unanswered(now, &asked(client));
    }
    let row = |workload: &str, questions| Unanswered {
        namespace: String::new(),
        workload: workload.to_owned(),
        queries: questions,
    };
    assert_eq!(world.snapshot().unanswered, [row("client-1", 2), row("client-2", 1)]);
    let rows = world.engine.scrape(&world.kernel()).snapshot.unanswered;
    assert_eq!(rows.len(), 2);
}

#[test]
fn denials_and_gaps_are_counted_as_what_they_are() {
    let alias = |to: &str| Record::from_rdata(name("alias.example"), 30, RData::CNAME(CNAME(name(to))));
    let denial = |question: &str, records| {
        let mut message = response(question, RecordType::A, records);
        message.metadata.response_code = ResponseCode::NXDomain;
        message
    };
    let listed = |addresses: &[&str]| addresses_of(ORDERS, addresses);
    let failed = || {
        let mut message = listed(&["10.0.0.1"]);
        message.metadata.response_code = ResponseCode::BADVERS;
        message.set_edns(hickory_proto::op::Edns::new());
        message
    };
    // Answers, incomplete, denied, and responses with another code than NOERROR.
    let cases = [
        ("all of them", listed(&["10.0.0.1", "10.0.0.2"]), [1, 0, 0, 0]),
        ("one, twice", listed(&["10.0.0.1", "10.0.0.1"]), [1, 1, 0, 0]),
        ("a denial", denial(ORDERS, vec![]), [0, 0, 1, 1]),
        ("a denial by the server of an alias", denial("alias.example", vec![alias(ORDERS)]), [0, 0, 0, 1]),
        ("an extended code", failed(), [0, 0, 0, 1]),
    ];
    for (case, message, expected) in cases {
        let mut world = World::new([orders(&pods(2))]);
        world.pass(Duration::from_secs(60));
        world.answer(1, &message);
        let dns = world.service("orders").dns;
        let others = dns.rcodes.iter().filter(|(code, _)| *code != "noerror").map(|(_, count)| count).sum();
        assert_eq!([dns.answers, dns.incomplete, dns.denied, others], expected, "{case}");
    }
}
