//! Lookups by a stub resolver over UDP and TCP, by the C library, or none at all.
//!
//! In: a [`ClientSpec`]. Out: a [`Lookup`]: addresses with ports in the order of the answer.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use lab::client::{ClientSpec, Families, Lookup, Resolver, SrvHabit, Stub};

/// Looks up a name as a spec says.
pub(crate) fn look_up(spec: &ClientSpec, name: &str) -> Result<Lookup> {
    match &spec.resolver {
        Resolver::Stub(stub) => Session { stub, lookup: Lookup::default() }.run(name, spec.port),
        Resolver::Libc => {
            let found = (name, spec.port).to_socket_addrs();
            let targets = found.with_context(|| format!("getaddrinfo of {name}"))?.collect();
            Ok(Lookup { targets, ..Lookup::default() })
        }
        Resolver::Fixed(addresses) => {
            let targets = addresses.iter().map(|&address| SocketAddr::new(address, spec.port)).collect();
            Ok(Lookup { targets, ..Lookup::default() })
        }
    }
}

struct Session<'a> {
    stub: &'a Stub,
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
        let id = query.metadata.id;
        if !self.stub.tcp {
            let answer = self.over_udp(&bytes, id)?;
            if !answer.metadata.truncation {
                return self.noted(answer);
            }
            self.lookup.truncated += 1;
            self.lookup.cut_records += answer.answers.len();
        }
        let answer = self.over_tcp(&bytes, id)?;
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

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.stub.timeout_ms.max(1))
    }

    fn over_udp(&mut self, query: &[u8], id: u16) -> Result<Message> {
        let any: IpAddr = if self.stub.server.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind((any, 0)).context("cannot open a UDP socket")?;
        socket.connect(self.stub.server).context("the DNS server is unreachable")?;
        socket.set_read_timeout(Some(self.timeout()))?;
        self.lookup.questions += 1;
        socket.send(query).context("cannot send the query to the DNS server")?;
        let mut buffer = vec![0; 65535];
        let end = Instant::now() + self.timeout();
        loop {
            let length = socket.recv(&mut buffer).context("no answer from the DNS server over UDP")?;
            let answer = Message::from_vec(&buffer[..length]).context("unreadable answer")?;
            if answer.metadata.id == id {
                self.lookup.bytes = length;
                return Ok(answer);
            }
            if Instant::now() > end {
                bail!("no answer from the DNS server over UDP");
            }
        }
    }

    fn over_tcp(&mut self, query: &[u8], id: u16) -> Result<Message> {
        let mut stream = TcpStream::connect_timeout(&self.stub.server, self.timeout())
            .context("the DNS server is unreachable over TCP")?;
        stream.set_read_timeout(Some(self.timeout()))?;
        self.lookup.questions += 1;
        let mut bytes = u16::try_from(query.len())?.to_be_bytes().to_vec();
        bytes.extend(query);
        stream.write_all(&bytes)?;
        let mut received = Vec::new();
        let mut buffer = [0; 65536];
        while expected(&received).is_none_or(|length| received.len() < length) {
            let length = stream.read(&mut buffer).context("no answer from the DNS server over TCP")?;
            if length == 0 {
                bail!("the DNS server closed the connection before its response was complete");
            }
            received.extend(&buffer[..length]);
            self.lookup.tcp_reads += 1;
        }
        let answer = Message::from_vec(&received[2..]).context("unreadable answer")?;
        if answer.metadata.id != id {
            bail!("the DNS server's response belongs to another query");
        }
        (self.lookup.bytes, self.lookup.over_tcp) = (received.len() - 2, self.lookup.over_tcp + 1);
        Ok(answer)
    }
}

/// Length of a TCP response with its length prefix; `None` until the prefix has arrived.
fn expected(received: &[u8]) -> Option<usize> {
    let prefix = received.first_chunk::<2>()?;
    Some(2 + usize::from(u16::from_be_bytes(*prefix)))
}
