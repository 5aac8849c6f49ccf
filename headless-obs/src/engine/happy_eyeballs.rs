//! Happy Eyeballs: a client starts one attempt per address family and keeps the first connection. The attempt that it
//! abandons has not failed.
//!
//! In: connections that opened, in order. Out: whether an abandoned attempt lost against one of them.

use std::collections::VecDeque;

use crate::client::ClientId;
use crate::time::Time;
use crate::topology::ServiceId;

/// The number of opened connections that are remembered. The client abandons the loser right after the winner opened,
/// so few are needed.
const REMEMBERED: usize = 1024;

/// The fields of an attempt that decide which of two won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// The client.
    pub scope: ClientId,
    /// Its process.
    pub process: u32,
    /// The Service.
    pub service: ServiceId,
    /// Over IPv6.
    pub is_ipv6: bool,
}

/// Connections that opened recently.
#[derive(Debug, Default)]
pub(super) struct RecentConnects(VecDeque<(Time, Attempt)>);

impl RecentConnects {
    /// A connection was established.
    pub(super) fn opened(&mut self, at: Time, attempt: Attempt) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((at, attempt));
    }

    /// Whether an abandoned attempt lost against a connection of the same process to the same Service over the other
    /// family, which opened while the attempt was in progress.
    pub(super) fn beat(&self, started: Time, loser: Attempt) -> bool {
        let winner = Attempt { is_ipv6: !loser.is_ipv6, ..loser };
        self.0
            .iter()
            .rev()
            .take_while(|(opened, _)| *opened >= started)
            .any(|(_, attempt)| *attempt == winner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_other_family_of_the_same_dial_beats_an_attempt() {
        let attempt = |process, service, is_ipv6| Attempt {
            scope: ClientId(1),
            process,
            service: ServiceId(service),
            is_ipv6,
        };
        let mut happy_eyeballs = RecentConnects::default();
        happy_eyeballs.opened(Time(10), attempt(1, 1, false));
        assert!(happy_eyeballs.beat(Time(5), attempt(1, 1, true)));
        assert!(!happy_eyeballs.beat(Time(5), attempt(1, 1, false)), "same family");
        assert!(!happy_eyeballs.beat(Time(5), attempt(2, 1, true)), "another process");
        assert!(!happy_eyeballs.beat(Time(5), attempt(1, 2, true)), "another Service");
        assert!(!happy_eyeballs.beat(Time(11), attempt(1, 1, true)), "opened before the attempt began");
    }
}
