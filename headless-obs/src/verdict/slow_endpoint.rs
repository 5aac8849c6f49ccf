//! Rule about the way to one endpoint: it takes long to connect to it, or round trips are long, and not at the others, for
//! the same clients.
//!
//! Times are compared slot by slot, so whatever makes all endpoints slow for a while (a busy node, a distant client) is in
//! both sides of the comparison, and a slot is one draw, however many connections it has. A round trip is the least of the
//! last minutes of a connection in use, so it does not follow moments. It may include the time that the endpoint's
//! program takes to answer: TCP acknowledges a short message together with the answer, if that comes soon.

use super::context::RuleContext;
use super::format::{about, count, thousands};
use super::significance;
use crate::expose::snapshot::{
    Cause, Client, ClientEndpoint, ComparedTimes, Confidence, Endpoint, Histogram, Verdict,
};

/// The fewest slots for any statement, of all clients together.
const LEAST: u64 = 12;
/// The fewest slots of a client that uses what other clients show.
const OWN: u64 = 3;

/// The times that are compared.
type Figure = fn(&ClientEndpoint) -> &ComparedTimes;
const CONNECTS: Figure = |own| &own.connect_times;
const ROUND_TRIPS: Figure = |own| &own.round_trips;

/// The slots of several clients.
#[derive(Clone, Copy, Default)]
struct Sum {
    times: u64,
    slow: u64,
    by_chance: f64,
}

impl Sum {
    fn add(self, times: &ComparedTimes) -> Self {
        Self {
            times: self.times.saturating_add(times.times),
            slow: self.slow.saturating_add(times.slow),
            by_chance: self.by_chance + times.slow_by_chance,
        }
    }
}

fn is_mostly_slow(times: &ComparedTimes) -> bool {
    times.slow * 2 > times.times
}

/// A slow endpoint, and its slots of all clients.
fn slow<'a>(scene: &RuleContext<'a>, of: Figure) -> Option<(&'a ClientEndpoint, Sum)> {
    let compared = || scene.mature().filter(|(_, own)| of(own).times >= OWN);
    let n = compared().count() as u64;
    // Only an endpoint that is slow to this client is worth a look at all others.
    let mut found = compared().filter(|(_, own)| is_mostly_slow(of(own))).filter_map(|(_, own)| {
        let of_others = scene.others().filter_map(|other| row(other, own));
        let sum = of_others.fold(Sum::default().add(of(own)), |sum, other| sum.add(of(other)));
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
    [CONNECTS, ROUND_TRIPS].into_iter().any(|of| slow(scene, of).is_some())
}

/// The same endpoint is as fast as others for another client: the way from this client is slow.
pub(super) fn others_are_fast_there(scene: &RuleContext<'_>) -> bool {
    let is_fast = |times: &ComparedTimes| times.times >= LEAST && !is_mostly_slow(times);
    [CONNECTS, ROUND_TRIPS].into_iter().any(|of| {
        slow(scene, of).is_some_and(|(own, _)| {
            scene.others().filter_map(|other| row(other, own)).any(|other| is_fast(of(other)))
        })
    })
}

/// Whether the stretch has enough slots to show that an endpoint is slow.
pub(super) fn would_show(scene: &RuleContext<'_>) -> bool {
    [CONNECTS, ROUND_TRIPS].into_iter().any(|of| {
        let compared = || scene.mature().filter(|(_, own)| !of(own).is_empty());
        let times = compared().map(|(_, own)| of(own).times).min().unwrap_or(0);
        times >= LEAST && significance::same_by_chance_is_ruled_out(times, compared().count() as u64)
    })
}

/// It takes much longer to connect to one endpoint than to the others, or round trips to it are much longer.
pub(super) fn slow_endpoint(scene: &RuleContext<'_>) -> Option<Verdict> {
    if let Some((own, sum)) = slow(scene, CONNECTS) {
        let (slowest, usual) = medians(scene, own, CONNECTS)?;
        let connections = count(own.connect_times.seconds.count, "connection");
        let line = format!(
            "Half of {connections} to {} took {slowest} or longer; at the other endpoints, half took {usual} or longer.",
            own.pod,
        );
        return Some(scene.verdict(Cause::SlowEndpoint, Confidence::High, vec![line, compared(&sum)]));
    }
    let (own, sum) = slow(scene, ROUND_TRIPS)?;
    let (slowest, usual) = medians(scene, own, ROUND_TRIPS)?;
    let line = format!(
        "On open connections to {}, half of the least round trips were {slowest} or longer; at the other endpoints, half \
         were {usual} or longer.",
        own.pod,
    );
    let or_program =
        "A round trip ends with an acknowledgement, which may wait for the program's answer: either the way \
                      is slow, or the program there."
            .to_owned();
    Some(scene.verdict(Cause::SlowEndpoint, Confidence::Medium, vec![line, compared(&sum), or_program]))
}

/// The median at an endpoint, and that of the others of its zone.
fn medians(scene: &RuleContext<'_>, own: &ClientEndpoint, of: Figure) -> Option<(String, String)> {
    let (endpoint, _): (&Endpoint, _) = scene.mature().find(|(endpoint, _)| endpoint.pod == own.pod)?;
    let mut usual = Histogram::default();
    scene
        .mature()
        .filter(|(other, row)| other.zone == endpoint.zone && row.pod != own.pod)
        .for_each(|(_, row)| usual.add(&of(row).seconds));
    let median = |histogram: &Histogram| histogram.median().map_or_else(|| "?".to_owned(), milliseconds);
    Some((median(&of(own).seconds), median(&usual)))
}

fn compared(sum: &Sum) -> String {
    format!(
        "It was more than three times as slow as the others in {} of {} comparisons, one for each client and time; chance \
         would give about {}.",
        thousands(sum.slow),
        thousands(sum.times),
        about(sum.by_chance)
    )
}

/// `21 ms`, `0.4 ms`.
fn milliseconds(seconds: f64) -> String {
    let milliseconds = seconds * 1_000.0;
    if milliseconds < 10.0 { format!("{milliseconds:.1} ms") } else { format!("{} ms", about(milliseconds)) }
}

#[cfg(test)]
mod tests;
