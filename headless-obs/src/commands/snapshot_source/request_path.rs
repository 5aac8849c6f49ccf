//! Requests to a daemon, as the last part of a path.

use std::fmt::Write as _;

use crate::expose::connection_list::ConnectionQuery;
use crate::expose::trace_filter::TraceFilter;

/// The path of a list of open connections.
pub(super) fn of_connections(query: &ConnectionQuery) -> String {
    let ConnectionQuery { service, client, order, limit } = query;
    let mut path = format!(
        "connections?service={}&order={}&limit={limit}",
        escaped(&service.to_string()),
        order.as_str()
    );
    if let Some(client) = client {
        let _infallible = write!(path, "&client={}", escaped(&client.to_string()));
    }
    path
}

/// The path of a trace.
pub(in crate::commands) fn of_trace(filter: &TraceFilter) -> String {
    let TraceFilter { service, client, kinds } = filter;
    let named = [("service", service), ("client", client)].into_iter();
    let named = named.filter_map(|(field, name)| Some((field, escaped(&name.as_ref()?.to_string()))));
    let kinds = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",");
    let kinds = Some(("kind", kinds)).filter(|(_, kinds)| !kinds.is_empty());
    let fields: Vec<_> = named.chain(kinds).map(|(field, value)| format!("{field}={value}")).collect();
    if fields.is_empty() { "trace".to_owned() } else { format!("trace?{}", fields.join("&")) }
}

/// A text as a value in a path: what is no plain character is written as its bytes.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/*".contains(&byte) {
            escaped.push(byte.into());
        } else {
            let _infallible = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::trace_filter::TraceKind;

    #[test]
    fn any_name_can_be_asked_for() {
        assert_eq!(escaped("shop/ci-build-*"), "shop/ci-build-*");
        let filter = TraceFilter {
            service: Some("a&b".parse().unwrap()),
            client: None,
            kinds: vec![TraceKind::Opened, TraceKind::Verdict],
        };
        assert_eq!(of_trace(&filter), "trace?service=a%26b&kind=opened,verdict");
        assert_eq!(of_trace(&TraceFilter::default()), "trace");
        assert_eq!(escaped("a&limit=1 #ä\u{0}"), "a%26limit%3D1%20%23%C3%A4%00");
    }
}
