//! The disturbances, one after the other.

use std::fmt;
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use lab::Observer;

use crate::restarted_daemon::{Life, end};
use crate::scraper::{Scraper, go_away};
use crate::stage::Stage;
use crate::traffic::Traffic;

/// One kind of disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Disturbance {
    DaemonKilled,
    DnsRestarted,
    PodAdded,
    ClientReplaced,
    DaemonEnded,
    ServerRestarted,
    PodRemoved,
    ManifestsRewritten,
    PinnedRestarted,
    ScraperLeft,
}

impl Disturbance {
    /// In an order that lets each life of the second daemon see some disturbances.
    pub(crate) const ALL: [Self; 10] = [
        Self::DaemonKilled,
        Self::DnsRestarted,
        Self::PodAdded,
        Self::ClientReplaced,
        Self::ScraperLeft,
        Self::DaemonEnded,
        Self::ServerRestarted,
        Self::PodRemoved,
        Self::ManifestsRewritten,
        Self::PinnedRestarted,
    ];

    /// The step that must happen while the clients are quiet.
    pub(crate) fn before(self, stage: &mut Stage<'_>) -> Result<()> {
        // A connection that the ended server never accepted would be counted by its client only.
        if self == Self::ServerRestarted { stage.stop_server() } else { Ok(()) }
    }

    /// Disturbs while clients connect; returns the second daemon's life, which may be a new one.
    pub(crate) fn during(
        self,
        stage: &mut Stage<'_>,
        traffic: &mut Traffic,
        lasting: &Observer,
        life: Life,
        scraper: &Scraper,
    ) -> Result<Life> {
        let observers = [lasting, life.observer()];
        match self {
            Self::DaemonKilled | Self::DaemonEnded => {
                scraper.watch(&[lasting]);
                end(life.into_observer(), self == Self::DaemonEnded)?;
                let next = Life::begin(stage)?;
                scraper.watch(&[lasting, next.observer()]);
                return Ok(next);
            }
            Self::DnsRestarted => stage.restart_dns()?,
            Self::PodAdded => stage.add_backend(&observers)?,
            Self::PodRemoved => stage.remove_backend(&observers)?,
            Self::ServerRestarted => stage.start_server()?,
            Self::ClientReplaced => {
                traffic.kill("random");
                stage.replace_caller("random", &observers)?;
                traffic.again(stage, "random")?;
            }
            Self::PinnedRestarted => traffic.restart_pinned(stage)?,
            Self::ManifestsRewritten => {
                // Some editors write a file in place, whoever reads it at that moment.
                let path = stage.manifests();
                let text = fs::read_to_string(&path)?;
                let half = text.chars().take(text.chars().count() / 2).collect::<String>();
                fs::write(&path, half + "\n{")?;
                thread::sleep(Duration::from_millis(500));
                fs::write(&path, text)?;
                stage.publish(&observers)?;
            }
            Self::ScraperLeft => observers.into_iter().try_for_each(go_away)?,
        }
        Ok(life)
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DaemonKilled => "a daemon was killed",
            Self::DaemonEnded => "a daemon was asked to end",
            Self::DnsRestarted => "the DNS server was restarted",
            Self::PodAdded => "a server's pod was added",
            Self::PodRemoved => "a server's pod was removed",
            Self::ServerRestarted => "a server was restarted",
            Self::ClientReplaced => "a client's pod was replaced",
            Self::PinnedRestarted => "the client with long connections was restarted",
            Self::ManifestsRewritten => "the manifests were rewritten",
            Self::ScraperLeft => "a scraper went away",
        })
    }
}
