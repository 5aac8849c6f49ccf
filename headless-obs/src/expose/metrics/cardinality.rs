//! The cardinality governor: decides how much detail each Service gets, so that the series of a scrape stay within
//! their limits.
//!
//! In: the size of each Service ([`Load`]). Out: a [`Detail`] for each, the number of folded edges, and Services that
//! are folded for the first time.
//!
//! Invariants: the client dimension goes first, and sums over clients stay exact. Folded series come back only when
//! there is ample room, so there is no flapping. The sum of [`cost`] never exceeds the total limit.

use std::collections::{HashMap, HashSet};

/// Series of a client at an endpoint, without those by port: selections, open connections, bytes in two directions.
pub const PER_EDGE: u64 = 4;
/// Series of a client at one port of an endpoint: opened, and failures by six reasons.
pub const PER_PORT: u64 = 7;
/// Series of an endpoint alone: whether it is ready, and since when.
pub const PER_ENDPOINT: u64 = 2;
/// Series of a client of a Service: stale connections (5), places (5), ends (6), ages, first connections and lifetimes (18
/// each, with sum and count), what crosses zones (3), four single ones, and the verdict.
pub const PER_CLIENT: u64 = 78;
/// Series of the paths between clients and endpoints, of one client at one endpoint: the times to connect (15, with sum and
/// count), SYNs and segments that were sent again, segments in two directions, two round trips, and bytes that wait (2).
pub const PER_PATH: u64 = 23;
/// Series of a Service: the histograms of ratios (14) and latencies (15), and three single ones.
pub const PER_SERVICE: u64 = 32;
/// The most series by kind of response and by wrong port when clients are folded.
const MANNERS: u64 = 128;
/// Series about the daemon itself, approximately, and about clients without responses.
const OWN: u64 = 200;
/// Below this share of a limit, folded detail comes back.
const AMPLE: f64 = 0.7;

/// The names of a client that the series carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientLabels {
    /// Namespace and workload.
    #[default]
    Workload,
    /// The namespace alone.
    Namespace,
    /// Neither.
    None,
}

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Series of one Service.
    pub per_service: u64,
    /// Series of all together.
    pub total: u64,
    /// The names of a client that the series carry.
    pub clients: ClientLabels,
}

impl Default for Config {
    fn default() -> Self {
        Self { per_service: 10_000, total: 50_000, clients: ClientLabels::Workload }
    }
}

/// The detail that a Service gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detail {
    /// Everything: each client at each endpoint.
    #[default]
    Clients,
    /// Each client at each endpoint, and the figures of paths summed over endpoints.
    Counts,
    /// Endpoints, with all clients summed.
    Endpoints,
    /// Endpoints only in the figures of spread: opened, selections, open, ready. Failures and bytes are summed over
    /// endpoints.
    Essentials,
    /// Neither clients nor endpoints.
    Service,
    /// Only the fact that it is folded.
    Nothing,
}

impl Detail {
    fn coarser(self) -> Option<Self> {
        match self {
            Self::Clients => Some(Self::Counts),
            Self::Counts => Some(Self::Endpoints),
            Self::Endpoints => Some(Self::Essentials),
            Self::Essentials => Some(Self::Service),
            Self::Service => Some(Self::Nothing),
            Self::Nothing => None,
        }
    }

    fn finer(self) -> Option<Self> {
        match self {
            Self::Clients => None,
            Self::Counts => Some(Self::Clients),
            Self::Endpoints => Some(Self::Counts),
            Self::Essentials => Some(Self::Endpoints),
            Self::Service => Some(Self::Essentials),
            Self::Nothing => Some(Self::Service),
        }
    }

    /// Whether edges (a client at an endpoint) have no series of their own.
    fn folds_edges(self) -> bool {
        self > Self::Counts
    }

    /// The loss, for a log line.
    pub fn lost(self) -> &'static str {
        match self {
            Self::Clients => "nothing",
            Self::Counts => "paths are aggregated over endpoints",
            Self::Endpoints => "clients are aggregated",
            Self::Essentials => "clients are aggregated, and so are endpoints in failures and bytes",
            Self::Service => "clients and endpoints are aggregated",
            Self::Nothing => "it has no series",
        }
    }
}

/// The size of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Endpoints that have series.
    pub endpoints: u64,
    /// Clients with their own names.
    pub clients: u64,
    /// Ports to which any of them connected.
    pub ports: u64,
    /// Further series: other resolutions at an edge, kinds of responses, wrong ports.
    pub others: u64,
}

/// The most series that a Service has at this detail.
pub fn cost(load: &Load, detail: Detail) -> u64 {
    let Load { endpoints, clients, ports, others, .. } = load;
    let ports = (*ports).max(1);
    let folded = PER_CLIENT + PER_PATH + PER_SERVICE;
    let at_most = |edges: u64| (*others).min(edges * ports * 3 + MANNERS);
    match detail {
        Detail::Clients => cost(load, Detail::Counts) + PER_PATH * clients * endpoints.saturating_sub(1),
        Detail::Counts => {
            let edges = endpoints * clients * (PER_EDGE + PER_PORT * ports);
            let clients = clients * (PER_CLIENT + PER_PATH);
            endpoints * PER_ENDPOINT + edges + clients + PER_SERVICE + others
        }
        Detail::Endpoints => {
            endpoints * (PER_ENDPOINT + PER_EDGE + PER_PORT * ports) + folded + at_most(*endpoints)
        }
        Detail::Essentials => {
            endpoints * (PER_ENDPOINT + 2 + ports)
                + PER_EDGE
                + PER_PORT * ports
                + folded
                + at_most(*endpoints)
        }
        Detail::Service => PER_EDGE + PER_PORT * ports + folded + at_most(1),
        Detail::Nothing => 1,
    }
}

/// The decision for a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Its detail.
    pub detail: Detail,
    /// Edges that have been folded so far.
    pub folded: u64,
}

/// A Service that is folded for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The number of series that it would have.
    pub series: u64,
    /// The remaining detail.
    pub detail: Detail,
}

type Key = (String, String);

/// Keeps its decisions.
#[derive(Debug, Default)]
pub struct Governor {
    config: Config,
    plans: HashMap<Key, Plan>,
    told: HashSet<Key>,
}

impl Governor {
    /// A governor without decisions.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// The names of a client that the series carry.
    pub fn client_labels(&self) -> ClientLabels {
        self.config.clients
    }

    /// A plan for each Service, in their order, and those that are folded for the first time. Other Services are
    /// forgotten.
    pub fn decide(&mut self, loads: &[Load]) -> (Vec<Plan>, Vec<Notice>) {
        let before: Vec<Plan> =
            loads.iter().map(|load| self.plans.get(&key(load)).copied().unwrap_or_default()).collect();
        let alone: Vec<Detail> =
            loads.iter().zip(&before).map(|(load, plan)| self.alone(load, plan.detail)).collect();
        let mut details: Vec<Detail> =
            alone.iter().zip(&before).map(|(alone, plan)| (*alone).max(plan.detail)).collect();
        self.coarsen(loads, &mut details);
        self.refine(loads, &alone, &mut details);

        let mut plans = HashMap::new();
        let mut notices = Vec::new();
        let mut decided = Vec::with_capacity(loads.len());
        for ((load, detail), before) in loads.iter().zip(details).zip(before) {
            let edges = load.endpoints * load.clients;
            let is_folded = detail.folds_edges();
            let folded = if is_folded { before.folded.max(edges) } else { before.folded };
            let plan = Plan { detail, folded };
            if is_folded && self.told.insert(key(load)) {
                notices.push(Notice {
                    namespace: load.namespace.clone(),
                    name: load.name.clone(),
                    series: cost(load, Detail::Clients),
                    detail,
                });
            }
            plans.insert(key(load), plan);
            decided.push(plan);
        }
        self.told.retain(|key| plans.contains_key(key));
        self.plans = plans;
        (decided, notices)
    }

    /// The finest detail that is within the limit of one Service.
    fn alone(&self, load: &Load, before: Detail) -> Detail {
        let limit = self.config.per_service;
        let fits = |detail| cost(load, detail) <= if detail < before { ample(limit) } else { limit };
        let mut detail = Detail::Clients;
        while !fits(detail) {
            match detail.coarser() {
                Some(coarser) => detail = coarser,
                None => break,
            }
        }
        detail
    }

    /// Folds the largest Services until the sum is within the limit.
    fn coarsen(&self, loads: &[Load], details: &mut [Detail]) {
        let mut total = total(loads, details);
        while total > self.config.total {
            let largest = loads
                .iter()
                .zip(details.iter_mut())
                .filter(|(_, detail)| **detail != Detail::Nothing)
                .max_by_key(|(load, detail)| cost(load, **detail));
            let Some((load, detail)) = largest else { return };
            let Some(coarser) = detail.coarser() else { return };
            total = total - cost(load, *detail) + cost(load, coarser);
            *detail = coarser;
        }
    }

    /// Unfolds Services for which there is ample room, the smallest first, up to the detail that each may have `alone`.
    fn refine(&self, loads: &[Load], alone: &[Detail], details: &mut [Detail]) {
        let mut total = total(loads, details);
        let mut folded: Vec<_> = loads
            .iter()
            .zip(alone)
            .zip(details.iter_mut())
            .filter(|((_, alone), detail)| **detail > **alone)
            .map(|((load, alone), detail)| (load, *alone, detail))
            .collect();
        folded.sort_by_key(|(load, alone, _)| cost(load, *alone));
        for (load, alone, detail) in folded {
            while *detail > alone
                && let Some(finer) = detail.finer()
            {
                let then = total - cost(load, *detail) + cost(load, finer);
                if then > ample(self.config.total) {
                    return;
                }
                total = then;
                *detail = finer;
            }
        }
    }
}

fn key(load: &Load) -> Key {
    (load.namespace.clone(), load.name.clone())
}

fn total(loads: &[Load], details: &[Detail]) -> u64 {
    OWN + loads.iter().zip(details).map(|(load, detail)| cost(load, *detail)).sum::<u64>()
}

fn ample(limit: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a limit need not be exact, and is neither negative nor larger"
    )]
    let ample = (limit as f64 * AMPLE) as u64;
    ample
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn load(name: &str, endpoints: u64, clients: u64) -> Load {
        Load { name: name.into(), endpoints, clients, ports: 1, others: 0, ..Load::default() }
    }

    fn details(governor: &mut Governor, loads: &[Load]) -> Vec<Detail> {
        governor.decide(loads).0.into_iter().map(|plan| plan.detail).collect()
    }

    #[test]
    fn a_service_over_its_limit_loses_its_clients_first_and_is_told_of_once() {
        let mut governor = Governor::default();
        let loads = [load("small", 10, 10), load("large", 200, 50), load("huge", 10_000, 500)];
        let (plans, notices) = governor.decide(&loads);
        let found: Vec<_> = plans.iter().map(|plan| (plan.detail, plan.folded)).collect();
        let expected = [(Detail::Clients, 0), (Detail::Endpoints, 10_000), (Detail::Service, 5_000_000)];
        assert_eq!(found, expected);
        let told: Vec<_> = notices.iter().map(|notice| notice.name.as_str()).collect();
        assert_eq!(told, ["large", "huge"]);
        assert_eq!(governor.decide(&loads).1, []);
    }

    #[test]
    fn what_is_folded_stays_folded_until_well_below_the_limit() {
        let mut governor = Governor::default();
        let at = |clients| [load("orders", 100, clients)];
        assert_eq!(details(&mut governor, &at(2)), [Detail::Clients], "7,188 series");
        assert_eq!(details(&mut governor, &at(3)), [Detail::Counts], "10,666 would be too many");
        assert_eq!(
            governor.decide(&at(3)).0[0].folded,
            0,
            "each client at each endpoint still has its counts"
        );
        assert_eq!(details(&mut governor, &at(8)), [Detail::Counts], "9,840 series");
        assert_eq!(details(&mut governor, &at(9)), [Detail::Endpoints], "11,041 would be too many");
        assert_eq!(details(&mut governor, &at(8)), [Detail::Endpoints], "no flapping");
        assert_eq!(details(&mut governor, &at(6)), [Detail::Endpoints], "7,438 is more than 7,000");
        assert_eq!(details(&mut governor, &at(5)), [Detail::Counts]);
        let (plans, notices) = governor.decide(&at(9));
        assert_eq!((plans[0].folded, notices), (900, vec![]), "a counter, and the log has it already");
    }

    #[test]
    fn of_all_together_the_largest_fold_first() {
        let mut governor = Governor::new(Config { total: 20_000, ..Config::default() });
        let (a, b, c, d) = (load("a", 50, 10), load("b", 53, 10), load("c", 52, 10), load("d", 20, 10));
        let [whole, folded] = [Detail::Counts, Detail::Endpoints];
        let all = [a.clone(), b.clone(), c, d.clone()];
        assert_eq!(details(&mut governor, &all), [whole, folded, whole, whole], "23,968 would be too many");
        assert_eq!(
            details(&mut governor, &[a.clone(), b.clone(), d]),
            [whole, folded, whole],
            "no ample room"
        );
        assert_eq!(details(&mut governor, &[a, b]), [whole; 2]);
    }

    #[test]
    fn the_total_holds_whatever_there_is_and_nothing_flaps() {
        let mut random = Random::new(6);
        for total in [200, 2_000, 50_000] {
            let mut governor = Governor::new(Config { total, per_service: 10_000, ..Config::default() });
            for _ in 0..50 {
                let sizes = |random: &mut Random, most| u64::try_from(random.below(most)).unwrap();
                let loads: Vec<_> = (0..random.below(90))
                    .map(|number| Load {
                        ports: sizes(&mut random, 3),
                        others: sizes(&mut random, 500),
                        ..load(&number.to_string(), sizes(&mut random, 900), sizes(&mut random, 60))
                    })
                    .collect();
                let first = details(&mut governor, &loads);
                assert!(super::total(&loads, &first) <= total.max(OWN + loads.len() as u64));
                assert_eq!(details(&mut governor, &loads), first, "the same loads, the same plans");
            }
        }
    }
}
