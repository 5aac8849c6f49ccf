//! Odd messages of real servers, and what each is: name, message, and the answer in one line.

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::svcb::{Alpn, IpHint, SVCB, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, HTTPS, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

use super::*;

const ORDERS: &str = "orders.shop.svc.cluster.local";

fn name(text: &str) -> Name {
    text.parse::<Name>().unwrap().append_domain(&Name::root()).unwrap()
}

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(name(owner), 5, data)
}

fn a(owner: &str, last: u8) -> Record {
    record(owner, RData::A(A([10, 244, 1, last].into())))
}

fn aaaa(owner: &str, last: u16) -> Record {
    record(owner, RData::AAAA(AAAA([0xfd00, 0, 0, 0, 0, 0, 0, last].into())))
}

fn alias(owner: &str, target: &str) -> Record {
    record(owner, RData::CNAME(CNAME(name(target))))
}

fn srv(owner: &str, port: u16, target: &str) -> Record {
    let target = if target.is_empty() { Name::root() } else { name(target) };
    record(owner, RData::SRV(SRV::new(0, 10, port, target)))
}

/// A record for a binding with hints; priority 0: an alias.
fn https(owner: &str, priority: u16, target: &str, last: u8) -> Record {
    let target = if target.is_empty() { Name::root() } else { name(target) };
    let parameters = match priority {
        0 => vec![],
        _ => vec![
            (SvcParamKey::Alpn, SvcParamValue::Alpn(Alpn(vec!["h2".to_owned()]))),
            (
                SvcParamKey::Ipv4Hint,
                SvcParamValue::Ipv4Hint(IpHint(vec![
                    A([10, 244, 1, last].into()),
                    A([10, 244, 1, 100].into()),
                ])),
            ),
            (
                SvcParamKey::Ipv6Hint,
                SvcParamValue::Ipv6Hint(IpHint(vec![AAAA([0xfd00, 0, 0, 0, 0, 0, 0, last.into()].into())])),
            ),
        ],
    };
    record(owner, RData::HTTPS(HTTPS(SVCB::new(priority, target, parameters))))
}

fn response(question: &str, kind: RecordType, answers: Vec<Record>) -> Message {
    let mut message = Message::response(7, OpCode::Query);
    message.add_query(Query::query(name(question), kind));
    message.add_answers(answers);
    message
}

fn with_code(mut message: Message, code: ResponseCode) -> Message {
    message.metadata.response_code = code;
    message.set_edns(Edns::new());
    message
}

/// `response code: names of the chain: addresses: targets`
fn text(answer: &Answer) -> String {
    let chain: Vec<_> = answer.chain.iter().map(|name| name.split('.').next().unwrap()).collect();
    let addresses: Vec<_> = answer.addresses.iter().map(|record| record.address.to_string()).collect();
    let targets: Vec<_> =
        answer.targets.iter().map(|target| format!("{}:{}", target.target, target.port)).collect();
    format!("{:?}: {}: {}: {}", answer.rcode, chain.join(" "), addresses.join(" "), targets.join(" "))
}

#[test]
fn odd_messages_are_what_they_are() {
    let rewritten = || vec![a(ORDERS, 100), a(ORDERS, 101)];
    let cases = [
        (
            "another zone's name, with records of the cluster's",
            response("orders.shop.svc.corp.example", RecordType::A, rewritten()),
            "NoError: orders orders: 10.244.1.100 10.244.1.101: ",
        ),
        (
            "a rewritten name whose records keep their owner",
            response("db.internal", RecordType::A, rewritten()),
            "NoError: db orders: 10.244.1.100 10.244.1.101: ",
        ),
        (
            "hints in records for a binding, each address once",
            response(ORDERS, RecordType::HTTPS, vec![https(ORDERS, 1, "", 101), https(ORDERS, 2, "", 102)]),
            "NoError: orders: 10.244.1.101 10.244.1.100 fd00::65 10.244.1.102 fd00::66: ",
        ),
        (
            "hints of another target, and an alias",
            response("db.internal", RecordType::HTTPS, vec![https("db.internal", 1, ORDERS, 101)]),
            "NoError: db: : ",
        ),
        (
            "an alias of a binding leads on",
            response(
                "db.internal",
                RecordType::HTTPS,
                vec![https("db.internal", 0, ORDERS, 0), https(ORDERS, 1, "", 101)],
            ),
            "NoError: db orders: 10.244.1.101 10.244.1.100 fd00::65: ",
        ),
        (
            "records of several other names belong to nobody",
            response("db.internal", RecordType::A, vec![a(ORDERS, 100), a("x.example", 101)]),
            "NoError: db: : ",
        ),
        (
            "records of another name beside its own",
            response("db.internal", RecordType::A, vec![a(ORDERS, 100), a("db.internal", 101)]),
            "NoError: db: 10.244.1.101: ",
        ),
        (
            "an alias whose record comes last",
            response("alias.x", RecordType::A, vec![a(ORDERS, 100), alias("alias.x", ORDERS)]),
            "NoError: alias orders: 10.244.1.100: ",
        ),
        (
            "an alias, and records of a third name",
            response("alias.x", RecordType::A, vec![alias("alias.x", "b.x"), a(ORDERS, 100)]),
            "NoError: alias b orders: 10.244.1.100: ",
        ),
        (
            "duplicates",
            response(ORDERS, RecordType::A, [100, 100, 101, 100].map(|last| a(ORDERS, last)).into()),
            "NoError: orders: 10.244.1.100 10.244.1.101: ",
        ),
        (
            "both families",
            response(ORDERS, RecordType::ANY, vec![a(ORDERS, 100), aaaa(ORDERS, 1), aaaa(ORDERS, 1)]),
            "NoError: orders: 10.244.1.100 fd00::1: ",
        ),
        (
            "an alias that ends in NXDOMAIN",
            with_code(
                response("alias.x", RecordType::A, vec![alias("alias.x", ORDERS)]),
                ResponseCode::NXDomain,
            ),
            "NxDomain: alias orders: : ",
        ),
        (
            "an extended code beside an address",
            with_code(response(ORDERS, RecordType::A, vec![a(ORDERS, 100)]), ResponseCode::BADVERS),
            "Other(16): orders: : ",
        ),
        (
            "a refusal beside an address",
            with_code(response(ORDERS, RecordType::A, vec![a(ORDERS, 100)]), ResponseCode::Refused),
            "Other(5): orders: : ",
        ),
        (
            "a service that is decidedly not available",
            response("_http._tcp.x", RecordType::SRV, vec![srv("_http._tcp.x", 0, "")]),
            "NoError: _http: : ",
        ),
        (
            "two instances of one host",
            response(
                "_http._tcp.x",
                RecordType::SRV,
                vec![srv("_http._tcp.x", 20_001, "h.x"), srv("_http._tcp.x", 20_002, "h.x")],
            ),
            "NoError: _http: : h.x:20001 h.x:20002",
        ),
    ];
    for (case, message, expected) in cases {
        let answer = decode(&message.to_bytes().unwrap()).unwrap();
        assert_eq!(text(&answer), expected, "{case}");
    }
}

proptest::proptest! {
    /// A record for a binding with any content, and with a length that may be wrong.
    #[test]
    fn bindings_do_no_harm(data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80), longer in 0_u16..4) {
        let mut bytes = vec![0, 7, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0];
        bytes.extend(b"\x01x\x00\x00\x41\x00\x01");
        bytes.extend(b"\xc0\x0c\x00\x41\x00\x01\x00\x00\x00\x05");
        bytes.extend((u16::try_from(data.len()).unwrap() + longer).to_be_bytes());
        bytes.extend(&data);
        let _answer = decode(&bytes);
        // The same after a priority and the root as the target, so that the rest are parameters.
        let start = bytes.len() - data.len();
        bytes.splice(start..start, [0, 1, 0]);
        bytes[start - 2..start].copy_from_slice(&(u16::try_from(data.len()).unwrap() + 3 + longer).to_be_bytes());
        let _answer = decode(&bytes);
    }
}

#[test]
fn a_binding_with_parameters_beyond_its_end_is_refused() {
    let record = |parameters: &[u8]| {
        let mut bytes = vec![0, 7, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0];
        bytes.extend(b"\x01x\x00\x00\x41\x00\x01\xc0\x0c\x00\x41\x00\x01\x00\x00\x00\x05");
        bytes.extend((u16::try_from(parameters.len()).unwrap() + 3).to_be_bytes());
        bytes.extend([0, 1, 0]);
        bytes.extend(parameters);
        decode(&bytes).map(|answer| answer.addresses.len())
    };
    assert_eq!(record(&[0, 4, 0, 4, 10, 0, 0, 1]), Ok(1));
    // An odd length holds as many addresses as fit.
    assert_eq!(record(&[0, 4, 0, 5, 10, 0, 0, 1, 9]), Ok(1));
    assert_eq!(record(&[0, 4, 0, 8, 10, 0, 0, 1]), Err(Reject::Malformed));
    // The end of the message, as where it was cut.
    assert_eq!(record(&[0, 4, 0]), Ok(0));
}
