//! The responses that one client received for one Service's names.

use crate::hash::HashMap;
use crate::time::Time;
use crate::topology::EndpointId;
use crate::windowed::{Sum, Windowed};

/// The most endpoints that are counted as first in a response.
const FIRSTS: usize = 1024;

/// The relevant part of a response.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct AnswerSummary {
    /// Number of addresses in it.
    pub(in crate::engine) size: u16,
    /// It was truncated.
    pub(in crate::engine) truncated: bool,
    /// The shortest TTL, in seconds.
    pub(in crate::engine) ttl: u32,
    /// Its addresses are IPv6.
    pub(in crate::engine) is_ipv6: bool,
    /// The endpoint that it lists first.
    pub(in crate::engine) first: Option<EndpointId>,
}

/// The sum of a client's responses in a stretch of time.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct ResponseSums {
    pub(in crate::engine) count: u64,
    pub(in crate::engine) truncated: u64,
    pub(in crate::engine) smallest: Option<u16>,
    pub(in crate::engine) largest: u16,
    pub(in crate::engine) ttl: u32,
    first: Option<Time>,
    last: Option<Time>,
    /// Responses of each family, IPv4 and IPv6; one lookup may have both.
    by_family: [u64; 2],
    /// Endpoint → responses with at least two addresses that listed it first.
    pub(in crate::engine) firsts: HashMap<EndpointId, u64>,
}

/// The responses of a client: their sums over time, and the last one.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct ResponseStats {
    pub(in crate::engine) sums: Windowed<ResponseSums>,
    pub(in crate::engine) last_ttl: u32,
    /// The first response with addresses.
    pub(in crate::engine) first: Option<Time>,
    pub(in crate::engine) last: Time,
    /// It sends queries for gRPC's service configuration.
    pub(in crate::engine) grpc: bool,
}

impl ResponseStats {
    pub(super) fn add(&mut self, now: Time, reception: &AnswerSummary) {
        self.first.get_or_insert(now);
        self.last = now;
        self.last_ttl = reception.ttl;
        self.sums.at(now).record(now, reception);
    }
}

impl ResponseSums {
    fn record(&mut self, now: Time, reception: &AnswerSummary) {
        self.count += 1;
        self.truncated += u64::from(reception.truncated);
        self.smallest = Some(self.smallest.map_or(reception.size, |smallest| smallest.min(reception.size)));
        self.largest = self.largest.max(reception.size);
        self.ttl = self.ttl.max(reception.ttl);
        self.first.get_or_insert(now);
        self.last = Some(now);
        let [v4, v6] = &mut self.by_family;
        *if reception.is_ipv6 { v6 } else { v4 } += 1;
        if let Some(first) = reception.first.filter(|_| reception.size > 1) {
            self.list_first(first, 1);
        }
    }

    fn list_first(&mut self, endpoint: EndpointId, responses: u64) {
        if self.firsts.len() < FIRSTS || self.firsts.contains_key(&endpoint) {
            *self.firsts.entry(endpoint).or_default() += responses;
        }
    }

    /// Times from one lookup to the next, and their number.
    pub(super) fn intervals(&self) -> (f64, u64) {
        let [v4, v6] = self.by_family;
        let seconds = self.first.zip(self.last).map_or(0.0, |(first, last)| last.since(first).as_secs_f64());
        (seconds, v4.max(v6).saturating_sub(1))
    }
}

impl Sum for ResponseSums {
    fn add(&mut self, other: &Self) {
        // Each field by its name, so that a new one cannot be left out.
        let Self { count, truncated, smallest, largest, ttl, first, last, by_family, firsts } = other;
        self.count += count;
        self.truncated += truncated;
        self.smallest = [self.smallest, *smallest].into_iter().flatten().min();
        self.largest = self.largest.max(*largest);
        self.ttl = self.ttl.max(*ttl);
        self.first = [self.first, *first].into_iter().flatten().min();
        self.last = self.last.max(*last);
        self.by_family.iter_mut().zip(by_family).for_each(|(sum, more)| *sum += more);
        firsts.iter().for_each(|(endpoint, responses)| self.list_first(*endpoint, *responses));
    }
}
