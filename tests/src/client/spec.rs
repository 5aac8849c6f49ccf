//! What a client does: how it resolves, which address it takes, how it connects.
//!
//! Plain data, put together by the lab and read by the agent.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Which record types a stub asks for.
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

/// What an SRV client does with the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SrvHabit {
    /// Takes their addresses from the additional section.
    Additional,
    /// Looks each target up.
    LookUpTargets,
}

/// A stub resolver of the client's own.
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
    /// Asks for SRV records first.
    pub srv: Option<SrvHabit>,
    /// Announces this UDP size by EDNS.
    pub edns: Option<u16>,
    /// Asks over TCP from the start.
    pub tcp: bool,
    /// Writes the name in random case.
    pub random_case: bool,
    /// Waits this long for an answer, in milliseconds.
    pub timeout_ms: u64,
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
        }
    }
}

/// Where a client gets addresses from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolver {
    /// A stub of its own.
    Stub(Stub),
    /// The C library's getaddrinfo, with the pod's resolv.conf.
    Libc,
    /// It was told, without DNS.
    Fixed(Vec<IpAddr>),
}

/// Which of the addresses a client takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// Always the first.
    #[default]
    First,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
    /// The first that works, trying from the start for each connection.
    InTurn,
}

/// What a client waits for on a connection before it closes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receive {
    /// Nothing.
    #[default]
    Nothing,
    /// That many bytes.
    Bytes(usize),
    /// That the server closes; the client has closed its sending side before.
    Close,
}

/// How a client dials.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Dial {
    /// Waits in `poll` rather than in `connect`.
    pub nonblocking: bool,
    /// Gives up after this many milliseconds (implies non-blocking): the attempt counts as aborted.
    pub give_up_ms: Option<u64>,
    /// The kernel gives up after this many milliseconds (TCP_USER_TIMEOUT): the attempt counts as timed out.
    pub user_timeout_ms: Option<u32>,
    /// Dials IPv4 addresses on an IPv6 socket.
    pub mapped: bool,
    /// Dials an IPv6 address first and an IPv4 one that many milliseconds later; the loser is closed.
    pub happy_eyeballs_ms: Option<u64>,
    /// Bytes to send.
    pub send: usize,
    /// What to wait for.
    pub receive: Receive,
    /// Milliseconds the connection stays open after that.
    pub hold_ms: u64,
    /// Keeps it open until told otherwise.
    pub keep: bool,
    /// Closes by reset: no port is left in TIME_WAIT.
    pub reset_on_close: bool,
}

/// A client to be started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientSpec {
    /// Name to look up.
    pub name: String,
    /// Further names: lookups take turns.
    #[serde(default)]
    pub also: Vec<String>,
    /// Port to dial, where SRV does not tell one.
    pub port: u16,
    /// Where addresses come from.
    pub resolver: Resolver,
    /// Which address is taken.
    pub pick: Pick,
    /// Connections made from one lookup; 0: it is never looked up again.
    pub per_lookup: u64,
    /// How it dials.
    pub dial: Dial,
    /// Connections to make from the start; 0: none until told to.
    pub connections: u64,
    /// Connections a second, in all; as fast as they go without.
    pub rate: Option<f64>,
    /// Threads; each resolves for itself.
    pub threads: usize,
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
        }
    }

    /// A client that dials these addresses without DNS, one after the other.
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

    /// Turns over the addresses of one lookup, `per_lookup` connections for each lookup.
    #[must_use]
    pub fn round_robin(mut self, per_lookup: u64) -> Self {
        (self.pick, self.per_lookup) = (Pick::RoundRobin, per_lookup);
        self
    }

    /// Takes any address of each lookup.
    #[must_use]
    pub fn random(mut self) -> Self {
        self.pick = Pick::Random;
        self
    }

    /// Looks up once and then never again.
    #[must_use]
    pub fn never_again(mut self) -> Self {
        self.per_lookup = 0;
        self
    }

    /// Takes turns with one more name, lookup by lookup.
    #[must_use]
    pub fn also(mut self, name: &str) -> Self {
        self.also.push(name.to_owned());
        self
    }

    /// Keeps its connections open until told otherwise.
    #[must_use]
    pub fn keep(mut self) -> Self {
        self.dial.keep = true;
        self
    }

    /// The same with other ways of dialling.
    #[must_use]
    pub fn dial(mut self, change: impl FnOnce(&mut Dial)) -> Self {
        change(&mut self.dial);
        self
    }

    /// The same with other ways of resolving, if it has a stub of its own.
    #[must_use]
    pub fn stub(mut self, change: impl FnOnce(&mut Stub)) -> Self {
        if let Resolver::Stub(stub) = &mut self.resolver {
            change(stub);
        }
        self
    }

    /// The same on that many threads.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The same at that many connections a second.
    #[must_use]
    pub fn rate(mut self, per_second: f64) -> Self {
        self.rate = Some(per_second);
        self
    }
}
