//! Random changes, against a model that computes everything again from the existing objects.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::topology::model::{ObjectKey, Service, SliceEndpoint};

const ADDRESSES: u8 = 6;

fn endpoint() -> impl Strategy<Value = SliceEndpoint> {
    (0..4_u8, 0..ADDRESSES, 0..3_u8).prop_map(|(pod, address, state)| {
        let (pod, address) = (format!("p{pod}"), format!("10.0.0.{address}"));
        match state {
            0 => ready(&pod, &address),
            1 => unready(&pod, &address),
            _ => terminating(&pod, &address),
        }
    })
}

fn some_slice() -> impl Strategy<Value = Slice> {
    let names = (prop::sample::select(vec!["a", "b"]), prop::sample::select(vec!["x", "y", "z"]));
    (names, any::<bool>(), prop::collection::vec(endpoint(), 0..4)).prop_map(
        |((service, name), label, entries)| {
            // The names of slices do not depend on their Services, so a slice can change its Service.
            let mut slice = slice("shop", service, "");
            slice.key = key("shop", name);
            slice.headless = label;
            entries.into_iter().fold(slice, Slice::with)
        },
    )
}

fn some_service() -> impl Strategy<Value = Service> {
    (prop::sample::select(vec!["a", "b"]), 0..3_u8).prop_map(|(name, kind)| match kind {
        0 => service("shop", name),
        1 => service("shop", name).publish_not_ready(),
        _ => service("shop", name).cluster_ip("10.96.0.1"),
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => some_slice().prop_map(Change::from),
        2 => some_service().prop_map(Change::from),
        1 => prop::sample::select(vec!["x", "y", "z"]).prop_map(|name| Change::Delete(Kind::Slice, key("shop", name))),
        1 => prop::sample::select(vec!["a", "b"]).prop_map(|name| Change::Delete(Kind::Service, key("shop", name))),
        1 => prop::collection::vec(some_slice().prop_map(Object::Slice), 0..3)
            .prop_map(|slices| Change::Reset(Kind::Slice, slices)),
        1 => prop::collection::vec(some_service().prop_map(Object::Service), 0..2)
            .prop_map(|services| Change::Reset(Kind::Service, services)),
    ]
}

/// The objects that exist.
#[derive(Default)]
struct Model {
    services: BTreeMap<ObjectKey, Service>,
    slices: BTreeMap<ObjectKey, Slice>,
}

impl Model {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Apply(Object::Service(service)) => {
                self.services.insert(key(&service.key.namespace, &service.key.name), service);
            }
            Change::Apply(Object::Slice(slice)) => {
                self.slices.insert(slice.key.clone(), slice);
            }
            Change::Delete(Kind::Service, key) => drop(self.services.remove(&key)),
            Change::Delete(_, key) => drop(self.slices.remove(&key)),
            Change::Reset(kind, objects) => {
                match kind {
                    Kind::Service => self.services.clear(),
                    _ => self.slices.clear(),
                }
                objects.into_iter().for_each(|object| self.apply(Change::Apply(object)));
            }
            Change::Apply(Object::Pod(_) | Object::Unreadable(_)) | Change::Synced(_) => {}
        }
    }

    /// Pod → state and addresses, for the endpoints that a Service has now.
    fn endpoints(&self, name: &str) -> BTreeMap<String, (State, BTreeSet<IpAddr>)> {
        let object = self.services.get(&key("shop", name));
        let slices = || self.slices.values().filter(|slice| *slice.service == *name);
        let headless = object.map_or_else(|| slices().any(|slice| slice.headless), |object| object.headless);
        let publish = object.is_some_and(|object| object.publish_not_ready);
        let mut entries: BTreeMap<String, Vec<&SliceEndpoint>> = BTreeMap::new();
        for entry in slices().filter(|_| headless).flat_map(|slice| &slice.endpoints) {
            entries.entry(entry.pod.as_ref().unwrap().key.name.to_string()).or_default().push(entry);
        }
        let sum = |entries: Vec<&SliceEndpoint>| {
            let state = match () {
                () if entries.iter().any(|entry| entry.terminating) => State::Terminating,
                () if publish || entries.iter().any(|entry| entry.ready) => State::Ready,
                () => State::NotReady,
            };
            (state, entries.iter().map(|entry| entry.address).collect())
        };
        entries.into_iter().map(|(pod, entries)| (pod, sum(entries))).collect()
    }
}

fn endpoints(topology: &Topology, name: &str) -> BTreeMap<String, (State, BTreeSet<IpAddr>)> {
    let Some(service) = topology.service(&service_key("shop", name)) else { return BTreeMap::new() };
    service
        .endpoints()
        .filter(|endpoint| endpoint.state() != State::Removed)
        .map(|endpoint| (endpoint.label().to_string(), (endpoint.state(), endpoint.addresses().collect())))
        .collect()
}

proptest! {
    #[test]
    fn the_index_agrees_with_a_computation_from_scratch(changes in prop::collection::vec(change(), 1..40)) {
        let mut test = Test::with(Config { removed: 3, history: 4, ..Config::default() });
        let mut object = Model::default();
        for change in changes {
            test.apply(change.clone());
            object.apply(change);
            for name in ["a", "b"] {
                prop_assert_eq!(endpoints(&test.topology, name), object.endpoints(name));
            }
            for index in 0..ADDRESSES {
                let address = format!("10.0.0.{index}");
                let owners: BTreeSet<String> = test.owners(&address).into_iter().collect();
                let mut expected = BTreeSet::new();
                for name in ["a", "b"] {
                    let mut having = object.endpoints(name);
                    having.retain(|_, (_, addresses)| addresses.contains(&ip(&address)));
                    expected.extend(having.into_keys().map(|pod| format!("{name}/{pod}")));
                }
                prop_assert_eq!(owners, expected);
                let (topology, address) = (&test.topology, ip(&address));
                let now: BTreeSet<_> = topology.owners(address).map(|endpoint| endpoint.id().service).collect();
                let before = topology.former_owners(address).map(|endpoint| endpoint.id().service);
                let expected = if now.is_empty() { before.collect() } else { now };
                prop_assert_eq!(topology.holders(address).collect::<BTreeSet<_>>(), expected);
            }
        }
        // Nothing is left after everything is deleted and its time is over.
        test.apply(Change::Reset(Kind::Slice, vec![]));
        test.apply(Change::Reset(Kind::Service, vec![]));
        let _ = test.topology.expire(s(1_000_000));
        prop_assert!(test.topology.is_empty(), "{:?}", test.topology);
    }
}
