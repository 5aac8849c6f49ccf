//! The watches: which objects, selected how, and what is missing without them. Pure.

use std::fmt;

use kube::runtime::watcher;

use crate::expose::snapshot::Refusal;
use crate::topology::model::Kind;

/// The objects of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum WatchKind {
    /// Slices that the EndpointSlice controller made for headless Services. The server leaves out all others.
    HeadlessSlices,
    /// Slices that somebody else made: by hand, mirrored from Endpoints, imported from other clusters. Only the controller
    /// sets the label for headless ones, so here the Service decides.
    OtherSlices,
    /// Headless Services.
    Services,
    /// Pods of this node.
    Pods,
}

/// One watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    pub(super) what: WatchKind,
    /// The namespace; none: all namespaces.
    pub(super) namespace: Option<String>,
}

/// All watches for these namespaces, or for all namespaces if none is given.
pub(super) fn watches(namespaces: &[String]) -> Vec<Watch> {
    let mut scopes: Vec<_> = namespaces.iter().cloned().map(Some).collect();
    scopes.sort();
    scopes.dedup();
    if scopes.is_empty() {
        scopes.push(None);
    }
    let all = [WatchKind::HeadlessSlices, WatchKind::OtherSlices, WatchKind::Services, WatchKind::Pods];
    let of = |namespace: Option<String>| all.map(|what| Watch { what, namespace: namespace.clone() });
    scopes.into_iter().flat_map(of).collect()
}

impl WatchKind {
    /// The name of the resource, as in a Role.
    pub(super) fn resource(self) -> &'static str {
        match self {
            Self::HeadlessSlices | Self::OtherSlices => "endpointslices",
            Self::Services => "services",
            Self::Pods => "pods",
        }
    }

    /// Its API group, as in a Role.
    pub(super) fn group(self) -> &'static str {
        match self {
            Self::HeadlessSlices | Self::OtherSlices => "discovery.k8s.io",
            Self::Services | Self::Pods => "",
        }
    }

    /// The kind of the objects in the topology.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::HeadlessSlices | Self::OtherSlices => Kind::Slice,
            Self::Services => Kind::Service,
            Self::Pods => Kind::Pod,
        }
    }

    /// The selector that the server applies.
    pub(super) fn selected(self, node: &str) -> watcher::Config {
        let config = watcher::Config::default();
        match self {
            Self::HeadlessSlices => config.labels("service.kubernetes.io/headless"),
            Self::OtherSlices => config.labels(
                "!service.kubernetes.io/headless,\
                 endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io",
            ),
            Self::Services => config.fields("spec.clusterIP=None"),
            Self::Pods => config.fields(&format!("spec.nodeName={node}")),
        }
    }

    /// Whether the source can report nothing without it.
    pub(super) fn is_vital(self) -> bool {
        self.kind() == Kind::Slice
    }

    /// The data that are missing without it.
    pub(super) fn lost(self) -> &'static str {
        match self {
            Self::HeadlessSlices | Self::OtherSlices => "all endpoints, so nothing can be reported",
            Self::Services => {
                "ports and publishNotReadyAddresses of Services, and endpoints of Services without a selector"
            }
            Self::Pods => "names of client pods and workloads; clients are named by cgroup or address",
        }
    }
}

impl Watch {
    /// The effect of a refused `verb`.
    pub(super) fn refusal(&self, verb: &str) -> Refusal {
        Refusal {
            verb: verb.to_owned(),
            resource: self.what.resource().to_owned(),
            namespace: self.namespace.clone().unwrap_or_default(),
            lost: self.what.lost().to_owned(),
        }
    }

    /// The permission that the server needs.
    pub(super) fn grant(&self) -> String {
        let role = match &self.namespace {
            Some(namespace) => format!("Role in namespace {namespace}"),
            None => "ClusterRole".to_owned(),
        };
        format!(
            "grant list and watch with a {role}: apiGroups [{:?}], resources [{:?}], verbs [list, watch]",
            self.what.group(),
            self.what.resource(),
        )
    }
}

/// `endpointslices`, `pods in namespace shop`
impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what.resource())?;
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everywhere_or_in_some_namespaces() {
        assert_eq!(watches(&[]).len(), 4);
        let some = watches(&["shop".to_owned(), "bank".to_owned(), "shop".to_owned()]);
        let names: Vec<_> = some.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 8, "{names:?}");
        assert_eq!(names[3], "pods in namespace bank");
    }

    #[test]
    fn a_refusal_says_what_to_grant() {
        let [slices, _, services, pods] = &watches(&[])[..] else { panic!() };
        assert_eq!(slices.refusal("watch").resource, "endpointslices");
        assert!(slices.what.is_vital() && !services.what.is_vital() && !pods.what.is_vital());
        assert_eq!(
            slices.grant(),
            "grant list and watch with a ClusterRole: apiGroups [\"discovery.k8s.io\"], \
             resources [\"endpointslices\"], verbs [list, watch]"
        );
        let pods = Watch { namespace: Some("shop".to_owned()), ..pods.clone() };
        assert!(pods.grant().contains("Role in namespace shop: apiGroups [\"\"]"), "{}", pods.grant());
    }
}
