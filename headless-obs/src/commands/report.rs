//! `report`: observes for a while, or asks a daemon, and prints the picture.

use std::time::Duration;

use anyhow::{Context, bail};

use super::progress::{Progress, TICK, begun};
use super::signal::Stop;
use super::source::SnapshotSource;
use super::text::full_name;
use super::{Start, output, table};
use crate::cli::{Output, REPORT_FOR, ReportArgs};
use crate::config::Observe;
use crate::config::values::ServiceFilter;
use crate::expose::snapshot::Snapshot;

pub(super) async fn run(args: ReportArgs, format: Output, start: impl Start) -> anyhow::Result<()> {
    let mut snapshot = match args.from {
        Some(url) => {
            let _progress = Progress::waiting(format!("asking {url}"));
            SnapshotSource::Daemon(url).snapshot().await?
        }
        None => {
            let duration = args.duration.unwrap_or(REPORT_FOR);
            match observe(args.observe.try_into()?, duration, start).await? {
                Some(snapshot) => snapshot,
                None => return Ok(()),
            }
        }
    };
    if let Some(filter) = &args.service {
        only(&mut snapshot, filter)?;
    }
    let text = match format {
        Output::Table => table::render(&snapshot, output::look()),
        Output::Json => serde_json::to_string(&snapshot)? + "\n",
    };
    Ok(output::write(text).await?)
}

/// Observes until the time is over or the user has seen enough. Nothing: the user had enough before it began.
async fn observe(config: Observe, duration: Duration, start: impl Start) -> anyhow::Result<Option<Snapshot>> {
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
    let snapshot = observer.engine.snapshot().await?;
    observer.stop().await?;
    Ok(Some(snapshot))
}

fn only(snapshot: &mut Snapshot, filter: &ServiceFilter) -> anyhow::Result<()> {
    let mut seen: Vec<_> = snapshot.services.iter().map(|s| full_name(&s.namespace, &s.name)).collect();
    filter.apply(snapshot);
    if snapshot.services.is_empty() {
        seen.truncate(20);
        let seen = if seen.is_empty() { "none at all".to_owned() } else { seen.join(", ") };
        bail!("no Service {filter} was seen; seen: {seen}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use crate::expose::sample;
    use crate::handle::fake;
    use clap::Parser;

    #[tokio::test(start_paused = true)]
    async fn observes_for_the_time_given() {
        let began = tokio::time::Instant::now();
        let Cli { command: crate::cli::Command::Run(run), .. } = Cli::parse_from(["x", "run"]) else {
            panic!()
        };
        let start = async |_config| Ok(fake::observer(sample::snapshot(), Vec::new()));
        let snapshot =
            observe(run.observe.try_into().unwrap(), Duration::from_secs(90), start).await.unwrap();
        assert_eq!(snapshot, Some(sample::snapshot()));
        assert_eq!(began.elapsed().as_secs(), 90);
    }

    #[test]
    fn one_service() {
        let mut snapshot = sample::snapshot();
        only(&mut snapshot, &"shop/orders".parse().unwrap()).unwrap();
        assert_eq!(snapshot.services.len(), 1);
        let error = only(&mut sample::snapshot(), &"x/y".parse().unwrap()).unwrap_err().to_string();
        assert_eq!(error, "no Service x/y was seen; seen: shop/orders, shop/sessions");
    }
}
