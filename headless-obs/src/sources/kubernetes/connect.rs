//! The connection to the API server: configuration, and the HTTP stack below kube's client.
//!
//! kube's own stack keeps the kernel's TCP defaults. With those, a connection whose packets are dropped stays silent
//! for hours. It also logs every attempt. This stack makes the kernel detect a dead connection within 20 seconds. That
//! costs the server's kernel one packet in 10 seconds, and the server itself nothing.
//!
//! kube reads a token file again every minute. After a 401, this module reads all of the configuration again before the
//! next request, whatever the credentials. So replaced files take effect without a restart.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceBuilder};

use crate::config::Kubernetes as Options;

/// Time limit for the TCP handshake. The kernel repeats a SYN after 1 s, so there are two of them.
const CONNECT: Duration = Duration::from_secs(3);
/// Silence after which the kernel sends a keep-alive probe.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Time between keep-alive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Time without an acknowledgement, of data or of a probe, after which the connection is dead.
const DEAD: Duration = Duration::from_secs(20);

/// Errors before the first request.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is neither a cluster nor a kubeconfig.
    #[error(
        "there is no configuration for the Kubernetes API: headless-obs runs in no pod, and there is no \
         kubeconfig; give --kubeconfig FILE or set KUBECONFIG (sudo keeps it with --preserve-env=KUBECONFIG), or \
         choose another --topology"
    )]
    None,
    /// This is a pod without a ServiceAccount.
    #[error(
        "headless-obs runs in a pod, but cannot use its ServiceAccount: {0}; \
         set automountServiceAccountToken: true, or give --kubeconfig"
    )]
    InCluster(#[from] InClusterError),
    /// The kubeconfig is invalid.
    #[error("kubeconfig {}: {reason}; check it with `kubectl config view`", show(.files))]
    Kubeconfig {
        /// Its files.
        files: Vec<PathBuf>,
        /// The reason.
        reason: KubeconfigError,
    },
    /// The kubeconfig does not have the context.
    #[error("kubeconfig {}: has no context {context:?}; {}", show(.files), choose(.contexts))]
    NoContext {
        /// Its files.
        files: Vec<PathBuf>,
        /// The context that the user selected.
        context: String,
        /// The contexts in the kubeconfig.
        contexts: Vec<String>,
    },
    /// No context is chosen.
    #[error("kubeconfig {}: has no current context; {}", show(.files), choose(.contexts))]
    NoCurrentContext {
        /// Its files.
        files: Vec<PathBuf>,
        /// The contexts in the kubeconfig.
        contexts: Vec<String>,
    },
    /// A proxy is configured.
    #[error(
        "the API server is behind the proxy {0}, but headless-obs supports no proxies; unset HTTPS_PROXY, or \
         remove proxy-url from the kubeconfig"
    )]
    Proxy(String),
    /// Certificates, keys or credentials are invalid.
    #[error("cannot use the credentials for the Kubernetes API: {0}; check the kubeconfig's user")]
    Credentials(#[from] kube::Error),
    /// A thread crashed.
    #[error("reading the credentials for the Kubernetes API crashed: {0}; please report this")]
    Crashed(#[from] tokio::task::JoinError),
}

fn show(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn choose(contexts: &[String]) -> String {
    match contexts {
        [] => "it has no contexts; check that it is the right file".to_owned(),
        contexts => format!("choose one with --context: {}", contexts.join(", ")),
    }
}

/// Reads the configuration.
pub(super) async fn configuration(options: &Options) -> Result<kube::Config, ConfigError> {
    let mut config = match files(options) {
        Some(files) => from_files(files, options.context.as_ref()).await?,
        None if env::var_os("KUBERNETES_SERVICE_HOST").is_some() => kube::Config::incluster()?,
        None => return Err(ConfigError::None),
    };
    if let Some(proxy) = &config.proxy_url {
        return Err(ConfigError::Proxy(proxy.to_string()));
    }
    let agent = HeaderValue::from_static(concat!("headless-obs/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    Ok(config)
}

/// The files of the selected kubeconfig; none: the cluster of this pod.
fn files(options: &Options) -> Option<Vec<PathBuf>> {
    if !options.kubeconfig.is_empty() {
        return Some(options.kubeconfig.clone());
    }
    let in_cluster = env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let usual = env::home_dir()?.join(".kube/config");
    let is_meant = options.context.is_some() || (!in_cluster && usual.exists());
    is_meant.then(|| vec![usual])
}

async fn from_files(files: Vec<PathBuf>, context: Option<&String>) -> Result<kube::Config, ConfigError> {
    let merged = files.iter().try_fold(Kubeconfig::default(), |merged, file| {
        Kubeconfig::read_from(file).and_then(|next| merged.merge(next))
    });
    let kubeconfig = match merged {
        Ok(kubeconfig) => kubeconfig,
        Err(reason) => return Err(ConfigError::Kubeconfig { files, reason }),
    };
    let contexts: Vec<_> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let options = KubeConfigOptions { context: context.cloned(), ..Default::default() };
    kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|reason| match reason {
        KubeconfigError::LoadContext(context) => ConfigError::NoContext { files, context, contexts },
        KubeconfigError::CurrentContextNotSet => ConfigError::NoCurrentContext { files, contexts },
        reason => ConfigError::Kubeconfig { files, reason },
    })
}

type HttpService = BoxCloneService<Request<Body>, Response<Incoming>, BoxError>;

/// Connections to the API server, shared by all watches.
pub(super) struct Transport {
    options: Options,
    url: String,
    service: Mutex<HttpService>,
    is_stale: AtomicBool,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Transport {
    /// Reads configuration and credentials; makes no request.
    pub(super) async fn open(options: &Options) -> Result<Arc<Self>, ConfigError> {
        let config = configuration(options).await?;
        let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let service = Mutex::new(stack(config).await?);
        Ok(Arc::new(Self { options: options.clone(), url, service, is_stale: AtomicBool::new(false) }))
    }

    /// The URL of the API server.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Makes the next request read configuration and credentials again.
    pub(super) fn renew(&self) {
        self.is_stale.store(true, Ordering::Relaxed);
    }

    /// The service that sends requests.
    pub(super) async fn service(&self) -> Result<HttpService, BoxError> {
        if self.is_stale.swap(false, Ordering::Relaxed) {
            let renewed = match configuration(&self.options).await {
                Ok(config) => stack(config).await,
                Err(error) => Err(error),
            };
            match renewed {
                Ok(service) => *self.service.lock().unwrap_or_else(PoisonError::into_inner) = service,
                Err(error) => {
                    // The next request tries again: the files may be in the middle of a replacement.
                    self.renew();
                    return Err(error.into());
                }
            }
        }
        Ok(self.service.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The HTTP stack. A thread of its own builds it, because a program may have to run to get the credentials.
async fn stack(config: kube::Config) -> Result<HttpService, ConfigError> {
    tokio::task::spawn_blocking(move || {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        tcp.set_tcp_user_timeout(Some(DEAD));
        let tls = config.rustls_https_connector_with_connector(tcp)?;
        let http = legacy::Client::builder(TokioExecutor::new()).build(tls);
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer()?)
            .layer(config.extra_headers_layer()?)
            .map_err(BoxError::from)
            .service(http);
        Ok(BoxCloneService::new(service))
    })
    .await?
}
