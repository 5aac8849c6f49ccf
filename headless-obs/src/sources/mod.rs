//! The sources of the topology.
//!
//! A source is an async function that sends [`Update`]s into a channel until it is cancelled: `files::watch`,
//! `kubernetes::Kubernetes::watch`. [`convert`] turns objects of the Kubernetes API into the topology's own, whatever
//! the source.

use crate::topology::model::Change;

pub mod convert;
#[cfg(feature = "shell")]
pub mod files;
#[cfg(feature = "shell")]
pub mod kubernetes;
pub mod manifest;
mod mesh;
mod workload;

/// A report of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// The topology changes.
    Changes(Vec<Change>),
    /// The source has an invalid state, and the reason. The topology does not change. The next [`Update::Changes`] ends
    /// this.
    Refused(String),
    /// The topology is not complete yet, or no longer current, and the reason. The topology does not change.
    /// [`Change::Synced`] ends this.
    OutOfTouch(String),
}
