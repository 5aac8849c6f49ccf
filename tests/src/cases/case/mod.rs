//! A case: all of a situation as data, and what the report must say about it.
//!
//! In: the YAML of `case.yaml` ([`read()`]). Out: a [`Case`]. Unknown fields are errors, and each error names the path of
//! its field. docs/cases.md explains the fields to those who write cases. Invariant: this is data alone; a player gives
//! it its meaning.

use std::collections::BTreeMap;

use lab::dns::Order;
use serde::Deserialize;

mod address;
mod client;
mod expectation;
mod pod;
mod read;
mod span;
mod step;
mod validate;

pub(crate) use address::{Addresses, here};
pub(crate) use client::{Client, Pick, Resolver};
pub(crate) use expectation::{Claim, Expectation, Texts};
pub(crate) use pod::{Pod, Serve};
pub(crate) use read::read;
pub(crate) use span::Span;
pub(crate) use step::{Endpoint, Manifest, Names, Side, Step};

/// The namespace of pods and Services that name none.
pub(crate) const NAMESPACE: &str = "shop";

/// A situation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// The situation in one sentence.
    pub(crate) title: String,
    /// Its source, and anything else that a reader should know.
    #[serde(default)]
    pub(crate) about: Option<String>,
    /// The reason why it cannot be simulated: what it needs from a real kernel or a real program.
    #[serde(default)]
    pub(crate) lab_only: Option<String>,
    /// The reason why it cannot be played in the lab: mostly because it takes days.
    #[serde(default)]
    pub(crate) simulation_only: Option<String>,
    /// Whether it takes longer than a few seconds in the lab.
    #[serde(default)]
    pub(crate) slow: bool,
    #[serde(default)]
    pub(crate) daemon: Daemon,
    #[serde(default)]
    pub(crate) dns: Dns,
    #[serde(default)]
    pub(crate) pods: BTreeMap<String, Pod>,
    #[serde(default)]
    pub(crate) services: BTreeMap<String, Service>,
    /// Further Kubernetes objects: file → YAML. A file without text is read from the case's folder.
    #[serde(default)]
    pub(crate) manifests: BTreeMap<String, Option<String>>,
    /// Further names of the DNS server.
    #[serde(default)]
    pub(crate) zone: BTreeMap<String, Records>,
    #[serde(default)]
    pub(crate) clients: BTreeMap<String, Client>,
    pub(crate) steps: Vec<Step>,
}

/// The daemon under test.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Daemon {
    pub(crate) topology: Topology,
    pub(crate) node: String,
    /// Further nodes, each with a daemon of its own. The report is that of all daemons together.
    pub(crate) also_on: Names,
    /// Pods that have been ready for this long count in the spread.
    pub(crate) mature_after: Span,
    /// The time after a change in which nobody is blamed for it.
    pub(crate) stale_grace: Span,
    /// Further options of `headless-obs run`; only the lab can give them.
    pub(crate) options: Vec<String>,
    /// Whether it starts at the first step `restart: daemon` instead of before all steps.
    pub(crate) late: bool,
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            topology: Topology::Files,
            node: "n1".to_owned(),
            also_on: Names::default(),
            mature_after: Span::from_secs(2),
            stale_grace: Span::from_secs(1),
            options: Vec::new(),
            late: false,
        }
    }
}

/// The source from which the daemon learns Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Topology {
    /// Kubernetes objects.
    Files,
    /// DNS answers.
    Dns,
}

/// The DNS server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Dns {
    pub(crate) order: Order,
    /// Time to live, in seconds.
    pub(crate) ttl: u32,
    /// Longest response over UDP, whatever the client announces.
    pub(crate) udp_limit: Option<usize>,
    /// A response that does not fit has no records, instead of those that fit.
    pub(crate) empty_when_cut: bool,
    pub(crate) compress: bool,
    /// Pods that get no response.
    pub(crate) deaf: Vec<String>,
    /// Every response has this code and no records.
    pub(crate) rcode: Option<u8>,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            order: Order::Shuffle,
            ttl: 5,
            udp_limit: None,
            empty_when_cut: false,
            compress: true,
            deaf: Vec::new(),
            rcode: None,
        }
    }
}

/// A headless Service, its slices, and its DNS names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    #[serde(default = "namespace")]
    pub(crate) namespace: String,
    /// The port of its pods.
    pub(crate) port: u16,
    /// The port of the Service itself, if it is another one.
    #[serde(default)]
    pub(crate) own_port: Option<u16>,
    /// Pods, or groups of pods.
    #[serde(default)]
    pub(crate) pods: Names,
    /// Endpoints without a pod.
    #[serde(default)]
    pub(crate) addresses: Addresses,
    #[serde(default)]
    pub(crate) publish_not_ready: bool,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
    /// Its `trafficDistribution`; its slices then have hints: each endpoint is for its own zone.
    #[serde(default)]
    pub(crate) distribution: Option<String>,
    /// Whether the DNS server knows it.
    #[serde(default = "yes")]
    pub(crate) dns: bool,
    #[serde(default)]
    pub(crate) ttl: Option<u32>,
    #[serde(default)]
    pub(crate) order: Option<Order>,
}

/// The records of a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Records {
    #[serde(default)]
    pub(crate) addresses: Addresses,
    /// Pods whose addresses it has, or groups of pods.
    #[serde(default)]
    pub(crate) pods: Names,
    #[serde(default)]
    pub(crate) alias_of: Option<String>,
    #[serde(default)]
    pub(crate) targets: Vec<Target>,
    #[serde(default)]
    pub(crate) ttl: Option<u32>,
    #[serde(default)]
    pub(crate) order: Option<Order>,
}

/// An SRV record.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) port: u16,
}

fn namespace() -> String {
    NAMESPACE.to_owned()
}

fn yes() -> bool {
    true
}
