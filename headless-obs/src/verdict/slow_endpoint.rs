//! Rule about the time that it takes to connect: long at one endpoint, and not at the others, for the same clients.
//!
//! Times are compared slot by slot, so whatever makes all endpoints slow for a while (a busy node, a distant client) is in
//! both sides of the comparison, and a slot is one draw, however many connections it has.

use super::context::RuleContext;
use super::format::{about, count, thousands};
use super::significance;
use crate::expose::snapshot::{
    Cause, Client, ClientEndpoint, Confidence, ConnectTimes, Endpoint, Histogram, Verdict,
};

/// The fewest slots for any statement, of all clients together.
const LEAST: u64 = 12;
/// The fewest slots of a client that uses what other clients show.
const OWN: u64 = 3;

/// The slots of several clients.
#[derive(Clone, Copy, Default)]
struct Sum {
    times: u64,
    slow: u64,
    by_chance: f64,
}

impl Sum {
    fn add(self, times: &ConnectTimes) -> Self {
        Self {
            times: self.times.saturating_add(times.times),
            slow: self.slow.saturating_add(times.slow),
            by_chance: self.by_chance + times.slow_by_chance,
        }
    }
}

fn is_mostly_slow(times: &ConnectTimes) -> bool {
    times.slow * 2 > times.times
}

/// A slow endpoint, and its slots of all clients.
fn slow<'a>(scene: &RuleContext<'a>) -> Option<(&'a ClientEndpoint, Sum)> {
    let compared = || scene.mature().filter(|(_, own)| own.connect_times.times >= OWN);
    let n = compared().count() as u64;
    // Only an endpoint that is slow to this client is worth a look at all others.
    let mut found =
        compared().filter(|(_, own)| is_mostly_slow(&own.connect_times)).filter_map(|(_, own)| {
            let of_others = scene.others().filter_map(|other| row(other, own));
            let sum = of_others
                .fold(Sum::default().add(&own.connect_times), |sum, other| sum.add(&other.connect_times));
            let is_slow = sum.times >= LEAST
                && sum.slow * 2 > sum.times
                && significance::beyond_among(sum.slow, sum.times, sum.by_chance, n);
            is_slow.then_some((own, sum))
        });
    found.next()
}

fn row<'a>(other: &'a Client, own: &ClientEndpoint) -> Option<&'a ClientEndpoint> {
    other.endpoints.iter().find(|row| row.pod == own.pod)
}

/// An endpoint is slow beside others.
pub(super) fn is_slow(scene: &RuleContext<'_>) -> bool {
    slow(scene).is_some()
}

/// Another client connects to the same endpoint as fast as to others: the way from this client is slow.
pub(super) fn others_are_fast_there(scene: &RuleContext<'_>) -> bool {
    let is_fast =
        |other: &ClientEndpoint| other.connect_times.times >= LEAST && !is_mostly_slow(&other.connect_times);
    slow(scene).is_some_and(|(own, _)| scene.others().filter_map(|other| row(other, own)).any(is_fast))
}

/// Whether the stretch has enough slots to show that an endpoint is slow.
pub(super) fn would_show(scene: &RuleContext<'_>) -> bool {
    let compared = || scene.mature().filter(|(_, own)| !own.connect_times.is_empty());
    let times = compared().map(|(_, own)| own.connect_times.times).min().unwrap_or(0);
    times >= LEAST && significance::same_by_chance_is_ruled_out(times, compared().count() as u64)
}

/// It takes much longer to connect to one endpoint than to the others.
pub(super) fn slow_endpoint(scene: &RuleContext<'_>) -> Option<Verdict> {
    let (own, sum) = slow(scene)?;
    let (endpoint, _): (&Endpoint, _) = scene.mature().find(|(endpoint, _)| endpoint.pod == own.pod)?;
    let others = || scene.mature().filter(|(other, row)| other.zone == endpoint.zone && row.pod != own.pod);
    let mut usual = Histogram::default();
    others().for_each(|(_, row)| usual.add(&row.connect_times.seconds));
    let median = |histogram: &Histogram| histogram.median().map_or_else(|| "?".to_owned(), milliseconds);
    let evidence = vec![
        format!(
            "Half of {} to {} took {} or longer; at the other endpoints, half took {} or longer.",
            count(own.connect_times.seconds.count, "connection"),
            own.pod,
            median(&own.connect_times.seconds),
            median(&usual)
        ),
        format!(
            "It was more than three times as slow as the others in {} of {} comparisons, one for each client and time; \
             chance would give about {}.",
            thousands(sum.slow),
            thousands(sum.times),
            about(sum.by_chance)
        ),
    ];
    Some(scene.verdict(Cause::SlowEndpoint, Confidence::High, evidence))
}

/// `21 ms`, `0.4 ms`.
fn milliseconds(seconds: f64) -> String {
    let milliseconds = seconds * 1_000.0;
    if milliseconds < 10.0 { format!("{milliseconds:.1} ms") } else { format!("{} ms", about(milliseconds)) }
}

#[cfg(test)]
mod tests;
