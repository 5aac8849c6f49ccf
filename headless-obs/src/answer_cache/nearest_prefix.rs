//! The addresses of an answer that are nearest to the client's own: those that a client prefers if it sorts by prefix
//! (RFC 6724, rule 9).
//!
//! In: the client's address and the answer's records. Out: how many are nearest, and whether an address is one of them.

use std::cmp::Ordering;
use std::net::IpAddr;

use crate::dns::AddressRecord;

/// The addresses of an answer that are nearest to the client's own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NearestPrefix {
    local: Option<IpAddr>,
    /// Length of the prefix that the nearest ones share with `local`.
    bits: u32,
    /// Their number; 0 if all are equally near.
    pub(super) count: u16,
}

impl NearestPrefix {
    pub(super) fn of<'a>(local: IpAddr, records: impl Iterator<Item = &'a AddressRecord>) -> Self {
        let mut near = Self { local: Some(local), ..Self::default() };
        let mut all = 0_u16;
        for bits in records.filter_map(|record| common_prefix(local, record.address)) {
            all = all.saturating_add(1);
            match bits.cmp(&near.bits) {
                Ordering::Greater => (near.bits, near.count) = (bits, 1),
                Ordering::Equal => near.count = near.count.saturating_add(1),
                Ordering::Less => {}
            }
        }
        if near.count == all { Self::default() } else { near }
    }

    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.count > 0 && self.local.and_then(|local| common_prefix(local, address)) == Some(self.bits)
    }
}

/// Length of the prefix that two addresses of one family share.
fn common_prefix(one: IpAddr, other: IpAddr) -> Option<u32> {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => Some((one.to_bits() ^ other.to_bits()).leading_zeros()),
        (IpAddr::V6(one), IpAddr::V6(other)) => Some((one.to_bits() ^ other.to_bits()).leading_zeros()),
        _ => None,
    }
}
