//! CONNECTIONS: what is known of a connection, from its start to its end.

use crate::flow::FlowKey;
use crate::{Address, COMM_LEN};

/// A connection that has not ended. Its key is the address of the kernel's socket. Facts that only its end tells
/// are in the record of the end alone ([`crate::ring_record::TcpRecord`]), because the kernel has room for each entry
/// from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Connection {
    /// The last record submitted, [`crate::ring_record::KIND_OPENED`], or [`crate::ring_record::KIND_STARTED`].
    pub kind: u32,
    /// Process that connected.
    pub tgid: u32,
    /// Its flow, as the client dialled it.
    pub flow: FlowKey,
    /// As in [`crate::ring_record::TcpRecord`].
    pub started: u64,
    /// As in [`crate::ring_record::TcpRecord`].
    pub sent_to: Address,
    /// `comm` of the thread that connected.
    pub comm: [u8; COMM_LEN],
}
const _: () = assert!(size_of::<Connection>() == 96);
