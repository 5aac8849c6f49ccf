//! A daemon's use of resources at one step of a curve.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab::process_usage::{cpu_seconds, resident_mib};
use lab::{Lab, Observer, ObserverSpec};

use crate::fit::Line;

/// Time limit for each action of a daemon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);
/// Number of scrapes; the median counts.
const SCRAPES: usize = 5;
/// The daemon logs its pauses.
const LOG: [&str; 2] = ["--log-level", "info,headless_obs::app::event_loop=debug"];
/// The beginning of such a line.
const PAUSE: &str = "the longest time in which the ring was not read";

/// Measurements of one daemon.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Time from its start until it is ready, and the processor time of its start.
    pub(crate) ready_seconds: f64,
    pub(crate) ready_cpu_seconds: f64,
    /// Processor time of reading all files again.
    pub(crate) relist_cpu_seconds: f64,
    pub(crate) resident_mib: f64,
    pub(crate) scrape_ms: f64,
    pub(crate) scrape_kib: f64,
    pub(crate) scrape_series: f64,
    /// The longest time in which the daemon did not read the ring, while it was scraped and took a look.
    pub(crate) unread_ms: f64,
}

/// Starts a daemon, waits until it is ready, and measures that.
pub(crate) fn start(lab: &Lab, topology: &Path, options: &[&str]) -> Result<(Observer, Sample)> {
    let topology = format!("files:{}", topology.display());
    let options = [&["--topology", topology.as_str()], &LOG[..], options].concat();
    let spec = ObserverSpec { patience: Some(PATIENCE), ..ObserverSpec::new(&options) };
    let begun = Instant::now();
    let observer = Observer::start(lab, &spec)?;
    let ready_seconds = begun.elapsed().as_secs_f64();
    let ready_cpu_seconds = cpu_seconds(observer.pid())?;
    Ok((observer, Sample { ready_seconds, ready_cpu_seconds, ..Sample::default() }))
}

impl Sample {
    /// Measures a daemon that has read everything. Memory comes first, because a scrape uses some for a moment.
    pub(crate) fn look(&mut self, observer: &Observer) -> Result<()> {
        rest(observer.pid())?;
        self.resident_mib = resident_mib(observer.pid())?;
        let mut times = Vec::new();
        let before = pauses(observer).len();
        for _ in 0..SCRAPES {
            let begun = Instant::now();
            let text = observer.metrics()?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
            self.scrape_kib = f64_of(text.len()) / 1024.0;
            self.scrape_series = f64_of(text.lines().filter(|line| !line.starts_with('#')).count());
        }
        times.sort_by(f64::total_cmp);
        self.scrape_ms = times.get(SCRAPES / 2).copied().context("no scrapes")?;
        // The first further line is about the scrapes, the second one about a look with all of it.
        let until = Instant::now() + PATIENCE;
        let pauses = loop {
            let pauses = pauses(observer);
            if pauses.len() >= before + 2 {
                break pauses;
            }
            anyhow::ensure!(Instant::now() < until, "the daemon logged no pauses within {PATIENCE:?}");
            thread::sleep(Duration::from_millis(100));
        };
        self.unread_ms = pauses.iter().skip(before).copied().fold(0.0, f64::max);
        Ok(())
    }

    /// Makes it read everything again, and waits until it has.
    pub(crate) fn relist(&mut self, observer: &Observer, topology: &Path, own: &str) -> Result<()> {
        let before = cpu_seconds(observer.pid())?;
        let marker = "{apiVersion: v1, kind: Service, metadata: {namespace: marker, name: read}, spec: {clusterIP: None}}";
        let slice = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {namespace: marker, \
            name: read-a, labels: {kubernetes.io/service-name: read}}, ports: [{port: 8080}], endpoints: [{addresses: [10.9.9.9]}]}";
        fs::write(topology.join("own.yaml"), format!("{own}---\n{marker}\n---\n{slice}\n"))?;
        // A snapshot would cost more than the reading, so this waits until the daemon is idle again.
        let until = Instant::now() + PATIENCE;
        while cpu_seconds(observer.pid())? <= before + 0.001 {
            anyhow::ensure!(
                Instant::now() < until,
                "the daemon did not read a changed file within {PATIENCE:?}"
            );
            thread::sleep(Duration::from_millis(100));
        }
        self.relist_cpu_seconds = rest(observer.pid())? - before;
        let snapshot = observer.snapshot()?;
        let services = snapshot["services"].as_array().context("no Services")?;
        anyhow::ensure!(
            services.iter().any(|service| service["name"] == "read"),
            "the daemon does not have the Service of the changed file"
        );
        anyhow::ensure!(
            snapshot["quality"]["events_lost"]["topology_full"] == 0,
            "the daemon dropped Services or endpoints (topology_full)"
        );
        Ok(())
    }
}

/// The pauses that a daemon has logged, in milliseconds.
fn pauses(observer: &Observer) -> Vec<f64> {
    let log = observer.log();
    let lines = log.lines().filter(|line| line.contains(PAUSE));
    lines.filter_map(|line| line.split("milliseconds=").nth(1)?.split(' ').next()?.parse().ok()).collect()
}

/// Waits until a process is idle, has no work left for the next second, and has returned its temporary memory. Returns
/// its processor time.
pub(crate) fn rest(pid: u32) -> Result<f64> {
    let until = Instant::now() + PATIENCE;
    let mut last = cpu_seconds(pid)?;
    loop {
        thread::sleep(Duration::from_millis(1_500));
        let now = cpu_seconds(pid)?;
        if now - last < 0.02 {
            return Ok(now);
        }
        anyhow::ensure!(Instant::now() < until, "the daemon is still busy after {PATIENCE:?}");
        last = now;
    }
}

/// The lines that the tables of all curves have.
pub(crate) fn lines(samples: &[Sample], with_relist: bool) -> Vec<Line> {
    let line = |label, decimals, noise, of: fn(&Sample) -> f64| Line {
        label,
        decimals,
        noise,
        values: samples.iter().map(of).collect(),
    };
    let mut lines = vec![
        line("resident memory, MiB", 1, 2.0, |sample| sample.resident_mib),
        line("start to ready, s", 2, 0.1, |sample| sample.ready_seconds),
        line("processor until ready, s", 2, 0.1, |sample| sample.ready_cpu_seconds),
        line("a scrape, ms", 1, 2.0, |sample| sample.scrape_ms),
        line("a scrape, KiB", 0, 10.0, |sample| sample.scrape_kib),
        line("a scrape, series", 0, 100.0, |sample| sample.scrape_series),
        line("longest time in which the ring was not read, ms", 1, 2.0, |sample| sample.unread_ms),
    ];
    if with_relist {
        let relist = line("processor of reading all again, s", 2, 0.1, |sample| sample.relist_cpu_seconds);
        lines.insert(3, relist);
    }
    lines
}

#[expect(clippy::cast_precision_loss, reason = "figures to be read")]
pub(crate) fn f64_of(count: usize) -> f64 {
    count as f64
}
