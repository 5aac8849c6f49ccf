//! Turns bytes from the kernel into the interface's types.
//!
//! Invariant: a record that is shorter than its type, or of an unknown kind, is rejected; no read goes past its end.

use headless_obs_ebpf::reading::Reading;
use headless_obs_ebpf::ring_record::{
    DnsRecord, Header, KIND_CLOSED, KIND_DNS, KIND_FAILED, KIND_OPENED, SocketRecord, TcpRecord,
};

/// One record of the ring.
#[derive(Debug)]
pub enum Record<'a> {
    /// A DNS message, or a piece of a TCP stream that carries them.
    Dns(DnsRecord, &'a [u8]),
    /// An event of a connection.
    Tcp(TcpRecord),
}

/// A type of the interface for which any bytes are a valid value.
///
/// # Safety
/// `repr(C)`, without padding, made of integers and byte arrays only.
unsafe trait Plain: Copy {}

// SAFETY: as the ABI promises for all its types.
unsafe impl Plain for Header {}
// SAFETY: as above.
unsafe impl Plain for DnsRecord {}
// SAFETY: as above.
unsafe impl Plain for TcpRecord {}
// SAFETY: as above.
unsafe impl Plain for SocketRecord {}
// SAFETY: as above.
unsafe impl Plain for Reading {}

/// The first bytes of `bytes` as a `T`, and the rest.
fn take<T: Plain>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let (head, rest) = bytes.split_at_checked(size_of::<T>())?;
    // SAFETY: `head` has the size of `T`, the read needs no alignment, and any bytes are a valid `T`.
    let value = unsafe { head.as_ptr().cast::<T>().read_unaligned() };
    Some((value, rest))
}

impl<'a> Record<'a> {
    /// A record of the ring; `None` if this version does not know it.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, _) = take::<Header>(bytes)?;
        match header.kind {
            KIND_DNS => {
                let (record, room) = take::<DnsRecord>(bytes)?;
                let length = usize::try_from(record.header.length).ok()?;
                Some(Self::Dns(record, room.get(..length)?))
            }
            KIND_OPENED | KIND_FAILED | KIND_CLOSED => Some(Self::Tcp(take::<TcpRecord>(bytes)?.0)),
            _ => None,
        }
    }
}

/// All records that the socket iterator wrote.
#[cfg(feature = "shell")]
pub(super) fn socket_records(bytes: &[u8]) -> Vec<SocketRecord> {
    all(bytes).0
}

/// The complete readings that the iterator over open connections wrote, and the bytes that they take.
#[cfg(feature = "shell")]
pub(super) fn readings(bytes: &[u8]) -> (Vec<Reading>, usize) {
    all(bytes)
}

#[cfg(feature = "shell")]
fn all<T: Plain>(bytes: &[u8]) -> (Vec<T>, usize) {
    let (mut records, mut left) = (Vec::new(), bytes);
    while let Some((record, rest)) = take(left) {
        records.push(record);
        left = rest;
    }
    (records, bytes.len() - left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_unknown_and_lying_records_are_refused() {
        let mut bytes = vec![0_u8; size_of::<DnsRecord>() + 8];
        assert!(Record::parse(&bytes).is_none(), "kind 0");
        bytes[..4].copy_from_slice(&KIND_DNS.to_ne_bytes());
        bytes[4..8].copy_from_slice(&9_u32.to_ne_bytes());
        assert!(Record::parse(&bytes).is_none(), "claims more payload than there is");
        bytes[4..8].copy_from_slice(&8_u32.to_ne_bytes());
        assert!(matches!(Record::parse(&bytes), Some(Record::Dns(_, payload)) if payload.len() == 8));
        bytes[..4].copy_from_slice(&KIND_OPENED.to_ne_bytes());
        assert!(bytes.len() < size_of::<TcpRecord>() && Record::parse(&bytes).is_none(), "too short");
    }
}
