//! Which Service an answer is about, in the `dns` topology.

use std::sync::Arc;

use crate::dns::{Answer, Name, QueryType};
use crate::topology::object::ServiceKey;

/// What a domain name means in Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The Service's name.
    pub service: &'a str,
    /// The host below the Service, if the name is one endpoint's.
    pub host: Option<&'a str>,
}

/// What an answer is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The Service.
    pub service: ServiceKey,
    /// The domain name of the Service: without a host, and without port and protocol of an SRV question.
    pub name: Name,
    /// The host below the Service, if the answer is about one endpoint.
    pub host: Option<Arc<str>>,
    /// Whether the name has Kubernetes' form.
    pub kubernetes: bool,
}

impl Subject {
    /// The subject of `answer`: what the last name of its chain means.
    pub fn of(answer: &Answer, meaning: impl for<'n> Fn(&'n str) -> Option<Meaning<'n>>) -> Self {
        let full = answer.chain.last().unwrap_or(&answer.question);
        let host = meaning(full).and_then(|meaning| meaning.host);
        let below = match host {
            Some(host) => full.strip_prefix(host).and_then(|rest| rest.strip_prefix('.')).unwrap_or(full),
            None if answer.kind == QueryType::Srv => without_port(full),
            None => full,
        };
        let name: Name = if below.len() == full.len() { full.clone() } else { below.into() };
        let service = match meaning(full) {
            Some(meaning) => ServiceKey { namespace: meaning.namespace.into(), name: meaning.service.into() },
            None => ServiceKey { namespace: Arc::default(), name: name.clone() },
        };
        Self { service, name, host: host.map(Arc::from), kubernetes: meaning(full).is_some() }
    }

    /// What the target of an SRV record is called as an endpoint: the host below the Service; outside
    /// Kubernetes, where targets need not be below anything, all of the name.
    pub(super) fn host_of(
        &self,
        target: &Name,
        meaning: impl for<'n> Fn(&'n str) -> Option<Meaning<'n>>,
    ) -> Option<Arc<str>> {
        if !self.kubernetes {
            return Some(target.clone());
        }
        let found = meaning(target)?;
        let same = *found.namespace == *self.service.namespace && *found.service == *self.service.name;
        found.host.filter(|_| same).map(Arc::from)
    }
}

/// A name without the labels in front that start with an underscore.
fn without_port(name: &str) -> &str {
    let mut rest = name;
    while let Some((_, below)) = rest.split_once('.').filter(|(label, _)| label.starts_with('_')) {
        rest = below;
    }
    rest
}
