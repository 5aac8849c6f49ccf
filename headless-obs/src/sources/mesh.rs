//! Finds the proxies of service meshes by the pods that they are in. Pure.
//!
//! A mesh redirects the traffic of a pod's containers to a proxy, and the proxy connects in their place. The kernel
//! sees two connections: the application's, still with the address that it selected, and the proxy's. The application's
//! connection counts, because the application selected the address and its DNS answers explain it. In the same way, the
//! proxy in front of a server connects to the server from within the server's pod.
//!
//! | mesh | proxy |
//! |---|---|
//! | Istio, Linkerd | a container in the pod, perhaps among the init containers |
//! | Istio ambient | the pod `ztunnel`, one per node, with sockets inside the pods it serves |
//!
//! A pod with no container but a proxy is a gateway, a client like any other. So is a pod whose proxy takes over no
//! traffic (Istio's interception mode `NONE`).

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::topology::model::Proxies;

/// Names of the proxies' containers.
const SIDECARS: [&str; 2] = ["istio-proxy", "linkerd-proxy"];
/// The label of pods that serve their whole node, and its value.
const NODE_PROXY: (&str, &str) = ("app", "ztunnel");
/// The annotation for how Istio's sidecar gets the pod's traffic.
const INTERCEPTION: &str = "sidecar.istio.io/interceptionMode";

/// The containers of the pod that are proxies for others.
///
/// The kubelet reports the ids of containers in the pod's status.
pub(super) fn proxies(pod: &Pod) -> Proxies {
    let (Some(spec), meta) = (&pod.spec, &pod.metadata) else { return Proxies::None };
    let has = |map: &Option<std::collections::BTreeMap<String, String>>, (key, value): (&str, &str)| {
        map.as_ref().and_then(|map| map.get(key)).is_some_and(|found| found == value)
    };
    let sidecars = || spec.containers.iter().filter(|container| is_sidecar(&container.name)).count();
    if has(&meta.labels, NODE_PROXY) && sidecars() > 0 {
        return Proxies::All;
    }
    if has(&meta.annotations, (INTERCEPTION, "NONE")) || sidecars() == spec.containers.len() {
        return Proxies::None;
    }
    let Some(status) = &pod.status else { return Proxies::None };
    let statuses = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let ids: Box<[_]> = statuses.filter(|status| is_sidecar(&status.name)).filter_map(id).collect();
    if ids.is_empty() { Proxies::None } else { Proxies::Sidecars(ids) }
}

fn is_sidecar(name: &str) -> bool {
    SIDECARS.contains(&name)
}

/// The id without the runtime, as in `containerd://4bf9…`.
fn id(status: &ContainerStatus) -> Option<Box<str>> {
    let id = status.container_id.as_deref()?;
    Some(id.rsplit_once("//").map_or(id, |(_, id)| id).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(manifest: serde_json::Value, expected: Proxies) {
        let pod: Pod = serde_json::from_value(manifest.clone()).unwrap();
        assert_eq!(proxies(&pod), expected, "{manifest}");
    }

    /// A pod with these containers, init containers, label `app` and interception mode; their ids are their names.
    fn pod(containers: &[&str], init: &[&str], app: &str, mode: &str) -> serde_json::Value {
        let spec = |names: &[&str]| {
            names.iter().map(|name| serde_json::json!({ "name": name, "image": "x" })).collect::<Vec<_>>()
        };
        let status = |names: &[&str]| {
            let one = |name: &&str| {
                serde_json::json!({
                    "name": name, "ready": true, "restartCount": 0, "image": "x", "imageID": "x",
                    "containerID": format!("containerd://{name}"),
                })
            };
            names.iter().map(one).collect::<Vec<_>>()
        };
        serde_json::json!({
            "metadata": { "labels": { "app": app }, "annotations": { INTERCEPTION: mode } },
            "spec": { "containers": spec(containers), "initContainers": spec(init) },
            "status": { "containerStatuses": status(containers), "initContainerStatuses": status(init) },
        })
    }

    fn sidecar(name: &str) -> Proxies {
        Proxies::Sidecars([name.into()].into())
    }

    #[test]
    fn sidecars_stand_beside_an_application() {
        check(pod(&["web"], &["setup"], "web", ""), Proxies::None);
        check(pod(&["web", "istio-proxy"], &["istio-init"], "web", "REDIRECT"), sidecar("istio-proxy"));
        check(pod(&["linkerd-proxy", "web"], &["linkerd-init"], "web", ""), sidecar("linkerd-proxy"));
        check(pod(&["web"], &["istio-init", "istio-proxy"], "web", ""), sidecar("istio-proxy"));
    }

    #[test]
    fn gateways_and_proxies_that_are_asked_are_clients() {
        check(pod(&["istio-proxy"], &[], "istio-ingressgateway", ""), Proxies::None);
        check(pod(&["web", "istio-proxy"], &[], "web", "NONE"), Proxies::None);
    }

    #[test]
    fn a_nodes_proxy_is_one_in_all_it_does() {
        check(pod(&["istio-proxy"], &[], "ztunnel", ""), Proxies::All);
        check(pod(&["web"], &[], "ztunnel", ""), Proxies::None);
    }

    #[test]
    fn an_id_that_is_not_known_yet_is_nobodys() {
        let mut young = pod(&["web", "istio-proxy"], &[], "web", "");
        young["status"] = serde_json::json!({});
        check(young, Proxies::None);
    }
}
