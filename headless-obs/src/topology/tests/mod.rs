//! The topology's behaviour, through its lookups. Times are whole seconds.

use std::time::Duration;

use super::model::{Change, Kind, Object, Slice};
use super::test_builders::*;
use super::*;
use crate::time::Time;

mod pods;
mod random;
mod services;
mod time;

fn s(seconds: u64) -> Time {
    Time(seconds * 1_000_000_000)
}

struct Test {
    topology: Topology,
    now: u64,
    /// The addresses that the last change affected.
    touched: Vec<std::net::IpAddr>,
}

impl Test {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        Self { topology: Topology::new(config), now: 0, touched: Vec::new() }
    }

    /// One change at each second from 1.
    fn apply(&mut self, change: impl Into<Change>) {
        self.now += 1;
        self.touched = self.topology.apply(s(self.now), change.into()).addresses;
    }

    fn delete_slice(&mut self, name: &str) {
        self.apply(Change::Delete(Kind::Slice, key("shop", name)));
    }

    fn orders(&self) -> &ServiceState {
        self.topology.service(&service_key("shop", "orders")).unwrap()
    }

    /// `pod=state` for each endpoint of shop/orders.
    fn states(&self) -> Vec<String> {
        self.orders().endpoints().map(|e| format!("{}={}", e.label(), e.state().name())).collect()
    }

    /// The endpoint of `address:port` in the Service now: `pod=state`, with `?` if it was not known then, with `!` if
    /// it does not have the port.
    fn dial(&self, name: &str, address: &str, port: u16) -> String {
        self.dial_at(name, address, port, self.now)
    }

    fn dial_at(&self, name: &str, address: &str, port: u16, at: u64) -> String {
        let Some(id) = self.topology.find("shop", name) else { return "no service".into() };
        match self.topology.lookup(ip(address), port, id, s(at)) {
            None => "none".into(),
            Some(found) => format!(
                "{}={}{}",
                found.endpoint.label(),
                found.status.map_or("?", |(_, status)| status.state.name()),
                if found.serves_port { "" } else { "!" }
            ),
        }
    }

    fn owners(&self, address: &str) -> Vec<String> {
        let name = |id| self.topology.service_by_id(id).unwrap().key().name.to_string();
        self.topology.owners(ip(address)).map(|e| format!("{}/{}", name(e.id().service), e.label())).collect()
    }
}
