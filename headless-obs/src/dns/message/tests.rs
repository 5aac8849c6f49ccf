//! Messages of every form, cut, mutated and random, decoded.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use proptest::prelude::*;

use super::*;

const SERVICE: &str = "orders.shop.svc.cluster.local";

fn name(text: &str) -> Name {
    Name::from_str(&format!("{text}.")).unwrap()
}

fn a(owner: &str, last: u16) -> Record {
    let [high, low] = last.to_be_bytes();
    Record::from_rdata(name(owner), 30, RData::A(A(Ipv4Addr::new(10, 244, high, low))))
}

fn aaaa(owner: &str, address: &str) -> Record {
    Record::from_rdata(name(owner), 30, RData::AAAA(AAAA(address.parse::<Ipv6Addr>().unwrap())))
}

fn cname(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), 30, RData::CNAME(CNAME(name(target))))
}

fn srv(owner: &str, target: &str, port: u16) -> Record {
    Record::from_rdata(name(owner), 30, RData::SRV(SRV::new(0, 50, port, name(target))))
}

fn response(question: &str, kind: RecordType, answers: Vec<Record>) -> Message {
    let mut message = Message::response(7, OpCode::Query);
    message.add_query(Query::query(name(question), kind));
    message.add_answers(answers);
    message
}

fn encode(message: &Message, encoding: NameEncoding) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(encoding);
    message.emit(&mut encoder).unwrap();
    bytes
}

fn both(message: &Message) -> [Vec<u8>; 2] {
    [NameEncoding::Compressed, NameEncoding::Uncompressed].map(|encoding| encode(message, encoding))
}

fn texts(names: &[super::Name]) -> Vec<&str> {
    names.iter().map(AsRef::as_ref).collect()
}

fn lasts(addresses: &[AddressRecord]) -> Vec<u16> {
    let last = |record: &AddressRecord| match record.address {
        IpAddr::V4(address) => u16::from_be_bytes([address.octets()[2], address.octets()[3]]),
        IpAddr::V6(_) => u16::MAX,
    };
    addresses.iter().map(last).collect()
}

#[test]
fn addresses_in_answer_order_compressed_and_not() {
    for count in (1..=200).chain([1000]) {
        let order: Vec<u16> = (0..count).map(|place| place * 59 % 1009).collect();
        let records = order.iter().map(|&last| a(SERVICE, last)).collect();
        for bytes in both(&response(SERVICE, RecordType::A, records)) {
            let answer = decode(&bytes).unwrap();
            assert_eq!(&*answer.question, SERVICE);
            assert_eq!(answer.kind, QueryType::A);
            assert_eq!(answer.rcode, Rcode::NoError);
            assert!(!answer.truncated);
            assert_eq!(texts(&answer.chain), [SERVICE]);
            assert_eq!(lasts(&answer.addresses), order);
            assert!(answer.addresses.iter().all(|record| record.ttl == 30));
        }
    }
}

#[test]
fn mixed_case_becomes_lower_case() {
    let message =
        response("oRDers.Shop.SVC.cluster.LOCAL", RecordType::A, vec![a("ORDERS.shop.svc.cluster.local", 5)]);
    for bytes in both(&message) {
        let answer = decode(&bytes).unwrap();
        assert_eq!(&*answer.question, SERVICE);
        assert_eq!(lasts(&answer.addresses), [5]);
    }
}

#[test]
fn both_families_and_mapped_addresses() {
    let records = vec![aaaa(SERVICE, "fd00::5"), aaaa(SERVICE, "::ffff:10.244.0.9"), a(SERVICE, 1)];
    let answer =
        decode(&encode(&response(SERVICE, RecordType::AAAA, records), NameEncoding::Compressed)).unwrap();
    assert_eq!(answer.kind, QueryType::Aaaa);
    let addresses: Vec<_> = answer.addresses.iter().map(|record| record.address.to_string()).collect();
    assert_eq!(addresses, ["fd00::5", "10.244.0.9", "10.244.0.1"]);
}

#[test]
fn chain_is_followed_whatever_the_order() {
    let records = vec![
        a(SERVICE, 1),
        cname("middle.example", SERVICE),
        a("stranger.example", 9),
        cname("alias.web.svc.cluster.local", "middle.example"),
        a(SERVICE, 2),
    ];
    for bytes in both(&response("alias.web.svc.cluster.local", RecordType::A, records)) {
        let answer = decode(&bytes).unwrap();
        assert_eq!(texts(&answer.chain), ["alias.web.svc.cluster.local", "middle.example", SERVICE]);
        assert_eq!(lasts(&answer.addresses), [1, 2]);
    }
}

#[test]
fn loops_and_long_chains_end() {
    let records = vec![cname("a.x", "b.x"), cname("b.x", "c.x"), cname("c.x", "a.x"), a("c.x", 3)];
    let answer = decode(&response("a.x", RecordType::A, records).to_vec().unwrap()).unwrap();
    assert_eq!(texts(&answer.chain), ["a.x", "b.x", "c.x"]);
    assert_eq!(lasts(&answer.addresses), [3]);

    // An alias and addresses under one name.
    let records = vec![cname("a.x", "b.x"), cname("b.x", "c.x"), a("a.x", 4), a("a.x", 5)];
    let answer = decode(&response("a.x", RecordType::A, records).to_vec().unwrap()).unwrap();
    assert_eq!(texts(&answer.chain), ["a.x", "b.x", "c.x"]);
    assert_eq!(lasts(&answer.addresses), [4, 5]);

    let long = (0..100).map(|n| cname(&format!("n{n}.x"), &format!("n{}.x", n + 1))).collect();
    let answer = decode(&response("n0.x", RecordType::A, long).to_vec().unwrap()).unwrap();
    assert_eq!(answer.chain.len(), MAX_CHAIN);

    let long = (0..100).map(|n| cname(&format!("n{n}.x"), &format!("n{}.x", n + 1)));
    let records = long.chain([a("other.x", 6)]).collect();
    let answer = decode(&response("n0.x", RecordType::A, records).to_vec().unwrap()).unwrap();
    assert_eq!((answer.chain.len(), lasts(&answer.addresses)), (MAX_CHAIN, vec![6]));
}

#[test]
fn srv_targets_get_their_additional_addresses() {
    let question = "_http._tcp.orders.shop.svc.cluster.local";
    let hosts = ["orders-0", "orders-1", "orders-2"].map(|host| format!("{host}.{SERVICE}"));
    let mut message = response(
        question,
        RecordType::SRV,
        hosts.iter().map(|host| srv(question, &host.to_uppercase(), 8080)).collect(),
    );
    message.add_additional(a(&hosts[1], 1));
    message.add_additional(a(&hosts[0], 0));
    message.add_additional(aaaa(&hosts[1], "fd00::1"));
    message.set_edns(Edns::new());
    for bytes in both(&message) {
        let answer = decode(&bytes).unwrap();
        assert_eq!(answer.kind, QueryType::Srv);
        assert!(answer.addresses.is_empty());
        let targets: Vec<_> = answer.targets.iter().map(|target| &*target.target).collect();
        assert_eq!(targets, hosts);
        assert!(answer.targets.iter().all(|target| target.port == 8080 && target.ttl == 30));
        assert_eq!(lasts(&answer.targets[0].addresses), [0]);
        assert_eq!(lasts(&answer.targets[1].addresses), [1, u16::MAX]);
        assert!(answer.targets[2].addresses.is_empty());
    }
}

#[test]
fn copies_of_additional_addresses_are_bounded() {
    let mut message = response("s.x", RecordType::SRV, vec![srv("s.x", "h.x", 1); 1000]);
    message.add_additionals((0..1000).map(|last| a("h.x", last)));
    let answer = decode(&encode(&message, NameEncoding::Compressed)).unwrap();
    let copies: usize = answer.targets.iter().map(|target| target.addresses.len()).sum();
    assert_eq!(copies, MAX_TARGET_ADDRESSES);
    assert_eq!(answer.targets[0].addresses.len(), 1000);
}

#[test]
fn flags_codes_and_lifetimes() {
    let mut message = response(SERVICE, RecordType::TXT, vec![]);
    message.metadata.truncation = true;
    let answer = decode(&message.to_vec().unwrap()).unwrap();
    assert!(answer.truncated);
    assert_eq!(answer.kind, QueryType::Other(16));

    for (code, expected) in [
        (ResponseCode::NXDomain, Rcode::NxDomain),
        (ResponseCode::ServFail, Rcode::ServFail),
        (ResponseCode::Refused, Rcode::Other(5)),
    ] {
        message.metadata.response_code = code;
        assert_eq!(decode(&message.to_vec().unwrap()).unwrap().rcode, expected);
    }

    message.metadata.response_code = ResponseCode::BADVERS;
    message.set_edns(Edns::new());
    assert_eq!(decode(&encode(&message, NameEncoding::Compressed)).unwrap().rcode, Rcode::Other(16));

    let negative = Record::from_rdata(name("a.x"), 0x8000_0001, RData::A(A(Ipv4Addr::LOCALHOST)));
    let answer = decode(&response("a.x", RecordType::A, vec![negative]).to_vec().unwrap()).unwrap();
    assert_eq!(answer.addresses[0].ttl, 0);
}

#[test]
fn other_records_and_classes_are_passed_over() {
    let mut records = vec![a(SERVICE, 1), a(SERVICE, 2)];
    records[0].dns_class = hickory_proto::rr::DNSClass::CH;
    records.insert(0, Record::from_rdata(name(SERVICE), 1, RData::TXT(TXT::new(vec!["noise".to_owned()]))));
    let mut message = response(SERVICE, RecordType::A, records);
    message.add_authority(a(SERVICE, 8));
    message.add_additional(a(SERVICE, 9));
    let answer = decode(&message.to_vec().unwrap()).unwrap();
    assert_eq!(lasts(&answer.addresses), [2]);
}

#[test]
fn labels_cannot_pretend_to_be_several() {
    let mut message = vec![0, 7, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(b"\x0borders.shop\x04a\\\x00\xff\x00\x00\x01\x00\x01");
    assert_eq!(&*decode(&message).unwrap().question, r"orders\046shop.a\092\000\255");
}

#[test]
fn a_message_cut_anywhere_keeps_what_is_complete() {
    let records: Vec<_> = (0..20).map(|last| a(SERVICE, last)).collect();
    for bytes in both(&response(SERVICE, RecordType::A, records)) {
        let question_end = 12 + SERVICE.len() + 2 + 4;
        let record = (bytes.len() - question_end) / 20;
        for length in 0..bytes.len() {
            match decode(&bytes[..length]) {
                Err(reject) => {
                    assert_eq!(reject, Reject::TooShort);
                    assert!(length < question_end);
                }
                Ok(answer) => {
                    assert!(!answer.truncated);
                    assert_eq!(answer.addresses.len(), (length - question_end) / record);
                }
            }
        }
    }
}

#[test]
fn rejects() {
    let message = response(SERVICE, RecordType::A, vec![a(SERVICE, 1)]);
    let check = |change: &dyn Fn(&mut Message), expected| {
        let mut message = message.clone();
        change(&mut message);
        assert_eq!(decode(&message.to_vec().unwrap()), Err(expected));
    };
    check(&|message| message.metadata.message_type = MessageType::Query, Reject::NotAResponse);
    check(&|message| message.metadata.op_code = OpCode::Update, Reject::NotAQuery);
    check(&|message| message.queries.clear(), Reject::NoQuestion);
    check(&|message| message.queries.push(message.queries[0].clone()), Reject::SeveralQuestions);
    assert_eq!(decode(&[]), Err(Reject::TooShort));

    // An A record of five bytes, a CNAME shorter than its length says, a pointer to itself, a pointer ahead,
    // a label of a kind that does not exist.
    let question: &[u8] = b"\x01x\x00\x00\x01\x00\x01";
    for record in [
        &b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x05\x0a\x00\x00\x01\x02"[..],
        b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x01\x00\x03\xc0\x0c\x00",
        b"\xc0\x13\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x0a\x00\x00\x01",
        b"\xc0\x20\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x0a\x00\x00\x01",
        b"\x80\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x0a\x00\x00\x01",
    ] {
        let bytes = [&[0, 7, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0], question, record].concat();
        assert_eq!(decode(&bytes), Err(Reject::Malformed), "{record:x?}");
    }
    let names: std::collections::BTreeSet<_> = Reject::ALL.iter().map(|reject| reject.as_str()).collect();
    assert_eq!(names.len(), Reject::ALL.len());
}

/// A message whose names are long chains of pointers must not cost more than its length.
#[test]
fn pointer_chains_are_bounded() {
    let mut bytes = vec![0, 7, 0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
    bytes.extend(b"\x01x\x00\x00\x01\x00\x01");
    bytes.extend(b"\x00\x00\x10\x00\x01\x00\x00\x00\x00\x30\x00");
    let mut previous = 12_u16;
    for _ in 0..0x1800 {
        let place = u16::try_from(bytes.len()).unwrap();
        bytes.extend((0xc000 | previous).to_be_bytes());
        previous = place;
    }
    bytes.extend((0xc000 | previous).to_be_bytes());
    bytes.extend(b"\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x0a\x00\x00\x01");
    assert_eq!(decode(&bytes), Err(Reject::Malformed));
}

/// The same answer, decoded by hickory-proto.
fn oracle(bytes: &[u8]) -> Option<Answer> {
    let message = Message::from_vec(bytes).ok()?;
    let text =
        |name: &Name| -> super::Name { Arc::from(name.to_lowercase().to_string().trim_end_matches('.')) };
    let address = |record: &Record| {
        let address = match record.data {
            RData::A(A(address)) => IpAddr::from(address),
            RData::AAAA(AAAA(address)) => IpAddr::from(address).to_canonical(),
            _ => return None,
        };
        Some(AddressRecord { address, ttl: lifetime(record.ttl) })
    };
    let [query] = &*message.queries else { return None };
    let mut owners = vec![text(query.name())];
    let mut owner = |record: &Record| {
        owners.push(text(&record.name));
        Owner(owners.len() - 1)
    };
    let mut records = Records::default();
    for record in &message.answers {
        match &record.data {
            RData::CNAME(target) => records.aliases.push((owner(record), text(target))),
            RData::SRV(data) => records.targets.push((
                owner(record),
                SrvTarget {
                    target: text(&data.target),
                    port: data.port,
                    ttl: lifetime(record.ttl),
                    addresses: Vec::new(),
                },
            )),
            _ => records.addresses.extend(address(record).map(|address| (owner(record), address))),
        }
    }
    let additionals = message.additionals.iter();
    records.additional = additionals.filter_map(|record| Some((owner(record), address(record)?))).collect();
    let kind = match query.query_type() {
        RecordType::A => QueryType::A,
        RecordType::AAAA => QueryType::Aaaa,
        RecordType::SRV => QueryType::Srv,
        other => QueryType::Other(other.into()),
    };
    let rcode = rcode_from_number(message.metadata.response_code.into());
    let mut answer = records.take_answer(&owners, kind, rcode, message.metadata.truncation);
    let mut listed = Vec::new();
    answer.addresses.retain(|record| {
        let is_new = !listed.contains(&record.address);
        listed.push(record.address);
        is_new
    });
    Some(answer)
}

fn any_record() -> impl Strategy<Value = Record> {
    let host = || "[a-c]{1,2}(\\.[x-z]){1,3}";
    prop_oneof![
        (host(), any::<u16>()).prop_map(|(owner, last)| a(&owner, last)),
        (host(), any::<u128>()).prop_map(|(owner, bits)| aaaa(&owner, &Ipv6Addr::from(bits).to_string())),
        (host(), host()).prop_map(|(owner, target)| cname(&owner, &target)),
        (host(), host(), any::<u16>()).prop_map(|(owner, target, port)| srv(&owner, &target, port)),
    ]
}

fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let records = || prop::collection::vec(any_record(), 0..24);
    (any_record(), records(), records(), records(), any::<[bool; 3]>()).prop_map(
        |(question, answers, authorities, additionals, [truncated, edns, compressed])| {
            let mut message = response("x", RecordType::A, answers);
            message.queries = vec![Query::query(question.name.clone(), question.record_type())];
            message.add_authorities(authorities);
            message.add_additionals(additionals);
            message.metadata.truncation = truncated;
            if edns {
                message.set_edns(Edns::new());
            }
            let encoding = if compressed { NameEncoding::Compressed } else { NameEncoding::Uncompressed };
            encode(&message, encoding)
        },
    )
}

proptest! {
    #[test]
    fn agrees_with_the_full_decoder(messages in prop::collection::vec(any_message(), 1..5)) {
        // Nothing of one message remains for the next one.
        let mut decoder = Decoder::default();
        for bytes in messages {
            prop_assert_eq!(decoder.decode(&bytes).ok(), oracle(&bytes));
            let _cut = decoder.decode(&bytes[..bytes.len() / 2]);
        }
    }

    #[test]
    fn an_address_counts_once_at_its_first_place(listed in prop::collection::vec(0..60_u16, 0..60)) {
        let message = response("x", RecordType::A, listed.iter().map(|last| a("x", *last)).collect());
        let answer = decode(&encode(&message, NameEncoding::Compressed)).unwrap();
        let is_new = |(place, last): &(usize, &u16)| !listed[..*place].contains(last);
        let expected: Vec<u16> = listed.iter().enumerate().filter(is_new).map(|(_, last)| *last).collect();
        prop_assert_eq!(lasts(&answer.addresses), expected);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _answer = decode(&bytes);
        let mut response = vec![0, 7, 0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0xff, 0xff];
        response.extend(bytes);
        let _answer = decode(&response);
    }

    #[test]
    fn mutated_messages_do_no_harm(
        mut bytes in any_message(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let _answer = decode(&bytes);
        let _answer = decode(&bytes[..cut.index(bytes.len())]);
    }
}
