//! DIALLED: the destination that a program gave to `connect()` or `sendmsg()`, until the packet is sent.
//!
//! Socket-level load balancers are BPF programs at `connect()` that replace the destination, as Cilium's and Calico's do:
//! a client dials a ClusterIP, and the socket connects to a pod. Firewall rules in the socket's own network namespace
//! replace the destination of its datagrams, as meshes and container engines do with DNS.

use crate::Address;

/// Entries of DIALLED. One is needed for each socket between the call and its packet; the oldest is evicted.
pub const MAX_DIALLED: u32 = 1 << 12;

/// A destination. Its key is the socket's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Dialled {
    /// Address.
    pub address: Address,
    /// Port.
    pub port: u16,
    /// Always 0.
    pub _pad: [u8; 6],
}
const _: () = assert!(size_of::<Dialled>() == 24);
