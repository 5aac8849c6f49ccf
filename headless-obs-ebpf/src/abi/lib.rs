//! The interface between the kernel programs and user space: ring records, map keys and values, the symbols of maps,
//! programs and globals, and shared constants.
//!
//! The kernel programs (`src/main.rs` of this package) write it, and the daemon's `probe` reads it.
//!
//! Invariants: every type is `repr(C)`, has no implicit padding (each size is asserted), and holds only integers and
//! byte arrays, so every byte pattern is a valid value. Fields of several bytes are in the machine's order, except
//! addresses, which are byte arrays in network order. IPv4 addresses are stored IPv4-mapped (`::ffff:a.b.c.d`), so one
//! key covers both families and IPv4-mapped sockets.

#![no_std]
#![forbid(unsafe_code)]

pub mod connection;
pub mod counters;
pub mod dialled;
pub mod dns_query;
pub mod end;
pub mod flow;
pub mod losses;
pub mod offsets;
pub mod reading;
pub mod ring_record;
pub mod symbols;

/// An IPv6 or IPv4-mapped address, network order.
pub type Address = [u8; 16];

/// Length of a task's `comm`, the kernel's `TASK_COMM_LEN`.
pub const COMM_LEN: usize = 16;
