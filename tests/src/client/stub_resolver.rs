//! A client's stub resolver without its sockets: search domains, record types, SRV, and TCP after a truncated response.
//!
//! In: a [`Stub`], a name, and an [`Exchange`] that carries queries to the server. Out: a [`Lookup`]: addresses with
//! ports in the order of the answer.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::{Families, Lookup, SrvHabit, Stub};

/// Carries a query to the DNS server, and its response back.
pub trait Exchange {
    /// Over UDP. The response has the query's id.
    fn udp(&mut self, server: SocketAddr, query: &[u8], timeout: Duration) -> Result<Vec<u8>>;

    /// Over TCP; with the number of reads that the response took.
    fn tcp(&mut self, server: SocketAddr, query: &[u8], timeout: Duration) -> Result<(Vec<u8>, u64)>;
}

impl Stub {
    /// Looks up a name; targets have this port unless SRV gives one.
    pub fn look_up(&self, exchange: &mut dyn Exchange, name: &str, port: u16) -> Result<Lookup> {
        Session { stub: self, exchange, lookup: Lookup::default() }.run(name, port)
    }
}

struct Session<'a> {
    stub: &'a Stub,
    exchange: &'a mut dyn Exchange,
    lookup: Lookup,
}

impl Session<'_> {
    fn run(mut self, name: &str, port: u16) -> Result<Lookup> {
        for candidate in self.candidates(name) {
            let answered = match self.stub.srv {
                Some(habit) => self.services(&candidate, habit)?,
                None => self.addresses(&candidate, port)?,
            };
            if answered {
                return Ok(self.lookup);
            }
        }
        bail!("{name} has no address")
    }

    /// The names to try. A name with few dots and no final dot is tried with the search domains first.
    fn candidates(&self, name: &str) -> Vec<String> {
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        if name.ends_with('.') || dots >= self.stub.ndots {
            return vec![name.to_owned()];
        }
        let mut candidates: Vec<_> =
            self.stub.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        candidates.push(name.to_owned());
        candidates
    }

    /// Adds the addresses of a name; returns whether there was one.
    fn addresses(&mut self, name: &str, port: u16) -> Result<bool> {
        let kinds: &[RecordType] = match self.stub.families {
            Families::V4 => &[RecordType::A],
            Families::V6 => &[RecordType::AAAA],
            Families::Both => &[RecordType::A, RecordType::AAAA],
        };
        let before = self.lookup.targets.len();
        for &kind in kinds {
            let answer = self.ask(name, kind)?;
            let found = answer.answers.iter().filter_map(|record| record.data.ip_addr());
            self.lookup.targets.extend(found.map(|address| SocketAddr::new(address, port)));
        }
        Ok(self.lookup.targets.len() > before)
    }

    /// Adds the addresses of the targets of an SRV name; returns whether there was one.
    fn services(&mut self, name: &str, habit: SrvHabit) -> Result<bool> {
        let answer = self.ask(name, RecordType::SRV)?;
        let before = self.lookup.targets.len();
        for record in &answer.answers {
            let RData::SRV(srv) = &record.data else { continue };
            if habit == SrvHabit::LookUpTargets {
                self.addresses(&srv.target.to_ascii(), srv.port)?;
                continue;
            }
            let riding = answer.additionals.iter().filter(|other| other.name == srv.target);
            let found = riding.filter_map(|other| other.data.ip_addr());
            self.lookup.targets.extend(found.map(|address| SocketAddr::new(address, srv.port)));
        }
        Ok(self.lookup.targets.len() > before)
    }

    /// Sends one query, and repeats it over TCP if the response was truncated. A name that does not exist gives an
    /// empty answer.
    fn ask(&mut self, name: &str, kind: RecordType) -> Result<Message> {
        let mut name = Name::from_ascii(name).with_context(|| format!("{name} is not a valid DNS name"))?;
        name.set_fqdn(true);
        if self.stub.random_case {
            name.randomize_label_case();
        }
        let mut query = Message::new(rand::random(), hickory_proto::op::MessageType::Query, OpCode::Query);
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(name, kind));
        if let Some(size) = self.stub.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(size);
            query.set_edns(edns);
        }
        let bytes = query.to_vec().context("cannot write the query")?;
        if !self.stub.tcp {
            self.lookup.questions += 1;
            let answer = self.exchange.udp(self.stub.server, &bytes, self.timeout())?;
            let answer = self.read(&answer, query.metadata.id)?;
            if !answer.metadata.truncation {
                return self.noted(answer);
            }
            self.lookup.truncated += 1;
            self.lookup.cut_records += answer.answers.len();
            if self.stub.cut_is_enough {
                return self.noted(answer);
            }
        }
        self.lookup.questions += 1;
        let (answer, reads) = self.exchange.tcp(self.stub.server, &bytes, self.timeout())?;
        (self.lookup.over_tcp, self.lookup.tcp_reads) =
            (self.lookup.over_tcp + 1, self.lookup.tcp_reads + reads);
        let answer = self.read(&answer, query.metadata.id)?;
        self.noted(answer)
    }

    fn noted(&mut self, answer: Message) -> Result<Message> {
        match answer.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => {}
            code => bail!("the DNS server returned {code}"),
        }
        self.lookup.edns = answer.edns.is_some();
        if let Some(record) = answer.answers.last() {
            self.lookup.ttl = record.ttl;
            self.lookup.owner = record.name.to_ascii();
        }
        Ok(answer)
    }

    fn read(&mut self, answer: &[u8], id: u16) -> Result<Message> {
        self.lookup.bytes = answer.len();
        let answer = Message::from_vec(answer).context("unreadable answer")?;
        ensure!(answer.metadata.id == id, "the DNS server's response belongs to another query");
        Ok(answer)
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.stub.timeout_ms.max(1))
    }
}
