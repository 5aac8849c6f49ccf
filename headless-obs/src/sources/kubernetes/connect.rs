//! How the API server is reached: configuration, and the HTTP stack below kube's client.
//!
//! kube's own stack leaves the kernel's defaults for TCP, with which a connection whose packets are dropped on the
//! way stays silent for hours; and it logs every try. This one asks the kernel to find out within 20 seconds. That
//! costs the server's kernel one packet in 10 seconds, and the server itself nothing.
//!
//! A token in a file is read again every minute, by kube. Whatever the credentials, a 401 has all of the
//! configuration read again before the next request, so that files that were replaced serve without a restart.

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

/// For the TCP handshake. SYNs are repeated after 1 s, so this is two of them.
const CONNECT: Duration = Duration::from_secs(3);
/// Silence after which the kernel asks whether the peer is there.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Time between such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Time without an answer after which the connection is dead, whether data or a question went unanswered.
const DEAD: Duration = Duration::from_secs(20);

/// Why the API server cannot be reached at all, before anybody asked it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Neither in a cluster nor a kubeconfig.
    #[error(
        "there is no configuration for the Kubernetes API: this is no pod of a cluster, and there is no \
         kubeconfig; give --kubeconfig FILE or set KUBECONFIG (sudo keeps it with --preserve-env=KUBECONFIG), or \
         choose another --topology"
    )]
    None,
    /// In a cluster, but without a ServiceAccount.
    #[error(
        "this is a pod of a cluster, but its ServiceAccount cannot be used: {0}; \
         set automountServiceAccountToken: true, or give --kubeconfig"
    )]
    InCluster(#[from] InClusterError),
    /// The kubeconfig cannot be used.
    #[error("kubeconfig {}: {reason}; check it with `kubectl config view`", show(.files))]
    Kubeconfig {
        /// Its files.
        files: Vec<PathBuf>,
        /// Why.
        reason: KubeconfigError,
    },
    /// The kubeconfig lacks the context.
    #[error("kubeconfig {}: has no context {context:?}; {}", show(.files), choose(.contexts))]
    NoContext {
        /// Its files.
        files: Vec<PathBuf>,
        /// What was asked for.
        context: String,
        /// What there is.
        contexts: Vec<String>,
    },
    /// No context is chosen.
    #[error("kubeconfig {}: has no current context; {}", show(.files), choose(.contexts))]
    NoCurrentContext {
        /// Its files.
        files: Vec<PathBuf>,
        /// What there is.
        contexts: Vec<String>,
    },
    /// A proxy.
    #[error(
        "the way to the API server leads through the proxy {0}, which is not supported; unset HTTPS_PROXY, or \
         remove proxy-url from the kubeconfig"
    )]
    Proxy(String),
    /// Certificates, keys or credentials are unusable.
    #[error("the credentials for the Kubernetes API cannot be used: {0}; check the kubeconfig's user")]
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
        [] => "it has no contexts at all: is it the right file?".to_owned(),
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

/// The files of the kubeconfig that is meant; none: the cluster that this is a pod of.
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
    /// Reads configuration and credentials. Asks nobody yet.
    pub(super) async fn open(options: &Options) -> Result<Arc<Self>, ConfigError> {
        let config = configuration(options).await?;
        let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let service = Mutex::new(stack(config).await?);
        Ok(Arc::new(Self { options: options.clone(), url, service, is_stale: AtomicBool::new(false) }))
    }

    /// Where the API server is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Has configuration and credentials read again before the next request.
    pub(super) fn renew(&self) {
        self.is_stale.store(true, Ordering::Relaxed);
    }

    /// What sends requests.
    pub(super) async fn service(&self) -> Result<HttpService, BoxError> {
        if self.is_stale.swap(false, Ordering::Relaxed) {
            let renewed = match configuration(&self.options).await {
                Ok(config) => stack(config).await,
                Err(error) => Err(error),
            };
            match renewed {
                Ok(service) => *self.service.lock().unwrap_or_else(PoisonError::into_inner) = service,
                Err(error) => {
                    // The next request tries again: the files may be being replaced.
                    self.renew();
                    return Err(error.into());
                }
            }
        }
        Ok(self.service.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The HTTP stack. In a thread of its own: credentials may come from a program that is run for them.
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
