//! State that all tests share: a lab with one cluster that has the Prometheus operator's kinds.

use lab::Lab;
use lab::cluster::Cluster;

use crate::operator;

/// The cluster, then the lab it is in.
pub(crate) struct Shared {
    pub(crate) cluster: Cluster,
    pub(crate) lab: Lab,
}

impl Shared {
    pub(crate) fn start() -> Self {
        let lab = Lab::new().unwrap();
        let cluster = Cluster::new(&lab).unwrap();
        operator::add_kinds(&cluster);
        Self { cluster, lab }
    }
}
