//! The statistics of a workload's pods, summed for the snapshot.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{ClientCounters, ConnectStats, ResponseStats};
use crate::client::ClientId;
use crate::expose::snapshot::{ClientAnswers, Counts, SelectionPattern};
use crate::hash::HashMap;
use crate::time::Time;
use crate::topology::EndpointId;

/// The statistics of one workload for one Service.
#[derive(Debug, Default)]
pub(in crate::engine) struct ClientStats<'a> {
    pods: Vec<(ClientId, &'a ConnectStats, Option<&'a ResponseStats>)>,
    totals: Option<Cow<'a, ClientCounters>>,
}

impl<'a> ClientStats<'a> {
    pub(in crate::engine) fn add(
        &mut self,
        scope: ClientId,
        connect_stats: &'a ConnectStats,
        answered: Option<&'a ResponseStats>,
    ) {
        self.pods.push((scope, connect_stats, answered));
    }

    /// The sums of all its pods, including forgotten ones.
    pub(in crate::engine) fn sum_up(&mut self, totals: &'a ClientCounters) {
        match &mut self.totals {
            Some(sum) => sum.to_mut().add(totals),
            None => self.totals = Some(Cow::Borrowed(totals)),
        }
    }

    /// Adds the facts of another workload, to show both as one.
    pub(in crate::engine) fn merge(&mut self, other: Self) {
        self.pods.extend(other.pods);
        match (&mut self.totals, other.totals) {
            (Some(sum), Some(more)) => sum.to_mut().add(&more),
            (sum, more) => *sum = sum.take().or(more),
        }
    }

    pub(in crate::engine) fn totals(&self) -> Option<&ClientCounters> {
        self.totals.as_deref()
    }

    /// Its pods, each with its last connection, if it connected by the Service's name, and its last answer.
    pub(in crate::engine) fn pods(&self) -> impl Iterator<Item = (ClientId, Option<Time>, Option<Time>)> {
        let told = |answered: &ResponseStats| (answered.count > 0).then_some(answered.last);
        self.pods.iter().map(move |(scope, connects, answered)| {
            let connected = (connects.connections > 0).then_some(connects.last);
            (*scope, connected, answered.and_then(told))
        })
    }

    pub(in crate::engine) fn scopes(&self) -> impl Iterator<Item = ClientId> {
        self.pods.iter().map(|(scope, ..)| *scope)
    }

    pub(in crate::engine) fn connect_stats(&self) -> impl Iterator<Item = &'a ConnectStats> {
        self.pods.iter().map(|(_, connect_stats, _)| *connect_stats)
    }

    fn answered(&self) -> impl Iterator<Item = &'a ResponseStats> {
        self.pods.iter().filter_map(|(.., answered)| *answered).filter(|answered| answered.count > 0)
    }

    /// The expected share of an endpoint that has been ready since then.
    pub(in crate::engine) fn exposure(&self, ready: Time) -> f64 {
        // The sum of nothing is negative zero.
        self.connect_stats().map(|connect_stats| connect_stats.exposure.since(ready)).sum::<f64>() + 0.0
    }

    /// One of them sent a query for gRPC's service configuration.
    pub(in crate::engine) fn grpc(&self) -> bool {
        self.pods.iter().filter_map(|(.., answered)| *answered).any(|answered| answered.grpc)
    }

    /// The program that connected last.
    pub(in crate::engine) fn program(&self) -> Option<String> {
        let last = self
            .connect_stats()
            .filter(|connect_stats| connect_stats.program.is_some())
            .max_by_key(|last| last.last)?;
        last.program.as_ref().map(|name| name.to_string())
    }

    pub(in crate::engine) fn answers(
        &self,
        wall: impl Fn(Time) -> Timestamp,
        label: impl Fn(EndpointId) -> Option<String>,
    ) -> ClientAnswers {
        let all = || self.answered();
        let (seconds, intervals) = all()
            .map(ResponseStats::intervals)
            .fold((0.0, 0), |(seconds, count), (more, times)| (seconds + more, count + times));
        let mut firsts: HashMap<EndpointId, u64> = HashMap::default();
        for (endpoint, count) in all().flat_map(|answered| &answered.firsts) {
            *firsts.entry(*endpoint).or_default() += count;
        }
        let mut first_records = Counts::new();
        for (endpoint, count) in firsts {
            if let Some(label) = label(endpoint) {
                *first_records.entry(label).or_default() += count;
            }
        }
        ClientAnswers {
            count: all().map(|answered| answered.count).sum(),
            truncated: all().map(|answered| answered.truncated).sum(),
            truncated_used: self.totals().map_or(0, |totals| totals.truncated_used),
            smallest: all().map(|answered| answered.smallest).min().unwrap_or(0).into(),
            largest: all().map(|answered| answered.largest).max().unwrap_or(0).into(),
            ttl_seconds: all().map(|answered| answered.ttl).max().unwrap_or(0),
            last_ttl_seconds: all().max_by_key(|answered| answered.last).map_or(0, |last| last.last_ttl),
            first: all().map(|answered| answered.first).min().map(&wall),
            last: all().map(|answered| answered.last).max().map(&wall),
            last_of_oldest: all().map(|answered| answered.last).min().map(&wall),
            interval_seconds: (intervals > 0).then(|| seconds / intervals as f64),
            intervals,
            first_records,
        }
    }

    pub(in crate::engine) fn choice(&self) -> SelectionPattern {
        let all = || self.connect_stats();
        let sum = |figure: fn(&ConnectStats) -> u64| all().map(figure).sum::<u64>();
        let most = |figure: fn(&ConnectStats) -> u64| all().map(figure).max().unwrap_or(0);
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
            max_endpoints: most(|one| one.used.len() as u64),
            pods: sum(|one| u64::from(one.connections > 0)),
            pods_on_one: sum(|one| u64::from(one.connections > 1 && one.used.len() == 1)),
            max_connects_per_answer: most(|one| one.max_connects_per_answer),
        }
    }
}
