//! One answer for a command that prints it: after an observation, or from another source.

use std::time::Duration;

use anyhow::{Context, bail};

use super::Start;
use super::fit_text::full_name;
use super::progress::{Progress, TICK, begun};
use super::signal::Stop;
use super::snapshot_source::{SnapshotSource, SourceError};
use crate::cli::REPORT_FOR;
use crate::cli::observe::ObserveArgs;
use crate::cli::remote::RemoteArgs;
use crate::config::Observe;
use crate::config::values::Last;
use crate::expose::object_filter::ObjectFilter;
use crate::expose::snapshot::Snapshot;

/// The most Services that an error lists.
const NAMED: usize = 20;

/// From the selected source, otherwise by observation. Nothing: the user cancelled before it began.
pub(super) async fn snapshot(
    remote: RemoteArgs,
    duration: Option<Duration>,
    args: ObserveArgs,
    start: impl Start,
) -> anyhow::Result<Option<Snapshot>> {
    ask(remote, duration, args, start, SnapshotSource::snapshot).await
}

/// Any answer, in the same way.
pub(super) async fn ask<T>(
    remote: RemoteArgs,
    duration: Option<Duration>,
    args: ObserveArgs,
    start: impl Start,
    question: impl AsyncFnOnce(&SnapshotSource) -> Result<T, SourceError>,
) -> anyhow::Result<Option<T>> {
    match SnapshotSource::remote(remote, duration, &args) {
        Some(source) => {
            let _progress = Progress::waiting(format!("reading from {}", source.name()));
            Ok(Some(question(&source).await?))
        }
        None => observe(args.try_into()?, duration.unwrap_or(REPORT_FOR), start, question).await,
    }
}

/// Observes until the time is over or the user ends it. Nothing: the user cancelled before it began.
async fn observe<T>(
    config: Observe,
    duration: Duration,
    start: impl Start,
    question: impl AsyncFnOnce(&SnapshotSource) -> Result<T, SourceError>,
) -> anyhow::Result<Option<T>> {
    let mut stop = Stop::new().context("cannot wait for signals")?;
    let mut observer = {
        let _progress = Progress::waiting("attaching probes");
        start(config).await?
    };
    if !begun(&mut observer, &mut stop).await? {
        observer.stop().await?;
        return Ok(None);
    }
    let progress = Progress::observing(duration);
    let began = tokio::time::Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    let end = tokio::time::sleep(duration);
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            () = stop.recv() => break,
            _tick = ticks.tick() => progress.passed(began.elapsed()),
            error = observer.ended() => return Err(error),
        }
    }
    drop(progress);
    let answer = question(&SnapshotSource::Engine(observer.engine.clone(), Last::All)).await?;
    observer.stop().await?;
    Ok(Some(answer))
}

/// Keeps only the selected Services; if there is none, the error lists the existing ones.
pub(super) fn only(snapshot: &mut Snapshot, filter: &ObjectFilter) -> anyhow::Result<()> {
    let mut seen = names(snapshot);
    filter.apply(snapshot);
    if snapshot.services.is_empty() {
        let more = if seen.len() > NAMED { ", …" } else { "" };
        seen.truncate(NAMED);
        let seen = if seen.is_empty() { "none".to_owned() } else { seen.join(", ") + more };
        bail!("no Service {filter} was seen; Services that were seen: {seen}");
    }
    Ok(())
}

/// Names of all Services.
pub(super) fn names(snapshot: &Snapshot) -> Vec<String> {
    snapshot.services.iter().map(|service| full_name(&service.namespace, &service.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use crate::expose::test_fixtures;
    use crate::running_daemon::fake;
    use clap::Parser;

    #[tokio::test]
    async fn observes_for_the_time_given() {
        let began = tokio::time::Instant::now();
        let Cli { command: crate::cli::Command::Run(run), .. } = Cli::parse_from(["x", "run"]) else {
            panic!()
        };
        let start = async |_config| Ok(fake::observer(test_fixtures::snapshot(), Vec::new()));
        let duration = Duration::from_millis(300);
        let config = run.observe.try_into().unwrap();
        let snapshot = observe(config, duration, start, SnapshotSource::snapshot).await.unwrap();
        assert_eq!(snapshot, Some(test_fixtures::snapshot()));
        assert!(began.elapsed() >= duration);
    }

    #[test]
    fn one_service() {
        let mut snapshot = test_fixtures::snapshot();
        only(&mut snapshot, &"shop/orders".parse().unwrap()).unwrap();
        assert_eq!(snapshot.services.len(), 1);
        let error = only(&mut test_fixtures::snapshot(), &"x/y".parse().unwrap()).unwrap_err().to_string();
        assert_eq!(error, "no Service x/y was seen; Services that were seen: shop/orders, shop/sessions");
    }
}
