//! The Service that an answer is about, in the `dns` topology.

use std::sync::Arc;

use crate::cluster_zone::ClusterZone;
use crate::dns::service_name::{NameKind, ServiceName, candidates};
use crate::dns::{Answer, Name};
use crate::topology::model::ServiceKey;

/// The subject of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveredService {
    /// The Service.
    pub service: ServiceKey,
    /// The domain name of the Service: in Kubernetes' form without a host, an area, and port and protocol of an SRV
    /// query. Of any other name, port and protocol are a part: `_web._tcp.example.net` and `_api._tcp.example.net` have
    /// nothing in common.
    pub name: Name,
    /// The host below the Service, if the answer is about one endpoint.
    pub host: Option<Arc<str>>,
    /// Whether the name is in the cluster's zone.
    pub is_own: bool,
    /// Whether the name has Kubernetes' form.
    pub kubernetes: bool,
    /// Whether the answer lists a part of the Service by intent: an area, or one endpoint.
    pub is_part: bool,
}

impl DiscoveredService {
    /// The subject of `answer`: the most likely meaning of the last name of its chain. A name of the cluster becomes
    /// namespace and name. A name in another zone may be another cluster's, so it stays whole.
    pub fn of(answer: &Answer, zone: &ClusterZone) -> Self {
        let full = answer.chain.last().unwrap_or(&answer.question);
        let own = candidates(full).find(|name| zone.is_own(name.zone));
        let whole = |name: Name| ServiceKey { namespace: Arc::default(), name };
        let Some(meaning) = own.or_else(|| candidates(full).next()) else {
            return Self {
                service: whole(full.clone()),
                name: full.clone(),
                host: None,
                is_own: false,
                kubernetes: false,
                is_part: false,
            };
        };
        let (host, below) = split(full, &meaning);
        let name: Name = if below.len() == full.len() { full.clone() } else { below.into() };
        let service = match own {
            Some(own) => ServiceKey { namespace: own.namespace.into(), name: own.service.into() },
            None => whole(name.clone()),
        };
        let host = host.map(Arc::from);
        let is_part = host.is_some() || meaning.asked == NameKind::Area;
        Self { service, name, host, is_own: own.is_some(), kubernetes: true, is_part }
    }

    /// The name of an SRV target as an endpoint: the host below the Service. Outside Kubernetes, where targets can have
    /// any name, it is the whole name.
    pub(super) fn host_of(&self, target: &Name) -> Option<Arc<str>> {
        if !self.kubernetes {
            return Some(target.clone());
        }
        target.strip_suffix(&*self.name)?.strip_suffix('.').map(Arc::from)
    }
}

/// The host, if the name is that of one endpoint, and the Service's own name.
fn split<'a>(full: &'a str, meaning: &ServiceName<'_>) -> (Option<&'a str>, &'a str) {
    let own = [meaning.service, meaning.namespace, "svc", meaning.zone].map(|part| part.len() + 1);
    let start = (full.len() + 1).saturating_sub(own.iter().sum());
    let below = full.get(start..).unwrap_or(full);
    let host = match meaning.asked {
        NameKind::Hostname(_) => full.get(..start.saturating_sub(1)),
        NameKind::Service | NameKind::Area | NameKind::Port { .. } => None,
    };
    (host, below)
}
