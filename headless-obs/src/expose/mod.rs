//! The data that the daemon shows: snapshot, metrics, events of a trace, findings of a check.

mod carried;
mod client_pods;
mod client_stats;
mod connection_history;
pub mod connection_list;
mod dns;
pub mod doctor_check;
mod ends;
pub mod histogram;
mod intent;
mod load;
pub mod metrics;
mod node_status;
pub mod object_filter;
mod other_name;
mod quality;
mod readings;
pub mod snapshot;
mod spread;
#[cfg(test)]
pub(crate) mod test_fixtures;
pub mod trace_events;
pub mod trace_filter;
pub mod trace_line;
pub(crate) mod unreached;
mod verdict;
pub(crate) mod zones;
