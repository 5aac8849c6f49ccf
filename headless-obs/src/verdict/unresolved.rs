//! Connections that no DNS answer explains: of clients that discover by an API, by gossip, by addresses that a server
//! announces, or that have another process resolve names for them.
//!
//! In: the rows of a Service and of one client. Out: how these connections are spread over mature endpoints, and what can
//! be said of that.
//!
//! The endpoints that the client knows are not known. So evenness is judged only where the client used all of them. One
//! without connections may be one that the client does not know, and one that has all may be the only one it knows:
//! that is shown, and is no alarm.

use super::significance;
use crate::expose::snapshot::{Client, ClientEndpoint, Endpoint, Service, Spread};
use crate::spread;

/// The connections of one client, or of all, that no answer explains.
#[derive(Clone, Debug, PartialEq)]
pub struct Unresolved<'a> {
    /// Over the mature endpoints that are not the client itself.
    pub spread: Spread,
    /// Endpoints that got none.
    pub unused: Vec<&'a str>,
    /// The one that got all, if others are there.
    pub only: Option<&'a str>,
    /// The evenness of the choice, if the figures show it.
    pub evenness: Evenness,
}

/// A statement about evenness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evenness {
    /// As even as random choice, or more.
    Even,
    /// More uneven than random choice, if each connection was a choice.
    Uneven,
    /// Nothing: too few connections, or the client may not know all endpoints.
    Open,
}

/// The connections of a client that no answer explains; nothing without any.
#[must_use]
pub fn unresolved<'a>(service: &'a Service, client: &'a Client) -> Option<Unresolved<'a>> {
    let rows = service.endpoints.iter().zip(&client.endpoints);
    let rows = rows.filter(|(endpoint, own)| endpoint.mature && endpoint.pod == own.pod && !own.is_self());
    let count = |(endpoint, own): (&'a Endpoint, &ClientEndpoint)| {
        (endpoint.pod.as_str(), own.resolution.get("none").copied().unwrap_or(0))
    };
    let counts: Vec<_> = rows.map(count).collect();
    let spread = spread::of(&counts.iter().map(|(_, count)| *count).collect::<Vec<_>>());
    if spread.connections == 0 {
        return None;
    }
    let used = || counts.iter().filter(|(_, count)| *count > 0);
    let only = used().next().filter(|_| counts.len() > 1 && used().count() == 1).map(|(pod, _)| *pod);
    let is_enough = spread.connections >= significance::needed(spread.endpoints);
    let evenness = if spread.endpoints < 2 || spread.coverage < 1.0 || !is_enough {
        Evenness::Open
    } else if significance::uneven(&spread) {
        Evenness::Uneven
    } else {
        Evenness::Even
    };
    let unused = counts.iter().filter(|(_, count)| *count == 0).map(|(pod, _)| *pod).collect();
    Some(Unresolved { spread, unused, only, evenness })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::test_fixtures::Facts;

    /// A client whose connections, so many to each endpoint, no answer explains.
    fn of(counts: &[u64], check: impl FnOnce(Option<Unresolved<'_>>)) {
        let mut facts = Facts::new(counts);
        for (own, count) in facts.client.endpoints.iter_mut().zip(counts) {
            own.counted = 0;
            own.resolution.insert("none".to_owned(), *count);
        }
        check(unresolved(&facts.service, &facts.client));
    }

    #[test]
    fn evenness_is_judged_where_the_client_used_all_endpoints() {
        for (counts, expected) in [
            (&[20, 20, 20][..], Evenness::Even),
            (&[25, 16, 19], Evenness::Even),
            (&[100, 5, 5], Evenness::Uneven),
            (&[20, 20, 0], Evenness::Open),
            (&[60, 0, 0], Evenness::Open),
            (&[2, 1, 2], Evenness::Open),
            (&[60], Evenness::Open),
        ] {
            of(counts, |found| assert_eq!(found.unwrap().evenness, expected, "{counts:?}"));
        }
    }

    #[test]
    fn endpoints_without_connections_and_the_only_one_are_shown() {
        of(&[20, 0, 5], |found| assert_eq!(found.unwrap().unused, ["pod-1"]));
        of(&[0, 7, 0], |found| {
            let found = found.unwrap();
            assert_eq!((found.only, found.unused), (Some("pod-1"), vec!["pod-0", "pod-2"]));
        });
        of(&[7], |found| assert_eq!(found.unwrap().only, None));
        of(&[0, 0], |found| assert_eq!(found, None));
        // Connections by an answer are none of these.
        let facts = Facts::new(&[5, 5]);
        assert_eq!(unresolved(&facts.service, &facts.client), None);
    }

    #[test]
    fn an_endpoint_that_is_the_client_or_young_does_not_count() {
        let mut facts = Facts::new(&[0, 30, 30, 0]);
        for own in &mut facts.client.endpoints {
            own.resolution.insert("none".to_owned(), own.opened);
        }
        facts.client.endpoints[0].own_pods = 1;
        facts.client.pods = 1;
        facts.service.endpoints[3].mature = false;
        let found = unresolved(&facts.service, &facts.client).unwrap();
        assert_eq!((found.evenness, found.unused), (Evenness::Even, vec![]));
    }
}
