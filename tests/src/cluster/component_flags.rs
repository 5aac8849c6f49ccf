//! The flags of each part of a control plane in one network namespace.
//!
//! In: the folder, the keys and a [`ClusterSpec`]. Out: command lines and files. All parts listen inside the node's
//! network. The API server and DNS listen on their Service addresses, so that pods reach both without kube-proxy.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result};

use crate::cluster::ClusterSpec;
use crate::cluster::certificates::{Identity, Keys};

/// The address of the Service `default/kubernetes`.
pub const API: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));
/// The address of the cluster's DNS Service.
pub const DNS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10));
/// The cluster's DNS zone.
pub const ZONE: &str = "cluster.local";

/// The API server's listening address.
pub(crate) const API_SOCKET: SocketAddr = SocketAddr::new(API, 443);
/// The address of CoreDNS's readiness page.
pub(crate) const DNS_READY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8181);
/// The address of etcd.
pub(crate) const ETCD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2379);

/// The names in the API server's certificate.
pub(crate) const NAMES: [&str; 5] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// Controllers that tests need with and without kubelets.
const CONTROLLERS: [&str; 14] = [
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
];

/// Controllers for real nodes only. Without heartbeats they would make every pod unready.
const NODE_CONTROLLERS: [&str; 2] = ["node-lifecycle-controller", "taint-eviction-controller"];

/// CoreDNS's read rights.
pub(crate) const DNS_ACCOUNT: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: coredns, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: lab-coredns}
rules:
- {apiGroups: [''], resources: [services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: lab-coredns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: lab-coredns}
subjects: [{kind: ServiceAccount, name: coredns, namespace: kube-system}]
";

/// Flags as `--name=value`.
fn flags(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the lab's folder has a path that is not text")
}

pub(crate) fn etcd(folder: &Path) -> Result<Vec<String>> {
    let (url, peers) = (format!("http://{ETCD}"), "http://127.0.0.1:2380");
    Ok(flags(&[
        ("name", "lab"),
        ("data-dir", text(&folder.join("etcd"))?),
        ("listen-client-urls", &url),
        ("advertise-client-urls", &url),
        ("listen-peer-urls", peers),
        ("initial-advertise-peer-urls", peers),
        ("initial-cluster", &format!("lab={peers}")),
        // The data need not survive the machine.
        ("unsafe-no-fsync", "true"),
        ("log-level", "warn"),
    ]))
}

pub(crate) fn api_server(keys: &Keys, address: IpAddr, spec: &ClusterSpec) -> Result<Vec<String>> {
    let mut all = flags(&[
        ("etcd-servers", &format!("http://{ETCD}")),
        ("bind-address", "0.0.0.0"),
        ("secure-port", &API_SOCKET.port().to_string()),
        ("advertise-address", &address.to_string()),
        ("service-cluster-ip-range", "10.96.0.0/16,fd00:10:96::/112"),
        ("tls-cert-file", text(&keys.path("apiserver.crt"))?),
        ("tls-private-key-file", text(&keys.path("apiserver.key"))?),
        ("client-ca-file", text(&keys.path("ca.crt"))?),
        ("authorization-mode", "Node,RBAC"),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
        ("service-account-signing-key-file", text(&keys.path("service-accounts.key"))?),
        ("service-account-key-file", text(&keys.path("service-accounts.pub"))?),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("allow-privileged", "true"),
        ("profiling", "false"),
    ]);
    all.extend(spec.api_server.iter().cloned());
    Ok(all)
}

pub(crate) fn controllers(keys: &Keys, kubeconfig: &Path, spec: &ClusterSpec) -> Result<Vec<String>> {
    let nodes: &[&str] = if spec.real_nodes { &NODE_CONTROLLERS } else { &[] };
    Ok(flags(&[
        ("kubeconfig", text(kubeconfig)?),
        ("leader-elect", "false"),
        ("bind-address", "127.0.0.1"),
        ("use-service-account-credentials", "true"),
        ("service-account-private-key-file", text(&keys.path("service-accounts.key"))?),
        ("root-ca-file", text(&keys.path("ca.crt"))?),
        // With the default limits, a hundred changes at once take seconds.
        ("kube-api-qps", "500"),
        ("kube-api-burst", "1000"),
        ("controllers", &[&CONTROLLERS[..], nodes].concat().join(",")),
        ("profiling", "false"),
    ]))
}

pub(crate) fn scheduler(kubeconfig: &Path) -> Result<Vec<String>> {
    Ok(flags(&[("kubeconfig", text(kubeconfig)?), ("leader-elect", "false"), ("bind-address", "127.0.0.1")]))
}

/// Writes the Corefile; returns CoreDNS's flags.
pub(crate) fn dns(folder: &Path, kubeconfig: &Path, options: &DnsPlugins) -> Result<Vec<String>> {
    let file = folder.join("Corefile");
    let corefile = format!(
        ".:53 {{\n bind {DNS}\n errors\n ready {DNS_READY}\n loadbalance\n {}\n kubernetes {ZONE} in-addr.arpa ip6.arpa {{\n  \
         kubeconfig {} lab\n  pods insecure\n  fallthrough in-addr.arpa ip6.arpa\n  ttl {}\n  {}\n }}\n}}\n",
        options.server,
        text(kubeconfig)?,
        options.ttl,
        options.kubernetes,
    );
    fs::write(&file, corefile).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(vec!["-conf".to_owned(), text(&file)?.to_owned()])
}

/// CoreDNS's options.
#[derive(Clone, Debug)]
pub struct DnsPlugins {
    /// The time to live of answers, in seconds.
    pub ttl: u32,
    /// An additional line of the server block, such as `cache 30`.
    pub server: String,
    /// An additional line of the plugin `kubernetes`, such as `endpoint_pod_names`.
    pub kubernetes: String,
}

impl Default for DnsPlugins {
    fn default() -> Self {
        Self { ttl: 5, server: String::new(), kubernetes: String::new() }
    }
}

/// Users of the control plane's own parts.
pub(crate) fn user(part: &str) -> Identity {
    Identity::User(format!("system:{part}"), Vec::new())
}
