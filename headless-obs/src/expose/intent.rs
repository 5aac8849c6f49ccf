//! The meaning of annotations for Services and clients, in the form of the snapshot. Plain data.

use serde::{Deserialize, Serialize};

/// The annotations of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceIntent {
    /// `headless-obs.io/expect`: `even`, `pinned`, `primary` or `subset`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expect: Option<String>,
    /// `headless-obs.io/ignore`: its clients are `excluded`.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub ignore: bool,
    /// `headless-obs.io/ports`: ports at which its endpoints serve, too.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ports: Vec<u16>,
}

impl ServiceIntent {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// It does not want each endpoint to be used.
    #[must_use]
    pub fn allows_idle(&self) -> bool {
        self.ignore || self.expect.as_deref().is_some_and(|expect| expect != "even")
    }
}

/// The way in which a client is meant to connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientIntent {
    /// `even`, `pinned`, `primary` or `subset`.
    pub expect: String,
    /// The object whose annotation says so: `service`, or `pod` for all of the client's pods.
    pub said_by: String,
}

/// An annotation that is not obeyed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongAnnotation {
    /// Kind, namespace and name of the object.
    pub object: String,
    /// The name of the annotation.
    pub annotation: String,
    /// The beginning of its value.
    pub value: String,
    /// Right values.
    pub allowed: String,
}
