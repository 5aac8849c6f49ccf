//! One tool in one round: the benchmark starts it, measures it without load and under each load, and ends it.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bpf::Hook;
use crate::durations::Plan;
use crate::measured_tool::{Running, Tool, observer};
use crate::output::Round;
use crate::process_tree_usage::{Usage, f64_of};
use crate::stage::{ORDERS, Stage};
use crate::truth;
use crate::workload::{Done, Pace};

/// A tool counts as calm if it used no more processor time than this, in nanoseconds, in [`STEP`].
const CALM: u64 = 1_000_000;
const STEP: Duration = Duration::from_millis(40);
/// The time that the benchmark waits for a tool to become calm.
const PATIENCE: Duration = Duration::from_secs(3);

/// Takes all measurements of one tool.
pub(crate) fn measure(
    stage: &mut Stage,
    tool: &Tool,
    hooks: &BTreeSet<Hook>,
    plan: &Plan,
    round: &mut Round<'_>,
) -> Result<()> {
    let before = stage.accepted()?;
    let running = tool.start(stage, hooks)?;
    let mut turn = Turn { stage, running, plan, round, tool: tool.name() };
    let begun = turn.idle()?;
    turn.connections()?;
    turn.answers()?;
    if !turn.running.roots().is_empty() {
        let used = Usage::of(&turn.running.roots())?;
        used.user_share_since(&begun).into_iter().for_each(|share| turn.add("user_mode_share", "1", share));
        turn.add("rss_mib_loaded", "MiB", used.resident_mib());
    }
    if let Running::Observer(observer) = &turn.running {
        let verdict = truth::compare(turn.stage, observer, &before)?;
        turn.add("miscounted", "1", verdict.share());
        turn.add("events_lost", "1", f64_of(verdict.lost));
    }
    turn.kernel()?;
    if let Some(millis) = plan.pour {
        turn.throughput(millis)?;
    }
    turn.running.check()?;
    turn.running.stop();
    if *tool == Tool::Observer {
        let large = observer(stage, &stage.large)?;
        let used = Usage::of(&[large.pid()])?;
        round.add(tool.name(), "rss_mib_10k_endpoints", "MiB", used.resident_mib());
        Running::Observer(large).stop();
    }
    Ok(())
}

/// A running tool under measurement.
pub(crate) struct Turn<'a, 'r, 'l> {
    pub(crate) stage: &'a mut Stage<'l>,
    pub(crate) running: Running,
    pub(crate) plan: &'a Plan,
    round: &'a mut Round<'r>,
    tool: &'a str,
}

impl Turn<'_, '_, '_> {
    pub(crate) fn add(&mut self, metric: &'static str, unit: &'static str, value: f64) {
        self.round.add(self.tool, metric, unit, value);
    }

    /// Memory and processor time of a tool without load.
    fn idle(&mut self) -> Result<Usage> {
        let roots = self.running.roots();
        let start = calm(&roots)?;
        if roots.is_empty() {
            return Ok(start);
        }
        self.add("rss_mib", "MiB", start.resident_mib());
        let begin = Instant::now();
        thread::sleep(Duration::from_millis(self.plan.idle));
        let end = Usage::of(&roots)?;
        let nanos = f64_of(end.cpu_nanos.saturating_sub(start.cpu_nanos));
        self.add("idle_cpu_percent", "%", nanos / begin.elapsed().as_secs_f64() / 1e7);
        Ok(end)
    }

    fn connections(&mut self) -> Result<()> {
        let flat = Pace { per_second: None, millis: self.plan.flat };
        // The first connections cost more than all others, because neighbours, routes, maps and caches are new.
        self.stage.connect(Pace { millis: 100, ..flat })?;
        let phases = [
            (None, "user_us_per_connection_flat", Some(["connect_p50_ns", "connect_p99_ns"])),
            (Some(5_000), "user_us_per_connection_5k", None),
            (Some(1_000), "user_us_per_connection_1k", Some(["connect_p50_ns_1k", "connect_p99_ns_1k"])),
        ];
        for (per_second, cost, times) in phases {
            let millis = if per_second.is_some() { self.plan.paced } else { self.plan.flat };
            let done = self.costs(cost, |stage| stage.connect(Pace { per_second, millis }))?;
            if let Some([median, slow]) = times {
                self.add(median, "ns", f64_of(done.p50));
                self.add(slow, "ns", f64_of(done.p99));
            }
            if per_second.is_none() {
                self.add("connections_per_second", "1/s", done.per_second());
            }
        }
        Ok(())
    }

    fn answers(&mut self) -> Result<()> {
        let pace = Pace { per_second: None, millis: self.plan.flat };
        let done = self.costs("user_us_per_answer_3", |stage| stage.ask(ORDERS, 1, pace))?;
        self.add("dns_p50_ns", "ns", f64_of(done.p50));
        self.add("dns_p99_ns", "ns", f64_of(done.p99));
        self.add("exchanges_per_second", "1/s", done.per_second());
        self.costs("user_us_per_answer_20", |stage| stage.ask("twenty", 1, pace))?;
        self.costs("user_us_per_answer_100", |stage| stage.ask("hundred", 1, pace))?;
        Ok(())
    }

    /// Runs a load, and records the processor time of the tool's processes per operation.
    fn costs(
        &mut self,
        metric: &'static str,
        load: impl FnOnce(&mut Stage<'_>) -> Result<Done>,
    ) -> Result<Done> {
        let roots = self.running.roots();
        let before = calm(&roots)?;
        let done = load(self.stage)?;
        ensure!(
            done.count > 0 && done.failed * 100 <= done.count,
            "{metric}: {} of {} failed",
            done.failed,
            done.count
        );
        if !roots.is_empty() {
            let nanos = calm(&roots)?.cpu_nanos.saturating_sub(before.cpu_nanos);
            self.add(metric, "us", f64_of(nanos) / f64_of(done.count) / 1e3);
        }
        Ok(done)
    }
}

/// Waits until these processes are calm; returns their usage.
fn calm(roots: &[u32]) -> Result<Usage> {
    let mut usage = Usage::of(roots)?;
    let end = Instant::now() + PATIENCE;
    while !roots.is_empty() && Instant::now() < end {
        thread::sleep(STEP);
        let next = Usage::of(roots)?;
        let used = next.cpu_nanos.saturating_sub(usage.cpu_nanos);
        usage = next;
        if used <= CALM {
            break;
        }
    }
    Ok(usage)
}
