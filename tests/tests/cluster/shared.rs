//! What all tests share: a lab with one cluster, and in it the shipped rights of the daemon.

use lab::Lab;
use lab::cluster::Cluster;

/// Where daemons belong to, and what they may.
const SHIPPED: [&str; 2] = [
    include_str!("../../../deploy/manifests/1-namespace.yaml"),
    include_str!("../../../deploy/manifests/2-rbac.yaml"),
];

/// The cluster, then the lab it is in.
pub(crate) struct Shared {
    pub(crate) cluster: Cluster,
    pub(crate) lab: Lab,
}

impl Shared {
    pub(crate) fn start() -> Self {
        let lab = Lab::new().unwrap();
        let cluster = Cluster::new(&lab).unwrap();
        for manifest in SHIPPED {
            cluster.api().apply(manifest).unwrap();
        }
        Self { cluster, lab }
    }
}
