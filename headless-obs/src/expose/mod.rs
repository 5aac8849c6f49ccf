//! What is shown: the snapshot, the metrics made of it, the events of a trace and the findings of a check.

pub mod check;
mod conduct;
mod history;
mod judgement;
pub mod metrics;
#[cfg(test)]
pub(crate) mod sample;
pub mod snapshot;
pub mod trace;
