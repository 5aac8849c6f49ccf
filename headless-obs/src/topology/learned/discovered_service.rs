//! The Service that an answer is about, in the `dns` topology.

use std::sync::Arc;

use crate::dns::service_name::{NameKind, ServiceName, candidates, without_port};
use crate::dns::{Answer, Name, QueryType};
use crate::topology::model::ServiceKey;

/// The subject of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveredService {
    /// The Service.
    pub service: ServiceKey,
    /// The domain name of the Service, without a host and without port and protocol of an SRV query.
    pub name: Name,
    /// The host below the Service, if the answer is about one endpoint.
    pub host: Option<Arc<str>>,
    /// Whether the name has Kubernetes' form.
    pub kubernetes: bool,
}

impl DiscoveredService {
    /// The subject of `answer`: the most likely meaning of the last name of its chain.
    pub fn of(answer: &Answer) -> Self {
        let full = answer.chain.last().unwrap_or(&answer.question);
        let meaning = candidates(full).next();
        let host = meaning.and_then(host);
        let below = match host {
            Some(host) => full.strip_prefix(host).and_then(|rest| rest.strip_prefix('.')).unwrap_or(full),
            None if answer.kind == QueryType::Srv => without_port(full),
            None => full,
        };
        let name: Name = if below.len() == full.len() { full.clone() } else { below.into() };
        let service = match meaning {
            Some(meaning) => ServiceKey { namespace: meaning.namespace.into(), name: meaning.service.into() },
            None => ServiceKey { namespace: Arc::default(), name: name.clone() },
        };
        Self { service, name, host: host.map(Arc::from), kubernetes: meaning.is_some() }
    }

    /// The name of an SRV target as an endpoint: the host below the Service. Outside Kubernetes, where targets can have
    /// any name, it is the whole name.
    pub(super) fn host_of(&self, target: &Name) -> Option<Arc<str>> {
        if !self.kubernetes {
            return Some(target.clone());
        }
        let found = candidates(target).next()?;
        let same = *found.namespace == *self.service.namespace && *found.service == *self.service.name;
        host(found).filter(|_| same).map(Arc::from)
    }
}

/// The host below a Service, if the name belongs to one endpoint.
fn host(meaning: ServiceName<'_>) -> Option<&str> {
    match meaning.asked {
        NameKind::Hostname(host) => Some(host),
        NameKind::Service | NameKind::Port { .. } => None,
    }
}
