//! The source of a snapshot: the engine of this process, daemons, or Prometheus.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hyper::StatusCode;

use super::prometheus::{Prometheus, PrometheusError};
use super::snapshot_file::NotRead;
use crate::cli::LOOK_BACK;
use crate::cli::observe::ObserveArgs;
use crate::cli::remote::{DaemonArgs, RemoteArgs};
use crate::config::Kubernetes;
use crate::config::remote::{Credentials, Origin};
use crate::config::values::{DaemonUrl, Last};
use crate::engine_handle::{EngineHandle, Gone};
use crate::expose::connection_list::{ConnectionList, ConnectionQuery};
use crate::expose::snapshot::{SCHEMA, Snapshot};
use crate::fleet::Unmergeable;
use crate::sources::kubernetes::pod_proxy::{Daemons, LABEL, NAME, PodProxyError};

pub(super) mod daemon;
mod many_daemons;
pub(super) mod request_path;
mod tls;

/// Time limit from connecting to the last byte.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// The source of a snapshot.
#[derive(Clone, Debug)]
pub(super) enum SnapshotSource {
    /// The engine of this process.
    Engine(EngineHandle, Last),
    /// Daemons and files, merged.
    Origins(Vec<Origin>, Credentials, Last),
    /// The daemons of a cluster, merged.
    Cluster {
        /// The cluster.
        options: Kubernetes,
        /// The pods that are daemons.
        daemons: Daemons,
        /// The file of the token that they want.
        token_file: Option<PathBuf>,
        /// The stretch of time to look back.
        last: Last,
    },
    /// A Prometheus.
    Prometheus(Box<Prometheus>),
}

impl SnapshotSource {
    /// The selected source, if any. For Prometheus, `duration` is the window.
    pub(super) fn remote(
        remote: RemoteArgs,
        duration: Option<Duration>,
        observe: &ObserveArgs,
    ) -> Option<Self> {
        if let Some(url) = remote.prometheus {
            return Some(Self::Prometheus(Box::new(Prometheus {
                url,
                headers: remote.prometheus_headers,
                token_file: remote.prometheus_token_file,
                selector: remote.prometheus_selector,
                window: duration.unwrap_or(LOOK_BACK),
                mature_after: observe.mature_after(),
            })));
        }
        let last = remote.last.unwrap_or_default();
        let credentials = remote.daemons.credentials();
        if remote.daemons.fleet {
            return Some(Self::Cluster {
                options: observe.cluster(),
                daemons: daemon_pods(&remote.daemons),
                token_file: credentials.token_file,
                last,
            });
        }
        let origins = remote.daemons.from;
        (!origins.is_empty()).then_some(Self::Origins(origins, credentials, last))
    }

    /// Takes a snapshot.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, SourceError> {
        match self {
            Self::Engine(engine, last) => Ok(engine.snapshot(last.length()).await?),
            Self::Origins(origins, credentials, last) => {
                many_daemons::origins(origins, credentials, *last).await
            }
            Self::Cluster { options, daemons, token_file, last } => {
                many_daemons::cluster(options, daemons, token_file.as_deref(), *last).await
            }
            Self::Prometheus(prometheus) => Ok(prometheus.snapshot().await?),
        }
    }

    /// Lists open connections. Only daemons know them.
    pub(super) async fn connections(&self, query: ConnectionQuery) -> Result<ConnectionList, SourceError> {
        match self {
            Self::Engine(engine, _) => Ok(engine.connections(query).await?),
            Self::Origins(origins, credentials, _) => {
                many_daemons::connections(origins, credentials, &query).await
            }
            Self::Cluster { options, daemons, token_file, last: _ } => {
                many_daemons::connections_of_cluster(options, daemons, token_file.as_deref(), &query).await
            }
            Self::Prometheus(_) => Err(SourceError::NoDaemon(self.name())),
        }
    }

    /// A short description of the source.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Engine(..) => "this machine".to_owned(),
            Self::Origins(origins, ..) => match &origins[..] {
                [origin] => origin.to_string(),
                origins => format!("{} snapshots", origins.len()),
            },
            Self::Cluster { .. } => "the cluster's daemons".to_owned(),
            Self::Prometheus(prometheus) => format!("Prometheus {}", prometheus.url),
        }
    }
}

/// The pods that are daemons, with --fleet.
pub(super) fn daemon_pods(args: &DaemonArgs) -> Daemons {
    let named = |name: &Option<String>| name.clone().unwrap_or_else(|| NAME.to_owned());
    Daemons { namespace: named(&args.fleet_namespace), account: named(&args.fleet_service_account) }
}

/// The reason why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// The engine of this process has stopped.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// Nothing listens at the address.
    #[error(
        "{0} refused the connection: is `headless-obs run` listening there? By default it listens on 127.0.0.1:9464 \
             of its own machine; --listen changes that"
    )]
    Refused(DaemonUrl),
    /// There is no route.
    #[error("cannot connect to {0}: {1}; check host and port")]
    Connect(DaemonUrl, io::Error),
    /// There was no response, or not all of it.
    #[error("{0} did not answer within {seconds} s; its /healthz says whether it is alive", seconds = TIMEOUT.as_secs())]
    Timeout(DaemonUrl),
    /// The connection broke, or the peer does not speak HTTP.
    #[error("{0} does not answer as an HTTP server: {1}; is it another program?")]
    Http(DaemonUrl, String),
    /// It responds with an error.
    #[error("{0} answers {1}: {2}")]
    Status(DaemonUrl, StatusCode, String),
    /// It wants a token, or another one.
    #[error("{0} answers {1}: {2}; --token-file names the file of a token whose account may read")]
    Token(DaemonUrl, StatusCode, String),
    /// The token or the authorities cannot be read.
    #[error("cannot use {what} in {file}: {2}", what = .0, file = .1.display())]
    CredentialsFile(&'static str, PathBuf, String),
    /// There is no TLS connection.
    #[error("cannot trust {0}: {1}")]
    Tls(DaemonUrl, String),
    /// It responds, but not with a snapshot.
    #[error("the answer of {0} is no snapshot: {1}; is it another program?")]
    NoSnapshot(DaemonUrl, String),
    /// A snapshot of another version.
    #[error(
        "{0} answers with schema {1:?}, but this program reads {SCHEMA:?}: use the same version on both sides"
    )]
    Schema(DaemonUrl, String),
    /// An indirect source does not respond.
    #[error("no answer within {seconds} s", seconds = TIMEOUT.as_secs())]
    Silent,
    /// A repetition is useless.
    #[error("{0}")]
    NotRunning(String),
    /// A file is not a snapshot.
    #[error("{0}")]
    File(String),
    /// Something else is asked for facts that only daemons know.
    #[error("{0} is no running daemon: --from URL or --fleet asks those that are")]
    NoDaemon(String),
    /// None of several sources answered.
    #[error("none of the sources answered: {0}")]
    AllMissing(String),
    /// The snapshots do not fit together.
    #[error(transparent)]
    Unmergeable(#[from] Unmergeable),
    /// The API server does not list the daemons.
    #[error(transparent)]
    Daemons(#[from] PodProxyError),
    /// The API server does not respond.
    #[error("the API server did not list the daemons' pods within {seconds} s", seconds = TIMEOUT.as_secs())]
    NoList,
    /// There are no daemons.
    #[error(
        "{url} has no pods labelled {LABEL} of the ServiceAccount {account} in namespace {namespace}, and {others} of \
         other accounts there: --fleet-namespace and --fleet-service-account say where the daemons are; or read from \
         daemons with --from URL", namespace = .daemons.namespace, account = .daemons.account
    )]
    NoDaemons {
        /// The URL of the API server.
        url: String,
        /// The pods that would be daemons.
        daemons: Daemons,
        /// Pods of other accounts.
        others: usize,
    },
    /// The response of a daemon through the API server is not a snapshot.
    #[error("its answer is no snapshot: {0}")]
    NotRead(String),
    /// Prometheus has none.
    #[error(transparent)]
    Prometheus(#[from] PrometheusError),
}

impl SourceError {
    /// Whether a repetition is useless.
    fn is_final(&self) -> bool {
        matches!(self, Self::File(_) | Self::NoDaemon(_))
    }
}

impl From<NotRead> for SourceError {
    fn from(error: NotRead) -> Self {
        Self::NotRead(match error {
            NotRead::NoSnapshot(error) => error.to_string(),
            NotRead::Schema(schema) => format!("schema {schema:?}, but this program reads {SCHEMA:?}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::engine_handle::fake;
    use crate::expose::test_fixtures;
    use crate::readiness::Readiness;
    use crate::server::{MAIN, Server, routes::routes};

    fn source(address: std::net::SocketAddr) -> SnapshotSource {
        SnapshotSource::Origins(vec![address.to_string().parse().unwrap()], Credentials::default(), Last::All)
    }

    #[tokio::test]
    async fn a_daemon_gives_what_its_engine_gives() {
        let engine = fake::engine(test_fixtures::snapshot(), Vec::new());
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), MAIN).await.unwrap();
        let address = server.address();
        let routes = routes(engine.clone(), Readiness::waiting_for([]), None);
        tokio::spawn(server.serve(routes, std::future::pending()));
        assert_eq!(source(address).snapshot().await.unwrap(), test_fixtures::snapshot());
        assert_eq!(
            SnapshotSource::Engine(engine, Last::All).snapshot().await.unwrap(),
            test_fixtures::snapshot()
        );
    }

    /// The error for a server that answers every connection with these bytes.
    async fn answered(bytes: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _request = stream.read(&mut [0; 4_096]).await.unwrap();
            stream.write_all(bytes).await.unwrap();
        });
        let error = source(address).snapshot().await.unwrap_err();
        serving.await.unwrap();
        error.to_string()
    }

    #[tokio::test]
    async fn errors_say_what_to_do() {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = source(unused).snapshot().await.unwrap_err().to_string();
        assert!(error.contains("is `headless-obs run` listening there?"), "{error}");
        for (bytes, hint) in [
            (&b"SSH-2.0-x\r\n"[..], "another program"),
            (b"", "another program"),
            (
                b"HTTP/1.1 503 X\r\ncontent-length: 10\r\n\r\nstopp\x1b[ed\n",
                "503 Service Unavailable: stopp\u{fffd}[ed",
            ),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>", "no snapshot"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"schema\": \"other/9\"}", "no snapshot"),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"schema\": \"other/9\"}",
                "same version on both sides",
            ),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 29\r\n\r\n{\"schema\": \"headless-obs/v1\"}",
                "missing field",
            ),
        ] {
            let error = answered(bytes).await;
            assert!(error.contains(hint), "{hint}: {error}");
        }
    }

    #[tokio::test]
    async fn silence_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = source(listener.local_addr().unwrap()).snapshot().await.unwrap_err().to_string();
        assert!(error.contains("did not answer within 10 s"), "{error}");
    }

    #[tokio::test]
    async fn several_are_one_and_who_is_away_is_named() {
        let serve = async |node: &str| {
            let snapshot = Snapshot { node: node.to_owned(), ..test_fixtures::snapshot() };
            let server = Server::bind("127.0.0.1:0".parse().unwrap(), MAIN).await.unwrap();
            let address = server.address();
            let routes = routes(fake::engine(snapshot, Vec::new()), Readiness::waiting_for([]), None);
            tokio::spawn(server.serve(routes, std::future::pending()));
            address.to_string()
        };
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let origins = |texts: &[&str]| {
            let origins = texts.iter().map(|text| text.parse().unwrap()).collect();
            SnapshotSource::Origins(origins, Credentials::default(), Last::All)
        };
        let (one, other) = (serve("n1").await, serve("n2").await);
        let both = origins(&[&one, &other, &unused]).snapshot().await.unwrap();
        let opened = |snapshot: &Snapshot| snapshot.services[0].endpoints[0].opened;
        assert_eq!(opened(&both), 2 * opened(&test_fixtures::snapshot()));
        let missing: Vec<_> = both.nodes.iter().filter(|part| part.missing.is_some()).collect();
        assert_eq!((both.nodes.len(), missing.len(), &missing[0].node), (3, 1, &unused));
        assert!(missing[0].missing.as_deref().unwrap().contains("refused the connection"));

        let error = origins(&[&unused, &unused]).snapshot().await.unwrap_err().to_string();
        assert!(error.starts_with("none of the sources answered: "), "{error}");
        let error = origins(&[&one, "/nowhere/a.json"]).snapshot().await.unwrap_err().to_string();
        assert!(error.contains("cannot read /nowhere/a.json"), "{error}");
    }
}
