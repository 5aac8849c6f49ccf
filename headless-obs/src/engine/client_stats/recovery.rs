//! Whether a client's failures are over: the connections that it opened since its last failure.
//!
//! In: attempts, each with its endpoint and whether it failed. Out: successes since the last failure, at one endpoint
//! and at all of them. It is about the present, so nothing here belongs to a stretch of time.
//!
//! Always holds: an endpoint that does not fit counts as one whose failures are not over.

use crate::topology::EndpointId;

/// The most endpoints that are followed.
const ENDPOINTS: usize = 64;

/// The successes since the last failures.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Recovery {
    /// Endpoints with failures, and the successes since; most clients have none.
    endpoints: Vec<(EndpointId, u64)>,
    /// Successes at all endpoints since the last failure at any.
    opened: u64,
}

impl Recovery {
    pub(super) fn record(&mut self, endpoint: EndpointId, has_failed: bool) {
        let known = self.endpoints.iter_mut().find(|(known, _)| *known == endpoint);
        match known {
            Some((_, opened)) if has_failed => *opened = 0,
            Some((_, opened)) => *opened += 1,
            None if has_failed => self.follow(endpoint),
            None => {}
        }
        self.opened = if has_failed { 0 } else { self.opened + 1 };
    }

    /// Follows an endpoint, if need be in the place of the one that has worked for longest.
    fn follow(&mut self, endpoint: EndpointId) {
        if self.endpoints.len() < ENDPOINTS {
            self.endpoints.push((endpoint, 0));
        } else if let Some(place) = self.endpoints.iter_mut().max_by_key(|(_, opened)| *opened)
            && place.1 > 0
        {
            *place = (endpoint, 0);
        }
    }

    /// Adds another workload. Of both, the failures that are less certain to be over count.
    pub(super) fn merge(&mut self, other: &Self) {
        self.opened = match (self.endpoints.is_empty(), other.endpoints.is_empty()) {
            (true, true) => self.opened + other.opened,
            (false, true) => self.opened,
            (true, false) => other.opened,
            (false, false) => self.opened.min(other.opened),
        };
        for (endpoint, opened) in &other.endpoints {
            match self.endpoints.iter_mut().find(|(known, _)| known == endpoint) {
                Some((_, known)) => *known = (*known).min(*opened),
                None => self.endpoints.push((*endpoint, *opened)),
            }
        }
        // The rest counts as not over.
        self.endpoints.truncate(ENDPOINTS);
    }

    /// Connections that the client opened to an endpoint since its last failure there; 0 if it is not known to have
    /// failed there.
    pub(in crate::engine) fn opened_at(&self, endpoint: EndpointId) -> u64 {
        self.endpoints.iter().find(|(known, _)| *known == endpoint).map_or(0, |(_, opened)| *opened)
    }

    /// Connections that the client opened to any endpoint since its last failure at any.
    pub(in crate::engine) fn opened(&self) -> u64 {
        self.opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successes_count_from_the_last_failure_of_their_endpoint() {
        let mut recovery = Recovery::default();
        let (one, other) = (EndpointId(1), EndpointId(2));
        let opened =
            |recovery: &Recovery| (recovery.opened_at(one), recovery.opened_at(other), recovery.opened());
        for endpoint in [one, one, other] {
            recovery.record(endpoint, false);
        }
        assert_eq!(opened(&recovery), (0, 0, 3));
        recovery.record(one, true);
        recovery.record(one, false);
        recovery.record(other, false);
        assert_eq!(opened(&recovery), (1, 0, 2));
        recovery.record(other, true);
        recovery.record(one, false);
        assert_eq!(opened(&recovery), (2, 0, 1));
    }

    #[test]
    fn endpoints_that_fail_take_the_place_of_those_that_work_again() {
        let mut recovery = Recovery::default();
        let all = || (0..100).map(EndpointId);
        all().for_each(|endpoint| recovery.record(endpoint, true));
        recovery.record(EndpointId(3), false);
        recovery.record(EndpointId(99), true);
        recovery.record(EndpointId(99), false);
        assert_eq!((recovery.opened_at(EndpointId(99)), recovery.opened_at(EndpointId(3))), (1, 0));
        assert_eq!(recovery.endpoints.len(), ENDPOINTS);
    }
}
