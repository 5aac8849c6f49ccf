//! Reaches the daemons of a whole cluster through its API server. This takes the right to use the proxy of their pods,
//! and no network path to the pods.
//!
//! In: the options of the kubeconfig, and where the daemons are. Out: the daemons' pods, and the response of each.
//! Nothing in the cluster changes. Invariant: a pod of another namespace or ServiceAccount is never a daemon, whatever its
//! labels.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::ListParams;
use kube::client::Body;
use kube::{Api, Client};

use super::connect::{ConfigError, Transport};
use super::errors::{describe, of_answer};
use super::transport::{Monitored, WatchTransport};
use crate::config::Kubernetes as Options;
use crate::config::access::TOKEN_HEADER;

/// The labels of the daemons' pods.
pub const LABEL: &str = "app.kubernetes.io/name=headless-obs";
/// Namespace and ServiceAccount of the daemons where nothing else is said.
pub const NAME: &str = "headless-obs";
/// The port of the daemons, unless a port has the name below.
const PORT: i32 = 9464;
const PORT_NAME: &str = "metrics";
/// The most bytes of an error.
const LONGEST_REASON: usize = 1 << 20;
/// Pods in one response of the API server.
const PAGE: u32 = 500;

/// The pods that are daemons. Anyone who creates pods chooses their labels; not everyone has this namespace and account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemons {
    /// Their namespace.
    pub namespace: String,
    /// Their ServiceAccount.
    pub account: String,
}

/// The daemons' pods, and the number of pods that only have their label.
#[derive(Debug, Default)]
pub struct Listed {
    /// The daemons' pods.
    pub daemons: Vec<DaemonPod>,
    /// Pods of other accounts.
    pub others: usize,
}

/// A daemon's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonPod {
    namespace: String,
    pod: String,
    port: i32,
    is_tls: bool,
    /// The node that it observes, if known.
    pub node: String,
    /// The reason why it cannot respond.
    pub trouble: Option<String>,
}

/// The reason why the daemons cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum PodProxyError {
    /// The API server cannot be reached.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The API server does not permit it.
    #[error("{url} does not allow you to {verb} {resource}{place}: {said}; grant it as docs/fleet.md shows")]
    Refused {
        /// The URL of the API server.
        url: String,
        /// The verb.
        verb: &'static str,
        /// The resource.
        resource: &'static str,
        /// The namespace.
        place: String,
        /// The message of the API server.
        said: String,
    },
    /// Any other error, as text.
    #[error("{0}")]
    Other(String),
}

/// Sends requests to the daemons of a cluster.
#[derive(Clone)]
pub struct PodProxy {
    client: Client,
    url: String,
}

impl std::fmt::Debug for PodProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PodProxy").field("url", &self.url).finish_non_exhaustive()
    }
}

impl DaemonPod {
    /// `namespace/name` of the pod.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.pod)
    }
}

impl PodProxy {
    /// Reads configuration and credentials; makes no request.
    ///
    /// # Errors
    ///
    /// If there are no usable ones.
    pub async fn open(options: &Options) -> Result<Self, PodProxyError> {
        let transport = Transport::open(options).await?;
        let url = transport.url().to_owned();
        let line = WatchTransport::new(Default::default()).into();
        Ok(Self { client: Client::new(Monitored { transport, line }, "default"), url })
    }

    /// The URL of the API server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The daemons' pods.
    ///
    /// # Errors
    ///
    /// If the API server does not answer.
    pub async fn list(&self, wanted: &Daemons) -> Result<Listed, PodProxyError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &wanted.namespace);
        let place = format!(" in {}", wanted.namespace);
        let mut listed = Listed::default();
        let mut params = ListParams::default().labels(LABEL).limit(PAGE);
        loop {
            let page =
                api.list(&params).await.map_err(|error| self.trouble(&error, "list", "pods", &place))?;
            listed.add(wanted, &page.items);
            match page.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => params = params.continue_token(&next),
                None => return Ok(listed),
            }
        }
    }

    /// A daemon's response for this path, at most `limit` bytes. The daemon gets the token, if there is one.
    ///
    /// # Errors
    ///
    /// If the daemon or the API server does not answer.
    pub async fn get(
        &self,
        daemon: &DaemonPod,
        path: &str,
        token: Option<HeaderValue>,
        limit: usize,
    ) -> Result<Bytes, PodProxyError> {
        let answer = self.respond(daemon, path, token).await?;
        whole(daemon, answer, limit).await
    }

    /// The head of a response without an error; its body may go on for ever.
    ///
    /// # Errors
    ///
    /// If the daemon or the API server does not answer.
    pub async fn respond(
        &self,
        daemon: &DaemonPod,
        path: &str,
        token: Option<HeaderValue>,
    ) -> Result<Response<Body>, PodProxyError> {
        let DaemonPod { namespace, pod, port, is_tls, .. } = daemon;
        let scheme = if *is_tls { "https:" } else { "" };
        let uri = format!("/api/v1/namespaces/{namespace}/pods/{scheme}{pod}:{port}/proxy{path}");
        let mut request = Request::get(uri);
        if let Some(token) = token {
            request = request.header(TOKEN_HEADER, token);
        }
        let request = request.body(Body::empty()).map_err(|error| other(daemon, &error))?;
        let answer = self.client.send(request).await;
        let answer = answer.map_err(|error| PodProxyError::Other(describe(&error, &self.url)))?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let Said { text: said, is_of_pod } = said(&whole(daemon, answer, LONGEST_REASON).await?);
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if is_of_pod => other(
                daemon,
                &format!("{status}: {said}; --token-file names the file of a token whose account may read"),
            ),
            StatusCode::FORBIDDEN => PodProxyError::Refused {
                url: self.url.clone(),
                verb: "get",
                resource: "pods/proxy",
                place: format!(" in {namespace}"),
                said,
            },
            // The API server could not connect: the daemon is not running, or listens on another port.
            status => {
                other(daemon, &format!("{status}: {said}; check that it listens on its pod's port {port}"))
            }
        })
    }

    fn trouble(
        &self,
        error: &kube::Error,
        verb: &'static str,
        resource: &'static str,
        place: &str,
    ) -> PodProxyError {
        match error {
            kube::Error::Api(status) if status.code == 403 => PodProxyError::Refused {
                url: self.url.clone(),
                verb,
                resource,
                place: place.to_owned(),
                said: status.message.clone(),
            },
            kube::Error::Api(status) => PodProxyError::Other(of_answer(status, &self.url)),
            error => PodProxyError::Other(describe(error, &self.url)),
        }
    }
}

fn other(DaemonPod { namespace, pod, .. }: &DaemonPod, error: &dyn std::fmt::Display) -> PodProxyError {
    PodProxyError::Other(format!("pod {namespace}/{pod}: {error}"))
}

/// The whole body of a response.
async fn whole(daemon: &DaemonPod, answer: Response<Body>, most: usize) -> Result<Bytes, PodProxyError> {
    let body = Limited::new(answer.into_body(), most).collect().await;
    Ok(body.map_err(|error| other(daemon, &error))?.to_bytes())
}

impl Listed {
    fn add(&mut self, wanted: &Daemons, pods: &[Pod]) {
        for pod in pods {
            let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
            let has_place = pod.metadata.namespace.as_ref() == Some(&wanted.namespace);
            if has_place && account == Some(&wanted.account) {
                self.daemons.extend(daemon(pod));
            } else {
                self.others += 1;
            }
        }
    }
}

/// The message of a failed response: that of a Status, otherwise its text, which is the pod's.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    text: String,
    is_of_pod: bool,
}

fn said(body: &[u8]) -> Said {
    let status: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    match status.as_ref().and_then(|status| status.get("message")?.as_str()) {
        Some(message) => Said { text: message.to_owned(), is_of_pod: false },
        None => Said { text: String::from_utf8_lossy(body).trim().to_owned(), is_of_pod: true },
    }
}

/// A pod that runs, or should run. A pod that has ended is left out.
fn daemon(pod: &Pod) -> Option<DaemonPod> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref());
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    if matches!(phase, "Succeeded" | "Failed") || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let name = pod.metadata.name.clone()?;
    let words = |container: &Container| [container.command.clone(), container.args.clone()];
    let mut words = spec.containers.iter().flat_map(words).flatten().flatten();
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let port = ports.filter(|port| port.name.as_deref() == Some(PORT_NAME)).map(|port| port.container_port);
    let has_address = status.is_some_and(|status| status.pod_ip.is_some());
    Some(DaemonPod {
        namespace: pod.metadata.namespace.clone()?,
        node: spec.node_name.clone().unwrap_or_else(|| name.clone()),
        port: { port }.next().unwrap_or(PORT),
        is_tls: words.any(|word| word.starts_with("--tls-cert")),
        trouble: (phase != "Running" || !has_address).then(|| format!("its pod {name} is {phase}")),
        pod: name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(yaml: &str) -> Pod {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn pods_that_can_answer_are_told_from_those_that_cannot() {
        let running = "{metadata: {name: a, namespace: o}, spec: {nodeName: n1, containers: [{name: x, ports: \
                       [{containerPort: 1}, {name: metrics, containerPort: 9999}]}]}, \
                       status: {phase: Running, podIP: 10.0.0.1}}";
        let daemon_of = |yaml: &str| daemon(&pod(yaml));
        let expected = DaemonPod {
            namespace: "o".into(),
            pod: "a".into(),
            port: 9_999,
            is_tls: false,
            node: "n1".into(),
            trouble: None,
        };
        assert_eq!(daemon_of(running), Some(expected));
        let encrypted = running.replace("name: x,", "name: x, args: [run, --tls-cert=/tls/tls.crt],");
        assert!(daemon_of(&encrypted).unwrap().is_tls);
        let pending = "{metadata: {name: a, namespace: o}, spec: {containers: [{name: x}]}, status: {}}";
        let pending = daemon_of(pending).unwrap();
        assert_eq!((pending.port, pending.node.as_str()), (PORT, "a"));
        assert_eq!(pending.trouble.as_deref(), Some("its pod a is Pending"));
        assert_eq!(daemon_of(&running.replace("Running", "Failed")), None);
    }

    #[test]
    fn a_label_makes_no_daemon() {
        let wanted = Daemons { namespace: "o".into(), account: "a".into() };
        let pods = [("o", "a"), ("o", "b"), ("p", "a"), ("o", "")].map(|(namespace, account)| {
            pod(&format!(
                "{{metadata: {{name: x, namespace: {namespace}, labels: {{app.kubernetes.io/name: headless-obs}}}}, \
                 spec: {{nodeName: n1, serviceAccountName: '{account}', containers: []}}, \
                 status: {{phase: Running, podIP: 10.0.0.1}}}}"
            ))
        });
        let mut listed = Listed::default();
        listed.add(&wanted, &pods);
        assert_eq!((listed.daemons.len(), listed.others), (1, 3));
    }

    #[test]
    fn what_is_said_is_the_message() {
        let of = |text: &str, is_of_pod| Said { text: text.to_owned(), is_of_pod };
        assert_eq!(said(br#"{"kind":"Status","message":"no"}"#), of("no", false));
        assert_eq!(said(b" not found\n"), of("not found", true));
    }
}
