//! A client's attempts at ready endpoints: those that failed, and whether that is over.
//!
//! In: the client's figures. Out: for each ready endpoint the attempts, the failures, and the successes of other
//! clients. A connection that worked and was reset later is no failure.
//!
//! Always holds: where the client has connected again, nothing from before counts, and nothing if the last attempt is
//! older than the endpoint's being ready. A client that tries again and again while a server starts fails many times, and
//! not one of these failures is about the present.

use super::context::RuleContext;
use crate::expose::snapshot::{ClientEndpoint, Counts, Endpoint};

/// Failures, and successes of others, from which luck is no explanation.
pub(super) const FEW: u64 = 5;
/// The probability of luck below which failures are over.
const LUCK: f64 = 0.01;

/// The attempts of a client at one ready endpoint.
#[derive(Clone, Debug)]
pub(super) struct Tried<'a> {
    pub(super) own: &'a ClientEndpoint,
    pub(super) attempts: u64,
    /// Those that failed, or that the endpoint ended at once.
    pub(super) failed: u64,
    /// `failed` by reason.
    pub(super) reasons: Counts,
    /// Connections of other clients, of which nearly all succeed.
    pub(super) others: u64,
}

impl Tried<'_> {
    /// Attempts that the client itself ended before an answer, as far as the kernel's hook can see.
    pub(super) fn given_up(&self) -> u64 {
        self.reasons.get("aborted").copied().unwrap_or(0)
    }

    /// Failures of which the hook could not see the reason.
    pub(super) fn unclear(&self) -> u64 {
        self.reasons.get("other").copied().unwrap_or(0)
    }

    /// Most attempts fail.
    pub(super) fn fails(&self) -> bool {
        self.failed >= FEW && self.failed * 2 > self.attempts
    }

    pub(super) fn is_alive(&self) -> bool {
        self.others >= FEW
    }
}

/// The client's attempts at each ready endpoint.
pub(super) fn tried<'a>(scene: &RuleContext<'a>) -> Vec<Tried<'a>> {
    let rows = scene.service.endpoints.iter().zip(&scene.client.endpoints).enumerate();
    let ready = rows.filter(|(_, (endpoint, own))| endpoint.state == "ready" && endpoint.pod == own.pod);
    ready
        .map(|(place, (endpoint, own))| {
            let failed = failures(own);
            if has_recovered(endpoint, own) {
                let attempts = since_failure(own);
                return Tried { own, attempts, failed: 0, reasons: Counts::new(), others: 0 };
            }
            // If nothing fails, nobody else is asked.
            let asked = scene.others().filter(|_| failed > 0);
            let elsewhere = asked.filter_map(|other| other.endpoints.get(place));
            let well = elsewhere.filter(|row| failures(row) * 10 <= attempts(row));
            let others = well.map(|row| row.opened).fold(0, u64::saturating_add);
            Tried { own, attempts: attempts(own), failed, reasons: reasons(own), others }
        })
        .collect()
}

/// Whether the client's failures at an endpoint are over: it has connected there again, or the endpoint has become ready
/// since the last attempt.
pub(super) fn has_recovered(endpoint: &Endpoint, own: &ClientEndpoint) -> bool {
    let is_ready = endpoint.state == "ready";
    own.last_connection.is_some_and(|last| is_ready && endpoint.state_since > Some(last))
        || is_over(failures(own), attempts(own), since_failure(own))
}

fn since_failure(own: &ClientEndpoint) -> u64 {
    own.opened_since_failure.min(own.opened)
}

/// Whether failures are over: nothing succeeded before the last one, and something did since; or so many successes
/// since would be luck, if attempts still failed as often as before.
pub(super) fn is_over(failed: u64, attempts: u64, opened_since: u64) -> bool {
    let before = attempts.saturating_sub(opened_since);
    if failed == 0 || opened_since == 0 {
        return false;
    }
    let rate = failed as f64 / (before + 1) as f64;
    failed >= before || (1.0 - rate).powf(opened_since as f64) < LUCK
}

/// The sum of a figure.
pub(super) fn sum<'a>(rows: impl IntoIterator<Item = &'a Tried<'a>>, figure: fn(&Tried<'_>) -> u64) -> u64 {
    rows.into_iter().map(figure).fold(0, u64::saturating_add)
}

/// Attempts without a connection, and connections that the endpoint ended at once.
pub(super) fn failures(own: &ClientEndpoint) -> u64 {
    own.failed.saturating_sub(resets(own)).saturating_add(own.turned_away)
}

/// Connections, and attempts without one. A reset connection had been opened.
pub(super) fn attempts(own: &ClientEndpoint) -> u64 {
    own.opened.saturating_add(own.failed.saturating_sub(resets(own)))
}

fn resets(own: &ClientEndpoint) -> u64 {
    own.reasons.get("reset").copied().unwrap_or(0)
}

/// Failures by reason.
fn reasons(own: &ClientEndpoint) -> Counts {
    let ended = ("ended at once".to_owned(), own.turned_away);
    let failed = own.reasons.iter().filter(|(name, _)| *name != "reset");
    failed.map(|(name, count)| (name.clone(), *count)).chain([ended]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_of_a_connection_that_worked_is_no_failure() {
        let reset = Counts::from([("reset".to_owned(), 20)]);
        let worked = ClientEndpoint { opened: 20, failed: 20, reasons: reset, ..ClientEndpoint::default() };
        assert_eq!((failures(&worked), attempts(&worked)), (0, 20));
        let turned_away = ClientEndpoint { turned_away: 18, ..worked };
        assert_eq!((failures(&turned_away), attempts(&turned_away)), (18, 20));
        assert_eq!(reasons(&turned_away), Counts::from([("ended at once".to_owned(), 18)]));
    }

    #[test]
    fn failures_are_over_once_success_is_no_luck() {
        // Failed, all attempts, successes since the last failure.
        for (failed, attempts, since, expected) in [
            (0, 10, 10, false),
            (16, 19, 0, false),
            (16, 17, 1, true),
            (16, 18, 1, false),
            (16, 19, 2, false),
            (16, 20, 3, true),
            (10, 23, 3, false),
            (10, 28, 8, true),
            (1, 100, 99, true),
            (10, 100, 20, false),
            (10, 140, 60, true),
        ] {
            assert_eq!(is_over(failed, attempts, since), expected, "{failed} {attempts} {since}");
        }
    }
}
