//! What is asked of a daemon, as the last part of a path.

use std::fmt::Write as _;

use crate::expose::connection_list::ConnectionQuery;

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

    #[test]
    fn any_name_can_be_asked_for() {
        assert_eq!(escaped("shop/ci-build-*"), "shop/ci-build-*");
        assert_eq!(escaped("a&limit=1 #ä\u{0}"), "a%26limit%3D1%20%23%C3%A4%00");
    }
}
