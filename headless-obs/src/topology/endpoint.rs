//! One endpoint of a Service: its state now, and at earlier moments.
//!
//! An endpoint is the sum of the entries that slices have for it, one per slice and address. Without any entry it has
//! left and is only remembered.

use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use super::EndpointRef;
use super::model::{PodRef, ServicePort};
use crate::time::Time;
use crate::windowed::{Number, Stretch, Windowed};

/// The state of an endpoint in its Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Clients should use it: it is ready, or its Service publishes endpoints that are not ready.
    Ready,
    /// It is listed, but not ready.
    NotReady,
    /// Its pod is shutting down, whether it still serves or not.
    Terminating,
    /// It is no longer an endpoint of the Service.
    Removed,
}

impl State {
    /// The name used in output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not_ready",
            Self::Terminating => "terminating",
            Self::Removed => "removed",
        }
    }
}

/// An endpoint's state with the detail that `Ready` hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointStatus {
    /// Its state.
    pub state: State,
    /// Its pod passes its readiness probe. If this is false with [`State::Ready`], the Service publishes endpoints that
    /// are not ready (`publishNotReadyAddresses`).
    pub serving: bool,
}

impl EndpointStatus {
    pub(super) const REMOVED: Self = Self { state: State::Removed, serving: false };
}

/// The entry that one slice has for an endpoint at one address.
#[derive(Clone, Debug)]
pub(super) struct SliceEntry {
    pub(super) slice: u32,
    pub(super) address: IpAddr,
    pub(super) ready: bool,
    pub(super) serving: bool,
    pub(super) terminating: bool,
    pub(super) ports: Arc<SlicePorts>,
}

/// The ports of a slice; none: any port.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SlicePorts {
    named: Box<[ServicePort]>,
    numbers: Arc<[u16]>,
}

impl SlicePorts {
    pub(super) fn new(ports: &[ServicePort]) -> Arc<Self> {
        Arc::new(Self { named: ports.into(), numbers: ports.iter().map(|port| port.port).collect() })
    }

    /// The number that stands for all of them in a name; 0 for any port.
    pub(super) fn first(&self) -> u16 {
        first(&self.numbers)
    }

    /// Whether a port has the same name in both and another number, as two instances on one machine have it.
    fn contradicts(&self, other: &Self) -> bool {
        let is_other = |one: &ServicePort| {
            let same = other.named.iter().filter(|port| port.name == one.name);
            same.map(|port| port.port).all(|port| port != one.port)
                && other.named.iter().any(|port| port.name == one.name)
        };
        self.named.iter().any(is_other)
    }
}

fn first(ports: &[u16]) -> u16 {
    ports.iter().min().copied().unwrap_or_default()
}

/// An address, and the time in which the endpoint had it. An address that comes back counts as never lost; the
/// endpoint's history shows the absence of the endpoint as a whole.
#[derive(Clone, Copy, Debug)]
struct Held {
    address: IpAddr,
    since: Time,
    until: Option<Time>,
}

/// Former addresses that are remembered per endpoint. A pod gets another address only with a new sandbox; endpoints
/// without a UID may change more often.
const FORMER_ADDRESSES: usize = 4;

/// The changes that [`Endpoint::settle`] made, for the indexes.
#[derive(Debug, Default)]
pub(super) struct StatusChange {
    /// Addresses it has for the first time.
    pub(super) gained: Vec<IpAddr>,
    /// Addresses that it no longer has, or has again.
    pub(super) moved: Vec<IpAddr>,
    /// Addresses that were forgotten.
    pub(super) forgotten: Vec<IpAddr>,
    /// It left earlier, at this time, and is back.
    pub(super) revived: Option<Time>,
    /// It left just now.
    pub(super) removed: bool,
    /// A change of state was forgotten.
    pub(super) history_evicted: bool,
}

/// One endpoint of a Service: a pod, or an address where there is no pod.
#[derive(Debug)]
pub struct Endpoint {
    id: EndpointRef,
    pub(super) pod: Option<PodRef>,
    pub(super) hostname: Option<Arc<str>>,
    pub(super) node: Option<Arc<str>>,
    pub(super) zone: Option<Arc<str>>,
    pub(super) hints: Box<[Arc<str>]>,
    pub(super) parts: Vec<SliceEntry>,
    /// Its name for output. No other endpoint of the Service that exists has it.
    label: Arc<str>,
    ports: Arc<[u16]>,
    addresses: Vec<Held>,
    history: Vec<(Time, EndpointStatus)>,
    ready_since: Option<Time>,
    /// The number of times that it came back; most endpoints never do.
    flaps: Option<Box<Windowed<Number>>>,
}

impl Endpoint {
    pub(super) fn new(id: EndpointRef) -> Self {
        Self {
            id,
            pod: None,
            hostname: None,
            node: None,
            zone: None,
            hints: Box::default(),
            parts: Vec::new(),
            label: Arc::default(),
            ports: Arc::default(),
            addresses: Vec::with_capacity(1),
            history: Vec::with_capacity(1),
            ready_since: None,
            flaps: None,
        }
    }

    /// Its position in the topology.
    pub fn id(&self) -> EndpointRef {
        self.id
    }

    /// Its pod.
    pub fn pod(&self) -> Option<&PodRef> {
        self.pod.as_ref()
    }

    /// Its DNS host name below the Service's name.
    pub fn hostname(&self) -> Option<&Arc<str>> {
        self.hostname.as_ref()
    }

    /// The node it runs on.
    pub fn node(&self) -> Option<&Arc<str>> {
        self.node.as_ref()
    }

    /// Its zone, if the source reports it.
    pub fn zone(&self) -> Option<&Arc<str>> {
        self.zone.as_ref()
    }

    /// The zones whose clients should use it, if its slices say so.
    pub fn hints(&self) -> &[Arc<str>] {
        &self.hints
    }

    /// The pod's name, with the namespace if that is not the Service's; or the address if there is no pod, with the
    /// port if it is one of several instances.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    pub(super) fn set_label(&mut self, label: &Arc<str>) {
        if self.label != *label {
            self.label.clone_from(label);
        }
    }

    /// Whether these ports cannot be of the same instance.
    pub(super) fn contradicts(&self, ports: &SlicePorts) -> bool {
        self.parts.iter().any(|part| part.ports.contradicts(ports))
    }

    /// Its ports; empty: any port.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// The number of the port with this name.
    pub fn port_named(&self, name: &str) -> Option<u16> {
        let named = self.parts.iter().flat_map(|part| &part.ports.named);
        named.into_iter().find(|port| *port.name == *name).map(|port| port.port)
    }

    /// The number that stands for all its ports in a name.
    pub(super) fn first_port(&self) -> u16 {
        first(&self.ports)
    }

    /// Whether `port` is one of its ports.
    pub fn serves(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(&port)
    }

    /// Its addresses, or the last ones if it has none now.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let last = self.addresses.iter().filter_map(|held| held.until).max();
        let current = self.addresses.iter().any(|held| held.until.is_none());
        self.addresses
            .iter()
            .filter(move |held| held.until.is_none() || (!current && held.until == last))
            .map(|held| held.address)
    }

    /// Its state and detail now.
    pub fn status(&self) -> EndpointStatus {
        self.history.last().map_or(EndpointStatus::REMOVED, |(_, status)| *status)
    }

    /// Its state now.
    pub fn state(&self) -> State {
        self.status().state
    }

    /// Its addresses, if it is ready.
    pub(super) fn ready_addresses(&self) -> SmallVec<[IpAddr; 2]> {
        if self.state() == State::Ready { self.addresses().collect() } else { SmallVec::new() }
    }

    /// Since when it has been ready without interruption, as far as the daemon saw; `None` if it is not ready.
    pub fn ready_since(&self) -> Option<Time> {
        self.ready_since
    }

    /// Since when it has had its state.
    pub fn state_since(&self) -> Option<Time> {
        self.history.last().map(|(since, _)| *since)
    }

    /// The number of times that its pod became ready again in a stretch of time, after it had been ready before.
    pub fn flaps(&self, stretch: Stretch) -> u64 {
        self.flaps.as_ref().map_or(0, |flaps| flaps.over(stretch).0)
    }

    /// Its state at `at`; `None` if it was not known then, or if that was forgotten.
    pub fn status_at(&self, at: Time) -> Option<(Time, EndpointStatus)> {
        self.history.iter().rev().find(|(since, _)| *since <= at).copied()
    }

    /// Its state at `at` for a client that connects to `address`, and since when. It is removed if the endpoint no
    /// longer had the address.
    pub fn status_at_address(&self, address: IpAddr, at: Time) -> Option<(Time, EndpointStatus)> {
        let held = self.held(address)?;
        if let Some(until) = held.until.filter(|until| *until <= at) {
            return Some((until, EndpointStatus::REMOVED));
        }
        if held.since > at { None } else { self.status_at(at) }
    }

    /// Whether it has `address` now.
    pub fn has(&self, address: IpAddr) -> bool {
        self.held(address).is_some_and(|held| held.until.is_none())
    }

    /// Whether it had `address` at `at`.
    pub(super) fn had(&self, address: IpAddr, at: Time) -> bool {
        self.held(address).is_some_and(|held| held.since <= at && held.until.is_none_or(|until| at < until))
    }

    /// Since when it no longer has `address`; `None` if it has it, or never had it.
    pub(super) fn lost(&self, address: IpAddr) -> Option<Time> {
        self.held(address).and_then(|held| held.until)
    }

    /// All its addresses, current and remembered.
    pub(super) fn known_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().map(|held| held.address)
    }

    fn held(&self, address: IpAddr) -> Option<&Held> {
        self.addresses.iter().find(|held| held.address == address)
    }

    /// Sets its state as of `now` to the sum of its entries.
    pub(super) fn settle(&mut self, now: Time, publish_not_ready: bool, history: usize) -> StatusChange {
        let mut settled = StatusChange::default();
        let status = self.sum(publish_not_ready);
        if !self.parts.is_empty() {
            self.ports = self.sum_of_ports();
        }
        self.settle_addresses(now, &mut settled);

        let before = self.history.last().copied();
        if before.is_some_and(|(_, before)| before == status) {
            return settled;
        }
        if let Some((since, EndpointStatus { state: State::Removed, .. })) = before {
            settled.revived = Some(since);
        }
        settled.removed = status.state == State::Removed;
        let was_away = before.is_some_and(|(_, before)| !before.serving);
        if was_away && status.serving && status.state == State::Ready && self.has_served() {
            self.flaps.get_or_insert_default().at(now).0 += 1;
        }
        self.ready_since = if status.state == State::Ready { self.ready_since.or(Some(now)) } else { None };
        match self.history.last_mut() {
            // Two changes at the same moment are one.
            Some(last) if last.0 == now => last.1 = status,
            _ => self.history.push((now, status)),
        }
        if self.history.len() > history.max(1) {
            self.history.remove(0);
            settled.history_evicted = true;
        }
        settled
    }

    /// Whether its pod was ready before. Without a flap, all of its states since it came are few, so none is forgotten.
    fn has_served(&self) -> bool {
        self.flaps.is_some() || self.history.iter().any(|(_, status)| status.serving)
    }

    /// Slices may disagree while an endpoint moves between them. A shutdown is never undone, so an entry that reports
    /// it is right. Otherwise an entry that reports ready is right.
    fn sum(&self, publish_not_ready: bool) -> EndpointStatus {
        if self.parts.is_empty() {
            return EndpointStatus::REMOVED;
        }
        let serving = self.parts.iter().any(|part| part.serving);
        let state = if self.parts.iter().any(|part| part.terminating) {
            State::Terminating
        } else if publish_not_ready || self.parts.iter().any(|part| part.ready) {
            State::Ready
        } else {
            State::NotReady
        };
        EndpointStatus { state, serving }
    }

    fn sum_of_ports(&self) -> Arc<[u16]> {
        let Some((first, rest)) = self.parts.split_first() else { return Arc::default() };
        if rest.iter().all(|part| part.ports.numbers == first.ports.numbers) {
            return first.ports.numbers.clone();
        }
        if self.parts.iter().any(|part| part.ports.numbers.is_empty()) {
            return Arc::default();
        }
        let mut all: Vec<u16> =
            self.parts.iter().flat_map(|part| part.ports.numbers.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all.into()
    }

    fn settle_addresses(&mut self, now: Time, settled: &mut StatusChange) {
        for held in &mut self.addresses {
            let has = self.parts.iter().any(|part| part.address == held.address);
            if has != held.until.is_none() {
                held.until = if has { None } else { Some(now) };
                settled.moved.push(held.address);
            }
        }
        for part in &self.parts {
            if !self.addresses.iter().any(|held| held.address == part.address) {
                self.addresses.push(Held { address: part.address, since: now, until: None });
                settled.gained.push(part.address);
            }
        }
        while self.addresses.iter().filter(|held| held.until.is_some()).count() > FORMER_ADDRESSES {
            let oldest = (0..self.addresses.len())
                .min_by_key(|&index| self.addresses[index].until.unwrap_or(Time(u64::MAX)));
            let Some(oldest) = oldest else { break };
            settled.forgotten.push(self.addresses.remove(oldest).address);
        }
    }
}
