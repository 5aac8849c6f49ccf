//! The names and addresses that the `dns` topology observes.

use std::net::{IpAddr, Ipv4Addr};

use crate::topology::glob::matches;

/// Names and addresses to observe.
///
/// Without patterns, every name counts that answers with several addresses at once. Patterns restrict that to matching
/// names, and extend it to matching names with a single address. A pattern after `!` excludes names, whatever else they
/// match. `*` stands for any characters, including dots, and `?` for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameFilter {
    include: Vec<String>,
    exclude: Vec<String>,
    public: bool,
}

/// An invalid pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a pattern for domain names; write one like `*.svc.*`, `db.example.net` or `!*.internal`"
)]
pub struct BadPattern(String);

impl NameFilter {
    /// A filter with `patterns`; `public` also accepts addresses that are not private.
    pub fn new<S: AsRef<str>>(
        patterns: impl IntoIterator<Item = S>,
        public: bool,
    ) -> Result<Self, BadPattern> {
        let mut filter = Self { public, ..Self::default() };
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let (list, glob) = match pattern.strip_prefix('!') {
                Some(glob) => (&mut filter.exclude, glob),
                None => (&mut filter.include, pattern),
            };
            let glob = glob.strip_suffix('.').unwrap_or(glob).to_ascii_lowercase();
            let strange = |c: char| c.is_whitespace() || c.is_control() || "!/,:".contains(c);
            if glob.is_empty() || glob.len() > 255 || glob.contains(strange) {
                return Err(BadPattern(pattern.to_owned()));
            }
            list.push(glob);
        }
        Ok(filter)
    }

    /// Whether to observe a name that answered with `addresses` addresses at once.
    pub(super) fn selects(&self, name: &str, addresses: usize) -> bool {
        self.allows(name) && (addresses > 1 || (addresses == 1 && !self.include.is_empty()))
    }

    /// Whether the answers for a name count at all.
    pub(super) fn allows(&self, name: &str) -> bool {
        !self.exclude.iter().any(|glob| matches(glob, name))
            && (self.include.is_empty() || self.include.iter().any(|glob| matches(glob, name)))
    }

    /// Whether an address can be an endpoint: RFC 1918, RFC 6598 and unique local addresses; others on request, and
    /// those that a name of the cluster has, because pods may have global addresses.
    /// Addresses that have a meaning only on one host or link are never accepted.
    pub(super) fn allows_address(&self, address: IpAddr, is_clusters: bool) -> bool {
        let public = self.public || is_clusters;
        match address {
            IpAddr::V4(v4) => v4.is_private() || is_shared(v4) || (public && is_ordinary_v4(v4)),
            IpAddr::V6(v6) => {
                let special = v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unicast_link_local();
                v6.is_unique_local() || (public && !special)
            }
        }
    }
}

/// 100.64.0.0/10, the addresses of carrier-grade NAT, which clusters also use for pods.
fn is_shared(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    a == 100 && b & 0xc0 == 64
}

fn is_ordinary_v4(address: Ipv4Addr) -> bool {
    let special = address.is_loopback() || address.is_link_local() || address.is_multicast();
    !special && !address.is_broadcast() && address.octets()[0] != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::test_builders::ip;

    #[test]
    fn patterns_narrow_widen_and_exclude() {
        let cases: [(&[&str], &str, usize, bool); 9] = [
            (&[], "db.corp", 2, true),
            (&[], "db.corp", 1, false),
            (&["db.*"], "db.corp", 1, true),
            (&["DB.Corp."], "db.corp", 1, true),
            (&["db.*"], "db.corp", 0, false),
            (&["db.*"], "web.corp", 2, false),
            (&["!*.internal"], "web.corp", 2, true),
            (&["!*.internal"], "web.internal", 2, false),
            (&["*", "!*.internal"], "web.internal", 2, false),
        ];
        for (patterns, name, addresses, expected) in cases {
            let filter = NameFilter::new(patterns, false).unwrap();
            assert_eq!(filter.selects(name, addresses), expected, "{patterns:?} {name} {addresses}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_match_is_refused_with_advice() {
        for pattern in ["", "!", ".", "a b", "http://x", "a,b", "!!a", &"a".repeat(256)] {
            let error = NameFilter::new([pattern], false).unwrap_err().to_string();
            assert!(error.contains(pattern) && error.contains("*.svc.*"), "{error}");
        }
    }

    #[test]
    fn private_addresses_count_and_public_ones_on_request() {
        let (private, public) = (NameFilter::default(), NameFilter::new([""; 0], true).unwrap());
        for address in ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "100.127.9.9", "fd00::1"] {
            assert!(private.allows_address(ip(address), false), "{address}");
            assert!(public.allows_address(ip(address), false), "{address}");
        }
        for address in ["8.8.8.8", "2001:db8::1", "10.1.2.3"] {
            assert!(private.allows_address(ip(address), true), "{address}");
        }
        for address in ["172.32.0.1", "100.128.0.1", "192.0.2.1", "8.8.8.8", "2001:db8::1"] {
            assert!(!private.allows_address(ip(address), false), "{address}");
            assert!(public.allows_address(ip(address), false), "{address}");
        }
        for address in [
            "127.0.0.1",
            "169.254.1.1",
            "224.0.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "::1",
            "fe80::1",
            "ff02::1",
            "::",
        ] {
            assert!(!private.allows_address(ip(address), false), "{address}");
            assert!(!public.allows_address(ip(address), false), "{address}");
            assert!(!private.allows_address(ip(address), true), "{address}");
        }
    }
}
