//! Builders of objects for tests: `slice("shop", "orders", "a").ports(&[8080]).with(ready("orders-0", "10.0.0.1"))`.
//!
//! Pods are given by name. The UID of a pod is its name after `uid-`, so that tests are easy to read.

use std::net::IpAddr;
use std::sync::Arc;

use super::model::{
    Change, Object, ObjectKey, Pod, PodRef, Proxies, Service, ServiceKey, ServicePort, Slice, SliceEndpoint,
};

pub(crate) fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

pub(crate) fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey { namespace: namespace.into(), name: name.into() }
}

pub(crate) fn service_key(namespace: &str, name: &str) -> ServiceKey {
    ServiceKey { namespace: namespace.into(), name: name.into() }
}

/// A headless Service without ports.
pub(crate) fn service(namespace: &str, name: &str) -> Service {
    Service {
        key: service_key(namespace, name),
        headless: true,
        cluster_ips: vec![],
        ports: vec![],
        publish_not_ready: false,
        distribution: None,
        annotations: None,
    }
}

impl Service {
    pub(crate) fn cluster_ip(mut self, address: &str) -> Self {
        self.headless = false;
        self.cluster_ips.push(ip(address));
        self
    }

    pub(crate) fn port(mut self, name: &str, port: u16) -> Self {
        self.ports.push(ServicePort { name: name.into(), port });
        self
    }

    pub(crate) fn publish_not_ready(mut self) -> Self {
        self.publish_not_ready = true;
        self
    }
}

/// A slice `service-suffix` with the headless label, any port, no endpoints.
pub(crate) fn slice(namespace: &str, service: &str, suffix: &str) -> Slice {
    Slice {
        key: key(namespace, &format!("{service}-{suffix}")),
        service: service.into(),
        headless: true,
        ports: vec![],
        endpoints: vec![],
        missing: 0,
    }
}

impl Slice {
    pub(crate) fn unlabelled(mut self) -> Self {
        self.headless = false;
        self
    }

    pub(crate) fn ports(mut self, ports: &[u16]) -> Self {
        self.ports =
            ports.iter().map(|&port| ServicePort { name: format!("p{port}").into(), port }).collect();
        self
    }

    /// Adds an endpoint; its pod is in the slice's namespace.
    pub(crate) fn with(mut self, mut endpoint: SliceEndpoint) -> Self {
        if let Some(pod) = &mut endpoint.pod {
            pod.key.namespace = self.key.namespace.clone();
        }
        self.endpoints.push(endpoint);
        self
    }
}

/// An endpoint that is no pod.
pub(crate) fn bare(address: &str) -> SliceEndpoint {
    SliceEndpoint {
        address: ip(address),
        port: None,
        hostname: None,
        zone: None,
        hints: Box::default(),
        pod: None,
        node: None,
        ready: true,
        serving: true,
        terminating: false,
    }
}

/// A pod that is ready.
pub(crate) fn ready(pod: &str, address: &str) -> SliceEndpoint {
    let pod = PodRef { key: key("", pod), uid: format!("uid-{pod}").into() };
    SliceEndpoint { pod: Some(pod), ..bare(address) }
}

/// A pod that is not ready.
pub(crate) fn unready(pod: &str, address: &str) -> SliceEndpoint {
    SliceEndpoint { ready: false, serving: false, ..ready(pod, address) }
}

/// A pod that shuts down and still serves.
pub(crate) fn terminating(pod: &str, address: &str) -> SliceEndpoint {
    SliceEndpoint { ready: false, terminating: true, ..ready(pod, address) }
}

impl SliceEndpoint {
    pub(crate) fn uid(mut self, uid: &str) -> Self {
        if let Some(pod) = &mut self.pod {
            pod.uid = uid.into();
        }
        self
    }
}

/// A Pod of workload `web`.
pub(crate) fn pod(namespace: &str, name: &str, addresses: &[&str]) -> Pod {
    Pod {
        key: key(namespace, name),
        uid: format!("uid-{name}").into(),
        addresses: addresses.iter().map(|address| ip(address)).collect(),
        host_network: false,
        workload: Arc::from("web"),
        run: None,
        annotations: None,
        finished: false,
        proxies: Proxies::None,
        containers: Box::default(),
    }
}

impl From<Service> for Change {
    fn from(service: Service) -> Self {
        Self::Apply(Object::Service(service))
    }
}

impl From<Slice> for Change {
    fn from(slice: Slice) -> Self {
        Self::Apply(Object::Slice(slice))
    }
}

impl From<Pod> for Change {
    fn from(pod: Pod) -> Self {
        Self::Apply(Object::Pod(pod))
    }
}
