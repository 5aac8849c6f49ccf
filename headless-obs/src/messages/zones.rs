//! Traffic within and across zones in words. Pure.

use super::{clean, full_name, percent, plural, thousands};
use crate::expose::snapshot::{Client, Endpoint, Service, ZoneTraffic, Zones};
use crate::verdict;

/// The most pairs of zones that are named.
const PAIRS: usize = 4;
/// The most Services' clients with a remark.
const CLIENTS: usize = 3;
/// The share of the bytes from which crossing is worth a remark, and the bytes of that.
const REMARKABLE: (f64, u64) = (0.1, 1 << 20);

/// The traffic across zones, and its cost; nothing where no zone is known, or there is one alone.
pub(crate) fn crossing_in_words(zones: &Zones) -> Option<String> {
    if zones.is_unknown() || zones.names().len() < 2 {
        return None;
    }
    let across = &zones.across;
    let mut line = format!(
        "{} of the bytes and {} of {} crossed zones",
        percent(zones.share_across),
        thousands(across.connections),
        plural(zones.within.connections.saturating_add(across.connections), "connection"),
    );
    if let Some(cost) = zones.cost {
        line += &format!("; that costs {}", money(cost));
    }
    let mut pairs: Vec<&ZoneTraffic> = crossing(zones).filter(|row| row.sum.bytes() > 0).collect();
    pairs.sort_by_key(|row| std::cmp::Reverse(row.sum.bytes()));
    let named: Vec<String> = pairs.iter().take(PAIRS).map(|row| pair(row)).collect();
    if !named.is_empty() {
        line += &format!(": {}", named.join(", "));
    }
    if pairs.len() > PAIRS {
        line += &format!(" and {} more", pairs.len() - PAIRS);
    }
    Some(line)
}

/// A client whose bytes cross zones although ready endpoints are in its own, with what it can do.
pub(crate) fn needless_crossing(service: &Service, client: &Client) -> Option<String> {
    let zones = &client.zones;
    let (share, bytes) = REMARKABLE;
    if zones.share_across < share || zones.across.bytes() < bytes {
        return None;
    }
    // The zone from which most crosses, of those with endpoints of their own.
    let ready = |zone: &str| service.endpoints.iter().filter(|endpoint| is_ready_in(endpoint, zone)).count();
    let from = crossing(zones).filter_map(|row| Some((row.from.as_deref()?, row.sum.bytes())));
    let (own, _) = from.filter(|(zone, _)| ready(zone) > 0).max_by_key(|(_, bytes)| *bytes)?;
    let count = u64::try_from(ready(own)).unwrap_or(u64::MAX);
    let (are, s) = if count == 1 { ("is", "") } else { ("are", "s") };
    Some(format!(
        "{} of its bytes cross zones, although {} ready endpoint{s} {are} in its own zone, {}. {}",
        percent(zones.share_across),
        thousands(count),
        clean(own),
        verdict::zone_advice(client),
    ))
}

/// Clients with such a remark, those with most bytes first.
pub(crate) fn needless_crossings(service: &Service) -> Vec<String> {
    let counted = service.clients.iter().filter(|client| client.excluded.is_none());
    let mut found: Vec<(u64, String)> = counted
        .filter_map(|client| {
            let name = full_name(&client.namespace, &client.workload);
            Some((client.zones.across.bytes(), format!("{name}: {}", needless_crossing(service, client)?)))
        })
        .collect();
    found.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    found.into_iter().take(CLIENTS).map(|(_, line)| line).collect()
}

/// The Service asks clients to prefer endpoints, and connections went to others: DNS lists all of them.
pub(crate) fn ignored_hints(service: &Service) -> Option<String> {
    let hinted = service.endpoints.iter().filter(|endpoint| !endpoint.hints.is_empty()).count();
    let asked = match (&service.distribution, hinted) {
        (Some(word), 0) => format!("The Service asks for {}", clean(word)),
        (Some(word), _) => format!("The Service asks for {}, and its slices have hints", clean(word)),
        (None, 0) => return None,
        (None, _) => "The slices of the Service have hints".to_owned(),
    };
    let (all, across) = (service.zones.within.connections, service.zones.across.connections);
    (across > 0).then(|| {
        format!(
            "{asked}. DNS lists the endpoints of every zone all the same, and {} of {} went to another zone than the \
             client's.",
            thousands(across),
            plural(all.saturating_add(across), "connection"),
        )
    })
}

fn is_ready_in(endpoint: &Endpoint, zone: &str) -> bool {
    endpoint.state == "ready" && endpoint.zone.as_deref() == Some(zone)
}

fn crossing(zones: &Zones) -> impl Iterator<Item = &ZoneTraffic> {
    zones.matrix.iter().filter(|row| row.from.is_some() && row.to.is_some() && row.from != row.to)
}

/// `eu-1a to eu-1b 1,234 bytes`
fn pair(row: &ZoneTraffic) -> String {
    let name = |zone: &Option<String>| clean(zone.as_deref().unwrap_or_default());
    format!("{} to {} {}", name(&row.from), name(&row.to), plural(row.sum.bytes(), "byte"))
}

/// A sum in the currency of the price, with two decimals, or the first two digits of less than that.
fn money(cost: f64) -> String {
    if cost >= 0.1 || cost == 0.0 {
        return format!("{cost:.2}");
    }
    let decimals = (1.0 - cost.log10().floor()).clamp(2.0, 12.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 2 to 12")]
    let decimals = decimals as usize;
    format!("{cost:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::snapshot::ZoneSum;
    use crate::expose::test_fixtures::{client, endpoint};

    fn traffic(from: &str, to: &str, connections: u64, bytes: u64) -> ZoneTraffic {
        let sum = ZoneSum { connections, bytes_sent: bytes, bytes_received: 0 };
        ZoneTraffic { from: Some(from.to_owned()), to: Some(to.to_owned()), sum }
    }

    #[test]
    fn sums_read_well() {
        let texts = [0.0, 1234.5, 0.1, 0.0123, 0.000_001_23].map(money);
        assert_eq!(texts, ["0.00", "1234.50", "0.10", "0.012", "0.0000012"]);
    }

    #[test]
    fn what_crosses_is_named_where_there_are_several_zones() {
        assert_eq!(crossing_in_words(&Zones::of([traffic("a", "a", 1, 10)])), None);
        let zones = Zones::of([traffic("a", "a", 10, 1_000), traffic("a", "b", 3, 3_000)]);
        assert_eq!(
            crossing_in_words(&zones).unwrap(),
            "75% of the bytes and 3 of 13 connections crossed zones: a to b 3,000 bytes"
        );
        let zones = Zones { cost: Some(0.02), ..Zones::of([traffic("a", "b\u{1b}", 0, 5)]) };
        let line = crossing_in_words(&zones).unwrap();
        assert!(line.contains("that costs 0.020") && !line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn crossing_is_needless_only_with_ready_endpoints_in_the_own_zone() {
        let zoned = |pod: &str, state: &str, zone: &str| Endpoint {
            zone: Some(zone.to_owned()),
            ..endpoint(pod, state, 1, 0)
        };
        let web =
            |rows: &[ZoneTraffic]| Client { zones: Zones::of(rows.to_vec()), ..client("web", 1.0, vec![]) };
        let mut service = Service {
            endpoints: vec![
                zoned("o-0", "ready", "a"),
                zoned("o-1", "ready", "b"),
                zoned("o-2", "removed", "a"),
            ],
            ..Service::default()
        };
        let mib = 1 << 20;
        let crossing = web(&[traffic("a", "a", 10, mib), traffic("a", "b", 10, 3 * mib)]);
        let line = needless_crossing(&service, &crossing).unwrap();
        let expected = "75% of its bytes cross zones, although 1 ready endpoint is in its own zone, a. ";
        assert!(line.starts_with(expected), "{line}");
        let little = web(&[traffic("a", "a", 10, mib), traffic("a", "b", 10, mib - 1)]);
        assert_eq!(needless_crossing(&service, &little), None);
        let rare = web(&[traffic("a", "a", 10, 100 * mib), traffic("a", "b", 10, 3 * mib)]);
        assert_eq!(needless_crossing(&service, &rare), None);
        service.endpoints[0].state = "not_ready".to_owned();
        assert_eq!(needless_crossing(&service, &crossing), None);
    }

    #[test]
    fn hints_are_ignored_where_connections_cross() {
        let mut service = Service {
            zones: Zones::of([traffic("a", "a", 2, 1), traffic("a", "b", 6, 1)]),
            endpoints: vec![endpoint("o-0", "ready", 1, 0)],
            ..Service::default()
        };
        assert_eq!(ignored_hints(&service), None);
        service.distribution = Some("PreferClose".to_owned());
        let line = ignored_hints(&service).unwrap();
        assert!(
            line.starts_with("The Service asks for PreferClose. ") && line.contains("6 of 8 connections"),
            "{line}"
        );
        service.endpoints[0].hints = vec!["a".to_owned()];
        assert!(ignored_hints(&service).unwrap().contains("and its slices have hints."));
        service.zones = Zones::of([traffic("a", "a", 2, 1)]);
        assert_eq!(ignored_hints(&service), None);
    }
}
