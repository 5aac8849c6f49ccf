//! Plays a case on a stage: does its steps one after the other, and notes which expectations do not hold.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::case::{Case, Expectation, Names, Step};
use crate::expect::{self, Difference, Seen};
use crate::scene::{PodState, Scene, plus};
use crate::stage::{POLL, Stage, dns_options};

/// The time that an expectation may take if it does not say so: a record's way to the daemon takes less.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for one that is not expected to hold.
const PATIENCE_OPEN: Duration = Duration::from_secs(1);

/// Plays a case; returns what differed from its expectations.
pub(crate) fn play(case: &Case, stage: &mut dyn Stage, seed: u64) -> Result<Vec<Difference>> {
    let mut player = Player { scene: Scene::new(case, seed)?, stage, differences: Vec::new() };
    player.begin()?;
    player.steps("", &case.steps)?;
    Ok(player.differences)
}

struct Player<'a> {
    scene: Scene,
    stage: &'a mut dyn Stage,
    differences: Vec<Difference>,
}

impl Player<'_> {
    fn begin(&mut self) -> Result<()> {
        for pod in self.scene.pods.clone() {
            self.add(&pod)?;
        }
        let options = dns_options(&self.scene.case.dns, &self.scene)?;
        self.stage.dns(&options)?;
        self.stage.publish(&self.scene)?;
        if self.scene.case.daemon.late { Ok(()) } else { self.stage.observe(&self.scene) }
    }

    fn add(&mut self, pod: &PodState) -> Result<()> {
        let containers = self.stage.add(pod).with_context(|| format!("pod {}", pod.name))?;
        self.scene.started(&pod.name, containers)
    }

    fn steps(&mut self, path: &str, steps: &[Step]) -> Result<()> {
        for (number, step) in steps.iter().enumerate() {
            let path = format!("{path}steps[{number}]");
            self.step(&path, step).with_context(|| path.clone())?;
        }
        Ok(())
    }

    fn each(&mut self, names: &Names, mut act: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        names.0.iter().try_for_each(|name| act(self, name))
    }

    fn step(&mut self, path: &str, step: &Step) -> Result<()> {
        match step {
            Step::Run(names) => {
                self.each(names, |player, name| player.stage.start(name, &player.scene))?;
                self.each(names, |player, name| player.stage.finish(name))
            }
            Step::Start(names) => self.each(names, |player, name| player.stage.start(name, &player.scene)),
            Step::Finish(names) => self.each(names, |player, name| player.stage.finish(name)),
            Step::Stop(names) => self.each(names, |player, name| player.stage.stop(name)),
            Step::Kill(names) => self.each(names, |player, name| player.stage.kill(name)),
            Step::Open { client, connections } => self.stage.open(client, &self.scene, *connections),
            Step::Close { client, connections } => self.stage.close(client, *connections),
            Step::Resolve { client, times } => self.stage.resolve(client, &self.scene, *times),
            Step::Wait(span) => self.stage.pass(span.0),
            Step::Endpoint(change) => {
                self.scene.endpoint(change)?;
                self.stage.publish(&self.scene)
            }
            Step::Manifest(change) => {
                self.scene.manifest(change)?;
                self.stage.publish(&self.scene)
            }
            Step::Zone(names) => {
                self.scene.set_names(names);
                self.stage.publish(&self.scene)
            }
            Step::Dns(dns) => {
                self.scene.case.dns = dns.clone();
                self.stage.dns(&dns_options(dns, &self.scene)?)?;
                self.stage.publish(&self.scene)
            }
            Step::Scale { pods, to } => {
                let (added, gone) = self.scene.scale(pods, *to)?;
                added.iter().try_for_each(|pod| self.add(pod))?;
                self.stage.publish(&self.scene)?;
                gone.iter().try_for_each(|pod| self.stage.remove(pod))
            }
            Step::Roll { pods, to, every } => self.roll(pods, to.0.as_slice(), every.0),
            Step::Serve { pod, port, by } => {
                let state = self.scene.pod(pod)?.clone();
                self.stage.serve(&state, *port, *by)
            }
            Step::Restart(_) => self.stage.observe(&self.scene),
            Step::Clock(by) => self.stage.set_clock(seconds(by)?),
            Step::Repeat { times, every, steps } => {
                let began = self.stage.now();
                for turn in 0..*times {
                    self.steps(&format!("{path}.repeat."), steps)?;
                    if let Some(every) = every {
                        let due = began + every.0 * u32::try_from(turn + 1)?;
                        self.stage.pass(due.saturating_sub(self.stage.now()))?;
                    }
                }
                Ok(())
            }
            Step::Expect(expectation) => self.expect(path, expectation),
        }
    }

    fn roll(&mut self, group: &str, to: &[std::net::IpAddr], every: Duration) -> Result<()> {
        let names: Vec<String> =
            self.scene.all(&Names(vec![group.to_owned()])).map(|pod| pod.name.clone()).collect();
        for (number, name) in names.iter().enumerate() {
            let address = match (to.get(number), to.first()) {
                (Some(&address), _) => address,
                (None, Some(&first)) => plus(first, number)?,
                (None, None) => bail!("`to` has no address"),
            };
            let before = self.scene.pod(name)?.clone();
            self.stage.remove(&before)?;
            let pod = self.scene.replace(name, address)?;
            self.add(&pod)?;
            self.stage.publish(&self.scene)?;
            self.stage.pass(every)?;
        }
        Ok(())
    }

    /// Looks at snapshots until the expectation holds, or its time is over.
    fn expect(&mut self, path: &str, expectation: &Expectation) -> Result<()> {
        let patience = if expectation.open.is_some() { PATIENCE_OPEN } else { PATIENCE };
        let end = self.stage.now() + expectation.within.map_or(patience, |span| span.0);
        loop {
            let snapshot = self.stage.snapshot(expectation.last.as_deref())?;
            let accepted = if expectation.exact.0.is_empty() { None } else { Some(self.stage.accepted()?) };
            let metrics =
                if expectation.metrics.is_empty() { String::new() } else { self.stage.metrics()? };
            let seen = Seen { snapshot: &snapshot, metrics: &metrics, accepted: accepted.as_ref() };
            let wrong = expect::wrong(expectation, seen, &self.scene.names_of_unknown())?;
            if wrong.is_empty() {
                self.differences.extend(expectation.open.as_ref().map(|why| Difference::holds(path, why)));
                return Ok(());
            }
            if self.stage.now() >= end {
                let open = expectation.open.clone();
                self.differences.push(Difference { path: path.to_owned(), open, wrong, snapshot });
                return Ok(());
            }
            self.stage.pass(POLL)?;
        }
    }
}

/// `+3600s`, `-2d`: seconds with a sign.
fn seconds(by: &str) -> Result<i64> {
    let (sign, span) = match (by.strip_prefix('-'), by.strip_prefix('+')) {
        (Some(span), _) => (-1, span),
        (None, Some(span)) => (1, span),
        (None, None) => bail!("write how far the clock is set as +1h or -1h"),
    };
    let span = crate::case::Span::try_from(span.to_owned()).map_err(anyhow::Error::msg)?;
    Ok(sign * i64::try_from(span.0.as_secs())?)
}
