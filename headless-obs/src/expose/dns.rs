//! The answers for a Service's names, in the form of the snapshot. Plain data.

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::snapshot::Counts;

/// DNS answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dns {
    /// Responses with addresses or SRV records, and truncated ones without any.
    pub answers: u64,
    /// Those with TC set.
    pub truncated: u64,
    /// Ready endpoints that responses for the Service's name listed, divided by those that they could have listed, 0 to
    /// 1; 1 without responses.
    pub completeness: f64,
    /// The numerator of `completeness`: ready endpoints that responses listed.
    #[serde(default)]
    pub listed: u64,
    /// Ready endpoints that they could have listed.
    #[serde(default)]
    pub listable: u64,
    /// Responses by response code: `noerror`, `nxdomain`, `servfail`, `other`; without those for names that only search
    /// lists made.
    pub rcodes: Counts,
    /// Answers by transport: `udp`, `tcp`.
    pub transports: Counts,
    /// Connections that use a truncated answer.
    #[serde(default)]
    pub truncated_used: u64,
    /// Endpoint → answers for the Service's name that listed it first, of those with two addresses or more.
    #[serde(default)]
    pub first_records: Counts,
    /// Responses that listed an endpoint that had left, after the grace.
    #[serde(default)]
    pub removed_answered: u64,
    /// Responses that were not truncated and lacked an endpoint that had been ready for longer than the grace.
    #[serde(default)]
    pub incomplete: u64,
    /// Responses with NXDOMAIN or without records although there were ready endpoints of the family, after the grace.
    #[serde(default)]
    pub denied: u64,
    /// The share of the ready endpoints of the requested family that each complete response for the Service's name
    /// listed.
    #[serde(skip_serializing_if = "Histogram::is_empty", default)]
    pub ratio: Histogram,
    /// Seconds from a client's query over UDP to the response.
    #[serde(skip_serializing_if = "Histogram::is_empty", default)]
    pub latency: Histogram,
}
