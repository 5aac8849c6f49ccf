//! Sentences about connections that no DNS answer explains. Pure.

use super::{clean, full_name, plural};
use crate::expose::snapshot::{Client, Service};
use crate::verdict::unresolved::{self, Evenness, Unresolved};

/// The most endpoints that are named.
const NAMED: usize = 3;
/// The most clients.
const CLIENTS: usize = 5;

/// The clients of a Service that have such connections, by name, with a sentence each.
pub(crate) fn unresolved(service: &Service) -> Vec<(String, String)> {
    let counted = service.clients.iter().filter(|client| client.excluded.is_none());
    let line = |client: &Client| {
        let name = full_name(&client.namespace, &client.workload);
        Some((name, unresolved_in_words(service, client)?))
    };
    counted.filter_map(line).take(CLIENTS).collect()
}

/// How a client spreads its connections without an answer; nothing if it has none, or no choice.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::snapshot::{ClientEndpoint, Endpoint};

    fn said(counts: &[u64]) -> Option<String> {
        let pod = |place: usize| format!("p-{place}");
        let endpoint = |place| Endpoint { pod: pod(place), mature: true, ..Endpoint::default() };
        let own = |(place, count): (usize, &u64)| ClientEndpoint {
            pod: pod(place),
            opened: *count,
            resolution: [("none".to_owned(), *count)].into(),
            ..ClientEndpoint::default()
        };
        let service = Service { endpoints: (0..counts.len()).map(endpoint).collect(), ..Service::default() };
        let client = Client { endpoints: counts.iter().enumerate().map(own).collect(), ..Client::default() };
        unresolved_in_words(&service, &client)
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
}
