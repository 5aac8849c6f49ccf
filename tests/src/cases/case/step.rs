//! A step: something that happens, or an expectation. Steps follow one another.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Addresses, Dns, Expectation, Records, Serve, Span};

/// One step.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    /// Clients start, and end their runs.
    Run(Names),
    /// Clients start.
    Start(Names),
    /// Runs end by themselves.
    Finish(Names),
    /// Clients stop before their runs end; what they keep stays open.
    Stop(Names),
    /// The programs of clients end, and their connections close.
    Kill(Names),
    /// A client makes connections and keeps them.
    Open { client: String, connections: u64 },
    /// A client closes the oldest that it keeps.
    Close { client: String, connections: u64 },
    /// A client looks its name up, and does not connect.
    Resolve { client: String, times: u64 },
    /// Time passes.
    Wait(Span),
    /// The condition of a pod in all its Services.
    Endpoint(Endpoint),
    /// A manifest.
    Manifest(Manifest),
    /// Names of the DNS server; nothing stands for a name that goes.
    Zone(BTreeMap<String, Option<Records>>),
    /// The DNS server's behaviour; what is not given is as by default.
    Dns(Dns),
    /// A group gets this many pods.
    Scale { pods: String, to: usize },
    /// All pods of a group are replaced, one after the other, by pods with other addresses.
    Roll { pods: String, to: Addresses, every: Span },
    /// A server begins to treat connections in another way, or stops.
    Serve { pod: String, port: u16, by: Option<Serve> },
    /// The daemon ends and starts again.
    Restart(What),
    /// The wall clock is set forward, or backward with `-`; only a simulation can do it.
    Clock(String),
    /// Steps are repeated.
    Repeat { times: u64, every: Option<Span>, steps: Vec<Step> },
    /// Compares the report with an expectation.
    Expect(Box<Expectation>),
}

/// A thing that can restart.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Daemon,
}

/// The condition of a pod. Absent fields stay as they are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    pub(crate) pod: String,
    #[serde(default)]
    pub(crate) ready: Option<bool>,
    #[serde(default)]
    pub(crate) terminating: Option<bool>,
    /// Whether its Services have it at all.
    #[serde(default)]
    pub(crate) listed: Option<bool>,
    /// Change the manifests alone, or DNS alone.
    #[serde(default)]
    pub(crate) only_in: Option<Side>,
}

/// One of the two places that know endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    Manifests,
    Dns,
}

/// A change of a manifest: its new text, or a part of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) file: String,
    #[serde(default)]
    pub(crate) text: Option<String>,
    #[serde(default)]
    pub(crate) replace: Option<String>,
    #[serde(default)]
    pub(crate) by: Option<String>,
}

/// One name or several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "OneOrMore")]
pub(crate) struct Names(pub(crate) Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMore> for Names {
    fn from(names: OneOrMore) -> Self {
        match names {
            OneOrMore::One(name) => Self(vec![name]),
            OneOrMore::More(names) => Self(names),
        }
    }
}
