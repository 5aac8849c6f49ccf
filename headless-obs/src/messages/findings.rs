//! Sentences about the findings in a snapshot. The report, the page, `--fail-on`, `explain` and `diff` share them.
//! Pure.

use std::collections::BTreeMap;

use super::quality::remedies;
use super::{Paint, clean, counted, plural, thousands, total};
use crate::expose::snapshot::{
    Cause, Client, Confidence, Counts, Endpoint, NodeStatus, Quality, Service, Snapshot, Verdict,
};
use crate::verdict;
use crate::verdict::idle::{self, Why};

/// Whether something should be done about it.
pub(crate) fn is_wrong(cause: Cause) -> bool {
    !cause.is_well()
}

/// A cause in words that complete "the client …".
pub(crate) fn in_words(cause: Cause) -> &'static str {
    match cause {
        Cause::Even => "spreads its connections evenly",
        Cause::Pinned => "keeps its connections at one endpoint",
        Cause::NeverReResolved => {
            "does not use newer endpoints, because it has not resolved the name since they became ready"
        }
        Cause::StaleCache => "uses outdated DNS answers",
        Cause::AnswerOrder => "takes the first address of each answer, and the answers are not shuffled",
        Cause::AddressSort => "takes the address nearest to its own, whatever its position in the answer",
        Cause::TruncatedAnswer => "uses truncated answers, which lack endpoints",
        Cause::ClientCap => "uses only a fixed number of addresses from the start of an answer",
        Cause::PortMismatch => "connects to a port that the endpoints do not have",
        Cause::IpReused => "connects to an address that now belongs to another pod",
        Cause::DialsNotReady => "connects to endpoints that are not ready",
        Cause::DnsStale => {
            "gets DNS answers that list endpoints that have left or are not ready, or lack ready ones"
        }
        Cause::Subset => "uses few endpoints, but the client pods together are even",
        Cause::FailingEndpoint => "fails at some endpoints while others work",
        Cause::GivesUpEarly => "gives up attempts to connect before an answer can come",
        Cause::CannotConnect => "cannot connect to ready endpoints, and no endpoint alone is the reason",
        Cause::AnswerLimit => {
            "gets DNS answers that list only a part of the endpoints, by the server's limit"
        }
        Cause::SeeksRole => "tries several endpoints and stays with one, as drivers do that look for a role",
        Cause::AsIntended => "is not even, and is meant to be so",
        Cause::ZoneAware => "prefers the endpoints of its own zone, and is even among them",
        Cause::UnevenLoad => "spreads its connections evenly, and their load is uneven beyond chance",
        Cause::SlowEndpoint => "has a much slower way to one endpoint than to the others",
        Cause::Unexplained => "is uneven beyond chance, and the cause is unknown",
        Cause::TooFew => "has too few connections for a verdict",
    }
}

/// The load of the client's connections, and how even it is; nothing without bytes, or with a single endpoint.
pub(crate) fn load_in_words(client: &Client) -> Option<String> {
    let bytes = &client.bytes;
    (bytes.connections > 0 && bytes.endpoints > 1).then(|| {
        format!(
            "Its connections carried {}; the endpoint with most has {:.2} times the mean.",
            plural(bytes.connections, "byte"),
            bytes.peak_to_mean
        )
    })
}

/// `The same could be seeks_role, as it …: …`, for each cause that would look the same.
pub(crate) fn alternatives_in_words(verdict: &Verdict) -> Vec<String> {
    let line = |other: &Cause| {
        let why = verdict::both_remain(verdict.cause, *other).map(|why| format!(": {}", uncapital(why)));
        let why = why.unwrap_or_else(|| ".".to_owned());
        format!("The facts also allow {} (it {}){why}", other.as_str(), in_words(*other))
    };
    verdict.alternatives.iter().map(line).collect()
}

fn uncapital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}

/// `pinned`, or `pinned or seeks_role` where both remain.
pub(crate) fn causes(verdict: &Verdict) -> String {
    let all = std::iter::once(verdict.cause).chain(verdict.alternatives.iter().copied());
    all.map(Cause::as_str).collect::<Vec<_>>().join(" or ")
}

/// The reason why endpoints are called idle, a sentence each for the first three.
pub(crate) fn idle_reasons(service: &Service) -> Vec<String> {
    let line = |(endpoint, why): (&Endpoint, Why)| {
        let pod = clean(&endpoint.pod);
        match why {
            Why::Avoided { selections, expected } => format!(
                "{pod} got no connection; random choice would have given it {expected:.0} of {}.",
                plural(selections, "selection")
            ),
            Why::Unknown { pods } => format!(
                "{pod} got no connection; since it became ready, {} at work received no answer.",
                if pods == 1 {
                    "1 client pod".to_owned()
                } else {
                    format!("{} client pods", thousands(pods))
                }
            ),
        }
    };
    idle::reasons(service).take(3).map(line).collect()
}

/// The most ports that are named.
const PORTS: usize = 3;

/// Ports that the Service does not list and that work, a sentence each.
pub(crate) fn unlisted_ports(service: &Service) -> Vec<String> {
    let mut ports: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    for client in service.clients.iter().filter(|client| client.excluded.is_none()) {
        for port in client.other_ports.iter().filter(|port| port.opened > 0 && !port.is_in_vain()) {
            let (connections, clients) = ports.entry(port.port).or_default();
            *connections = connections.saturating_add(port.opened);
            *clients += 1;
        }
    }
    let line = |(port, (connections, clients)): (&u16, &(u64, u64))| {
        format!(
            "Port {port} works, although the Service does not list it: {} of {}, which count like all others.",
            plural(*connections, "connection"),
            plural(*clients, "client")
        )
    };
    ports.iter().take(PORTS).map(line).collect()
}

/// The reason for no verdict on a client.
pub(crate) fn withheld_in_words(client: &Client) -> String {
    let words = match client.withheld.as_deref().unwrap_or_default() {
        "" => "the snapshot gives no reason",
        "losses" => return losses_in_words(client),
        "not_in_sync" => "the list of Services and pods is incomplete, or its source is unreachable",
        "started_after" => {
            "it resolved the name before observation began, and has not resolved it again; a verdict needs a new answer, \
             for example after a restart of the client"
        }
        "by_hostname" => {
            "it asks for individual pods by hostname, or for a part of the endpoints, which is intentional"
        }
        "no_answer" => return no_answer_in_words(client),
        "no_connection" => "it received addresses by the Service's name and made no connection",
        "not_endpoint" => {
            return format!(
                "its {} went to addresses that the Service's name gave and that are no endpoints of it",
                plural(client.not_endpoint, "connection")
            );
        }
        "resolved_elsewhere" => {
            "no DNS answer reached it, but another process of the node received answers for the Service and connects \
             nowhere: that process may resolve names for it (systemd-resolved, nscd, a cache in a sidecar), or it uses \
             gossip or a fixed address"
        }
        "no_dns" => {
            "no DNS answer explains its connections: it may use gossip, the API server or a fixed address"
        }
        "silent" => "it has not connected for a day",
        "excluded" => "its connections are excluded from spread and verdicts",
        "annotation" => {
            "the annotation headless-obs.io/ignore of the Service, or of all of its pods, says so"
        }
        other => return clean(other),
    };
    words.to_owned()
}

/// The client is in trouble: it cannot connect for want of an endpoint's address.
pub(crate) fn is_in_trouble(reason: &str) -> bool {
    matches!(reason, "no_answer" | "not_endpoint")
}

/// The responses without addresses that a client got, by their kind.
fn no_answer_in_words(client: &Client) -> String {
    let mut kinds = Counts::new();
    for response in &client.responses {
        let truncated = if response.truncated { " truncated" } else { "" };
        let kind = if response.rcode == "noerror" {
            format!("empty{truncated}")
        } else {
            response.rcode.clone() + truncated
        };
        let count = kinds.entry(kind).or_default();
        *count = count.saturating_add(response.count);
    }
    format!("it asked for the Service's name and got no address ({})", counted(&kinds))
}

/// The losses that a client's figures may lack, and the option against them, if there is one.
fn losses_in_words(client: &Client) -> String {
    let late = Counts::from([("reconciled".to_owned(), client.reconciled)]);
    let missing: Vec<_> = [&client.losses, &late]
        .iter()
        .map(|counts| counted(counts))
        .filter(|words| !words.is_empty())
        .collect();
    let missing = if missing.is_empty() { String::new() } else { format!(" ({})", missing.join(", ")) };
    format!("too many of its events may have been lost{missing}{}", remedies(&client.losses))
}

/// The reason why a client's connections do not count.
pub(crate) fn excluded_in_words(reason: &str) -> String {
    let words = match reason {
        "host" => "it runs on the node itself (--count-host includes it)",
        "observer" => "it is headless-obs itself",
        "option" => {
            "--exclude matches it, or it is a scraper that is excluded by default (--exclude none includes it)"
        }
        other => return clean(other),
    };
    words.to_owned()
}

/// The client's verdict, if something should be done about it.
pub(crate) fn wrong(client: &Client) -> Option<&Verdict> {
    client.verdict.as_ref().filter(|verdict| is_wrong(verdict.cause) && client.excluded.is_none())
}

/// The number of connections behind a verdict.
pub(crate) fn concerned(client: &Client, cause: Cause) -> u64 {
    let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
    match cause {
        Cause::PortMismatch => {
            sum(&mut client.other_ports.iter().filter(|port| port.is_in_vain()).map(|port| port.connections))
        }
        Cause::FailingEndpoint | Cause::GivesUpEarly | Cause::CannotConnect => client.failed,
        stale if stale.is_stale() && !client.stale.is_empty() => {
            sum(&mut client.stale.iter().map(|target| target.connections))
        }
        // A pinned client may have opened its connections before the observation.
        _ => client.spread.connections.max(client.open.connections),
    }
}

/// Clients with a problem, those with the most connections first.
pub(crate) fn wrong_clients(service: &Service) -> Vec<(&Client, &Verdict, u64)> {
    let wrong = service.clients.iter().filter_map(|client| {
        let verdict = wrong(client)?;
        Some((client, verdict, concerned(client, verdict.cause)))
    });
    let mut wrong: Vec<_> = wrong.collect();
    wrong.sort_by_key(|(client, _, concerned)| {
        (std::cmp::Reverse(*concerned), &client.namespace, &client.workload)
    });
    wrong
}

/// Problems first, excluded clients last.
pub(crate) fn ranked(service: &Service) -> Vec<&Client> {
    let mut ranked: Vec<_> = wrong_clients(service).into_iter().map(|(client, _, _)| client).collect();
    let mut rest: Vec<_> = service
        .clients
        .iter()
        .filter(|client| !ranked.iter().any(|wrong| std::ptr::eq(*wrong, *client)))
        .collect();
    rest.sort_by_key(|client| (client.excluded.is_some(), std::cmp::Reverse((client.opened, client.active))));
    ranked.append(&mut rest);
    ranked
}

/// `2 of 5 endpoints get no connections: a, b`; nothing if none is idle.
pub(crate) fn idle_in_words(service: &Service) -> Option<String> {
    let idle = u64::try_from(service.idle.len()).unwrap_or(u64::MAX);
    let shown: Vec<_> = service.idle.iter().take(3).map(|pod| clean(pod)).collect();
    let more = if service.idle.len() > shown.len() { ", …" } else { "" };
    let verb = if idle == 1 { "gets" } else { "get" };
    let of = service.spread.endpoints;
    (idle > 0).then(|| {
        format!("{idle} of {} {verb} no connections: {}{more}", plural(of, "endpoint"), shown.join(", "))
    })
}

/// `2 endpoints are flapping: a (became ready again 12 times), b (4 times)`; nothing if none is.
pub(crate) fn flapping_in_words(service: &Service) -> Option<String> {
    let mut flapping: Vec<_> = service.endpoints.iter().filter(|endpoint| endpoint.is_flapping()).collect();
    flapping.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.flaps));
    let (count, more) = (flapping.len(), if flapping.len() > 3 { ", …" } else { "" });
    let named = flapping.into_iter().take(3).enumerate().map(|(place, endpoint)| {
        let what = if place == 0 { "became ready again " } else { "" };
        format!("{} ({what}{} times)", clean(&endpoint.pod), thousands(endpoint.flaps))
    });
    let named: Vec<_> = named.collect();
    let verb = if count == 1 { "endpoint is" } else { "endpoints are" };
    (count > 0).then(|| format!("{count} {verb} flapping: {}{more}", named.join(", ")))
}

/// The state of an endpoint, as tables show it.
pub(crate) fn state_in_words(endpoint: &Endpoint) -> String {
    if endpoint.is_flapping() && endpoint.state != "removed" {
        return "flapping".to_owned();
    }
    clean(&endpoint.state).replace('_', " ")
}

/// Whether the observation itself is unreliable.
pub(crate) fn is_doubtful(reason: &str) -> bool {
    matches!(reason, "losses" | "not_in_sync" | "started_after")
}

/// `node n1`, `nodes n1, n2` or `12 nodes`.
pub(crate) fn nodes(snapshot: &Snapshot) -> String {
    let name = clean(&snapshot.node);
    if snapshot.nodes.is_empty() {
        format!("node {name}")
    } else if name.ends_with(" nodes") {
        name
    } else {
        format!("nodes {name}")
    }
}

/// Nodes whose figures are missing or unreliable.
pub(crate) fn bad_nodes(snapshot: &Snapshot) -> impl Iterator<Item = &NodeStatus> {
    snapshot.nodes.iter().filter(|part| part.missing.is_some() || !part.in_sync)
}

/// Whether the topology is complete and current.
pub(crate) fn is_in_sync(quality: &Quality) -> bool {
    quality.topology.synced && quality.topology.stale_since.is_none()
}

/// Services by waste. Without waste, those where an even spread would move the most connections come first.
pub(crate) fn by_waste(services: &[Service]) -> Vec<&Service> {
    let moved = |service: &Service| {
        let spread = service.spread;
        // Figures only order the output here; precision above 2^52 does not matter.
        (spread.peak_to_mean - 1.0).max(0.0) * spread.connections as f64
    };
    let mut ordered: Vec<_> = services.iter().collect();
    ordered.sort_by(|a, b| {
        let waste = b.waste.total_cmp(&a.waste);
        waste.then_with(|| moved(b).total_cmp(&moved(a))).then_with(|| is_silent(a).cmp(&is_silent(b)))
    });
    ordered
}

/// There are no connections.
pub(crate) fn is_silent(service: &Service) -> bool {
    service.endpoints.iter().all(|e| e.opened == 0 && e.active == 0 && total(&e.failed) == 0)
}

/// The style of a verdict.
pub(crate) fn verdict_paint(cause: Cause, confidence: Confidence) -> Paint {
    match cause {
        Cause::Even | Cause::Subset | Cause::SeeksRole | Cause::AsIntended | Cause::ZoneAware => Paint::Good,
        Cause::TooFew => Paint::Dim,
        _ if confidence == Confidence::High => Paint::Bad,
        _ => Paint::Warn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::snapshot::OtherPort;
    use crate::expose::test_fixtures;

    #[test]
    fn every_cause_has_words_of_its_own() {
        let words: std::collections::HashSet<_> = Cause::ALL.map(in_words).into();
        assert_eq!(words.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            let gate = cause.is_imbalance() || cause.is_stale();
            assert!(
                !gate || is_wrong(cause),
                "what fails a pipeline is in the list of what is wrong: {cause:?}"
            );
        }
    }

    #[test]
    fn the_client_with_the_most_connections_concerned_comes_first() {
        let mut orders = test_fixtures::orders();
        let names = |service: &Service| {
            wrong_clients(service).iter().map(|(c, _, n)| (c.workload.clone(), *n)).collect::<Vec<_>>()
        };
        assert_eq!(names(&orders), [("web".to_owned(), 400), ("cron".to_owned(), 200)]);
        orders.clients[0].verdict.as_mut().unwrap().cause = Cause::DnsStale;
        assert_eq!(names(&orders)[1].1, 12, "those to endpoints that left, no others");
        orders.clients[1].excluded = Some("host".into());
        assert_eq!(names(&orders).len(), 1);
    }

    #[test]
    fn endpoints_that_come_and_go_are_named() {
        let mut orders = test_fixtures::orders();
        orders.endpoints[0].flaps = 2;
        assert_eq!(flapping_in_words(&orders), None, "two restarts");
        (orders.endpoints[1].flaps, orders.endpoints[2].flaps) = (3, 1_200);
        assert_eq!(
            flapping_in_words(&orders).unwrap(),
            "2 endpoints are flapping: orders-2 (became ready again 1,200 times), orders-1 (3 times)"
        );
        let states: Vec<_> = orders.endpoints.iter().map(state_in_words).collect();
        assert_eq!(states, ["ready", "flapping", "flapping", "removed"]);
    }

    #[test]
    fn ports_that_work_without_being_listed_are_named_once() {
        let mut orders = test_fixtures::orders();
        let port =
            |port, failed| OtherPort { port, connections: 10, opened: 10, failed, ..OtherPort::default() };
        orders.clients[0].other_ports = vec![port(9090, 0), port(80, 9)];
        orders.clients[1].other_ports = vec![port(9090, 1)];
        let lines = unlisted_ports(&orders);
        assert!(lines.len() == 1 && lines[0].contains("Port 9090"), "{lines:?}");
        assert!(lines[0].contains("20 connections of 2 clients"), "{lines:?}");
        orders.clients[0].excluded = Some("option".into());
        assert!(
            unlisted_ports(&orders)[0].contains("10 connections of 1 client,"),
            "{:?}",
            unlisted_ports(&orders)
        );
    }

    #[test]
    fn idle_endpoints_are_named() {
        let mut orders = test_fixtures::orders();
        assert_eq!(idle_in_words(&orders).unwrap(), "1 of 3 endpoints gets no connections: orders-2");
        orders.idle = ["a", "b", "c", "d"].map(Into::into).into();
        assert_eq!(idle_in_words(&orders).unwrap(), "4 of 3 endpoints get no connections: a, b, c, …");
        orders.idle.clear();
        assert_eq!(idle_in_words(&orders), None);
    }
}
