//! The clients that the user excludes from the spread. Scrapers connect to every endpoint by design, and other clients
//! may not belong to the application. Pure.
//!
//! In: patterns of the command line. Out: whether a client matches. A pattern is `NAMESPACE/WORKLOAD` or `WORKLOAD` in
//! any namespace, with `*` and `?`; [`NONE`] clears the defaults.

use crate::topology::glob::matches;

/// Excluded unless [`NONE`] is among the patterns: programs that scrape metrics from each pod.
pub const USUAL: [&str; 2] = ["prometheus*", "vmagent*"];
/// Matches no client, and clears [`USUAL`].
pub const NONE: &str = "none";

/// Excluded clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclude(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// Nothing: any.
    namespace: Option<String>,
    workload: String,
}

/// An invalid pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a pattern for clients; write one like `monitoring/*`, `*-exporter` or `shop/web`, or none"
)]
pub struct BadPattern(String);

impl Default for Exclude {
    fn default() -> Self {
        Self(USUAL.map(|workload| Pattern { namespace: None, workload: workload.to_owned() }).into())
    }
}

impl Exclude {
    /// The defaults and the clients of `patterns`.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, BadPattern> {
        let mut exclude = Self::default();
        let mut is_cleared = false;
        for text in patterns {
            match text.as_ref() {
                NONE => is_cleared = true,
                text => exclude.0.push(pattern(text)?),
            }
        }
        if is_cleared {
            exclude.0.drain(..USUAL.len());
        }
        Ok(exclude)
    }

    /// Whether this client is excluded. Outside of pods the namespace is empty.
    pub fn matches(&self, namespace: &str, workload: &str) -> bool {
        self.0.iter().any(|pattern| {
            matches(&pattern.workload, workload)
                && pattern.namespace.as_ref().is_none_or(|wanted| matches(wanted, namespace))
        })
    }
}

fn pattern(text: &str) -> Result<Pattern, BadPattern> {
    let (namespace, workload) = match text.split_once('/') {
        Some((namespace, workload)) => (Some(namespace.to_owned()), workload),
        None => (None, text),
    };
    let strange = |c: char| c.is_whitespace() || c.is_control() || "/,!".contains(c);
    if workload.is_empty() || text.len() > 512 || workload.contains(strange) {
        return Err(BadPattern(text.to_owned()));
    }
    Ok(Pattern { namespace, workload: workload.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_clients_in_one_namespace_or_in_any() {
        let cases: [(&[&str], &str, &str, bool); 12] = [
            (&[], "monitoring", "prometheus-k8s", true),
            (&[], "", "vmagent", true),
            (&[], "shop", "web", false),
            (&[], "shop", "my-prometheus", false),
            (&["web"], "shop", "web", true),
            (&["web"], "shop", "webs", false),
            (&["web"], "shop", "prometheus", true),
            (&["shop/*"], "shop", "web", true),
            (&["shop/*"], "bookshop", "web", false),
            (&["/sshd"], "", "sshd", true),
            (&["/sshd"], "shop", "sshd", false),
            (&["web", "none"], "shop", "prometheus", false),
        ];
        for (patterns, namespace, workload, expected) in cases {
            let exclude = Exclude::new(patterns).unwrap();
            assert_eq!(exclude.matches(namespace, workload), expected, "{patterns:?} {namespace}/{workload}");
        }
        assert!(Exclude::new(["none", "web"]).unwrap().matches("", "web"));
    }

    #[test]
    fn a_pattern_that_cannot_match_is_refused_with_advice() {
        for pattern in ["", "shop/", "a b", "a/b/c", "a,b", &"a".repeat(513)] {
            let error = Exclude::new([pattern]).unwrap_err().to_string();
            assert!(error.contains(pattern) && error.contains("monitoring/*"), "{error}");
        }
    }
}
