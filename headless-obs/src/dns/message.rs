//! DNS message bytes to an [`Answer`].
//!
//! In: a UDP payload, or one TCP message without its length prefix. Out: an [`Answer`], or a [`Reject`] to be
//! counted.
//!
//! A message can end before all its records: the server or the kernel program truncated it. Then the complete records
//! are returned. [`Answer::truncated`] is the server's own mark (TC); the kernel program counts its truncations itself.
//! A record that is invalid in itself rejects the whole message.
//!
//! An answer is what a client makes of it: each address once; nothing where the response code is an error, also one that
//! EDNS extends; no SRV target where the record says that there is none. Records of another owner than the query name
//! (or the end of its aliases) are taken if that has none: most clients do not compare owners, and a rewriting server
//! sends such records. Their owner is then the last name of the chain, unless it is in the chain already, as where a server
//! gives an alias and its addresses under one name. The addresses that a record for a binding (HTTPS,
//! SVCB) hints at are addresses of its owner.
//!
//! Invariants: no input causes a panic. The message's length bounds the work, whatever its header claims: each record
//! takes bytes, a name has a limit of bytes and compression pointers, a chain a limit of names, and SRV targets a limit
//! of addresses.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::{Header, MessageType, OpCode};
use hickory_proto::rr::{DNSClass, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::wire_format::{self, Lately, Names, Owner, Wrong};
use super::{AddressRecord, Answer, Name, QueryType, Rcode, SrvTarget};
use crate::hash::{HashMap, HashSet};

/// The most names in a chain; resolvers give up long before.
pub const MAX_CHAIN: usize = 16;

/// The most addresses of all targets of one answer together. A message has no room for more, unless it names the same
/// host several times.
pub const MAX_TARGET_ADDRESSES: usize = 4096;

/// The reason why a message is not accepted as a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reject {
    /// It ends before the end of the query section.
    TooShort,
    /// It is a query (QR is 0).
    NotAResponse,
    /// It responds to something other than a query, such as an update.
    NotAQuery,
    /// It has no query section.
    NoQuestion,
    /// It has more than one query.
    SeveralQuestions,
    /// A name or a record breaks the format.
    Malformed,
}

impl Reject {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::TooShort,
        Self::NotAResponse,
        Self::NotAQuery,
        Self::NoQuestion,
        Self::SeveralQuestions,
        Self::Malformed,
    ];

    /// The name in counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::NotAResponse => "not_a_response",
            Self::NotAQuery => "not_a_query",
            Self::NoQuestion => "no_question",
            Self::SeveralQuestions => "several_questions",
            Self::Malformed => "malformed",
        }
    }
}

/// Decodes a DNS response.
///
/// # Errors
/// The message is not a valid response.
pub fn decode(bytes: &[u8]) -> Result<Answer, Reject> {
    Decoder::default().decode(bytes)
}

/// Decodes one message after the other, in the same buffers.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The addresses of the message, to find out whether one occurs twice.
    sorted: Vec<u128>,
    lately: Lately,
    owners: Vec<Name>,
    records: Records,
    text: Vec<u8>,
}

impl Decoder {
    /// Decodes a DNS response.
    ///
    /// # Errors
    /// The message is not a valid response.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Answer, Reject> {
        let mut decoder = BinDecoder::new(bytes);
        let header = Header::read(&mut decoder).map_err(|_| Reject::TooShort)?;
        if header.metadata.message_type != MessageType::Response {
            return Err(Reject::NotAResponse);
        }
        if header.metadata.op_code != OpCode::Query {
            return Err(Reject::NotAQuery);
        }
        match header.counts.queries {
            1 => {}
            0 => return Err(Reject::NoQuestion),
            _ => return Err(Reject::SeveralQuestions),
        }
        let Self { sorted, lately, owners, records, text } = self;
        let mut names = Names::of(bytes, lately, owners, text);
        let kind = read_question(&mut decoder, &mut names).map_err(|wrong| match wrong {
            Wrong::Cut => Reject::TooShort,
            Wrong::Malformed => Reject::Malformed,
        })?;
        records.clear();
        match read_sections(&mut decoder, &mut names, &header, records) {
            Ok(()) | Err(Wrong::Cut) => {}
            Err(Wrong::Malformed) => return Err(Reject::Malformed),
        }
        let rcode = (records.rcode_high << 4) | u16::from(header.metadata.response_code.low());
        let truncated = header.metadata.truncation;
        let mut answer = records.take_answer(owners, kind, rcode_from_number(rcode), truncated);
        once(&mut answer.addresses, sorted);
        Ok(answer)
    }
}

/// The records that matter, with their owners, in the order of the message.
#[derive(Debug, Default)]
struct Records {
    aliases: Vec<(Owner, Name)>,
    addresses: Vec<(Owner, AddressRecord)>,
    targets: Vec<(Owner, SrvTarget)>,
    additional: Vec<(Owner, AddressRecord)>,
    /// The upper bits of the response code, which EDNS keeps in a separate record.
    rcode_high: u16,
}

fn read_question(decoder: &mut BinDecoder<'_>, names: &mut Names<'_>) -> Result<QueryType, Wrong> {
    names.read_owner(decoder)?;
    let kind = RecordType::from(wire_format::u16(decoder)?);
    wire_format::u16(decoder)?; // The class is ignored: only records of class IN are used.
    let kind = match kind {
        RecordType::A => QueryType::A,
        RecordType::AAAA => QueryType::Aaaa,
        RecordType::SRV => QueryType::Srv,
        other => QueryType::Other(other.into()),
    };
    Ok(kind)
}

fn read_sections(
    decoder: &mut BinDecoder<'_>,
    names: &mut Names<'_>,
    header: &Header,
    records: &mut Records,
) -> Result<(), Wrong> {
    for _ in 0..header.counts.answers {
        read_record(decoder, names, |owner, data| match data {
            Data::Alias(target) => records.aliases.push((owner, target)),
            Data::Address(address) => records.addresses.push((owner, address)),
            Data::Target(target) => records.targets.push((owner, target)),
            Data::Hints(hints) => records.addresses.extend(hints.into_iter().map(|hint| (owner, hint))),
            Data::Options { .. } => {}
        })?;
    }
    for _ in 0..header.counts.authorities {
        read_record(decoder, names, |_, _| {})?;
    }
    for _ in 0..header.counts.additionals {
        read_record(decoder, names, |owner, data| match data {
            Data::Address(address) => records.additional.push((owner, address)),
            Data::Options { rcode_high } => records.rcode_high = rcode_high,
            Data::Alias(_) | Data::Target(_) | Data::Hints(_) => {}
        })?;
    }
    Ok(())
}

/// The content of a record, as far as it matters.
enum Data {
    Alias(Name),
    Address(AddressRecord),
    Target(SrvTarget),
    /// The addresses that a record for a binding (SVCB, HTTPS) gives in advance; clients may use them.
    Hints(Vec<AddressRecord>),
    Options {
        rcode_high: u16,
    },
}

/// Reads one record and hands it to `keep` if it is of a kind that matters.
fn read_record(
    decoder: &mut BinDecoder<'_>,
    names: &mut Names<'_>,
    keep: impl FnOnce(Owner, Data),
) -> Result<(), Wrong> {
    let owner = names.read_owner(decoder)?;
    let kind = RecordType::from(wire_format::u16(decoder)?);
    let class = wire_format::u16(decoder)?;
    let ttl = wire_format::u32(decoder)?;
    let length = usize::from(wire_format::u16(decoder)?);
    if length > decoder.len() {
        return Err(Wrong::Cut);
    }
    // The data of a record may point back into the message, so the decoder reads it in place.
    let end = decoder.index() + length;
    let data = if kind == RecordType::OPT {
        Some(Data::Options { rcode_high: u16::from(ttl.to_be_bytes()[0]) })
    } else if class == u16::from(DNSClass::IN) {
        read_data(decoder, names, kind, lifetime(ttl), length)?
    } else {
        None
    };
    let read = decoder.index();
    match data {
        Some(Data::Options { .. }) | None => {
            decoder.read_slice(end.saturating_sub(read))?;
        }
        // The data is longer or shorter than its stated length.
        Some(_) if read != end => return Err(Wrong::Malformed),
        Some(_) => {}
    }
    if let Some(data) = data {
        keep(owner, data);
    }
    Ok(())
}

fn read_data(
    decoder: &mut BinDecoder<'_>,
    names: &mut Names<'_>,
    kind: RecordType,
    ttl: u32,
    length: usize,
) -> Result<Option<Data>, Wrong> {
    let data = match kind {
        RecordType::A | RecordType::AAAA => {
            let bytes = decoder.read_slice(length)?.unverified();
            let address = match kind {
                RecordType::A => <[u8; 4]>::try_from(bytes).map(IpAddr::from),
                _ => <[u8; 16]>::try_from(bytes).map(IpAddr::from),
            };
            let address = address.map_err(|_| Wrong::Malformed)?.to_canonical();
            Data::Address(AddressRecord { address, ttl })
        }
        RecordType::CNAME => Data::Alias(names.read(decoder)?),
        RecordType::SRV => {
            wire_format::u16(decoder)?; // Priority.
            wire_format::u16(decoder)?; // Weight.
            let port = wire_format::u16(decoder)?;
            let target = names.read(decoder)?;
            Data::Target(SrvTarget { target, port, ttl, addresses: Vec::new() })
        }
        RecordType::SVCB | RecordType::HTTPS => return read_binding(decoder, names, ttl, length),
        _ => return Ok(None),
    };
    Ok(Some(data))
}

/// Reads a record for a binding (RFC 9460): an alias, or a target with parameters.
fn read_binding(
    decoder: &mut BinDecoder<'_>,
    names: &mut Names<'_>,
    ttl: u32,
    length: usize,
) -> Result<Option<Data>, Wrong> {
    const IPV4_HINT: u16 = 4;
    const IPV6_HINT: u16 = 6;
    let end = decoder.index() + length;
    let is_alias = wire_format::u16(decoder)? == 0;
    let target = names.read(decoder)?;
    if is_alias {
        // Parameters of an alias are to be ignored.
        decoder.read_slice(end.saturating_sub(decoder.index()))?;
        // The root says that the service does not exist.
        return Ok(Some(if target.is_empty() { Data::Hints(Vec::new()) } else { Data::Alias(target) }));
    }
    let mut hints = Vec::new();
    while decoder.index() < end {
        let key = wire_format::u16(decoder)?;
        let length = usize::from(wire_format::u16(decoder)?);
        if length > end.saturating_sub(decoder.index()) {
            return Err(Wrong::Malformed);
        }
        let value = decoder.read_slice(length)?.unverified();
        let addresses: Vec<IpAddr> = match key {
            IPV4_HINT => value.as_chunks().0.iter().map(|bytes: &[u8; 4]| IpAddr::from(*bytes)).collect(),
            IPV6_HINT => value.as_chunks().0.iter().map(|bytes: &[u8; 16]| IpAddr::from(*bytes)).collect(),
            _ => continue,
        };
        hints.extend(
            addresses.into_iter().map(|address| AddressRecord { address: address.to_canonical(), ttl }),
        );
    }
    // Those of another target are that name's.
    Ok(Some(Data::Hints(if target.is_empty() { hints } else { Vec::new() })))
}

/// A TTL with the highest bit set counts as 0 (RFC 2181, section 8).
fn lifetime(ttl: u32) -> u32 {
    if ttl > u32::MAX >> 1 { 0 } else { ttl }
}

fn rcode_from_number(number: u16) -> Rcode {
    match number {
        0 => Rcode::NoError,
        2 => Rcode::ServFail,
        3 => Rcode::NxDomain,
        other => Rcode::Other(other),
    }
}

impl Records {
    fn clear(&mut self) {
        let Self { aliases, addresses, targets, additional, rcode_high } = self;
        aliases.clear();
        addresses.clear();
        targets.clear();
        additional.clear();
        *rcode_high = 0;
    }

    fn take_answer(&mut self, owners: &[Name], kind: QueryType, rcode: Rcode, truncated: bool) -> Answer {
        let question = Owner::QUESTION.name(owners).cloned().unwrap_or_default();
        let mut chain = follow(question.clone(), owners, &self.aliases);
        if rcode != Rcode::NoError {
            return Answer { question, kind, rcode, truncated, chain, addresses: vec![], targets: vec![] };
        }
        let end = chain.last().unwrap_or(&question);
        let owner = self.other_owner(end, owners).unwrap_or(end).clone();
        if !chain.contains(&owner) && chain.len() < MAX_CHAIN {
            chain.push(owner.clone());
        }
        let addresses = owned_by(&owner, owners, self.addresses.drain(..));
        let mut targets = owned_by(&owner, owners, self.targets.drain(..));
        // A target that is the root says that the service is not available (RFC 2782).
        targets.retain(|target| !target.target.is_empty());
        give_addresses(&mut targets, owners, &self.additional);
        Answer { question, kind, rcode, truncated, chain, addresses, targets }
    }

    /// The owner of the records, if `expected` owns none and all belong to one other name.
    fn other_owner<'a>(&self, expected: &Name, owners: &'a [Name]) -> Option<&'a Name> {
        let of_addresses = self.addresses.iter().map(|(owner, _)| *owner);
        let mut all = of_addresses.chain(self.targets.iter().map(|(owner, _)| *owner));
        let first = all.next()?.name(owners)?;
        (first != expected && all.all(|owner| owner.is(first, owners))).then_some(first)
    }
}

/// The query name and the names that its CNAMEs lead to, in any order of records. A loop ends before the name that is
/// already in the chain.
fn follow(question: Name, owners: &[Name], aliases: &[(Owner, Name)]) -> Vec<Name> {
    let mut chain = vec![question];
    while chain.len() < MAX_CHAIN
        && let Some(last) = chain.last()
        && let Some((_, target)) = aliases.iter().find(|(owner, _)| owner.is(last, owners))
        && !chain.contains(target)
    {
        chain.push(Arc::clone(target));
    }
    chain
}

/// Keeps each address once, at its first place.
fn once(addresses: &mut Vec<AddressRecord>, sorted: &mut Vec<u128>) {
    sorted.clear();
    sorted.extend(addresses.iter().map(|record| match record.address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }));
    sorted.sort_unstable();
    // Hardly any server lists one twice.
    if sorted.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
        let mut seen = HashSet::default();
        addresses.retain(|record| seen.insert(record.address));
    }
}

fn owned_by<T>(name: &Name, owners: &[Name], records: impl ExactSizeIterator<Item = (Owner, T)>) -> Vec<T> {
    let mut owned = Vec::with_capacity(records.len());
    owned.extend(records.filter(|(owner, _)| owner.is(name, owners)).map(|(_, record)| record));
    owned
}

/// Gives each target the addresses of its host, up to [`MAX_TARGET_ADDRESSES`] in all.
fn give_addresses(targets: &mut [SrvTarget], owners: &[Name], additional: &[(Owner, AddressRecord)]) {
    if targets.is_empty() || additional.is_empty() {
        return;
    }
    let mut hosts: HashMap<&Name, Vec<AddressRecord>> = HashMap::default();
    for (owner, address) in additional {
        if let Some(host) = owner.name(owners) {
            hosts.entry(host).or_default().push(*address);
        }
    }
    let mut room = MAX_TARGET_ADDRESSES;
    for target in targets {
        if let Some(addresses) = hosts.get(&target.target) {
            target.addresses = addresses.iter().take(room).copied().collect();
            room -= target.addresses.len();
        }
    }
}

#[cfg(test)]
mod odd_tests;
#[cfg(test)]
mod tests;
