//! What is shown: the snapshot, the metrics made of it, the events of a trace and the findings of a check.

pub mod check;
mod conduct;
pub mod histogram;
mod history;
mod judgement;
pub mod metrics;
mod part;
#[cfg(test)]
pub(crate) mod sample;
pub mod snapshot;
pub mod trace;
