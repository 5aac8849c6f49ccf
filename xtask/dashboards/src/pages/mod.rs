//! The dashboards, one file each: the queries, the form of the results, and how to read them.

use super::model::Dashboard;

mod client;
mod dns;
mod observer;
mod overview;
mod service;

/// Every dashboard by the name of its file.
pub(super) fn all() -> [(&'static str, Dashboard); 5] {
    [
        ("overview", overview::page()),
        ("service", service::page()),
        ("client", client::page()),
        ("dns", dns::page()),
        ("observer", observer::page()),
    ]
}
