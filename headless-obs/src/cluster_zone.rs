//! The zone of this cluster: the end of the names that its DNS server gives to Services, `cluster.local` in most.
//!
//! In: an option, and which zones answered with the endpoints of the Services that their names name. Out: whether a
//! zone is this cluster's. Names of other zones may look the same: another cluster's, a wildcard's in a search domain.
//!
//! Invariants: bounded; one zone at a time is the cluster's.

use std::sync::Arc;

/// The zone of most clusters.
const USUAL: &str = "cluster.local";

/// The zone of all sets of clusters (the Multi-Cluster Services API). Its Services are imported ones, beside the cluster's
/// own, and their names in the topology end in it.
pub const SET: &str = "clusterset.local";

/// The most zones whose answers are compared; those of one cluster are few.
const ZONES: usize = 16;

/// The evidence of a zone's answers.
#[derive(Debug)]
struct Seen {
    zone: Arc<str>,
    /// Answers that held the endpoints of the Service that their name names.
    right: u64,
    /// Answers that held none of them.
    strange: u64,
}

impl Seen {
    fn score(&self) -> u64 {
        self.right.saturating_sub(self.strange)
    }
}

/// The zone of this cluster.
#[derive(Debug)]
pub struct ClusterZone {
    own: Arc<str>,
    /// The zones that are compared; nothing if the zone is known.
    seen: Option<Vec<Seen>>,
}

impl Default for ClusterZone {
    fn default() -> Self {
        Self::learned()
    }
}

impl ClusterZone {
    /// The usual zone, until answers show another one.
    pub fn learned() -> Self {
        Self { own: USUAL.into(), seen: Some(Vec::new()) }
    }

    /// This zone, whatever answers hold.
    pub fn said(zone: &str) -> Self {
        Self { own: zone.into(), seen: None }
    }

    /// Whether answers can change it.
    pub fn is_learned(&self) -> bool {
        self.seen.is_some()
    }

    /// Whether names of `zone` are this cluster's.
    pub fn is_own(&self, zone: &str) -> bool {
        *self.own == *zone
    }

    /// The zone in a Service's name of this cluster.
    pub fn of<'a>(&self, name: &'a str) -> Option<&'a str> {
        let labels = name.strip_suffix(&*self.own)?;
        name.get(labels.len()..).filter(|_| labels.ends_with(".svc."))
    }

    /// The domain that a search list appended to a whole name of this cluster.
    pub fn searched<'a>(&self, zone: &'a str) -> Option<&'a str> {
        zone.strip_prefix(&*self.own)?.strip_prefix('.')
    }

    /// An answer for a name of `zone` that names a Service of this cluster held that Service's endpoints, or none of
    /// them. Returns whether another zone is the cluster's now.
    pub fn observe(&mut self, zone: &str, is_right: bool) -> bool {
        let Some(seen) = self.seen.as_mut().filter(|_| zone != SET) else { return false };
        let place = match seen.iter().position(|known| *known.zone == *zone) {
            Some(place) => place,
            None if is_right && seen.len() < ZONES => {
                seen.push(Seen { zone: zone.into(), right: 0, strange: 0 });
                seen.len() - 1
            }
            None => return false,
        };
        let Some(known) = seen.get_mut(place) else { return false };
        *if is_right { &mut known.right } else { &mut known.strange } += 1;
        if is_right && *known.zone == *self.own {
            return false;
        }
        // Of equal ones, the zone that was first stays.
        let best = seen.iter().rev().max_by_key(|known| known.score()).filter(|best| best.score() > 0);
        let own = seen.iter().find(|known| known.zone == self.own).map_or(0, Seen::score);
        let best = best.filter(|best| best.score() > own);
        if let Some(best) = best {
            self.own = best.zone.clone();
        }
        best.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_a_services_endpoints_show_the_zone() {
        let mut zone = ClusterZone::learned();
        assert!(zone.is_own("cluster.local") && !zone.is_own("corp.example"));
        // Nothing but strange answers says nothing about any zone.
        for _ in 0..100 {
            zone.observe("cluster.local", false);
            zone.observe("east.example", false);
        }
        assert!(zone.is_own("cluster.local"));
        // A set of clusters may have no other endpoints than this cluster's.
        zone.observe(SET, true);
        assert!(zone.is_own("cluster.local"));
        zone.observe("corp.example", true);
        assert!(zone.is_own("corp.example") && !zone.is_own("cluster.local"));
        // Another cluster's zone, in which one Service is this cluster's, and others are not.
        for _ in 0..100 {
            zone.observe("east.example", true);
            zone.observe("east.example", false);
            zone.observe("east.example", false);
            zone.observe("corp.example", true);
        }
        assert!(zone.is_own("corp.example"));
    }

    #[test]
    fn a_zone_that_is_said_stays_and_no_number_of_zones_fills_memory() {
        let mut said = ClusterZone::said("corp.example");
        said.observe("cluster.local", true);
        assert!(said.is_own("corp.example") && !said.is_own("cluster.local"));
        let mut learned = ClusterZone::learned();
        for number in 0..1000 {
            learned.observe(&format!("z{number}.example"), true);
        }
        assert!(learned.seen.unwrap().len() <= ZONES);
    }

    #[test]
    fn what_a_search_list_appended() {
        let zone = ClusterZone::learned();
        assert_eq!(zone.searched("cluster.local.apps.example.com"), Some("apps.example.com"));
        for zone_of_name in ["cluster.local", "cluster.locality.example", "east.example", ""] {
            assert_eq!(zone.searched(zone_of_name), None, "{zone_of_name}");
        }
    }
}
