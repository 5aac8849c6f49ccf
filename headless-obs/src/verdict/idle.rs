//! Endpoints that get no connections, beyond chance.
//!
//! In: the rows of a Service's endpoints and clients. Out: the endpoints that its clients avoid, with the reason.
//!
//! An endpoint without connections is idle if random choice would have reached it, or if a client at work was never
//! told of it. Nothing is known about clients without DNS answers, a member of the Service never connects to itself, and
//! a client that chooses among a part of the endpoints has nothing to do with the others, nor has one that keeps to its own
//! zone, so none of these makes an endpoint idle.

use jiff::Timestamp;

use super::{significance, zone_aware};
use crate::expose::snapshot::{Client, ClientEndpoint, Dns, Endpoint, Service};

/// The reason why an endpoint is called idle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Why {
    /// Random choice would have reached it.
    Avoided {
        /// All selections of the clients that could choose it.
        selections: u64,
        /// The number of them that random choice would have given it.
        expected: f64,
    },
    /// Clients at work were not told of it.
    Unknown {
        /// Their pods that have received no answer since it became ready.
        pods: u64,
    },
}

/// The names of the idle endpoints.
#[must_use]
pub fn idle(endpoints: &[Endpoint], clients: &[Client], dns: &Dns) -> Vec<String> {
    all(endpoints, clients, dns).map(|(endpoint, _)| endpoint.pod.clone()).collect()
}

/// The idle endpoints of a Service that are named as such, and why they are.
pub fn reasons(service: &Service) -> impl Iterator<Item = (&Endpoint, Why)> {
    let named = |endpoint: &Endpoint| service.idle.contains(&endpoint.pod);
    all(&service.endpoints, &service.clients, &service.dns).filter(move |(endpoint, _)| named(endpoint))
}

fn all<'a>(
    endpoints: &'a [Endpoint],
    clients: &'a [Client],
    dns: &Dns,
) -> impl Iterator<Item = (&'a Endpoint, Why)> {
    let mature = endpoints.iter().filter(|endpoint| endpoint.mature).count() as u64;
    let choosers: Vec<Chooser<'_>> = clients
        .iter()
        .filter(|client| client.excluded.is_none())
        .map(|client| Chooser::of(endpoints, client, dns))
        .collect();
    let is_used = |place: usize| choosers.iter().any(|chooser| chooser.uses(place));
    let unused: Vec<_> = endpoints
        .iter()
        .enumerate()
        .filter(|(place, endpoint)| endpoint.mature && !is_used(*place))
        .collect();
    let is_any_used = (0..endpoints.len()).any(is_used);
    unused.into_iter().filter(move |_| is_any_used).filter_map(move |(place, endpoint)| {
        let why = why(place, endpoint, mature, &choosers)?;
        Some((endpoint, why))
    })
}

/// A client that could choose an endpoint.
struct Chooser<'a> {
    client: &'a Client,
    /// Its first connection to any of them.
    first: Option<Timestamp>,
    /// Whether the shares of random choice are known. Prometheus has neither these nor the times.
    has_shares: bool,
    /// Its answers may have lacked endpoints that they should have listed.
    has_gaps: bool,
    /// The zones that it keeps to, if it prefers its own.
    zones: Option<Vec<&'a str>>,
}

impl<'a> Chooser<'a> {
    fn of(endpoints: &'a [Endpoint], client: &'a Client, dns: &Dns) -> Self {
        let first = client.endpoints.iter().filter_map(|own| own.first_connection).min();
        let has_shares = client.endpoints.iter().any(|own| own.expected > 0.0);
        // Answers for other names, and those for one port, may lack endpoints on purpose.
        let has_gaps = dns.completeness < 1.0 || client.answers.truncated_used > 0;
        Self { client, first, has_shares, has_gaps, zones: zone_aware::kept_zones(endpoints, client) }
    }

    /// It has nothing to do with the endpoints of this one's zone.
    fn leaves_zone_of(&self, endpoint: &Endpoint) -> bool {
        let zone = endpoint.zone.as_deref();
        self.zones.as_ref().zip(zone).is_some_and(|(kept, zone)| !kept.contains(&zone))
    }

    /// It has connected there, or tried to: what fails was chosen, too, and is for other findings.
    fn uses(&self, place: usize) -> bool {
        self.client.endpoints.get(place).is_some_and(|own| {
            let before = own.resolution.get("preexisting").copied().unwrap_or(0);
            own.opened > 0 || own.failed > 0 || own.active > 0 || before > 0
        })
    }

    /// Its share of selections for an endpoint that was ready before the first of them, whether answers listed it or
    /// not.
    fn plain_share(&self, endpoint: &Endpoint, mature: u64) -> f64 {
        if self.client.by_part {
            return 0.0;
        }
        let was_ready = self.first.zip(endpoint.ready_since).is_some_and(|(first, since)| since <= first);
        let was_ready = was_ready && (self.has_gaps || !self.has_shares);
        let is_unknown = !self.has_shares && self.first.is_none();
        let share = self.client.selections.connections as f64 / mature.max(1) as f64;
        if was_ready || is_unknown { share } else { 0.0 }
    }
}

fn why(place: usize, endpoint: &Endpoint, mature: u64, choosers: &[Chooser<'_>]) -> Option<Why> {
    let (mut selections, mut expected, mut unaware) = (0, 0.0, 0);
    for chooser in choosers.iter().filter(|chooser| !chooser.leaves_zone_of(endpoint)) {
        let by_part = chooser.client.by_part;
        let is_option = |own: &&ClientEndpoint| own.own_pods == 0 && own.is_option(by_part);
        let own = chooser.client.endpoints.get(place).filter(is_option);
        let Some(own) = own else { continue };
        unaware += own.unaware_pods;
        selections += chooser.client.selections.connections;
        expected += own.expected.max(chooser.plain_share(endpoint, mature));
    }
    if significance::none_by_chance_is_ruled_out(expected, mature) {
        Some(Why::Avoided { selections, expected })
    } else {
        (unaware > 0).then_some(Why::Unknown { pods: unaware })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures::at;
    use crate::testing::Random;
    use crate::verdict::test_fixtures::Facts;

    fn of(facts: &Facts) -> Vec<String> {
        idle(&facts.service.endpoints, std::slice::from_ref(&facts.client), &facts.service.dns)
    }

    /// Random connections, each a selection.
    fn random(endpoints: usize, connections: u64, random: &mut Random) -> Facts {
        let mut counts = vec![0; endpoints];
        for _ in 0..connections {
            counts[random.below(endpoints)] += 1;
        }
        let mut facts = Facts::new(&counts);
        for own in &mut facts.client.endpoints {
            own.expected = connections as f64 / endpoints as f64;
            own.first_connection = (own.opened > 0).then(|| at(5));
        }
        facts
    }

    #[test]
    fn a_random_client_leaves_nothing_idle() {
        let mut numbers = Random::new(1);
        for endpoints in [2, 3, 10, 30, 100] {
            for connections in (1..40).chain([60, 100, 200, 400, 1_000]) {
                for _ in 0..20 {
                    let facts = random(endpoints, connections, &mut numbers);
                    assert_eq!(of(&facts), [""; 0], "{endpoints} {connections} {:?}", facts.client.spread);
                }
            }
        }
    }

    #[test]
    fn what_is_avoided_beyond_chance_is_idle() {
        // Connections per used endpoint, expected.
        for (each, expected) in [(1, false), (6, false), (30, true), (1_000, true)] {
            let mut facts = Facts::new(&[each, each, 0]);
            for own in &mut facts.client.endpoints {
                own.expected = each as f64 * 2.0 / 3.0;
            }
            assert_eq!(of(&facts) == ["pod-2"], expected, "{each}");
        }
    }

    #[test]
    fn what_cannot_be_known_is_not_idle() {
        let mut facts = Facts::new(&[1_000, 1_000, 0]);
        facts.client.selections = crate::spread::of(&[0, 0, 0]);
        facts.client.endpoints.iter_mut().for_each(|own| own.expected = 0.0);
        facts.client.resolution = [("none".to_owned(), 2_000)].into();
        assert_eq!(of(&facts), [""; 0], "no DNS answer");
        let mut facts = Facts::new(&[1_000, 0]);
        facts.client.endpoints[1].expected = 500.0;
        assert_eq!(of(&facts), ["pod-1"]);
        facts.client.endpoints[1].own_pods = 1;
        assert_eq!(of(&facts), [""; 0], "the client itself");
    }

    #[test]
    fn what_is_out_of_a_clients_part_is_not_idle() {
        // Answers for the Service's own name, complete or not, and the client's only for a part.
        for (completeness, by_part, expected) in
            [(1.0, false, false), (0.67, false, true), (1.0, true, false), (0.67, true, false)]
        {
            let mut facts = Facts::new(&[300, 300, 0]);
            facts.service.dns.completeness = completeness;
            facts.client.by_part = by_part;
            for (place, own) in facts.client.endpoints.iter_mut().enumerate() {
                own.first_connection = (place < 2).then(|| at(5));
                (own.offered, own.unaware_pods) = (by_part && place < 2, u64::from(by_part && place == 2));
                own.expected = if place < 2 { 300.0 } else { 0.0 };
            }
            assert_eq!(of(&facts) == ["pod-2"], expected, "{completeness} {by_part}");
        }
    }

    #[test]
    fn what_a_client_at_work_was_never_told_of_is_idle() {
        let mut facts = Facts::new(&[1, 1, 0]);
        facts.client.endpoints[2].unaware_pods = 1;
        facts.service.endpoints[2].ready_since = Some(at(700));
        assert_eq!(of(&facts), ["pod-2"]);
        facts.service.idle = vec!["pod-2".to_owned()];
        facts.service.clients = vec![facts.client.clone()];
        assert_eq!(reasons(&facts.service).next().unwrap().1, Why::Unknown { pods: 1 });
    }
}
