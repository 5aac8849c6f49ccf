//! Sentences about names that are not a Service's own. Pure.

use std::collections::BTreeMap;

use super::{clean, full_name, plural};
use crate::expose::snapshot::{OtherName, Service};

/// The most names, and the most clients of a name; the rest is summed.
const NAMES: usize = 5;

/// The names under which clients found a Service or missed it, each with a remark whether they missed it.
pub(crate) fn other_names(service: &Service) -> Vec<(String, bool)> {
    let mut by_name: BTreeMap<(bool, &str), Vec<&OtherName>> = BTreeMap::new();
    for name in &service.other_names {
        by_name.entry((name.addresses.is_empty(), &name.name)).or_default().push(name);
    }
    let shown = by_name.iter().take(NAMES).map(|((is_alias, name), rows)| {
        let name = clean(name);
        let clients = clients(rows);
        if *is_alias {
            return (format!("found as {name} by {clients}"), false);
        }
        let addresses: Vec<_> = rows.iter().flat_map(|row| &row.addresses).map(|text| clean(text)).collect();
        let answers = plural(rows.iter().map(|row| row.answers).fold(0, u64::saturating_add), "answer");
        let line = format!(
            "{clients} asked for it with a search domain: {name} gave {} in {answers}, no endpoint of it",
            first(&addresses),
        );
        (line, true)
    });
    let hidden = by_name.len().saturating_sub(NAMES);
    let rest = (hidden > 0)
        .then(|| (format!("and {}", plural(u64::try_from(hidden).unwrap_or(u64::MAX), "other name")), false));
    shown.chain(rest).collect()
}

fn clients(rows: &[&OtherName]) -> String {
    let names: Vec<_> = rows.iter().map(|row| full_name(&row.namespace, &row.workload)).collect();
    first(&names)
}

/// The first of them, each once.
fn first(names: &[String]) -> String {
    let mut shown: Vec<&str> = names.iter().map(String::as_str).collect();
    shown.sort_unstable();
    shown.dedup();
    let hidden = shown.len().saturating_sub(NAMES);
    let text = shown[..shown.len() - hidden].join(", ");
    if hidden > 0 { format!("{text} and {hidden} more") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, workload: &str, addresses: &[&str]) -> OtherName {
        OtherName {
            name: name.into(),
            namespace: "shop".into(),
            workload: workload.into(),
            answers: 3,
            addresses: addresses.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn names_that_led_to_the_service_and_away_from_it() {
        let mut service = Service::default();
        assert_eq!(other_names(&service), []);
        service.other_names = vec![
            row("orders.corp.example", "web", &[]),
            row("orders.corp.example", "cart\u{1b}", &[]),
            row("orders.shop.svc.cluster.local.example", "late", &["10.0.0.9", "10.0.0.8", "10.0.0.9"]),
        ];
        let lines = other_names(&service);
        assert_eq!(
            lines,
            [
                (
                    "shop/late asked for it with a search domain: orders.shop.svc.cluster.local.example gave \
                     10.0.0.8, 10.0.0.9 in 3 answers, no endpoint of it"
                        .to_owned(),
                    true
                ),
                ("found as orders.corp.example by shop/cart\u{fffd}, shop/web".to_owned(), false),
            ]
        );
    }

    #[test]
    fn many_names_and_many_clients_are_summed() {
        let rows =
            |number: usize| (0..40).map(move |client| row(&format!("n{number}"), &format!("c{client}"), &[]));
        let service = Service { other_names: (0..9).flat_map(rows).collect(), ..Service::default() };
        let lines = other_names(&service);
        assert_eq!(lines.len(), NAMES + 1);
        assert_eq!(lines[0].0, "found as n0 by shop/c0, shop/c1, shop/c10, shop/c11, shop/c12 and 35 more");
        assert_eq!(lines[NAMES].0, "and 4 other names");
    }
}
