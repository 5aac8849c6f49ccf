//! The responses that one client received for one Service's names.

use crate::hash::HashMap;
use crate::time::Time;
use crate::topology::EndpointId;

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

/// The sum of a client's responses.
#[derive(Clone, Debug)]
pub(in crate::engine) struct ResponseStats {
    pub(in crate::engine) count: u64,
    pub(in crate::engine) truncated: u64,
    pub(in crate::engine) smallest: u16,
    pub(in crate::engine) largest: u16,
    pub(in crate::engine) ttl: u32,
    pub(in crate::engine) last_ttl: u32,
    pub(in crate::engine) first: Time,
    pub(in crate::engine) last: Time,
    /// Responses of each family, IPv4 and IPv6; one lookup may have both.
    pub(in crate::engine) by_family: [u64; 2],
    /// Endpoint → responses with at least two addresses that listed it first.
    pub(in crate::engine) firsts: HashMap<EndpointId, u64>,
    /// It sends queries for gRPC's service configuration.
    pub(in crate::engine) grpc: bool,
}

impl ResponseStats {
    pub(super) fn new(now: Time) -> Self {
        Self {
            count: 0,
            truncated: 0,
            smallest: u16::MAX,
            largest: 0,
            ttl: 0,
            last_ttl: 0,
            first: now,
            last: now,
            by_family: [0; 2],
            firsts: HashMap::default(),
            grpc: false,
        }
    }

    pub(super) fn add(&mut self, now: Time, reception: &AnswerSummary) {
        if self.count == 0 {
            self.first = now;
        }
        self.count += 1;
        self.truncated += u64::from(reception.truncated);
        self.smallest = self.smallest.min(reception.size);
        self.largest = self.largest.max(reception.size);
        self.ttl = self.ttl.max(reception.ttl);
        self.last_ttl = reception.ttl;
        self.last = now;
        let [v4, v6] = &mut self.by_family;
        *if reception.is_ipv6 { v6 } else { v4 } += 1;
        if let Some(first) = reception.first.filter(|_| reception.size > 1)
            && (self.firsts.len() < FIRSTS || self.firsts.contains_key(&first))
        {
            *self.firsts.entry(first).or_default() += 1;
        }
    }

    /// Times from one lookup to the next, and their number.
    pub(super) fn intervals(&self) -> (f64, u64) {
        let [v4, v6] = self.by_family;
        (self.last.since(self.first).as_secs_f64(), v4.max(v6).saturating_sub(1))
    }
}
