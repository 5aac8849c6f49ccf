//! headless-obs: how clients spread their connections over the pods behind headless Services.
//!
//! Pure core: [`dns`], [`topology`], [`client`], [`answer_cache`], [`attribution`], [`ledger`], [`spread`],
//! [`engine`], [`verdict`], [`expose`], [`fleet`], `messages`, [`html`]. Time is an argument, and none of them does IO.
//! IO shell: [`probe`], [`sources`], `server`, `commands`. Only `app` knows both. Without the feature `shell`, the
//! crate has the core and the parts of the shell that read hostile input; `cargo xtask fuzz` builds only those.

#![deny(unsafe_code)]
#![cfg_attr(
    not(feature = "shell"),
    allow(dead_code, unused_imports, reason = "the shell uses more of the core than its readers")
)]

pub mod answer_cache;
#[cfg(feature = "shell")]
pub mod app;
pub mod attribution;
#[cfg(feature = "shell")]
pub mod cli;
pub mod client;
pub mod cluster_zone;
#[cfg(feature = "shell")]
pub mod commands;
#[cfg(feature = "shell")]
pub mod config;
pub mod dns;
pub mod engine;
#[cfg(feature = "shell")]
pub mod engine_handle;
pub mod expose;
pub mod fleet;
mod hash;
pub mod html;
pub mod ledger;
#[cfg(feature = "shell")]
pub mod log;
#[cfg(feature = "shell")]
pub mod probe;
#[cfg(feature = "shell")]
pub mod readiness;
#[cfg(feature = "shell")]
pub mod running_daemon;
pub mod service_resolution;
/// The kernel side as user space sees it: only the part that reads records.
#[cfg(not(feature = "shell"))]
pub mod probe {
    #![expect(unsafe_code, reason = "plain types from bytes")]

    mod record;

    pub use record::Record;
}
mod messages;
pub mod offer;
#[cfg(feature = "shell")]
pub mod server;
pub mod sources;
pub mod spread;
#[cfg(test)]
mod testing;
pub mod time;
pub mod topology;
#[cfg(feature = "shell")]
pub mod trace_channel;
pub mod verdict;
pub mod windowed;
mod worst_pods;
