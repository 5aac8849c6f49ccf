//! Finds the proxies of service meshes by the pods that they are in. Pure.
//!
//! A mesh redirects the traffic of a pod's containers to a proxy, and the proxy connects in their place. The kernel
//! sees two connections: the application's, still with the address that it selected, and the proxy's. The application's
//! connection counts, because the application selected the address and its DNS answers explain it. In the same way, the
//! proxy in front of a server connects to the server from within the server's pod.
//!
//! | mesh | proxy |
//! |---|---|
//! | Istio (also of GKE), Linkerd, Kuma, Consul, NGINX | a container in the pod, perhaps among the init containers |
//! | Open Service Mesh, AWS App Mesh, Traffic Director | the container `envoy`, if an init container may change the pod's network |
//! | Istio ambient | the pod `ztunnel`, one per node, with sockets inside the pods it serves |
//! | Cilium | the pod `cilium-envoy`, or the agent's, one per node |
//!
//! A pod with no container but a proxy is a gateway, a client like any other. So is a pod whose proxy takes over no
//! traffic: Istio's interception mode `NONE`; Consul without its transparent proxy, where an application asks the proxy
//! at a loopback address for the upstreams that an annotation lists. Dapr's sidecar takes over none. The connections of
//! such proxies are the only ones.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};

use crate::topology::model::{self, Proxies};

/// Names of the proxies' containers.
const SIDECARS: [&str; 6] = [
    "istio-proxy",
    "linkerd-proxy",
    "kuma-sidecar",
    "consul-dataplane",
    // Consul before 1.14.
    "envoy-sidecar",
    "nginx-mesh-sidecar",
];
/// A proxy if an init container may change the pod's network: any pod may have a container of this name.
const PLAIN_ENVOY: &str = "envoy";
/// Labels of pods that serve their whole node, and the container that does.
const NODE_PROXIES: [((&str, &str), &str); 3] = [
    (("app", "ztunnel"), "istio-proxy"),
    (("k8s-app", "cilium-envoy"), "cilium-envoy"),
    (("k8s-app", "cilium"), "cilium-agent"),
];
/// Annotations that say that the sidecar does not take over the pod's traffic.
const NOT_TAKEN_OVER: [(&str, &str); 3] = [
    ("sidecar.istio.io/interceptionMode", "NONE"),
    ("kuma.io/transparent-proxying", "disabled"),
    ("consul.hashicorp.com/transparent-proxy", "false"),
];
/// The annotation that lists what Consul's sidecar offers at loopback addresses.
const UPSTREAMS: &str = "consul.hashicorp.com/connect-service-upstreams";
/// The annotation that Consul sets where its transparent proxy takes over the pod's traffic.
const TAKEN_OVER: &str = "consul.hashicorp.com/transparent-proxy-status";

/// The containers of the pod that are proxies for others.
///
/// The kubelet reports the ids of containers in the pod's status.
pub(super) fn proxies(pod: &Pod) -> Proxies {
    let (Some(spec), meta) = (&pod.spec, &pod.metadata) else { return Proxies::None };
    let has = |map: &Option<std::collections::BTreeMap<String, String>>, (key, value): (&str, &str)| {
        map.as_ref().and_then(|map| map.get(key)).is_some_and(|found| found == value)
    };
    let has_container = |name: &str| spec.containers.iter().any(|container| container.name == name);
    let mut of_nodes = NODE_PROXIES.iter();
    if of_nodes.any(|(label, container)| has(&meta.labels, *label) && has_container(container)) {
        return Proxies::All;
    }
    let is_redirected = spec.init_containers.iter().flatten().any(changes_network);
    let is_sidecar = |name: &str| SIDECARS.contains(&name) || name == PLAIN_ENVOY && is_redirected;
    let sidecars = spec.containers.iter().filter(|container| is_sidecar(&container.name)).count();
    let is_annotated =
        |key: &str| meta.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(key));
    let is_asked = is_annotated(UPSTREAMS) && !is_annotated(TAKEN_OVER) && !is_redirected;
    if is_asked
        || NOT_TAKEN_OVER.iter().any(|annotation| has(&meta.annotations, *annotation))
        || sidecars == spec.containers.len()
    {
        return Proxies::None;
    }
    let started = containers(pod).into_iter();
    let ids: Box<[_]> =
        started.filter(|container| is_sidecar(&container.name)).map(|container| container.id).collect();
    if ids.is_empty() { Proxies::None } else { Proxies::Sidecars(ids) }
}

/// The containers of the pod that were started.
pub(super) fn containers(pod: &Pod) -> Box<[model::Container]> {
    let Some(status) = &pod.status else { return Box::default() };
    let statuses = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let started = |status: &ContainerStatus| {
        Some(model::Container { name: status.name.as_str().into(), id: id(status)? })
    };
    statuses.filter_map(started).collect()
}

/// Whether a container may change the pod's network.
fn changes_network(container: &Container) -> bool {
    let security = container.security_context.as_ref();
    let added = security.and_then(|security| security.capabilities.as_ref()?.add.as_ref());
    added.is_some_and(|added| added.iter().any(|name| name.trim_start_matches("CAP_") == "NET_ADMIN"))
        || security.and_then(|security| security.privileged) == Some(true)
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
            "metadata": { "labels": { "app": app }, "annotations": { "sidecar.istio.io/interceptionMode": mode } },
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
    fn sidecars_of_other_meshes() {
        for name in ["kuma-sidecar", "consul-dataplane", "envoy-sidecar", "nginx-mesh-sidecar"] {
            check(pod(&["web", name], &[], "web", ""), sidecar(name));
            check(pod(&[name], &[], "gateway", ""), Proxies::None);
        }
        check(pod(&["web", "daprd"], &[], "web", ""), Proxies::None);
        for (key, value) in NOT_TAKEN_OVER {
            let mut off = pod(&["web", "kuma-sidecar"], &[], "web", "");
            off["metadata"]["annotations"] = serde_json::json!({ key: value });
            check(off, Proxies::None);
        }
    }

    #[test]
    fn a_consul_that_is_asked_at_loopback_takes_nothing_over() {
        let mut asked = pod(&["web", "consul-dataplane"], &["setup"], "web", "");
        asked["metadata"]["annotations"] = serde_json::json!({ UPSTREAMS: "orders:5432" });
        check(asked.clone(), Proxies::None);
        // The CNI plugin redirects, or an init container does.
        let mut by_plugin = asked.clone();
        by_plugin["metadata"]["annotations"][TAKEN_OVER] = "enabled".into();
        check(by_plugin, sidecar("consul-dataplane"));
        asked["spec"]["initContainers"][0]["securityContext"] = serde_json::json!({ "privileged": true });
        check(asked, sidecar("consul-dataplane"));
    }

    #[test]
    fn any_envoy_is_a_proxy_only_where_the_network_is_changed_for_it() {
        let mut meshed = pod(&["web", "envoy"], &["setup"], "web", "");
        check(meshed.clone(), Proxies::None);
        let may = serde_json::json!({ "capabilities": { "add": ["NET_ADMIN"] } });
        meshed["spec"]["initContainers"][0]["securityContext"] = may;
        check(meshed, sidecar("envoy"));
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
        let mut of_cilium = pod(&["cilium-envoy"], &[], "", "");
        of_cilium["metadata"]["labels"] = serde_json::json!({ "k8s-app": "cilium-envoy" });
        check(of_cilium, Proxies::All);
        let mut agent = pod(&["cilium-agent"], &["config"], "", "");
        agent["metadata"]["labels"] = serde_json::json!({ "k8s-app": "cilium" });
        check(agent, Proxies::All);
    }

    #[test]
    fn an_id_that_is_not_known_yet_is_nobodys() {
        let mut young = pod(&["web", "istio-proxy"], &[], "web", "");
        young["status"] = serde_json::json!({});
        check(young, Proxies::None);
    }
}
