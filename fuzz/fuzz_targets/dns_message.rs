//! Decodes any bytes as a DNS message: no panic, bounded output, and an answer that is encoded again decodes to the
//! same.

#![no_main]

use std::net::IpAddr;
use std::str::FromStr as _;

use headless_obs::dns::message::{Decoder, MAX_CHAIN, MAX_TARGET_ADDRESSES, decode};
use headless_obs::dns::{Answer, QueryType, service_name};
use hickory_proto::op::{Message, OpCode, Query};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use libfuzzer_sys::fuzz_target;

/// Maximum length of a name as text: each of 255 bytes may become `\DDD`.
const LONGEST_NAME: usize = 4 * 255;

fuzz_target!(|bytes: &[u8]| {
    let Ok(answer) = decode(bytes) else { return };
    bounded(&answer, bytes.len());
    let mut decoder = Decoder::default();
    let _cut = decoder.decode(&bytes[..bytes.len() / 2]);
    assert_eq!(
        decoder.decode(bytes).as_ref(),
        Ok(&answer),
        "whatever was decoded in the same buffers before"
    );
    if let Some(written) = write(&answer) {
        let read = decode(&written);
        let read = read.as_ref();
        assert_eq!(read.map(|read| &read.question), Ok(&answer.question));
        assert_eq!(read.map(|read| &read.chain), Ok(&answer.chain));
        assert_eq!(read.map(|read| &read.addresses), Ok(&answer.addresses));
    }
});

/// No part of the output is longer than the message allows.
fn bounded(answer: &Answer, length: usize) {
    // A record without its name takes ten bytes.
    const RECORD: usize = 10;
    let records = length / RECORD;
    assert!((1..=MAX_CHAIN).contains(&answer.chain.len()), "{}", answer.chain.len());
    assert_eq!(answer.chain.first(), Some(&answer.question));
    assert!(answer.addresses.len() <= records);
    assert!(answer.targets.len() <= records);
    let addresses: usize = answer.targets.iter().map(|target| target.addresses.len()).sum();
    assert!(addresses <= MAX_TARGET_ADDRESSES);
    let targets = answer.targets.iter().map(|target| &target.target);
    for text in answer.chain.iter().chain(targets) {
        assert!(text.len() <= LONGEST_NAME, "{}", text.len());
        assert!(!text.bytes().any(|byte| byte.is_ascii_uppercase()), "{text}");
        assert!(service_name::candidates(text).count() <= text.len() + 1);
    }
}

/// The answer as a message, if its names are host names. The text of other names is ambiguous.
fn write(answer: &Answer) -> Option<Vec<u8>> {
    let kind = match answer.kind {
        QueryType::A => RecordType::A,
        QueryType::Aaaa => RecordType::AAAA,
        QueryType::Srv | QueryType::Other(_) => return None,
    };
    let names: Option<Vec<Name>> = answer.chain.iter().map(|text| host(text)).collect();
    let names = names?;
    let mut message = Message::response(1, OpCode::Query);
    message.add_query(Query::query(names.first()?.clone(), kind));
    for pair in names.windows(2) {
        let [owner, target] = pair else { continue };
        message.add_answer(Record::from_rdata(owner.clone(), 30, RData::CNAME(CNAME(target.clone()))));
    }
    for record in &answer.addresses {
        let data = match record.address {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        message.add_answer(Record::from_rdata(names.last()?.clone(), record.ttl, data));
    }
    message.to_vec().ok().filter(|written| written.len() <= usize::from(u16::MAX))
}

fn host(text: &str) -> Option<Name> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (!text.is_empty() && text.bytes().all(is_plain)).then(|| Name::from_str(&format!("{text}.")).ok())?
}
