//! Services whose endpoints are plain addresses: names for answers with many records, and a cluster of 10,000
//! endpoints.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use crate::workload::PORT;

/// Namespace of all Services.
pub(crate) const NAMESPACE: &str = "shop";

/// A headless Service without pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Service {
    /// Service number `number`, with this many endpoints. No two Services share an address.
    pub(crate) fn new(name: &str, number: u8, endpoints: u8) -> Self {
        let address = |place| IpAddr::V4(Ipv4Addr::new(10, 20, number, place));
        Self { name: name.to_owned(), addresses: (1..=endpoints).map(address).collect() }
    }

    /// Its DNS name.
    pub(crate) fn domain(&self) -> String {
        format!("{}.{NAMESPACE}.svc.cluster.local", self.name)
    }

    fn documents(&self) -> [Value; 2] {
        let name = &self.name;
        let ports = json!([{"name": "main", "port": PORT, "protocol": "TCP"}]);
        let endpoint = |address: &IpAddr| {
            json!({
                "addresses": [address],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": "elsewhere",
                "targetRef": {
                    "kind": "Pod", "namespace": NAMESPACE, "uid": format!("{name}-{address}"),
                    "name": format!("{name}-{}", address.to_string().replace('.', "-")),
                },
            })
        };
        let endpoints: Vec<Value> = self.addresses.iter().map(endpoint).collect();
        [
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": NAMESPACE, "name": name},
                "spec": {"clusterIP": "None", "ports": ports},
            }),
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {
                    "namespace": NAMESPACE, "name": format!("{name}-a"),
                    "labels": {"kubernetes.io/service-name": name, "service.kubernetes.io/headless": ""},
                },
                "ports": ports, "endpoints": endpoints,
            }),
        ]
    }
}

/// 100 Services with 100 endpoints each.
pub(crate) fn ten_thousand() -> Vec<Service> {
    (100..200).map(|number| Service::new(&format!("many-{number}"), number, 100)).collect()
}

/// Manifests of Services.
pub(crate) fn manifests(services: &[Service]) -> String {
    let documents = services.iter().flat_map(Service::documents);
    documents.map(|document| format!("---\n{document}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ten_thousand_endpoints_are_all_different() {
        let services = ten_thousand();
        let addresses: BTreeSet<_> = services.iter().flat_map(|service| &service.addresses).collect();
        assert_eq!((services.len(), addresses.len()), (100, 10_000));
        assert_eq!(manifests(&services).matches("---").count(), 200);
    }
}
