//! The DNS server without its sockets: a query in, a response out, by its records and options. Pure.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use hickory_proto::op::{Message, MessageType};

use super::wire::{self, Answer};
use super::zone::{Found, Zone, key};
use super::{DnsCommand, DnsCounts, DnsOptions};

const NOERROR: u8 = 0;
const NXDOMAIN: u8 = 3;

/// Records, options and counts of a DNS server.
pub struct Responder {
    zone: Zone,
    options: DnsOptions,
    counts: DnsCounts,
}

impl Responder {
    /// A server without records; the seed decides on random orders.
    #[must_use]
    pub fn new(options: DnsOptions, seed: u64) -> Self {
        Self { zone: Zone::new(seed), options, counts: DnsCounts::default() }
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> &DnsOptions {
        &self.options
    }

    /// Its counts so far.
    #[must_use]
    pub fn counts(&self) -> &DnsCounts {
        &self.counts
    }

    /// Obeys a command; the counts can be read after each.
    pub fn obey(&mut self, command: DnsCommand) {
        match command {
            DnsCommand::Set(name, records) => self.zone.set(&name, records),
            DnsCommand::Remove(name) => self.zone.remove(&name),
            DnsCommand::Options(options) => self.options = options,
            DnsCommand::Counts => {}
        }
    }

    /// The response to a query; `None` if the options forbid one.
    pub fn answer(&mut self, query: &[u8], client: IpAddr, over_tcp: bool) -> Result<Option<Vec<u8>>> {
        let message = Message::from_vec(query).context("unreadable query")?;
        ensure!(
            message.metadata.message_type == MessageType::Query && message.queries.len() == 1,
            "not one question"
        );
        let asked = wire::text_of(query, 12)?;
        // The root name is a single zero byte. Any other name has each label with its length, and a zero byte. Type and
        // class follow.
        let name_length = if asked.is_empty() { 1 } else { asked.len() + 2 };
        let mut question =
            query.get(12..12 + name_length + 4).context("the query ends within its question")?.to_vec();
        let options = self.options.clone();
        if options.silent || options.deaf.contains(&client) {
            return Ok(None);
        }
        let owner = if options.echo_case {
            asked.clone()
        } else {
            question[..name_length].make_ascii_lowercase();
            key(&asked)
        };
        let mut found = self.zone.find(&owner, message.queries[0].query_type().into(), &options);
        let rcode = match options.rcode {
            Some(code) => {
                found = Found::default();
                code
            }
            None if found.exists => NOERROR,
            None => NXDOMAIN,
        };
        let edns = options.edns && message.edns.is_some();
        let announced =
            message.edns.as_ref().map_or(512, |edns| usize::from(edns.max_payload().clamp(512, 1232)));
        let limit = if over_tcp { 65535 } else { options.udp_limit.unwrap_or(announced) };
        let (bytes, truncated) = Answer {
            id: message.metadata.id,
            recursion: message.metadata.recursion_desired,
            rcode,
            question: &question,
            answers: &found.answers,
            additionals: &found.additionals,
            edns,
            compress: options.compress,
            limit,
            truncate_to_nothing: options.truncate_to_nothing,
            truncate: !over_tcp && options.tcp_only,
        }
        .write()?;
        let counts = &mut self.counts;
        *if over_tcp { &mut counts.tcp } else { &mut counts.udp } += 1;
        counts.truncated += u64::from(truncated);
        counts.with_records += u64::from(!found.answers.is_empty());
        counts.nxdomain += u64::from(rcode == NXDOMAIN);
        *counts.names.entry(key(&asked)).or_default() += 1;
        Ok(Some(bytes))
    }
}
