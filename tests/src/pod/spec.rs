//! The spec of a pod, written by a test.

use std::net::IpAddr;

use crate::cgroup::CgroupLayout;

/// The workload of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `Job` …
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// The C library's resolver settings inside a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// DNS server, on port 53.
    pub nameserver: IpAddr,
    /// Search domains.
    pub search: Vec<String>,
    /// The resolver tries names with fewer dots with the search domains first.
    pub ndots: u8,
}

impl ResolvConf {
    /// The settings that a kubelet writes for a pod of this namespace.
    #[must_use]
    pub fn kubelet(nameserver: IpAddr, namespace: &str, zone: &str) -> Self {
        let search = vec![format!("{namespace}.svc.{zone}"), format!("svc.{zone}"), zone.to_owned()];
        Self { nameserver, search, ndots: 5 }
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "nameserver {}\nsearch {}\noptions ndots:{}\n",
            self.nameserver,
            self.search.join(" "),
            self.ndots
        )
    }
}

/// The spec.
#[derive(Clone, Debug)]
pub struct PodSpec {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID; a random one if it is empty.
    pub uid: String,
    /// Addresses with the pod's prefix, such as `10.244.1.5/32`.
    pub addresses: Vec<String>,
    /// Whether it uses its node's network.
    pub host_network: bool,
    /// The position of its cgroup.
    pub layout: CgroupLayout,
    /// Its node's own part of the hierarchy, if several nodes share a kernel; empty: all of it.
    pub part: String,
    /// Its workload; `None`: the pod is its own workload.
    pub workload: Option<Workload>,
    /// Resolver settings for the C library; `None`: the machine's.
    pub resolv_conf: Option<ResolvConf>,
    /// The name of a second container, a proxy, in addition to `main`.
    pub sidecar: Option<String>,
    /// The name of its container.
    pub container: String,
    /// Its label `app`.
    pub app: Option<String>,
}

impl PodSpec {
    /// A pod without addresses and workload.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: String::new(),
            addresses: Vec::new(),
            host_network: false,
            layout: CgroupLayout::default(),
            part: String::new(),
            workload: None,
            resolv_conf: None,
            sidecar: None,
            container: "main".to_owned(),
            app: None,
        }
    }

    /// The same with one more address, such as `10.244.1.5/24`.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.addresses.push(address.to_owned());
        self
    }

    /// The same with a workload.
    #[must_use]
    pub fn workload(mut self, kind: &str, name: &str) -> Self {
        self.workload = Some(Workload { kind: kind.to_owned(), name: name.to_owned() });
        self
    }

    /// The same on its node's network.
    #[must_use]
    pub fn host_network(mut self) -> Self {
        self.host_network = true;
        self
    }

    /// The same with another cgroup position.
    #[must_use]
    pub fn layout(mut self, layout: CgroupLayout) -> Self {
        self.layout = layout;
        self
    }

    /// The same with a second container, for [`Pod::mesh`](crate::Pod::mesh).
    #[must_use]
    pub fn sidecar(mut self, name: &str) -> Self {
        self.sidecar = Some(name.to_owned());
        self
    }

    /// The same with another container name and the label `app`.
    #[must_use]
    pub fn known_as(mut self, container: &str, app: &str) -> Self {
        self.container = container.to_owned();
        self.app = Some(app.to_owned());
        self
    }

    /// The same with resolver settings.
    #[must_use]
    pub fn resolv_conf(mut self, settings: ResolvConf) -> Self {
        self.resolv_conf = Some(settings);
        self
    }
}
