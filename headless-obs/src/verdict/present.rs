//! The verdict of this moment: the shortest recent stretch of time that carries one decides.
//!
//! In: the facts of one snapshot over several stretches that end now. Out: for each client one verdict, with the stretch
//! that it rests on and the time since when it holds.
//!
//! Something wrong in a short stretch is wrong now, whatever happened before. Something wrong in a longer stretch is
//! over if a shorter one would have shown it and does not. A short stretch in which nothing is wrong proves nothing if
//! it has too few connections to show what the longer one shows.
//!
//! Several stretches give chance several opportunities. No threshold allows for that; the simulation of fair clients in
//! `engine/tests/false_alarms` counts the alarms over all stretches together.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::time::Duration;

use super::context::RuleContext;
use super::{Withheld, attempts, judge, significance, slow_endpoint, uneven_load};
use crate::expose::snapshot::{Cause, Client, Service, Snapshot, Verdict};
use crate::spread;
use crate::windowed::LONGEST;

/// The stretches that are looked at, beside the one that was asked for. Events before the longest of them are not the
/// present. Slots make a stretch up to ten seconds longer, so the second one is a minute at most: what ended a minute ago
/// is in none of the first two.
const SPANS: [Duration; 6] = [
    Duration::from_secs(30),
    Duration::from_secs(50),
    Duration::from_secs(300),
    Duration::from_secs(900),
    Duration::from_secs(3_600),
    LONGEST,
];

/// Those of them that are shorter than the stretch that was asked for; nothing stands for everything.
pub fn shorter_spans(length: Option<Duration>) -> impl Iterator<Item = Duration> {
    SPANS.into_iter().filter(move |span| length.is_none_or(|length| *span < length))
}

/// Connections with a sign that a stretch must be expected to have for their absence to mean something.
const EXPECTED: u128 = 5;

/// The judgement on a client over one stretch.
type Judgement<'a> = (RuleContext<'a>, Result<Verdict, Withheld>);

/// Judges every client of a snapshot. `recent` are the facts of the same moment over shorter stretches, the shortest
/// first.
pub fn judge_now(snapshot: &mut Snapshot, recent: &[Snapshot]) {
    let named = |service: &Service| (service.namespace.clone(), service.name.clone());
    let by_name = |short: &Snapshot| {
        short.services.iter().enumerate().map(|(place, service)| (named(service), place)).collect()
    };
    let places: Vec<HashMap<(String, String), usize>> = recent.iter().map(by_name).collect();
    let mut services = std::mem::take(&mut snapshot.services);
    for service in &mut services {
        let name = named(service);
        let short: Vec<(&Snapshot, &Service)> = recent
            .iter()
            .zip(&places)
            .filter_map(|(short, places)| Some((short, short.services.get(*places.get(&name)?)?)))
            .collect();
        judge_service(snapshot, service, &short);
    }
    snapshot.services = services;
}

/// Judges every client of one Service of a snapshot, which need not hold it. `recent` is the Service over shorter
/// stretches, each with its snapshot.
pub fn judge_service<S: Borrow<Service>>(frame: &Snapshot, service: &mut Service, recent: &[(&Snapshot, S)]) {
    let is_present = frame.to.duration_since(frame.from).as_secs() <= LONGEST.as_secs().cast_signed() + 600;
    let judged: Vec<_> = {
        let asked = is_present.then_some((frame, &*service));
        let short = recent.iter().map(|(frame, service)| (*frame, service.borrow()));
        let stretches: Vec<Facts<'_>> =
            short.chain(asked).map(|(frame, service)| Facts { frame, service }).collect();
        service.clients.iter().map(|client| of_client(&stretches, client)).collect()
    };
    for (client, judged) in service.clients.iter_mut().zip(judged) {
        (client.verdict, client.withheld) = match judged {
            Ok(verdict) => (Some(verdict), None),
            Err(reason) => (None, Some(reason.as_str().to_owned())),
        };
    }
}

/// A Service over one stretch.
struct Facts<'a> {
    frame: &'a Snapshot,
    service: &'a Service,
}

impl<'a> Facts<'a> {
    fn judge(&self, client: &Client) -> Option<Judgement<'a>> {
        let is_same = |other: &&Client| {
            (&other.namespace, &other.workload, &other.excluded)
                == (&client.namespace, &client.workload, &client.excluded)
        };
        let client = self.service.clients.iter().find(is_same)?;
        let scene = RuleContext::new(self.frame, self.service, client);
        Some((scene, judge(&scene)))
    }
}

/// The verdict on one client from its stretches, the shortest first.
fn of_client(stretches: &[Facts<'_>], client: &Client) -> Result<Verdict, Withheld> {
    let judged: Vec<Judgement<'_>> = stretches.iter().filter_map(|facts| facts.judge(client)).collect();
    let Some(place) = decisive(&judged) else {
        // No stretch carries a verdict; the longest says what is missing.
        return judged.into_iter().next_back().map_or(Err(Withheld::Silent), |(_, judgement)| judgement);
    };
    let mut longer = judged.into_iter().skip(place);
    let Some((scene, judgement)) = longer.next() else { return Err(Withheld::Silent) };
    let verdict = judgement?;
    let same = longer.take_while(|(_, other)| other.as_ref().is_ok_and(|other| other.cause == verdict.cause));
    let since = same.last().map_or(scene.from, |(longest, _)| longest.from);
    Ok(Verdict { since: Some(since), stretch_seconds: scene.seconds(), ..verdict })
}

/// The stretch whose verdict is that of this moment.
fn decisive(judged: &[Judgement<'_>]) -> Option<usize> {
    let mut well: Option<usize> = None;
    for (place, (scene, judgement)) in judged.iter().enumerate() {
        let Ok(verdict) = judgement else { continue };
        if verdict.cause == Cause::TooFew {
            continue;
        }
        let is_over = || judged[..place].iter().any(|shorter| is_over(scene, verdict.cause, shorter));
        if verdict.cause == Cause::ZoneAware && !is_over() {
            // A shorter stretch is even while it has too few connections to show the preference.
            well = Some(place);
        } else if verdict.cause.is_well() {
            well.get_or_insert(place);
        } else if !is_over() {
            return Some(place);
        }
    }
    well
}

/// Whether a shorter stretch, in which nothing is wrong, would have shown what the longer one shows.
fn is_over(longer: &RuleContext<'_>, cause: Cause, (shorter, judgement): &Judgement<'_>) -> bool {
    if !judgement.as_ref().is_ok_and(|verdict| verdict.cause.is_well()) {
        return false;
    }
    match cause {
        Cause::UnevenLoad => return uneven_load::would_show(shorter),
        Cause::SlowEndpoint => return slow_endpoint::would_show(shorter),
        _ => {}
    }
    let (part, whole) = (shorter.attempts(), longer.attempts().max(1));
    let expected = |count: u64| u128::from(count) * u128::from(part) / u128::from(whole);
    if let Some(signs) = signs(longer.client, cause) {
        return expected(signs) >= EXPECTED;
    }
    let scaled: Vec<u64> =
        longer.mature().map(|(_, own)| u64::try_from(expected(own.counted)).unwrap_or(u64::MAX)).collect();
    let would_show = significance::uneven(&spread::of(&scaled)) || cause == Cause::NeverReResolved;
    let would_show = would_show || busiest_is_like_others(longer, shorter);
    would_show && shorter.selections().connections >= significance::needed(shorter.endpoints())
}

/// Whether the endpoint that has the most in the longer stretch has so much less in the shorter one that chance rules it
/// out. This shows that a small difference is over long before the shorter stretch could show the difference itself.
fn busiest_is_like_others(longer: &RuleContext<'_>, shorter: &RuleContext<'_>) -> bool {
    let sum = |scene: &RuleContext<'_>| scene.mature().map(|(_, own)| own.selections).sum::<u64>();
    let Some((endpoint, most)) = longer.mature().max_by_key(|(_, own)| own.selections) else { return false };
    let same = shorter.mature().find(|(other, _)| other.pod == endpoint.pod);
    let now = same.map_or(0, |(_, own)| own.selections);
    significance::below(now, sum(shorter), most.selections as f64 / sum(longer).max(1) as f64)
}

/// Connections with the sign of a cause; nothing if the cause shows in the spread.
fn signs(client: &Client, cause: Cause) -> Option<u64> {
    let stale = |kinds: &[&str]| {
        let of_kind = client.stale.iter().filter(|target| kinds.contains(&target.kind.as_str()));
        Some(of_kind.map(|target| target.connections).sum::<u64>()).filter(|connections| *connections > 0)
    };
    match cause {
        Cause::PortMismatch => Some(client.other_ports.iter().map(|port| port.failed).sum()),
        Cause::IpReused => stale(&["ip_reused"]),
        Cause::DialsNotReady => stale(&["not_ready"]),
        Cause::DnsStale => stale(&["removed", "terminating", "not_ready"]),
        Cause::StaleCache => stale(&["removed", "terminating"]),
        Cause::FailingEndpoint | Cause::GivesUpEarly | Cause::CannotConnect => {
            Some(client.endpoints.iter().map(attempts::failures).sum())
        }
        _ => None,
    }
}
