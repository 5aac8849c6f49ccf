//! The Services or clients that somebody asks for, by their names.
//!
//! In: a text of the command line or of a request. Out: whether a name is meant. Invariant: the text that it is displayed
//! as reads back as the same filter.

use std::fmt;
use std::str::FromStr;

use super::snapshot::Snapshot;

/// `NAMESPACE/NAME`, or `NAME` in any namespace. A client outside of pods has an empty namespace: `/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFilter {
    namespace: Option<String>,
    name: String,
}

impl FromStr for ObjectFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, text),
        };
        if name.is_empty() || name.contains('/') {
            return Err("write NAMESPACE/NAME, or NAME for any namespace".to_owned());
        }
        Ok(Self { namespace, name: name.to_owned() })
    }
}

impl ObjectFilter {
    /// Whether this one is selected.
    #[must_use]
    pub fn matches(&self, namespace: &str, name: &str) -> bool {
        self.name == name && self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
    }

    /// Removes all other Services.
    pub fn apply(&self, snapshot: &mut Snapshot) {
        snapshot.services.retain(|service| self.matches(&service.namespace, &service.name));
    }
}

impl fmt::Display for ObjectFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_full_or_of_any_namespace() {
        let one: ObjectFilter = "shop/orders".parse().unwrap();
        assert!(one.matches("shop", "orders") && !one.matches("x", "orders") && !one.matches("shop", "x"));
        let any: ObjectFilter = "orders".parse().unwrap();
        assert!(any.matches("x", "orders") && !any.matches("x", "y"));
        let outside: ObjectFilter = "/nginx".parse().unwrap();
        assert!(outside.matches("", "nginx") && !outside.matches("shop", "nginx"));
        for filter in [one, any, outside] {
            assert_eq!(filter.to_string().parse(), Ok(filter));
        }
        assert!("shop/".parse::<ObjectFilter>().is_err() && "a/b/c".parse::<ObjectFilter>().is_err());
    }
}
