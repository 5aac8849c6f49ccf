//! The zone of the daemon's own node.
//!
//! In: slices as they come and go, the name of the node, and the zone that the user gives. Out: the zone, where it is
//! known.
//!
//! Invariants: the endpoints on the node decide, and need no right to read nodes. If two of them contradict each other,
//! the zone is not known. Their last statement holds while there are none. The zone that the user gives counts until
//! endpoints say one.

use std::sync::Arc;

use super::Config;
use super::model::Slice;
use crate::cluster_zone::SET;
use crate::hash::HashMap;

/// See the module.
#[derive(Debug)]
pub(super) struct NodeZone {
    node: Option<Arc<str>>,
    /// Zone → entries of slices on this node that say it.
    entries: HashMap<Arc<str>, usize>,
    /// The zone that was known last.
    last: Option<Arc<str>>,
}

impl NodeZone {
    pub(super) fn new(config: &Config) -> Self {
        Self { node: config.node.clone(), entries: HashMap::default(), last: config.zone.clone() }
    }

    /// The zone.
    pub(super) fn get(&self) -> Option<&Arc<str>> {
        if self.entries.len() > 1 { None } else { self.last.as_ref() }
    }

    /// A slice is there now.
    pub(super) fn add(&mut self, slice: &Slice) {
        for zone in said(self.node.as_ref(), slice) {
            *self.entries.entry(zone.clone()).or_default() += 1;
        }
        self.settle();
    }

    /// A slice that was added is no longer there.
    pub(super) fn remove(&mut self, slice: &Slice) {
        for zone in said(self.node.as_ref(), slice) {
            if let Some(count) = self.entries.get_mut(zone) {
                *count -= 1;
                if *count == 0 {
                    self.entries.remove(zone);
                }
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        if let (1, Some(zone)) = (self.entries.len(), self.entries.keys().next()) {
            self.last = Some(zone.clone());
        }
    }
}

/// The zones that a slice says of endpoints on this node. Nodes of other clusters may have the same name.
fn said<'a>(node: Option<&Arc<str>>, slice: &'a Slice) -> impl Iterator<Item = &'a Arc<str>> {
    let is_own = node.is_some() && !slice.service.ends_with(SET);
    let here = slice.endpoints.iter().filter(move |entry| is_own && entry.node.as_ref() == node);
    here.filter_map(|entry| entry.zone.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::model::{Change, Kind, SliceEndpoint};
    use crate::topology::test_builders::{key, ready, slice};
    use crate::topology::{Topology, Touched};

    fn on(node: &str, zone: Option<&str>) -> SliceEndpoint {
        SliceEndpoint {
            node: Some(node.into()),
            zone: zone.map(Arc::from),
            ..ready(&format!("web-{node}"), "10.0.0.1")
        }
    }

    struct Node {
        topology: Topology,
        now: u64,
    }

    impl Node {
        fn new(node: Option<&str>, said: Option<&str>) -> Self {
            let config = Config { node: node.map(Arc::from), zone: said.map(Arc::from), ..Config::default() };
            Self { topology: Topology::new(config), now: 0 }
        }

        /// The zone after a change.
        fn after(&mut self, change: impl Into<Change>) -> Option<&str> {
            self.now += 1;
            let _touched: Touched = self.topology.apply(crate::time::Time(self.now), change.into());
            self.topology.node_zone().map(|zone| &**zone)
        }

        fn slice(&mut self, name: &str, endpoints: &[SliceEndpoint]) -> Option<&str> {
            let slice =
                endpoints.iter().cloned().fold(slice("shop", name, "a"), |slice, one| slice.with(one));
            self.after(slice)
        }
    }

    #[test]
    fn endpoints_on_the_node_tell_its_zone() {
        let mut node = Node::new(Some("n1"), None);
        assert_eq!(node.slice("a", &[on("n2", Some("b")), on("n1", None)]), None);
        assert_eq!(node.slice("b", &[on("n1", Some("a"))]), Some("a"));
        assert_eq!(node.slice("b", &[]), Some("a"), "it is where it was");
        assert_eq!(node.slice("c", &[on("n1", Some("c"))]), Some("c"), "the machine has another label");
        assert_eq!(
            node.slice("d.clusterset.local", &[on("n1", Some("z"))]),
            Some("c"),
            "another cluster's node"
        );
    }

    #[test]
    fn two_that_contradict_each_other_make_it_unknown_while_they_are_there() {
        let mut node = Node::new(Some("n1"), Some("said"));
        assert_eq!(node.slice("a", &[]), Some("said"));
        assert_eq!(node.slice("a", &[on("n1", Some("a"))]), Some("a"), "endpoints know better");
        assert_eq!(node.slice("b", &[on("n1", Some("b")), on("n1", Some("b"))]), None);
        assert_eq!(node.slice("b", &[on("n1", Some("b"))]), None);
        assert_eq!(node.after(Change::Delete(Kind::Slice, key("shop", "b-a"))), Some("a"));
        assert_eq!(node.after(Change::Reset(Kind::Slice, Vec::new())), Some("a"));
    }

    #[test]
    fn without_the_name_of_the_node_only_what_is_said_counts() {
        let mut node = Node::new(None, Some("said"));
        assert_eq!(node.slice("a", &[on("n1", Some("a"))]), Some("said"));
        assert_eq!(Node::new(None, None).slice("a", &[on("n1", Some("a"))]), None);
    }
}
