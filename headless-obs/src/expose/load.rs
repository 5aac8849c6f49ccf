//! The load of a client's connections and the time that it takes to connect, in the form of the snapshot: facts behind
//! `uneven_load` and `slow_endpoint`. Plain data.

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;

/// The load of a client's connections to one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointLoad {
    /// Bytes, both directions.
    pub bytes: u64,
    /// Connections that could carry them: those that ended in the stretch of time, and those that are open.
    pub connections: u64,
    /// Minutes with ended connections. The load is their bytes, so each connection is in one minute.
    #[serde(skip_serializing_if = "LoadDraws::is_empty", default)]
    pub ended: LoadDraws,
    /// Minutes with load. The load is the smaller direction of the bytes, which a long transfer does not increase.
    #[serde(skip_serializing_if = "LoadDraws::is_empty", default)]
    pub exchanged: LoadDraws,
}

impl EndpointLoad {
    /// Whether there were no connections.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The number of times that an endpoint was far from its share of the load, by the client's connections. The minutes of
/// a day ago are stretches of ten minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadDraws {
    /// Minutes in which this endpoint and others could have load, and some had.
    pub minutes: u64,
    /// Those in which it had more than 1.5 times its share.
    pub ahead: u64,
    /// The expected value of `ahead` if it did not matter to which endpoint a connection goes.
    pub ahead_by_chance: f64,
    /// Those in which it had less than half of its share.
    pub behind: u64,
    /// The expected value of `behind`.
    pub behind_by_chance: f64,
}

impl LoadDraws {
    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.minutes == 0
    }
}

/// The time that something takes at one endpoint, beside the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ComparedTimes {
    /// Seconds.
    pub seconds: Histogram,
    /// Times of ten seconds (older ones: of a minute, or of ten; none in short stretches) in which there were values of this endpoint and of
    /// others of the same zone.
    pub times: u64,
    /// Those in which half of them took more than three times as long as at the others, and 5 ms longer.
    pub slow: u64,
    /// The expected value of `slow` if all endpoints are alike.
    pub slow_by_chance: f64,
}

impl ComparedTimes {
    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }
}
