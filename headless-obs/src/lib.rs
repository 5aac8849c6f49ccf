//! headless-obs: how clients spread their connections over the pods behind headless Services.
//!
//! Pure core: [`dns`], [`topology`], [`client`], [`evidence`], [`attribution`], [`ledger`], [`spread`],
//! [`engine`], [`verdict`], [`expose`], [`fleet`], `words`, [`page`]; time is an argument, nothing in it does IO.
//! IO shell: [`probe`], [`sources`], [`server`], [`commands`]. Only [`app`] knows both.

#![deny(unsafe_code)]

pub mod app;
pub mod attribution;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod dns;
pub mod engine;
pub mod evidence;
pub mod expose;
pub mod fleet;
pub mod handle;
mod hash;
pub mod ledger;
pub mod log;
pub mod page;
pub mod probe;
pub mod server;
pub mod sources;
pub mod spread;
#[cfg(test)]
mod testing;
pub mod time;
pub mod topology;
pub mod verdict;
mod words;
