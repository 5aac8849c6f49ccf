//! Verdicts: how a client workload spreads its connections over a Service, and why.
//!
//! In: the facts of a snapshot about one client and one Service ([`Scene`]). Out: a [`Verdict`], or why there is none
//! ([`Withheld`]). Each rule is a function from the scene to a verdict or nothing; the first that has one decides.
//!
//! The rules stand in the order in which causes work: what is dialled that should not be, then what DNS answers, then
//! what the client makes of the answers, and at last whether the figures are beyond chance at all. An earlier cause
//! would bring about the signs of a later one.
//!
//! Two kinds of evidence: structure (an endpoint that nobody was told of, one connection held for hours) needs no
//! number of connections; figures do, and are held against what random choice would show (the module `chance`). A client that
//! chooses at random is called anything but `even`, `too_few` or `subset` in fewer than one of 1,000 windows, whatever
//! their size (see the simulation).
//!
//! Confidence: *high* where sign and effect are both seen and no other reading is known; *medium* where chance is ruled
//! out and another cause could look the same; *low* where there are few figures.

mod answers;
mod chance;
mod failing;
mod fix;
mod narrow;
mod old;
mod plain;
mod ports;
mod renewal;
#[cfg(test)]
mod sample;
mod scene;
#[cfg(test)]
mod simulation;
mod stale;
#[cfg(test)]
mod tests;
mod withheld;
mod words;

use crate::expose::snapshot::{Cause, Client, Snapshot, Spread, Verdict};

pub use scene::{Scene, Seen};
pub use withheld::Withheld;

/// A rule: a verdict if its cause shows.
type Rule = fn(&Scene<'_>) -> Option<Verdict>;

/// What is dialled that should not be. It is wrong whatever the connections were resolved by.
const WRONG: [Rule; 6] = [
    ports::port_mismatch,
    stale::ip_reused,
    stale::dials_not_ready,
    stale::dns_stale,
    stale::stale_cache,
    failing::failing_endpoint,
];

/// How connections by the Service's name are spread.
const SPREAD: [Rule; 11] = [
    answers::dns_incomplete,
    old::old_answers,
    answers::truncated_answer,
    renewal::never_re_resolved,
    answers::address_sort,
    answers::client_cap,
    answers::answer_order,
    narrow::pinned,
    narrow::subset,
    plain::even,
    plain::too_few,
];

/// The verdict on one client of one Service.
///
/// # Errors
///
/// Where the data cannot carry a verdict.
pub fn judge(scene: &Scene<'_>) -> Result<Verdict, Withheld> {
    if let Some(reason) = withheld::unreliable(scene) {
        return Err(reason);
    }
    if let Some(verdict) = WRONG.iter().find_map(|rule| rule(scene)) {
        return Ok(verdict);
    }
    if let Some(reason) = withheld::unsuited(scene) {
        return Err(reason);
    }
    Ok(SPREAD.iter().find_map(|rule| rule(scene)).unwrap_or_else(|| plain::unexplained(scene)))
}

/// Judges every client of every Service, in place of the verdicts there were.
pub fn judge_all(snapshot: &mut Snapshot) {
    let seen = Seen::of(snapshot);
    let judged: Vec<Vec<_>> = snapshot
        .services
        .iter()
        .map(|service| {
            service.clients.iter().map(|client| judge(&Scene::new(snapshot, service, client, seen))).collect()
        })
        .collect();
    for (service, judged) in snapshot.services.iter_mut().zip(judged) {
        for (client, judged) in service.clients.iter_mut().zip(judged) {
            (client.verdict, client.withheld) = match judged {
                Ok(verdict) => (Some(verdict), None),
                Err(reason) => (None, Some(reason.as_str().to_owned())),
            };
        }
    }
}

/// What to change about a cause, as far as the client is known.
#[must_use]
pub fn advice(cause: Cause, client: &Client) -> Option<String> {
    fix::of(cause, client)
}

/// A spread in one line, as evidence has it.
#[must_use]
pub fn figures(spread: &Spread, what: &str) -> String {
    plain::figures(spread, what)
}

/// Where a cause is described.
#[must_use]
pub fn page(cause: Cause) -> String {
    format!("docs/verdicts.md#{}", cause.as_str())
}
