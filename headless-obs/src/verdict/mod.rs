//! Verdicts: how a client workload spreads its connections over a Service, and why.
//!
//! In: the facts of a snapshot about one client and one Service ([`RuleContext`]). Out: a [`Verdict`], or the reason for
//! none ([`Withheld`]). Each rule is a function from the facts to a verdict or nothing. The table in `diagnosis` says
//! what refutes a cause, and which causes look the same; the first rule whose cause is not refuted decides.
//!
//! The rules are in the order of causes: first wrong targets, then DNS answers, then the client's use of them, and last
//! whether the figures exceed chance at all. An earlier cause would also produce the signs of a later one.
//!
//! There are two kinds of evidence. Structural evidence (an endpoint that no answer listed, one connection that is open
//! for hours) needs no number of connections. Figures do, and are compared with random choice (`significance`). A
//! client that chooses at random gets a verdict other than `even`, `too_few` or `subset` in fewer than 1 of 1,000
//! windows of any size; the simulation tests that.
//!
//! Confidence: *high* if cause and effect are both visible and no other explanation is known; *medium* if chance is
//! ruled out and another cause could look the same; *low* if there are few figures.

mod answer_limit;
mod attempts;
mod context;
mod diagnosis;
mod dns_answers;
mod evenness;
mod expired_answer;
mod failing_endpoint;
#[cfg(test)]
mod false_alarm_tests;
mod format;
pub mod idle;
mod intended;
mod never_re_resolved;
mod pinned;
mod port_mismatch;
mod present;
mod remedies;
mod seeks_role;
mod significance;
mod slow_endpoint;
mod stale_endpoint;
#[cfg(test)]
mod test_fixtures;
#[cfg(test)]
mod tests;
mod uneven_load;
pub mod unresolved;
mod withheld;
mod zone_aware;

use crate::expose::snapshot::{Cause, Client, Confidence, Snapshot, Spread, Verdict};

pub use context::RuleContext;
pub use present::{judge_now, judge_service, shorter_spans};
pub use withheld::Withheld;

/// A rule: a verdict if its cause is visible.
type Rule = fn(&RuleContext<'_>) -> Option<Verdict>;

/// Wrong targets, whatever the resolution.
const TARGET_RULES: [Rule; 9] = [
    port_mismatch::port_mismatch,
    stale_endpoint::ip_reused,
    stale_endpoint::dials_not_ready,
    stale_endpoint::dns_stale,
    stale_endpoint::stale_cache,
    failing_endpoint::failing_endpoint,
    failing_endpoint::gives_up_early,
    failing_endpoint::cannot_connect,
    slow_endpoint::slow_endpoint,
];

/// The spread of connections by the Service's name.
const BALANCE_RULES: [Rule; 15] = [
    answer_limit::answer_limit,
    dns_answers::dns_incomplete,
    expired_answer::old_answers,
    dns_answers::truncated_answer,
    never_re_resolved::never_re_resolved,
    seeks_role::seeks_role,
    dns_answers::address_sort,
    dns_answers::client_cap,
    dns_answers::answer_order,
    zone_aware::zone_aware,
    pinned::pinned,
    pinned::subset,
    uneven_load::uneven_load,
    evenness::even,
    evenness::too_few,
];

/// The verdict on one client of one Service.
///
/// # Errors
///
/// If the data do not support a verdict.
pub fn judge(scene: &RuleContext<'_>) -> Result<Verdict, Withheld> {
    if let Some(reason) = withheld::unreliable(scene) {
        return Err(reason);
    }
    if let Some(verdict) = decide(&TARGET_RULES, scene) {
        return Ok(verdict);
    }
    if let Some(reason) = withheld::unsuited(scene) {
        return Err(reason);
    }
    let verdict = decide(&BALANCE_RULES, scene).unwrap_or_else(|| evenness::unexplained(scene));
    let mut verdict = intended::with_intent(scene, verdict);
    if let Some((told, all)) = scene.part() {
        verdict.evidence.push(format!(
            "The client asks by a name for a part, whose answers held {told} of {}; it is judged within that part.",
            format::count(all, "endpoint")
        ));
    }
    Ok(verdict)
}

/// The first verdict that nothing refutes. With another reading, both are named, and the confidence is not high.
fn decide(rules: &[Rule], scene: &RuleContext<'_>) -> Option<Verdict> {
    let mut found = rules.iter().filter_map(|rule| rule(scene));
    let mut verdict = found.find(|verdict| diagnosis::of(verdict.cause).is_possible(scene))?;
    verdict.alternatives = diagnosis::of(verdict.cause).alternatives(scene);
    if !verdict.alternatives.is_empty() {
        verdict.confidence = verdict.confidence.min(Confidence::Medium);
    }
    Some(verdict)
}

/// Judges every client of every Service again.
pub fn judge_all(snapshot: &mut Snapshot) {
    let judged: Vec<Vec<_>> = snapshot
        .services
        .iter()
        .map(|service| {
            service.clients.iter().map(|client| judge(&RuleContext::new(snapshot, service, client))).collect()
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

/// The advice about a cause, as far as the client's program is known.
#[must_use]
pub fn advice(cause: Cause, client: &Client) -> Option<String> {
    remedies::of(cause, client, None)
}

/// The time at which the facts that show `cause` may also show `other`, in a sentence.
#[must_use]
pub fn both_remain(cause: Cause, other: Cause) -> Option<&'static str> {
    diagnosis::both_remain(cause, other)
}

/// Advice for a client that should prefer the endpoints of its own zone, as far as its program is known.
#[must_use]
pub fn zone_advice(client: &Client) -> &'static str {
    remedies::zone(client)
}

/// The spread in one line, for evidence.
#[must_use]
pub fn figures(spread: &Spread, what: &str) -> String {
    evenness::figures(spread, what)
}

/// The page that describes a cause.
#[must_use]
pub fn doc_link(cause: Cause) -> String {
    format!("docs/verdicts.md#{}", cause.as_str())
}
