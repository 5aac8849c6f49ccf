//! Feeds any JSON, as if from watches of the API server, into the topology: bounds hold, every owner of an address is a
//! Service's endpoint, and nothing is left after all objects are deleted and forgotten.

#![no_main]

use std::net::IpAddr;
use std::time::Duration;

use headless_obs::sources::convert;
use headless_obs::time::Time;
use headless_obs::topology::model::{Change, Kind, Object};
use headless_obs::topology::{Config, Topology};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;

const SECOND: u64 = 1_000_000_000;

fuzz_target!(|bytes: &[u8]| {
    let config = Config {
        keep_removed: Duration::from_secs(60),
        removed: 8,
        history: 4,
        services: 4,
        endpoints: 16,
        pods: 4,
        ..Config::default()
    };
    let mut topology = Topology::new(config.clone());
    let mut now = 0;
    let mut addresses: Vec<IpAddr> = Vec::new();
    // One object per line; the first byte is its kind.
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((&kind, json)) = line.split_first() else { continue };
        for object in objects(kind, json) {
            now += SECOND;
            if let Object::Slice(slice) = &object {
                addresses.extend(slice.endpoints.iter().map(|endpoint| endpoint.address));
            }
            let _touched = topology.apply(Time(now), Change::Apply(object));
        }
        consistent(&topology, &config);
    }
    for kind in [Kind::Service, Kind::Slice, Kind::Pod] {
        now += SECOND;
        let _touched = topology.apply(Time(now), Change::Reset(kind, Vec::new()));
        consistent(&topology, &config);
    }
    let _touched = topology.expire(Time(now + 3600 * SECOND));
    assert_eq!(topology.services().count(), 0, "what has left is forgotten");
    for address in addresses {
        assert!(topology.owners(address).next().is_none(), "{address} has an owner that is gone");
    }
});

/// The objects that a source would make from this JSON.
fn objects(kind: u8, json: &[u8]) -> Vec<Object> {
    match kind {
        b's' => read::<Service>(json).and_then(|object| convert::service(&object).ok()?).map(Object::Service),
        b'e' => {
            read::<EndpointSlice>(json).and_then(|object| convert::slice(&object).ok()?).map(Object::Slice)
        }
        b'p' => read::<Pod>(json).and_then(|object| convert::pod(&object).ok()).map(Object::Pod),
        _ => {
            let slices = read::<Endpoints>(json).and_then(|object| convert::endpoints(&object).ok());
            return slices.unwrap_or_default().into_iter().map(Object::Slice).collect();
        }
    }
    .into_iter()
    .collect()
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}

/// All bounds hold, and index and Services agree.
fn consistent(topology: &Topology, config: &Config) {
    for service in topology.services() {
        assert!(service.endpoints().count() <= config.endpoints + config.removed);
        for endpoint in service.endpoints() {
            // A removed endpoint still has the addresses that it had.
            for address in endpoint.addresses().filter(|address| endpoint.has(*address)) {
                let mut owners = topology.owners(address);
                assert!(
                    owners.any(|owner| owner.id() == endpoint.id()),
                    "{address} does not lead to its endpoint"
                );
            }
        }
    }
}
