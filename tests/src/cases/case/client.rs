//! A client program in a pod: how it looks names up, which address it takes, how it connects.

use std::net::IpAddr;

use lab::client::Families;
use serde::Deserialize;

use super::{Addresses, Span};

/// A client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Client {
    /// Its pod; default: a pod with the client's own name, which need not be in `pods`.
    #[serde(default)]
    pub(crate) pod: Option<String>,
    /// The name that it looks up.
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) port: u16,
    #[serde(default)]
    pub(crate) resolver: Resolver,
    #[serde(default)]
    pub(crate) families: Families,
    /// The longest response over UDP that it announces.
    #[serde(default)]
    pub(crate) edns: Option<u16>,
    /// Whether it is content with a truncated response.
    #[serde(default)]
    pub(crate) cut_is_enough: bool,
    /// The time that it waits for a response.
    #[serde(default)]
    pub(crate) dns_timeout: Option<Span>,
    /// It does not ask DNS; it knows these addresses.
    #[serde(default)]
    pub(crate) addresses: Addresses,
    #[serde(default)]
    pub(crate) pick: Pick,
    /// It tries its targets until it finds this address. It uses the others, and closes them at once.
    #[serde(default)]
    pub(crate) seeks: Option<IpAddr>,
    /// It leaves its own address out.
    #[serde(default)]
    pub(crate) skips_itself: bool,
    /// It leaves these addresses out of its answers.
    #[serde(default)]
    pub(crate) skips: Addresses,
    /// Connections for each lookup; 0: it looks up only once.
    #[serde(default = "one")]
    pub(crate) per_lookup: u64,
    /// Connections of a run.
    #[serde(default)]
    pub(crate) connections: u64,
    /// Connections a second.
    #[serde(default)]
    pub(crate) rate: Option<f64>,
    /// Processes; each makes all connections of its own.
    #[serde(default = "one")]
    pub(crate) processes: u64,
    /// It abandons an attempt after this time.
    #[serde(default)]
    pub(crate) gives_up_after: Option<Span>,
    /// It does not abandon the attempt to the last of its targets.
    #[serde(default)]
    pub(crate) patient_at_last: bool,
    /// Bytes that it sends.
    #[serde(default)]
    pub(crate) send: usize,
    /// Bytes that it waits for.
    #[serde(default)]
    pub(crate) receive: usize,
    /// The time that it keeps a connection.
    #[serde(default)]
    pub(crate) hold: Span,
    /// It keeps its connections until a step closes them.
    #[serde(default)]
    pub(crate) keep: bool,
    /// Any program instead of the lab's own: the words of its command line. `$GLIBC`, `$MUSL` and other names stand for
    /// the lab's clients in other languages. The program ends by itself.
    #[serde(default)]
    pub(crate) program: Vec<String>,
    /// The standard input of that program.
    #[serde(default)]
    pub(crate) input: String,
}

/// The way in which names are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Resolver {
    /// A resolver in the program: A records, in the order of the answer.
    #[default]
    Stub,
    /// The same, SRV records first; addresses come from the additional section.
    Srv,
    /// The C library's getaddrinfo.
    Libc,
}

/// The address of the answer that it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pick {
    #[default]
    First,
    Last,
    RoundRobin,
    Random,
    /// The first that works.
    InTurn,
    /// The first that works, in a random order.
    Shuffled,
    /// This one.
    Only(IpAddr),
}

fn one() -> u64 {
    1
}
