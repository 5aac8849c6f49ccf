//! The quality of a snapshot, in a few lines. Pure.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{Paint, clean, counted, full_name, percent, plural, thousands, total, unreached};
use crate::expose::snapshot::{
    AttemptSums, Counts, NodeStatus, Quality, Refusal, Snapshot, TopologyState, Unanswered, WrongAnnotation,
};

/// The most nodes that are named; further ones are counted.
const NAMED: usize = 5;
/// The parts of its own history that the daemon forgot: states and former addresses of endpoints that change often, and
/// endpoints that left. They are in no figure of the present.
const HISTORY: [&str; 1] = ["topology_evicted"];
/// A map that is this full will soon lose something.
const NEARLY_FULL: f64 = 0.9;

/// Quality in a few lines, the worst first; the live view shows the first one.
pub(crate) fn lines(snapshot: &Snapshot) -> Vec<(Paint, String)> {
    let quality = &snapshot.quality;
    let mut lines = nodes(&snapshot.nodes);
    if quality.stands_by {
        let line = "This daemon stands by: another headless-obs observes this machine, and this one counts nothing until that \
                    one ends. Ask the other one.";
        lines.push((Paint::Bad, line.to_owned()));
    }
    lines.extend(topology(&quality.topology).into_iter().map(|line| (Paint::Warn, line)));
    let (history, lost) = apart(&quality.events_lost);
    let lost = counted(&lost) + &remedies(&lost);
    let attempts = &quality.attempts;
    if quality.stands_by {
        // Nothing was seen, so nothing can be said to be complete.
    } else if lost.is_empty() && attempts.is_closed() {
        lines.push((Paint::Good, "Complete: no event was lost.".to_owned()));
    } else if lost.is_empty() {
        lines.push((
            Paint::Bad,
            "Not every connection is in a figure, although no event was lost.".to_owned(),
        ));
    } else if totals_are_exact(quality) {
        lines.push((Paint::Warn, format!("Some events were lost, but totals are exact: {lost}.")));
    } else {
        lines.push((Paint::Bad, format!("Totals are too low, because events were lost: {lost}.")));
    }
    if total(&history) > 0 {
        let line = format!(
            "No connection is missing, but the oldest history of some endpoints was forgotten: {}.",
            counted(&history)
        );
        lines.push((Paint::Dim, line));
    }
    if quality.reconciled > 0 {
        let (late, share) = (plural(quality.reconciled, "connection"), percent(quality.reconciled_share));
        let line = format!(
            "Reconciled: the events of {late} ({share}) were lost; the latest DNS answer gives their Service."
        );
        lines.push((Paint::Warn, line));
    }
    lines.extend(unanswered(&snapshot.unanswered).map(|line| (Paint::Warn, line)));
    let unreached = unreached::lines(&snapshot.unreached, snapshot.to);
    lines.extend(unreached.into_iter().map(|line| (Paint::Warn, line)));
    for (map, fill) in &quality.maps {
        // Output is a share, so precision above 2^52 does not matter.
        let share = fill.entries as f64 / fill.capacity.max(1) as f64;
        if share >= NEARLY_FULL && map != "ring" {
            let room =
                option(map).map_or("no option sets its size".to_owned(), |option| format!("raise {option}"));
            let line = format!("Kernel map {} is {} full; {room}.", clean(map), percent(share));
            lines.push((Paint::Warn, line));
        }
    }
    let missing: Vec<_> =
        quality.probes.iter().filter(|(_, hook)| *hook == "none").map(|(probe, _)| clean(probe)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        lines.push((
            Paint::Warn,
            format!("Probes not attached: {missing}; `headless-obs doctor` shows the reason."),
        ));
    }
    let aside = [
        ("unattributed", &quality.unattributed),
        ("excluded", &quality.excluded),
        ("undecodable DNS", &quality.dns_rejected),
        ("refused DNS responses", &quality.dns_refused),
    ];
    let aside: Vec<_> = aside
        .iter()
        .filter(|(_, counts)| total(counts) > 0)
        .map(|(name, counts)| format!("{name}: {}", counted(counts)))
        .collect();
    if !aside.is_empty() {
        lines.push((Paint::Dim, format!("Not included above: {}.", aside.join("; "))));
    }
    lines.extend(account(attempts));
    let mut seen = String::new();
    for (probe, hook) in quality.probes.iter().filter(|(_, hook)| *hook != "none") {
        let _infallible = write!(seen, "{} by {}, ", clean(probe), clean(hook));
    }
    let source = clean(&quality.topology.source);
    lines.push((Paint::Dim, format!("Observed: {seen}Services from {source}.")));
    lines
}

/// Clients whose queries got no response, those with the most first.
fn unanswered(rows: &[Unanswered]) -> Option<String> {
    let mut rows: Vec<&Unanswered> = rows.iter().filter(|row| row.queries > 0).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.queries));
    let one = |row: &&Unanswered| {
        format!("{} {}", thousands(row.queries), full_name(&row.namespace, &row.workload))
    };
    let named: Vec<_> = rows.iter().take(NAMED).map(one).collect();
    let more = rows.len().checked_sub(NAMED).filter(|more| *more > 0);
    let more = more.map_or(String::new(), |more| format!(", and {more} more clients"));
    (!named.is_empty()).then(|| format!("DNS queries without a response: {}{more}.", named.join(", ")))
}

/// The outcome of the connect attempts.
fn account(attempts: &AttemptSums) -> Vec<(Paint, String)> {
    let AttemptSums { seen, attributed, unattributed, waiting, excluded, unrelated } = *attempts;
    if seen == 0 {
        return Vec::new();
    }
    let mut lines = Vec::new();
    if waiting > 0 {
        let line = format!(
            "{} to addresses that a Service's name gave and that are none of its endpoints so far.",
            plural(waiting, "connect attempt")
        );
        lines.push((Paint::Warn, line));
    }
    let places = [
        (attributed, "attributed"),
        (unattributed, "unattributed"),
        (waiting, "waiting for an endpoint"),
        (excluded, "excluded"),
        (unrelated, "to other destinations"),
    ];
    let places = places.iter().filter(|(count, _)| *count > 0);
    let places: Vec<_> = places.map(|(count, place)| format!("{} {place}", thousands(*count))).collect();
    let equals = if attempts.is_closed() { "=" } else { "are more or less than" };
    let all = plural(seen, "connect attempt");
    lines.push((Paint::Dim, format!("Seen: {all} {equals} {}.", places.join(" + "))));
    lines
}

/// Nodes with a problem, which sums over many nodes would hide.
fn nodes(parts: &[NodeStatus]) -> Vec<(Paint, String)> {
    let named = |parts: Vec<String>| {
        let more = parts.len().checked_sub(NAMED).filter(|more| *more > 0);
        let more = more.map_or(String::new(), |more| format!("; and {more} more"));
        parts.into_iter().take(NAMED).collect::<Vec<_>>().join("; ") + &more
    };
    let mut lines = Vec::new();
    let missing: Vec<_> = parts.iter().filter_map(|part| Some((part, part.missing.as_ref()?))).collect();
    if !missing.is_empty() {
        let (count, all) = (missing.len(), parts.len());
        let share = percent(missing.len() as f64 / parts.len().max(1) as f64);
        let why = |(part, why): (&NodeStatus, &String)| format!("{}: {}", clean(&part.node), clean(why));
        let why = named(missing.into_iter().map(why).collect());
        let line =
            format!("No data from {count} of {all} nodes ({share}); their clients are not included: {why}.");
        lines.push((Paint::Bad, line));
    }
    let given = || parts.iter().filter(|part| part.missing.is_none());
    let behind: Vec<_> = given().filter(|part| !part.in_sync).map(|part| clean(&part.node)).collect();
    // If no node is current, the line about the topology says so.
    if !behind.is_empty() && behind.len() < given().count() {
        let line = format!("The list of Services and pods is incomplete or outdated on: {}.", named(behind));
        lines.push((Paint::Warn, line));
    }
    let lossy = given().map(|part| (part, apart(&part.events_lost).1)).filter(|(_, lost)| total(lost) > 0);
    let lossy = lossy.map(|(part, lost)| format!("{} ({})", clean(&part.node), counted(&lost)));
    let lossy: Vec<_> = lossy.collect();
    if !lossy.is_empty() {
        lines.push((Paint::Warn, format!("Events were lost on: {}.", named(lossy))));
    }
    let blind = given().filter(|part| !part.not_attached.is_empty());
    let blind = blind.map(|part| format!("{} ({})", clean(&part.node), clean(&part.not_attached.join(", "))));
    let blind: Vec<_> = blind.collect();
    if !blind.is_empty() {
        lines.push((Paint::Warn, format!("Probes are not attached on: {}.", named(blind))));
    }
    lines
}

/// Problems of the topology.
fn topology(topology: &TopologyState) -> Vec<String> {
    let source = clean(&topology.source);
    let mut lines = Vec::new();
    let problem = topology.problem.as_deref().map(clean);
    match topology.stale_since {
        Some(since) if problem.is_some() => {
            let since = since.strftime("%F %T UTC");
            lines.push(format!(
                "Services and pods are those of {since}: what {source} has said since then is refused."
            ));
        }
        Some(since) => {
            let since = since.strftime("%F %T UTC");
            lines.push(format!(
                "Services and pods are those of {since}: {source} has been unreachable since then."
            ));
        }
        None if !topology.synced => {
            lines.push(format!("The list of Services and pods from {source} is not complete yet."));
        }
        None => {}
    }
    lines.extend(problem.map(|problem| format!("Not read from {source}: {problem}.")));
    for refusal in &topology.refused {
        let Refusal { verb, resource, namespace, lost } = refusal;
        let place = if namespace.is_empty() { String::new() } else { format!(" in namespace {namespace}") };
        let line =
            format!("{source} does not allow headless-obs to {verb} {resource}{place}, so it lacks: {lost}.");
        lines.push(clean(&line));
    }
    lines.extend(topology.wrong_annotations.iter().map(wrong_in_words));
    if topology.rejected_objects > 0 {
        let count = thousands(topology.rejected_objects);
        lines.push(format!("Objects from {source} that were rejected: {count}; the log gives the reasons."));
    }
    lines
}

/// An annotation that is not obeyed.
fn wrong_in_words(wrong: &WrongAnnotation) -> String {
    let WrongAnnotation { object, annotation, value, allowed } = wrong;
    clean(&format!("Not obeyed: {object} has {annotation}={value:?}; allowed: {allowed}."))
}

/// Forgotten history, and losses.
fn apart(lost: &Counts) -> (Counts, Counts) {
    lost.clone().into_iter().partition(|(reason, _)| HISTORY.contains(&reason.as_str()))
}

/// `; raise --max-flows`: the options that raise the limits behind the losses; nothing where there is none.
pub(super) fn remedies(lost: &Counts) -> String {
    let happened = lost.iter().filter(|(_, count)| **count > 0);
    let options: BTreeSet<_> = happened.filter_map(|(reason, _)| option(reason)).collect();
    let options: Vec<_> = options.into_iter().collect();
    if options.is_empty() { String::new() } else { format!("; raise {}", options.join(", ")) }
}

/// The option for the size of a kernel map, by the map's name or by its counter.
fn option(name: &str) -> Option<&'static str> {
    match name {
        "connections_full" | "CONNECTIONS" => Some("--max-connections"),
        "flows_full" | "FLOWS" => Some("--max-flows"),
        "IGNORED_DESTS" => Some("--max-ignored"),
        "ring_full" | "dns_ring_full" => Some("--ring-size"),
        _ => None,
    }
}

/// Losses of totals, not only of details.
fn totals_are_exact(quality: &Quality) -> bool {
    let missing = ["connections_full", "flows_full", "tcp_skipped"];
    missing.iter().all(|reason| quality.events_lost.get(*reason).is_none_or(|count| *count == 0))
}
