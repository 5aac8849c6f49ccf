//! `run`: the daemon.

use anyhow::Context;
use serde_json::json;
use tokio::sync::oneshot;

use super::signal::Stop;
use super::{Start, output};
use crate::cli::{Output, RunArgs};
use crate::config::{Observe, StandbyMode};
use crate::server::access::Access;
use crate::server::routes::{health_routes, routes};
use crate::server::tls::Certificate;
use crate::server::{MAIN, PROBES, Server};
use crate::sources::kubernetes;
use push::Push;

mod push;

pub(super) async fn run(args: RunArgs, format: Output, start: impl Start) -> anyhow::Result<()> {
    let standby = if args.stand_by { StandbyMode::Wait } else { StandbyMode::Warn };
    let certificate = args.access.certificate().map(Certificate::open).transpose()?;
    let access = access(&args).await?;
    if access.is_some() && certificate.is_none() {
        tracing::warn!("tokens are sent without encryption: --tls-cert and --tls-key encrypt them");
    }
    let receiver = args.otlp.receiver();
    let reads_token = receiver.as_ref().is_some_and(|receiver| receiver.token_file.is_some());
    let reads_files = certificate.is_some() || access.is_some() || reads_token;
    let push = match receiver {
        Some(receiver) => Some(Push::new(receiver).await?),
        None => None,
    };
    let config = Observe { series: args.series.into(), standby, reads_files, ..args.observe.try_into()? };
    let node = config.node.clone();
    let mut stop = Stop::new().context("cannot wait for signals")?;
    let server = Server::bind(args.listen, MAIN).await?.with_certificate(certificate);
    let health = match args.health_listen {
        Some(address) => Some(Server::bind(address, PROBES).await?),
        None => None,
    };
    let url = server.url();
    let mut observer = tokio::select! {
        observer = start(config) => observer?,
        () = stop.recv() => return Ok(()),
    };
    let (end, ended) = oneshot::channel::<()>();
    if let Some(server) = health {
        // Until the process ends: a probe that finds nobody would be wrong while the other requests finish.
        let routes = health_routes(observer.engine.clone(), observer.readiness.clone());
        tokio::spawn(server.serve(routes, std::future::pending()));
    }
    let (no_push, pushed) = oneshot::channel::<()>();
    let pushing = push.map(|push| tokio::spawn(push.run(observer.engine.clone(), pushed)));
    let routes = routes(observer.engine.clone(), observer.readiness.clone(), access);
    let serving = tokio::spawn(server.serve(routes, async {
        let _dropped = ended.await;
    }));
    let announcement = match format {
        Output::Table if observer.readiness.of("probes").is_some() => {
            format!("headless-obs will observe node {node} once it knows its Services: {url}\n")
        }
        Output::Table => format!("headless-obs observes node {node}: {url}\n"),
        Output::Json => {
            output::json(&json!({"url": url, "node": node, "version": env!("CARGO_PKG_VERSION")}))? + "\n"
        }
    };
    if let Err(error) = output::write(announcement).await {
        tracing::debug!(%error, "standard output is closed");
    }
    let result = tokio::select! {
        () = stop.recv() => Ok(()),
        error = observer.ended() => Err(error),
    };
    observer.readiness.block("observer", "stopping");
    // Pushes and requests first: they still need the engine.
    drop(no_push);
    if let Some(pushing) = pushing {
        pushing.await.context("the pushes crashed; please report this")?;
    }
    drop(end);
    serving.await.context("the server crashed; please report this")?;
    match result {
        Ok(()) => {
            tracing::info!("stopping");
            observer.stop().await
        }
        Err(error) => Err(error),
    }
}

/// The reviews of tokens, with `--authorize`.
async fn access(args: &RunArgs) -> anyhow::Result<Option<Access>> {
    if !args.access.authorize {
        return Ok(None);
    }
    let reviewer = kubernetes::reviewer(&args.observe.cluster()).await;
    let reviewer = reviewer.context("--authorize needs the API server of a cluster")?;
    Ok(Some(Access::new(reviewer)))
}
