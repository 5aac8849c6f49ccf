//! Sentences about connections beside the headline: those that no DNS answer explains, and those by a name for a part of
//! the endpoints. Whether a client is even within its part is its verdict's matter. Pure.

use super::{clean, full_name, plural};
use crate::expose::snapshot::{Client, Service};
use crate::verdict::unresolved::{self, Evenness, Unresolved};

/// The most endpoints that are named.
const NAMED: usize = 3;
/// The most sentences.
const LINES: usize = 5;

/// The clients of a Service that have such connections, by name, with a sentence for each kind.
pub(crate) fn unresolved(service: &Service) -> Vec<(String, String)> {
    let counted = service.clients.iter().filter(|client| client.excluded.is_none());
    let lines = |client: &Client| {
        let name = full_name(&client.namespace, &client.workload);
        let both = [unresolved_in_words(service, client), part_in_words(client)];
        both.into_iter().flatten().map(move |line| (name.clone(), line))
    };
    counted.flat_map(lines).take(LINES).collect()
}

/// The way in which a client spreads its connections without an answer; nothing if it has none, or no choice.
fn unresolved_in_words(service: &Service, client: &Client) -> Option<String> {
    let Unresolved { spread, unused, only, evenness } = unresolved::unresolved(service, client)?;
    if spread.endpoints < 2 {
        return None;
    }
    let connections = plural(spread.connections, "connection");
    let words = match (only, evenness) {
        (Some(only), _) => format!(
            "all went to {} of {}; the client may know no other",
            clean(only),
            plural(spread.endpoints, "endpoint")
        ),
        (None, Evenness::Even) => {
            "they are as even over all endpoints as random choice would be, so the client knows them all"
                .to_owned()
        }
        (None, Evenness::Uneven) => format!(
            "they went to all endpoints, the busiest got {:.1} times the mean, and random choice would not do that; \
             weights, zones and pools do",
            spread.peak_to_mean
        ),
        (None, Evenness::Open) if unused.is_empty() => "they went to all endpoints".to_owned(),
        (None, Evenness::Open) => {
            let named: Vec<_> = unused.iter().take(NAMED).map(|pod| clean(pod)).collect();
            let more = if unused.len() > NAMED { ", …" } else { "" };
            format!("none went to {}{more}; the client may not know of them", named.join(", "))
        }
    };
    Some(format!("{connections} without a DNS answer: {words}."))
}

/// The endpoints to which a client's connections by a name for a part went; nothing if it has none.
fn part_in_words(client: &Client) -> Option<String> {
    let used =
        client.endpoints.iter().filter_map(|own| own.resolution.get("part")).filter(|count| **count > 0);
    let sum = used.clone().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let used = plural(used.count() as u64, "endpoint");
    (sum > 0).then(|| {
        format!("{} by a name for a part of the endpoints went to {used} of it.", plural(sum, "connection"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::snapshot::{ClientEndpoint, Endpoint};

    fn said(counts: &[u64]) -> Option<String> {
        let (service, client) = connected("none", counts);
        unresolved_in_words(&service, &client)
    }

    fn connected(resolution: &str, counts: &[u64]) -> (Service, Client) {
        let pod = |place: usize| format!("p-{place}");
        let endpoint = |place| Endpoint { pod: pod(place), mature: true, ..Endpoint::default() };
        let own = |(place, count): (usize, &u64)| ClientEndpoint {
            pod: pod(place),
            opened: *count,
            resolution: [(resolution.to_owned(), *count)].into(),
            ..ClientEndpoint::default()
        };
        let service = Service { endpoints: (0..counts.len()).map(endpoint).collect(), ..Service::default() };
        let client = Client { endpoints: counts.iter().enumerate().map(own).collect(), ..Client::default() };
        (service, client)
    }

    #[test]
    fn each_case_has_its_words() {
        let cases: [(&[u64], &str); 6] = [
            (&[20, 20, 20], "60 connections without a DNS answer: they are as even"),
            (&[100, 5, 5], "the busiest got 2.7 times the mean"),
            (&[60, 0, 0], "all went to p-0 of 3 endpoints"),
            (&[1, 1], "2 connections without a DNS answer: they went to all endpoints."),
            (&[9, 9, 0, 0, 0, 0, 0], "none went to p-2, p-3, p-4, …; the client may not know"),
            (&[1, 0], "1 connection without a DNS answer: all went to p-0"),
        ];
        for (counts, words) in cases {
            let found = said(counts).unwrap();
            assert!(found.contains(words), "{counts:?}: {found}");
        }
        assert_eq!((said(&[7]), said(&[0, 0])), (None, None));
    }

    #[test]
    fn a_part_is_told_as_that_part() {
        let said = |counts: &[u64]| part_in_words(&connected("part", counts).1);
        let words = "60 connections by a name for a part of the endpoints went to 2 endpoints of it.";
        assert_eq!(said(&[30, 30, 0, 0]).as_deref(), Some(words));
        assert!(said(&[60, 0, 0]).unwrap().contains("went to 1 endpoint of it"));
        assert_eq!(said(&[0, 0]), None);
    }
}
