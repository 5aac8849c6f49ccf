//! The statistics of a workload's pods over a stretch of time, summed for the snapshot.

use std::net::IpAddr;

use jiff::Timestamp;

use super::expected::Expected;
use super::{ClientCounters, ClientTotals, ConnectStats, ConnectSums, Recovery, ResponseStats, ResponseSums};
use crate::client::ClientId;
use crate::expose::snapshot::{ClientAnswers, Counts, SelectionPattern};
use crate::hash::HashMap;
use crate::offer::Offered;
use crate::time::Time;
use crate::topology::EndpointId;
use crate::windowed::{Stretch, Sum};

/// The statistics of one workload for one Service.
#[derive(Debug, Default)]
pub(in crate::engine) struct ClientStats<'a> {
    pods: Vec<PodStats<'a>>,
    totals: Option<WorkloadStats>,
}

/// One pod.
#[derive(Debug)]
pub(in crate::engine) struct PodStats<'a> {
    pub(in crate::engine) scope: ClientId,
    connects: &'a ConnectStats,
    pub(in crate::engine) made: ConnectSums,
    answers: Option<(&'a ResponseStats, ResponseSums)>,
}

impl PodStats<'_> {
    /// Its last answer.
    pub(in crate::engine) fn told(&self) -> Option<Time> {
        let (answers, _) = self.answers.as_ref()?;
        answers.first.map(|_| answers.last)
    }

    pub(in crate::engine) fn program(&self) -> Option<&str> {
        self.connects.program.as_deref()
    }
}

/// All pods, including forgotten ones.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct WorkloadStats {
    /// The time at which it was seen first, and last.
    pub(in crate::engine) seen: Option<(Time, Time)>,
    pub(in crate::engine) sums: ClientCounters,
    recovery: Recovery,
}

impl WorkloadStats {
    fn add(&mut self, other: &Self) {
        let span = |one: (Time, Time), other: (Time, Time)| (one.0.min(other.0), one.1.max(other.1));
        self.seen = [self.seen, other.seen].into_iter().flatten().reduce(span);
        self.sums.add(&other.sums);
        self.recovery.merge(&other.recovery);
    }
}

impl<'a> ClientStats<'a> {
    pub(in crate::engine) fn add(
        &mut self,
        scope: ClientId,
        stretch: Stretch,
        connects: &'a ConnectStats,
        answers: Option<&'a ResponseStats>,
    ) {
        let made = connects.sums.over(stretch);
        let answers = answers.map(|answers| (answers, answers.sums.over(stretch)));
        self.pods.push(PodStats { scope, connects, made, answers });
    }

    /// The sums of all its pods, including forgotten ones.
    pub(in crate::engine) fn sum_up(&mut self, stretch: Stretch, totals: &ClientTotals) {
        let more = WorkloadStats {
            seen: Some((totals.since, totals.last)),
            sums: totals.sums.over(stretch),
            recovery: totals.recovery.clone(),
        };
        self.totals.get_or_insert_default().add(&more);
    }

    /// The sums of a forgotten workload.
    pub(in crate::engine) fn sum_up_archived(&mut self, sums: &ClientCounters) {
        self.totals.get_or_insert_default().sums.add(sums);
    }

    /// Adds the facts of another workload, to show both as one.
    pub(in crate::engine) fn merge(&mut self, other: Self) {
        self.pods.extend(other.pods);
        if let Some(more) = other.totals {
            self.totals.get_or_insert_default().add(&more);
        }
    }

    pub(in crate::engine) fn totals(&self) -> Option<&ClientCounters> {
        self.totals.as_ref().map(|totals| &totals.sums)
    }

    /// Its successes since its failures.
    pub(in crate::engine) fn recovery(&self) -> Option<&Recovery> {
        self.totals.as_ref().map(|totals| &totals.recovery)
    }

    /// The time at which the workload was seen first, and last.
    pub(in crate::engine) fn seen(&self) -> Option<(Time, Time)> {
        self.totals.as_ref().and_then(|totals| totals.seen)
    }

    /// The time at which its newest pod was seen first.
    pub(in crate::engine) fn newest(&self) -> Option<Time> {
        self.pods.iter().filter_map(|pod| pod.connects.first).max()
    }

    /// Its pods, each with its last connection, if it connected by the Service's name, and its last answer.
    pub(in crate::engine) fn pods(&self) -> impl Iterator<Item = (ClientId, Option<Time>, Option<Time>)> {
        self.pods.iter().map(|pod| {
            let told = pod.told();
            let has_connected = pod.connects.sums.total_of(|sums| sums.connections - sums.in_part) > 0;
            (pod.scope, has_connected.then_some(pod.connects.last), told)
        })
    }

    /// Each of its pods.
    pub(in crate::engine) fn each(&self) -> impl Iterator<Item = &PodStats<'a>> {
        self.pods.iter()
    }

    pub(in crate::engine) fn scopes(&self) -> impl Iterator<Item = ClientId> {
        self.pods.iter().map(|pod| pod.scope)
    }

    fn made(&self) -> impl Iterator<Item = &ConnectSums> {
        self.pods.iter().map(|pod| &pod.made)
    }

    /// The responses with addresses that its pods received, if any.
    fn answered(&self) -> impl Iterator<Item = (&'a ResponseStats, &ResponseSums)> {
        let all = self.pods.iter().filter_map(|pod| pod.answers.as_ref());
        all.map(|(answers, sums)| (*answers, sums)).filter(|(answers, _)| answers.first.is_some())
    }

    /// The selections of each endpoint that random choice would have made: those by names for all endpoints, and those by
    /// names for a part. `find` gives the endpoint of an address.
    pub(in crate::engine) fn expected(
        &self,
        find: impl Fn(IpAddr) -> Option<EndpointId>,
    ) -> [HashMap<EndpointId, f64>; 2] {
        let totals = self.totals();
        let in_part = totals.and_then(|totals| totals.expected_in_part.as_deref());
        [totals.map(|totals| &totals.expected), in_part]
            .map(|expected| expected.map(|expected| by_endpoint(expected, &find)).unwrap_or_default())
    }

    /// One of them sent a query for gRPC's service configuration.
    pub(in crate::engine) fn grpc(&self) -> bool {
        self.pods.iter().filter_map(|pod| pod.answers.as_ref()).any(|(answers, _)| answers.grpc)
    }

    /// The program that connected last.
    pub(in crate::engine) fn program(&self) -> Option<String> {
        let known = self.pods.iter().map(|pod| pod.connects).filter(|connects| connects.program.is_some());
        known.max_by_key(|connects| connects.last)?.program.as_ref().map(|name| name.to_string())
    }

    /// The counts are of the stretch; the moments of the first and last answers are of all time.
    pub(in crate::engine) fn answers(
        &self,
        wall: impl Fn(Time) -> Timestamp,
        label: impl Fn(EndpointId) -> Option<String>,
    ) -> ClientAnswers {
        let all = || self.answered();
        let sums = || all().map(|(_, sums)| sums);
        let (seconds, intervals) = sums()
            .map(ResponseSums::intervals)
            .fold((0.0, 0), |(seconds, count), (more, times)| (seconds + more, count + times));
        let mut firsts: HashMap<EndpointId, u64> = HashMap::default();
        for (endpoint, count) in sums().flat_map(|answered| &answered.firsts) {
            *firsts.entry(*endpoint).or_default() += count;
        }
        let mut first_records = Counts::new();
        for (endpoint, count) in firsts {
            if let Some(label) = label(endpoint) {
                *first_records.entry(label).or_default() += count;
            }
        }
        ClientAnswers {
            count: sums().map(|answered| answered.count).sum(),
            truncated: sums().map(|answered| answered.truncated).sum(),
            truncated_used: self.totals().map_or(0, |totals| totals.truncated_used),
            smallest: sums().filter_map(|answered| answered.smallest).min().unwrap_or(0).into(),
            largest: sums().map(|answered| answered.largest).max().unwrap_or(0).into(),
            ttl_seconds: sums().map(|answered| answered.ttl).max().unwrap_or(0),
            last_ttl_seconds: all()
                .max_by_key(|(answers, _)| answers.last)
                .map_or(0, |(last, _)| last.last_ttl),
            first: all().filter_map(|(answers, _)| answers.first).min().map(&wall),
            last: all().map(|(answers, _)| answers.last).max().map(&wall),
            last_of_oldest: all().map(|(answers, _)| answers.last).min().map(&wall),
            interval_seconds: (intervals > 0).then(|| seconds / intervals as f64),
            intervals,
            first_records,
        }
    }

    pub(in crate::engine) fn choice(&self) -> SelectionPattern {
        let all = || self.made();
        let sum = |figure: fn(&ConnectSums) -> u64| all().map(figure).sum::<u64>();
        let most = |figure: fn(&ConnectSums) -> u64| all().map(figure).max().unwrap_or(0);
        SelectionPattern {
            selections: sum(|one| one.selections),
            first: sum(|one| one.first),
            first_by_chance: all().map(|one| one.first_by_chance).sum::<f64>() + 0.0,
            nearest_candidates: sum(|one| one.nearest_candidates),
            nearest: sum(|one| one.nearest),
            nearest_by_chance: all().map(|one| one.nearest_by_chance).sum::<f64>() + 0.0,
            with_known_position: sum(|one| one.with_known_position),
            max_position: most(|one| one.max_position.into()),
            smallest_answer: all().filter_map(|one| one.smallest_answer).min().unwrap_or(0).into(),
            max_endpoints: most(|one| one.used.chosen()),
            pods: sum(|one| u64::from(one.connections > 0)),
            pods_on_one: sum(|one| u64::from(one.connections > 1 && one.used.chosen() == 1)),
            max_connects_per_answer: most(|one| one.max_connects_per_answer),
        }
    }
}

fn by_endpoint(expected: &Expected, find: impl Fn(IpAddr) -> Option<EndpointId>) -> HashMap<EndpointId, f64> {
    let mut sums: HashMap<EndpointId, f64> = HashMap::default();
    for (member, share) in expected.by_endpoint() {
        let endpoint = match member {
            Offered::Endpoint(endpoint) => Some(endpoint),
            Offered::Address(address) => find(address),
        };
        if let Some(endpoint) = endpoint {
            *sums.entry(endpoint).or_default() += share;
        }
    }
    sums
}
