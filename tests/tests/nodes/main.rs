//! Real nodes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says where"
)]

use lab::Lab;
use lab::cluster::nodes::{RealNode, Surroundings};
use lab::cluster::{Cluster, ClusterSpec};

#[test]
fn nodes_become_ready() {
    let t = std::time::Instant::now();
    let lab = Lab::new().unwrap();
    eprintln!("alone {:?}", t.elapsed());
    let cluster = Cluster::start(&lab, &ClusterSpec { real_nodes: true, ..ClusterSpec::default() }).unwrap();
    eprintln!("cluster {:?}", t.elapsed());
    let one = RealNode::start(&lab, &cluster, 1, Surroundings::Machine);
    eprintln!("one {:?} {:?}", t.elapsed(), one.as_ref().err());
    let two = RealNode::start(&lab, &cluster, 2, Surroundings::Container);
    eprintln!("two {:?} {:?}", t.elapsed(), two.as_ref().err());
    if let Ok(seconds) = std::env::var("KEEP") {
        eprintln!("{}", lab.folder().display());
        std::thread::sleep(std::time::Duration::from_secs(seconds.parse().unwrap()));
    }
    one.unwrap();
    two.unwrap();
}
