//! The proxies that the user names, in addition to those of known meshes. Pure.
//!
//! In: patterns of the command line. Out: whether a container is a proxy, whose connections others made first. A pattern
//! is `CONTAINER`, a container beside others in its pod, or `NAMESPACE/WORKLOAD`, all containers of pods that serve
//! others; with `*` and `?`.

use crate::topology::glob::matches;
use crate::topology::model::Pod;

/// Proxies by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyNames(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Sidecar(String),
    Workload { namespace: String, workload: String },
}

/// An invalid pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no proxy; write a container beside others in its pod, like `my-proxy`, or a workload that serves \
     others, like `mesh-system/node-proxy`"
)]
pub struct BadPattern(String);

impl ProxyNames {
    /// The proxies of `patterns`.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, BadPattern> {
        patterns.into_iter().map(|text| pattern(text.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the container with this id is a proxy.
    pub fn include(&self, pod: &Pod, container: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Workload { namespace, workload } => {
                matches(namespace, &pod.key.namespace) && matches(workload, &pod.workload)
            }
            Pattern::Sidecar(name) => {
                let mut containers = pod.containers.iter();
                // A proxy alone in its pod is a gateway.
                containers.clone().any(|other| !matches(name, &other.name))
                    && containers.any(|known| *known.id == *container && matches(name, &known.name))
            }
        })
    }
}

fn pattern(text: &str) -> Result<Pattern, BadPattern> {
    let strange = |c: char| c.is_whitespace() || c.is_control() || "/,!".contains(c);
    let is_name = |part: &str| !part.is_empty() && part.len() <= 253 && !part.contains(strange);
    let found = match text.split_once('/') {
        Some((namespace, workload)) if is_name(namespace) && is_name(workload) => {
            Pattern::Workload { namespace: namespace.to_owned(), workload: workload.to_owned() }
        }
        None if is_name(text) => Pattern::Sidecar(text.to_owned()),
        _ => return Err(BadPattern(text.to_owned())),
    };
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::model::Container;
    use crate::topology::test_builders::pod;

    /// Whether the last container of a pod is a proxy; the id of each is its name.
    fn check(patterns: &[&str], namespace: &str, workload: &str, containers: &[&str], expected: bool) {
        let container = |name: &&str| Container { name: (*name).into(), id: (*name).into() };
        let containers = containers.iter().map(container).collect::<Box<[_]>>();
        let last = containers.last().unwrap().id.clone();
        let pod = Pod { workload: workload.into(), containers, ..pod(namespace, "p", &[]) };
        let found = ProxyNames::new(patterns).unwrap().include(&pod, &last);
        assert_eq!(found, expected, "{patterns:?} {namespace}/{workload} {last}");
    }

    #[test]
    fn a_sidecar_stands_beside_others_and_a_workload_serves_others() {
        check(&["my-*"], "shop", "web", &["web", "my-proxy"], true);
        check(&["my-*"], "shop", "web", &["my-proxy", "web"], false);
        check(&["my-*"], "shop", "web", &["web", "setup", "my-proxy"], true);
        check(&["my-*"], "shop", "gateway", &["my-proxy"], false);
        check(&["mesh-system/node-*"], "mesh-system", "node-proxy", &["a", "b"], true);
        check(&["mesh-system/node-*"], "shop", "node-proxy", &["a"], false);
        check(&["a", "x/*"], "x", "web", &["web"], true);
        check(&[], "shop", "web", &["web", "istio-proxy"], false);
    }

    #[test]
    fn a_pattern_that_cannot_match_is_refused_with_advice() {
        for pattern in ["", "/", "a/", "/b", "a/b/c", "a b", "a,b", "!a", &"a".repeat(254)] {
            let error = ProxyNames::new([pattern]).unwrap_err().to_string();
            assert!(error.contains(pattern) && error.contains("my-proxy"), "{error}");
        }
    }
}
