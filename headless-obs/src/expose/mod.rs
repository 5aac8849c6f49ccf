//! What is shown: the snapshot and the metrics made of it.

pub mod snapshot;
