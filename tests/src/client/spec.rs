//! A client's habit: how it resolves names, which address it takes, how it connects.
//!
//! Plain data, written by the lab and read by the agent.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Record types in a stub's queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Families {
    /// A only.
    #[default]
    V4,
    /// AAAA only.
    V6,
    /// Both, A first.
    Both,
}

/// The way in which an SRV client gets the targets' addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SrvHabit {
    /// From the additional section.
    Additional,
    /// By a lookup of each target.
    LookUpTargets,
}

/// A stub resolver in the client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Stub {
    /// The DNS server.
    pub server: SocketAddr,
    /// Record types.
    pub families: Families,
    /// Domains tried for names with fewer than `ndots` dots and no final dot, before the name itself.
    pub search: Vec<String>,
    /// See `search`.
    pub ndots: usize,
    /// Whether it queries SRV records first.
    pub srv: Option<SrvHabit>,
    /// EDNS UDP size, if it sends EDNS.
    pub edns: Option<u16>,
    /// Whether it uses TCP from the start.
    pub tcp: bool,
    /// Whether it writes the name in random letter case.
    pub random_case: bool,
    /// Time limit for a response, in milliseconds.
    pub timeout_ms: u64,
    /// Whether it is content with a truncated response, instead of a query over TCP.
    pub cut_is_enough: bool,
}

impl Default for Stub {
    fn default() -> Self {
        Self {
            server: SocketAddr::from(([127, 0, 0, 1], 53)),
            families: Families::V4,
            search: Vec::new(),
            ndots: 5,
            srv: None,
            edns: None,
            tcp: false,
            random_case: false,
            timeout_ms: 5_000,
            cut_is_enough: false,
        }
    }
}

/// A client's source of addresses.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolver {
    /// A stub in the client.
    Stub(Stub),
    /// The C library's getaddrinfo, with the pod's resolv.conf.
    Libc,
    /// A fixed list, without DNS.
    Fixed(Vec<IpAddr>),
}

/// Order in which a client takes addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// Always the first.
    #[default]
    First,
    /// One after the other.
    RoundRobin,
    /// A random one.
    Random,
    /// The first that works, from the start of the list for each connection.
    InTurn,
    /// The first that works, in a random order.
    Shuffled,
    /// Always the last.
    Last,
    /// This one, if the answer has it.
    Only(IpAddr),
}

/// A client's condition to close a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receive {
    /// Nothing.
    #[default]
    Nothing,
    /// It has received this many bytes.
    Bytes(usize),
    /// The server has closed; the client has closed its sending side before.
    Close,
}

/// The way in which a client connects.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Dial {
    /// Whether it waits in `poll` instead of `connect`.
    pub nonblocking: bool,
    /// The client aborts after this many milliseconds (implies non-blocking); the attempt counts as aborted.
    pub give_up_ms: Option<u64>,
    /// Whether it waits for the last of its targets without that limit.
    pub patient_at_last: bool,
    /// The kernel gives up after this many milliseconds (TCP_USER_TIMEOUT): the attempt counts as timed out.
    pub user_timeout_ms: Option<u32>,
    /// Whether it uses IPv6 sockets for IPv4 addresses.
    pub mapped: bool,
    /// Tries an IPv6 address first and an IPv4 one this many milliseconds later; the slower attempt is closed.
    pub happy_eyeballs_ms: Option<u64>,
    /// Bytes to send.
    pub send: usize,
    /// Condition before it closes.
    pub receive: Receive,
    /// Milliseconds for which the connection stays open after that.
    pub hold_ms: u64,
    /// Whether it keeps the connection open until a command closes it.
    pub keep: bool,
    /// Whether it closes by reset, which leaves no port in TIME_WAIT.
    pub reset_on_close: bool,
}

/// The spec of a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientSpec {
    /// Name to look up.
    pub name: String,
    /// More names; lookups use all names in turn.
    #[serde(default)]
    pub also: Vec<String>,
    /// Port, unless SRV gives one.
    pub port: u16,
    /// Source of addresses.
    pub resolver: Resolver,
    /// Order of addresses.
    pub pick: Pick,
    /// Connections per lookup; 0: it looks up only once.
    pub per_lookup: u64,
    /// The way in which it connects.
    pub dial: Dial,
    /// Connections to make from the start; 0: none before a command.
    pub connections: u64,
    /// Connections a second in total; `None`: as fast as possible.
    pub rate: Option<f64>,
    /// Threads; each makes its own lookups.
    pub threads: usize,
    /// Addresses that it leaves out of answers, such as its own.
    #[serde(default)]
    pub avoid: Vec<IpAddr>,
    /// The address that it looks for: it closes a connection to another one after use, and tries the next target.
    #[serde(default)]
    pub seeks: Option<IpAddr>,
}

impl ClientSpec {
    /// A client that looks the name up for each of `connections` connections and takes the first address.
    #[must_use]
    pub fn new(name: &str, port: u16, dns: SocketAddr, connections: u64) -> Self {
        Self {
            name: name.to_owned(),
            also: Vec::new(),
            port,
            resolver: Resolver::Stub(Stub { server: dns, ..Stub::default() }),
            pick: Pick::First,
            per_lookup: 1,
            dial: Dial::default(),
            connections,
            rate: None,
            threads: 1,
            avoid: Vec::new(),
            seeks: None,
        }
    }

    /// A client that connects to these addresses in turn, without DNS.
    #[must_use]
    pub fn fixed(addresses: &[IpAddr], port: u16, connections: u64) -> Self {
        Self {
            name: String::new(),
            also: Vec::new(),
            port,
            resolver: Resolver::Fixed(addresses.to_vec()),
            pick: Pick::RoundRobin,
            per_lookup: 0,
            dial: Dial::default(),
            connections,
            rate: None,
            threads: 1,
            avoid: Vec::new(),
            seeks: None,
        }
    }

    /// A client that uses getaddrinfo with the pod's resolv.conf and takes the first address that works.
    #[must_use]
    pub fn libc(name: &str, port: u16, connections: u64) -> Self {
        let mut spec = Self::fixed(&[], port, connections);
        name.clone_into(&mut spec.name);
        (spec.resolver, spec.pick, spec.per_lookup) = (Resolver::Libc, Pick::InTurn, 1);
        spec
    }

    /// Takes the addresses of a lookup in turn, with `per_lookup` connections for each lookup.
    #[must_use]
    pub fn round_robin(mut self, per_lookup: u64) -> Self {
        (self.pick, self.per_lookup) = (Pick::RoundRobin, per_lookup);
        self
    }

    /// Takes a random address of each lookup.
    #[must_use]
    pub fn random(mut self) -> Self {
        self.pick = Pick::Random;
        self
    }

    /// Looks up only once.
    #[must_use]
    pub fn never_again(mut self) -> Self {
        self.per_lookup = 0;
        self
    }

    /// Uses one more name; lookups use the names in turn.
    #[must_use]
    pub fn also(mut self, name: &str) -> Self {
        self.also.push(name.to_owned());
        self
    }

    /// Keeps its connections open until a command closes them.
    #[must_use]
    pub fn keep(mut self) -> Self {
        self.dial.keep = true;
        self
    }

    /// The same with other ways to connect.
    #[must_use]
    pub fn dial(mut self, change: impl FnOnce(&mut Dial)) -> Self {
        change(&mut self.dial);
        self
    }

    /// The same with other options of its stub resolver, if it has one.
    #[must_use]
    pub fn stub(mut self, change: impl FnOnce(&mut Stub)) -> Self {
        if let Resolver::Stub(stub) = &mut self.resolver {
            change(stub);
        }
        self
    }

    /// The same with this many threads.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The same with this many connections a second.
    #[must_use]
    pub fn rate(mut self, per_second: f64) -> Self {
        self.rate = Some(per_second);
        self
    }
}
