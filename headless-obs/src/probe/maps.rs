//! The maps that user space reads and writes: FLOWS, TRACKED, BORING, ASKED, COUNTERS.

use std::collections::BTreeMap;

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};
use headless_obs_ebpf::flow::{FlowKey, FlowTotals};
use headless_obs_ebpf::question::{ANSWERED, Asked, AskedKey, CLIENT_ENDED};
use headless_obs_ebpf::record::TcpRecord;
use headless_obs_ebpf::{Address, counters, names};

use super::pod::AsPod;
use super::{Options, ProbeError};

/// Fail instead of replacing.
const BPF_NOEXIST: u64 = 1;

/// `IPPROTO_TCP`.
const TCP: u16 = 6;

/// A flow's key and totals.
pub type Flow = (FlowKey, FlowTotals);

/// The maps, and how large they are.
pub struct Maps {
    flows: HashMap<MapData, AsPod<FlowKey>, AsPod<FlowTotals>>,
    tracked: HashMap<MapData, u64, AsPod<TcpRecord>>,
    boring: HashMap<MapData, Address, u8>,
    asked: HashMap<MapData, AsPod<AskedKey>, AsPod<Asked>>,
    asked_only: Array<MapData, u32>,
    counters: PerCpuArray<MapData, u64>,
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
            flows: map(names::FLOWS)?.try_into().map_err(refused(names::FLOWS))?,
            tracked: map(names::TRACKED)?.try_into().map_err(refused(names::TRACKED))?,
            boring: map(names::BORING)?.try_into().map_err(refused(names::BORING))?,
            asked: map(names::ASKED)?.try_into().map_err(refused(names::ASKED))?,
            asked_only: map(names::ASKED_ONLY)?.try_into().map_err(refused(names::ASKED_ONLY))?,
            counters: map(names::COUNTERS)?.try_into().map_err(refused(names::COUNTERS))?,
            capacities: BTreeMap::from([
                (names::FLOWS, options.max_flows),
                (names::TRACKED, options.max_connections),
                (names::BORING, options.max_boring),
            ]),
        })
    }

    /// Totals of every flow. An entry that changes while it is read may be missing or doubled for this once.
    pub fn flows(&self) -> Vec<Flow> {
        self.flows.iter().filter_map(Result::ok).map(|(key, totals)| (key.0, totals.0)).collect()
    }

    /// Forgets a flow whose totals have been accounted for, unless they have changed since; whether it is gone. What
    /// changes between the look and the removal would be missed, so only flows that are long idle should be removed.
    pub fn remove_flow(&mut self, key: FlowKey, accounted: &FlowTotals) -> bool {
        match self.flows.get(&AsPod(key), 0) {
            Ok(totals) if totals.0 != *accounted => false,
            Err(MapError::KeyNotFound) => true,
            Ok(_) => self.flows.remove(&AsPod(key)).is_ok(),
            Err(_) => false,
        }
    }

    /// Tracks a connection that is older than the daemon; false if it is tracked already or there is no room.
    pub(super) fn track(&mut self, socket: u64, tracked: TcpRecord) -> bool {
        self.tracked.insert(socket, AsPod(tracked), BPF_NOEXIST).is_ok()
    }

    /// Stops tracking what [`track`](Self::track) started; false if the kernel had done so already, or tracks another
    /// connection of this socket by now.
    pub(super) fn untrack(&mut self, socket: u64) -> bool {
        let is_ours = self.tracked.get(&socket, 0).is_ok_and(|tracked| tracked.0.started == 0);
        is_ours && self.tracked.remove(&socket).is_ok()
    }

    /// Declares a destination boring; false if there is no room.
    pub fn bore(&mut self, address: Address) -> bool {
        self.boring.insert(address, 1, 0).is_ok()
    }

    /// A destination matters again.
    pub fn unbore(&mut self, address: Address) {
        // It may not be there.
        let _ = self.boring.remove(&address);
    }

    /// From now on only answers to what is in ASKED are told.
    pub(super) fn refuse_unasked(&mut self) -> Result<(), ProbeError> {
        let refused =
            |error: MapError| ProbeError::Refused { what: names::ASKED_ONLY, why: error.to_string() };
        self.asked_only.set(0, 1, 0).map_err(refused)
    }

    /// Takes out the questions that were asked before a moment of the monotonic clock and that nobody answered. Entries
    /// that change meanwhile may be passed over until the next time.
    pub fn take_unanswered(&mut self, before: u64) -> Vec<Asked> {
        // A walk begins anew when the entry it stands at goes: as many steps as there is room for are enough.
        let most = usize::try_from(names::MAX_ASKED).unwrap_or(usize::MAX);
        let is_over = |asked: &Asked, key: &AskedKey| {
            asked.time < before && (key.protocol != TCP || asked.state & CLIENT_ENDED != 0)
        };
        let walk = self.asked.iter().take(most).filter_map(Result::ok);
        let over: Vec<_> = walk.filter(|(key, asked)| is_over(&asked.0, &key.0)).collect();
        let mut unanswered = Vec::new();
        for (key, asked) in over {
            // What is gone by now was answered at the last moment.
            if self.asked.remove(&key).is_ok() && key.0.protocol != TCP && asked.0.state & ANSWERED == 0 {
                unanswered.push(asked.0);
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

    /// Whether the kernel lets this thread look into a map.
    pub(super) fn can_be_read(&self) -> bool {
        self.counters.get(&0, 0).is_ok()
    }

    /// Map → entries in use and capacity. Walks the keys: not for the hot path.
    pub fn fill(&self) -> BTreeMap<&'static str, (u64, u64)> {
        let used = BTreeMap::from([
            (names::FLOWS, self.flows.keys().count()),
            (names::TRACKED, self.tracked.keys().count()),
            (names::BORING, self.boring.keys().count()),
        ]);
        self.capacities
            .iter()
            .map(|(name, capacity)| {
                let used = used.get(name).copied().unwrap_or(0);
                (*name, (u64::try_from(used).unwrap_or(u64::MAX), u64::from(*capacity)))
            })
            .collect()
    }
}
