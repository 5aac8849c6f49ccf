//! A sentence about how a client's connections ended. Pure.

use std::time::Duration;

use super::{length, plural, thousands, total};
use crate::expose::snapshot::Client;

/// The names of the snapshot, and the words for them.
const WAYS: [(&str, &str); 6] = [
    ("client", "closed by the client"),
    ("server", "closed by the server"),
    ("client_reset", "reset by the client"),
    ("server_reset", "reset by the server"),
    ("timeout", "given up, because nothing was acknowledged"),
    ("other", "in another way"),
];

/// The ways in which the client's connections ended, and how long they lived; nothing if none ended.
pub(crate) fn ends_in_words(client: &Client) -> Option<String> {
    let ends = &client.ends;
    let all = total(&ends.by);
    let part = |(name, words): (&str, &str)| {
        let count = ends.by.get(name).copied().filter(|count| *count > 0)?;
        Some(if count == all { words.to_owned() } else { format!("{} {words}", thousands(count)) })
    };
    let parts: Vec<String> = WAYS.into_iter().filter_map(part).collect();
    let lived = ends.lifetimes.median().map(|seconds| {
        let lived = match Duration::try_from_secs_f64(seconds).unwrap_or_default() {
            short if short.as_secs() == 0 => format!("{} ms", short.as_millis().max(1)),
            long => length(long),
        };
        format!(" Half of them lived {lived} or longer.")
    });
    (!parts.is_empty()).then(|| {
        format!("{} ended: {}.{}", plural(all, "connection"), parts.join(", "), lived.unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use headless_obs_ebpf::end;

    use super::*;
    use crate::expose::snapshot::Ends;
    use crate::expose::test_fixtures::{client, counts, histogram};

    fn said(ends: Ends) -> Option<String> {
        ends_in_words(&Client { ends, ..client("web", 1.0, Vec::new()) })
    }

    #[test]
    fn every_way_has_words() {
        assert_eq!(WAYS.map(|(name, _)| name), end::NAMES);
    }

    #[test]
    fn who_ended_them_and_how_long_they_lived() {
        assert_eq!(said(Ends::default()), None);
        let all_alike = Ends { by: counts([("server", 2)]), lifetimes: histogram(&[1_800.0, 1_800.0]) };
        let text = said(all_alike).unwrap();
        assert!(
            text.starts_with("2 connections ended: closed by the server. Half of them lived 3"),
            "{text}"
        );
        let mixed = Ends { by: counts([("client", 5), ("server_reset", 1_000)]), ..Ends::default() };
        let expected = "1,005 connections ended: 5 closed by the client, 1,000 reset by the server.";
        assert_eq!(said(mixed).as_deref(), Some(expected));
    }
}
