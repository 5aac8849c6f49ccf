//! The data that the daemon shows: snapshot, metrics, events of a trace, findings of a check.

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
