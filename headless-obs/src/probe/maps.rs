//! The maps that user space reads and writes: FLOWS, CONNECTIONS, IGNORED_DESTS, PENDING_QUERIES, COUNTERS, LOSSES.

use std::collections::BTreeMap;
use std::io;

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};
use headless_obs_ebpf::connection::Connection;
use headless_obs_ebpf::dns_query::{ANSWERED, CLIENT_ENDED, PendingQuery, QueryKey};
use headless_obs_ebpf::flow::{FlowKey, FlowTotals};
use headless_obs_ebpf::losses::{LossKey, MAX_LOSSES};
use headless_obs_ebpf::{Address, counters, symbols};

use super::aya_pod::AsPod;
use super::map_batch::MapWalk;
use super::{Options, ProbeError};
use crate::engine::KernelLoss;

/// Fail instead of replacing.
const BPF_NOEXIST: u64 = 1;

/// `IPPROTO_TCP`.
const TCP: u16 = 6;

/// A flow's key and totals.
pub type Flow = (FlowKey, FlowTotals);

/// The maps, and their sizes.
pub struct Maps {
    flows: HashMap<MapData, AsPod<FlowKey>, AsPod<FlowTotals>>,
    connections: HashMap<MapData, u64, AsPod<Connection>>,
    ignored: HashMap<MapData, Address, u8>,
    /// Entries of it; only user space writes it.
    ignored_count: u64,
    pending_queries: HashMap<MapData, AsPod<QueryKey>, AsPod<PendingQuery>>,
    require_query: Array<MapData, u32>,
    counters: PerCpuArray<MapData, u64>,
    losses: HashMap<MapData, AsPod<LossKey>, u64>,
    capacities: BTreeMap<&'static str, u32>,
}

impl Maps {
    pub(super) fn take(ebpf: &mut Ebpf, options: &Options) -> Result<Self, ProbeError> {
        let mut map = |name: &'static str| {
            ebpf.take_map(name)
                .ok_or(ProbeError::Refused { what: name, why: "not in the kernel object".to_owned() })
        };
        let refused = |what| move |error: MapError| ProbeError::Refused { what, why: error.to_string() };
        Ok(Self {
            flows: map(symbols::FLOWS)?.try_into().map_err(refused(symbols::FLOWS))?,
            connections: map(symbols::CONNECTIONS)?.try_into().map_err(refused(symbols::CONNECTIONS))?,
            ignored: map(symbols::IGNORED_DESTS)?.try_into().map_err(refused(symbols::IGNORED_DESTS))?,
            ignored_count: 0,
            pending_queries: map(symbols::PENDING_QUERIES)?
                .try_into()
                .map_err(refused(symbols::PENDING_QUERIES))?,
            require_query: map(symbols::REQUIRE_QUERY)?
                .try_into()
                .map_err(refused(symbols::REQUIRE_QUERY))?,
            counters: map(symbols::COUNTERS)?.try_into().map_err(refused(symbols::COUNTERS))?,
            losses: map(symbols::LOSSES)?.try_into().map_err(refused(symbols::LOSSES))?,
            capacities: BTreeMap::from([
                (symbols::FLOWS, options.max_flows),
                (symbols::CONNECTIONS, options.max_connections),
                (symbols::IGNORED_DESTS, options.max_ignored),
            ]),
        })
    }

    /// Totals of every flow, in slices.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn flows(&self) -> io::Result<impl Iterator<Item = io::Result<Vec<Flow>>> + use<>> {
        let plain = |slice: Vec<_>| {
            slice.into_iter().map(|(key, totals): (AsPod<_>, AsPod<_>)| (key.0, totals.0)).collect()
        };
        Ok(MapWalk::new(&self.flows)?.map(move |slice| slice.map(plain)))
    }

    /// The number of tracked connections, in slices.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn connections(&self) -> io::Result<impl Iterator<Item = io::Result<usize>> + use<>> {
        Ok(MapWalk::new(&self.connections)?.map(|slice| slice.map(|entries| entries.len())))
    }

    /// The connection of a socket, as it was known at its start.
    pub fn connection(&self, socket: u64) -> Option<Connection> {
        self.connections.get(&socket, 0).ok().map(|connection| connection.0)
    }

    /// Removes a flow whose totals are counted, unless they have changed since; returns whether it is gone. A change
    /// between the check and the removal would be lost, so only flows that have been idle for long should be removed.
    pub fn remove_flow(&mut self, key: FlowKey, accounted: &FlowTotals) -> bool {
        match self.flows.get(&AsPod(key), 0) {
            Ok(totals) if totals.0 != *accounted => false,
            Err(MapError::KeyNotFound) => true,
            Ok(_) => self.flows.remove(&AsPod(key)).is_ok(),
            Err(_) => false,
        }
    }

    /// Tracks a connection that is older than the daemon; false if it is tracked already or there is no room.
    pub(super) fn track(&mut self, socket: u64, tracked: Connection) -> bool {
        self.connections.insert(socket, AsPod(tracked), BPF_NOEXIST).is_ok()
    }

    /// Undoes [`track`](Self::track); false if the kernel has done so already, or tracks another connection of this
    /// socket now.
    pub(super) fn untrack(&mut self, socket: u64) -> bool {
        let is_ours = self.connections.get(&socket, 0).is_ok_and(|tracked| tracked.0.started == 0);
        is_ours && self.connections.remove(&socket).is_ok()
    }

    /// Puts a destination on the kernel's ignore list; false if there is no room.
    pub fn ignore(&mut self, address: Address) -> bool {
        match self.ignored.insert(address, 1, BPF_NOEXIST) {
            Ok(()) => self.ignored_count += 1,
            Err(error) => return is_there_already(&error),
        }
        true
    }

    /// Takes a destination off the ignore list.
    pub fn unignore(&mut self, address: Address) {
        // It may not be there.
        self.ignored_count -= u64::from(self.ignored.remove(&address).is_ok());
    }

    /// From now on, only responses to entries of PENDING_QUERIES are forwarded.
    pub(super) fn require_queries(&mut self) -> Result<(), ProbeError> {
        let refused =
            |error: MapError| ProbeError::Refused { what: symbols::REQUIRE_QUERY, why: error.to_string() };
        self.require_query.set(0, 1, 0).map_err(refused)
    }

    /// Removes the queries from before a moment of the monotonic clock that have no response, and returns them. Entries
    /// that change during the walk may be missed until the next time.
    pub fn take_unanswered(&mut self, before: u64) -> Vec<PendingQuery> {
        // A walk starts again when its current entry disappears, so the number of steps is limited to the map's size.
        let most = usize::try_from(symbols::MAX_PENDING_QUERIES).unwrap_or(usize::MAX);
        let is_over = |query: &PendingQuery, key: &QueryKey| {
            query.time < before && (key.protocol != TCP || query.state & CLIENT_ENDED != 0)
        };
        let walk = self.pending_queries.iter().take(most).filter_map(Result::ok);
        let over: Vec<_> = walk.filter(|(key, query)| is_over(&query.0, &key.0)).collect();
        let mut unanswered = Vec::new();
        for (key, query) in over {
            // An entry that is gone by now got its response at the last moment.
            if self.pending_queries.remove(&key).is_ok()
                && key.0.protocol != TCP
                && query.0.state & ANSWERED == 0
            {
                unanswered.push(query.0);
            }
        }
        unanswered
    }

    /// Counters by name, summed over the CPUs.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        (0_u32..)
            .zip(counters::NAMES)
            .map(|(number, name)| {
                (name, self.counters.get(&number, 0).map_or(0, |values| values.iter().sum()))
            })
            .collect()
    }

    /// Takes the losses by client since the last call. A loss that is counted between the reading of its entry and the
    /// removal has no client any more.
    pub fn take_losses(&mut self) -> Vec<KernelLoss> {
        let most = usize::try_from(MAX_LOSSES).unwrap_or(usize::MAX);
        let all: Vec<_> = self.losses.iter().take(most).filter_map(Result::ok).collect();
        let mut losses = Vec::with_capacity(all.len());
        for (key, count) in all {
            let name = usize::try_from(key.0.reason).ok().and_then(|reason| counters::NAMES.get(reason));
            if let (Ok(()), Some(reason)) = (self.losses.remove(&key), name) {
                losses.push(KernelLoss { cgroup: key.0.cgroup, client: key.0.client, reason, count });
            }
        }
        losses
    }

    /// Whether the kernel lets this thread read a map.
    pub(super) fn can_be_read(&self) -> bool {
        self.counters.get(&0, 0).is_ok()
    }

    /// Map → entries in use and capacity, with these numbers of flows and connections.
    pub fn usage(&self, flows: u64, connections: u64) -> BTreeMap<&'static str, (u64, u64)> {
        let used = BTreeMap::from([
            (symbols::FLOWS, flows),
            (symbols::CONNECTIONS, connections),
            (symbols::IGNORED_DESTS, self.ignored_count),
        ]);
        let fill = |(name, capacity): (&&'static str, &u32)| {
            (*name, (used.get(name).copied().unwrap_or(0), u64::from(*capacity)))
        };
        self.capacities.iter().map(fill).collect()
    }
}

fn is_there_already(error: &MapError) -> bool {
    matches!(error, MapError::SyscallError(error) if error.io_error.raw_os_error() == Some(libc::EEXIST))
}
