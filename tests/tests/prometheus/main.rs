//! A real Prometheus that scrapes real daemons: what rules, alerts and dashboards make of their metrics.
//!
//! Each file is one subject. Windows are shortened, for ten minutes are too long to wait; nothing else of what is shipped
//! is changed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says where"
)]

mod dashboards;
mod market;
