//! NAT64: IPv6 addresses that stand for IPv4 addresses (RFC 6052). A client behind DNS64 gets and dials them, a
//! translator on the way changes them, and the endpoint has the IPv4 address.
//!
//! In: answers that show a prefix. Out: the address that an IPv6 address stands for.
//!
//! Invariants: at most `LEARNED` prefixes are remembered; those that answers showed last stay.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The most prefixes that are learned. A network has one.
const LEARNED: usize = 4;

/// The bits that RFC 6052 keeps free, so that no translated address looks like one made from a hardware address.
const RESERVED: u32 = 8;

/// The numbers of bits that a prefix can have.
const LENGTHS: [u32; 6] = [32, 40, 48, 56, 64, 96];

/// The addresses that `ipv4only.arpa` has (RFC 7050). An IPv6 address for it shows the prefix.
pub const IPV4_ONLY: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];

/// A prefix under which IPv6 addresses stand for IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Its bits; all others are 0.
    bits: u128,
    length: u32,
}

impl Prefix {
    /// 64:ff9b::/96.
    pub const WELL_KNOWN: Self = Self { bits: 0x0064_ff9b << 96, length: 96 };

    /// The prefix of this length that `address` has.
    fn of(address: Ipv6Addr, length: u32) -> Self {
        Self { bits: address.to_bits() >> (128 - length) << (128 - length), length }
    }

    /// The only prefix under which every address stands for an IPv4 address that `is_meant`.
    pub fn shown(
        addresses: impl Iterator<Item = Ipv6Addr> + Clone,
        is_meant: impl Fn(Ipv4Addr) -> bool,
    ) -> Option<Self> {
        let first = addresses.clone().next()?;
        let fits =
            |prefix: &Self| addresses.clone().all(|address| prefix.original(address).is_some_and(&is_meant));
        let mut fitting = LENGTHS.into_iter().map(|length| Self::of(first, length)).filter(fits);
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// The IPv4 address that an address stands for.
    fn original(self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        let bits = address.to_bits();
        if Self::of(address, self.length) != self {
            return None;
        }
        if self.length > 64 {
            return u32::try_from(bits & u128::from(u32::MAX)).ok().map(Ipv4Addr::from_bits);
        }
        // The IPv4 address follows the prefix and leaves out the reserved bits; nothing follows it.
        let after = bits << self.length >> self.length;
        let (high, low) = (after >> 64, after & u128::from(u64::MAX));
        let (reserved, low) = (low >> (64 - RESERVED), low << RESERVED & u128::from(u64::MAX));
        let joined = high << 64 | low;
        let unused = 128 - self.length - u32::BITS;
        let original = joined >> unused;
        let has_no_rest = reserved == 0 && joined == original << unused;
        u32::try_from(original).ok().filter(|_| has_no_rest).map(Ipv4Addr::from_bits)
    }

    /// The address that stands for an IPv4 address.
    fn translation(self, original: Ipv4Addr) -> Ipv6Addr {
        let original = u128::from(original.to_bits());
        let after = if self.length > 64 {
            original
        } else {
            let joined = original << (128 - self.length - u32::BITS);
            joined >> 64 << 64 | (joined & u128::from(u64::MAX)) >> RESERVED
        };
        Ipv6Addr::from_bits(self.bits | after)
    }
}

/// The prefixes of the networks that clients are in.
#[derive(Debug, Default)]
pub(super) struct Nat64 {
    /// The newest first.
    learned: Vec<Prefix>,
}

impl Nat64 {
    /// An answer showed a prefix.
    pub(super) fn learn(&mut self, prefix: Prefix) {
        if prefix == Prefix::WELL_KNOWN || self.learned.first() == Some(&prefix) {
            return;
        }
        self.learned.retain(|known| *known != prefix);
        self.learned.truncate(LEARNED - 1);
        self.learned.insert(0, prefix);
    }

    /// The IPv4 address that an address stands for, if it has one of the prefixes.
    pub(super) fn original(&self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        self.prefixes().find_map(|prefix| prefix.original(address))
    }

    /// The addresses that stand for an IPv4 address.
    pub(super) fn translations(&self, original: Ipv4Addr) -> impl Iterator<Item = Ipv6Addr> {
        self.prefixes().map(move |prefix| prefix.translation(original))
    }

    fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        [Prefix::WELL_KNOWN].into_iter().chain(self.learned.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// The table of RFC 6052, section 2.4.
    #[test]
    fn an_address_of_each_length() {
        let original = Ipv4Addr::new(192, 0, 2, 33);
        for (length, translated) in [
            (32, "2001:db8:c000:221::"),
            (40, "2001:db8:1c0:2:21::"),
            (48, "2001:db8:122:c000:2:2100::"),
            (56, "2001:db8:122:3c0:0:221::"),
            (64, "2001:db8:122:344:c0:2:2100::"),
            (96, "2001:db8:122:344::192.0.2.33"),
        ] {
            let translated = address(translated);
            let prefix = Prefix::of(translated, length);
            assert_eq!(prefix.original(translated), Some(original), "{length}");
            assert_eq!(prefix.translation(original), translated, "{length}");
            assert_eq!(
                Prefix::shown([translated].into_iter(), |one| one == original),
                Some(prefix),
                "{length}"
            );
        }
    }

    #[test]
    fn an_address_stands_for_another_only_under_a_prefix() {
        let mut nat64 = Nat64::default();
        assert_eq!(nat64.original(address("64:ff9b::10.0.0.1")), Some(Ipv4Addr::new(10, 0, 0, 1)));
        for other in ["64:ff9b:1::10.0.0.1", "2001:db8::10.0.0.1", "::1", "fd00::10.0.0.1"] {
            assert_eq!(nat64.original(address(other)), None, "{other}");
        }
        nat64.learn(Prefix::of(address("2001:db8:122::"), 48));
        assert_eq!(nat64.original(address("2001:db8:122:a00:0:100::")), Some(Ipv4Addr::new(10, 0, 0, 1)));
        // Something follows, or the reserved bits are used.
        assert_eq!(nat64.original(address("2001:db8:122:a00:0:100::1")), None);
        assert_eq!(nat64.original(address("2001:db8:122:a00:100:100::")), None);
    }

    #[test]
    fn a_prefix_is_shown_by_all_addresses_or_not_at_all() {
        let shown = |addresses: &[&str]| {
            Prefix::shown(addresses.iter().map(|text| address(text)), |one| one.octets()[..3] == [10, 0, 0])
        };
        let prefix = Prefix::of(address("2001:db8::"), 96);
        assert_eq!(shown(&["2001:db8::10.0.0.1", "2001:db8::10.0.0.2"]), Some(prefix));
        assert_eq!(shown(&["2001:db8::10.0.0.1", "2001:db8::1"]), None);
        assert_eq!(shown(&["2001:db8::10.0.0.1", "2001:db8:1::10.0.0.2"]), None);
        assert_eq!(shown(&["2001:db8::1"]), None);
        assert_eq!(shown(&[]), None);
        // Under two lengths.
        assert_eq!(shown(&["2001:db8:a00:1::10.0.0.1"]), Some(Prefix::of(address("2001:db8:a00:1::"), 96)));
        assert_eq!(
            Prefix::shown([address("2001:db8:a00:1::")].into_iter(), |one| one.octets()[0] == 10
                || one.is_unspecified()),
            None
        );
    }

    #[test]
    fn no_number_of_prefixes_fills_memory_and_the_newest_stay() {
        let mut nat64 = Nat64::default();
        for number in 0..100 {
            nat64.learn(Prefix { bits: u128::from(0x2001_0db8_u32 + number) << 96, length: 96 });
        }
        assert_eq!(nat64.learned.len(), LEARNED);
        assert_eq!(
            nat64.original(Ipv6Addr::from_bits(((0x2001_0db8 + 99) << 96) | 7)),
            Some(Ipv4Addr::from_bits(7))
        );
    }

    proptest! {
        #[test]
        fn a_translation_stands_for_its_original(bits: u128, length in 0_usize..6, original: u32) {
            let length = LENGTHS[length];
            let prefix = Prefix::of(Ipv6Addr::from_bits(bits), length);
            let original = Ipv4Addr::from_bits(original);
            prop_assert_eq!(prefix.original(prefix.translation(original)), Some(original));
        }

        #[test]
        fn at_most_one_address_stands_for_another_under_a_prefix(bits: u128, length in 0_usize..6) {
            let address = Ipv6Addr::from_bits(bits);
            let prefix = Prefix::of(address, LENGTHS[length]);
            if let Some(original) = prefix.original(address) {
                prop_assert_eq!(prefix.translation(original), address);
            }
        }
    }
}
