//! `top`: the live view; with JSON a stream of snapshots, one per line.

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::{Context, bail};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::progress::{Progress, begun};
use super::signal::Stop;
use super::snapshot_source::{SnapshotSource, SourceError};
use super::{Start, output};
use crate::cli::{Output, TopArgs};
use crate::expose::snapshot::Snapshot;
use crate::running_daemon::RunningDaemon;

mod model;
mod panes;
mod style;
mod view;

use model::{After, Model};

type Taken = Result<Snapshot, SourceError>;

pub(super) async fn run(args: TopArgs, format: Output, start: impl Start) -> anyhow::Result<()> {
    if format == Output::Table && !io::stdout().is_terminal() {
        bail!("top needs a terminal, and standard output is none; use `report`, or `top -o json`");
    }
    let mut stop = Stop::new().context("cannot wait for signals")?;
    let last = args.remote.last.unwrap_or_default();
    let (source, mut observer) = match SnapshotSource::remote(args.remote, args.duration, &args.observe) {
        Some(source) => (source, None),
        None => {
            let mut observer = {
                let _progress = Progress::waiting("attaching probes");
                start(args.observe.try_into()?).await?
            };
            if !begun(&mut observer, &mut stop).await? {
                return observer.stop().await;
            }
            (SnapshotSource::Engine(observer.engine.clone(), last), Some(observer))
        }
    };
    let name = source.name();
    let mut snapshots = snapshots(source, args.interval);
    let filter = |mut snapshot: Snapshot| {
        if let Some(service) = &args.service {
            service.apply(&mut snapshot);
        }
        snapshot
    };
    let shown = async {
        match format {
            Output::Json => stream(&mut snapshots, filter).await,
            Output::Table => draw(&mut snapshots, filter, Model::new(name)).await,
        }
    };
    let result = tokio::select! {
        result = shown => result,
        () = stop.recv() => Ok(()),
        error = ended(&mut observer) => Err(error),
    };
    if let (Ok(()), Some(observer)) = (&result, observer) {
        observer.stop().await?;
    }
    result
}

/// The reason why the observation in this process ended, if there was one.
async fn ended(observer: &mut Option<RunningDaemon>) -> anyhow::Error {
    match observer {
        Some(observer) => observer.ended().await,
        None => std::future::pending().await,
    }
}

/// Takes a snapshot at each interval while there is a reader. It runs in its own task, so keys work while a daemon is
/// slow.
fn snapshots(source: SnapshotSource, interval: Duration) -> mpsc::Receiver<Taken> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if sender.send(source.snapshot().await).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// One snapshot per line; an unreachable daemon ends it.
async fn stream(
    snapshots: &mut mpsc::Receiver<Taken>,
    filter: impl Fn(Snapshot) -> Snapshot,
) -> anyhow::Result<()> {
    while let Some(snapshot) = snapshots.recv().await {
        output::write(output::json(&filter(snapshot?))? + "\n").await?;
    }
    Ok(())
}

/// The live view, until a key ends it. It shows that a daemon is unreachable and continues: the daemon may come back.
async fn draw(
    snapshots: &mut mpsc::Receiver<Taken>,
    filter: impl Fn(Snapshot) -> Snapshot,
    mut model: Model,
) -> anyhow::Result<()> {
    let mut screen = Screen::open().context("cannot draw on this terminal")?;
    let mut events = events();
    loop {
        screen.0.draw(|frame| view::draw(&model, frame))?;
        tokio::select! {
            Some(snapshot) = snapshots.recv() => match snapshot {
                Ok(snapshot) => model.update(filter(snapshot)),
                Err(error) => model.fail(error.to_string()),
            },
            event = events.recv() => match event {
                Some(Event::Key(key)) if model.key(key) == After::Quit => return Ok(()),
                Some(_) => {}
                None => bail!("the terminal no longer answers"),
            },
        }
    }
}

/// The terminal while the view uses it; restored when dropped, also after a panic.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Keys and changes of size. The thread waits in a read until the process ends.
fn events() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(64);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests;
