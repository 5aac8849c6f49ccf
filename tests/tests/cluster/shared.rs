//! State that all tests share: a lab with one cluster, in which the daemon's shipped rights are installed.

use lab::Lab;
use lab::cluster::Cluster;

/// The cluster, then the lab it is in.
pub(crate) struct Shared {
    pub(crate) cluster: Cluster,
    pub(crate) lab: Lab,
}

impl Shared {
    pub(crate) fn start() -> Self {
        let lab = Lab::new().unwrap();
        let cluster = Cluster::new(&lab).unwrap();
        cluster.install().unwrap();
        Self { cluster, lab }
    }
}
