//! Where the topology comes from.
//!
//! A source is an async function that sends [`Update`]s into a channel until it is cancelled:
//! `files::watch`, `kubernetes::Kubernetes::watch`. Objects of the Kubernetes API become the topology's own in
//! [`convert`], whatever the source.

use crate::topology::object::Change;

pub mod convert;
#[cfg(feature = "shell")]
pub mod files;
#[cfg(feature = "shell")]
pub mod kubernetes;
pub mod manifest;
mod mesh;
mod workload;

/// What a source reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// The topology changes.
    Changes(Vec<Change>),
    /// The source is in a state that cannot be used, and why; the topology stays as it was. The next
    /// [`Update::Changes`] ends it.
    Refused(String),
    /// The topology is not complete yet, or no longer what it is now, and why; it stays as it was.
    /// [`Change::Synced`] ends it.
    OutOfTouch(String),
}
