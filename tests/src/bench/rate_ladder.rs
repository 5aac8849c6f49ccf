//! Raises the rate of connections and DNS answers to the machine's limit. It shows at which rate the daemon loses
//! detail, and whether its totals stay exact.

use anyhow::Result;

use crate::durations::Steps;
use crate::measured_tool::observer;
use crate::note;
use crate::output::{Record, Step};
use crate::stage::{ORDERS, Stage};
use crate::truth;
use crate::workload::{Done, Pace};

/// Duration of each step.
const MILLIS: u64 = 2_000;
/// Parallel queries. With one at a time, the round trip would be the limit.
const WINDOW: usize = 32;
/// After the first step below this share of its target rate, only the step without a target follows.
const ENOUGH: f64 = 0.9;

/// Both ladders.
pub(crate) fn climb(stage: &mut Stage, steps: Steps, record: &mut Record) -> Result<()> {
    ladder(stage, steps, record, "connections", |stage, pace| stage.connect(pace))?;
    ladder(stage, steps, record, "answers", |stage, pace| stage.ask(ORDERS, WINDOW, pace))
}

fn ladder(
    stage: &mut Stage,
    steps: Steps,
    record: &mut Record,
    of: &'static str,
    load: impl Fn(&mut Stage, Pace) -> Result<Done>,
) -> Result<()> {
    note(&format!("ladder of {of}"));
    let mut asked: Vec<Option<u32>> = steps.iter().copied().map(Some).collect();
    asked.push(None);
    let mut is_at_limit = false;
    for asked in asked {
        if is_at_limit && asked.is_some() {
            continue;
        }
        // Each step has its own daemon, so that its losses belong to the step.
        let before = stage.accepted()?;
        let observer = observer(stage, &stage.topology)?;
        let done = load(stage, Pace { per_second: asked, millis: MILLIS })?;
        let verdict = truth::compare(stage, &observer, &before)?;
        let reached = done.per_second();
        is_at_limit = asked.is_some_and(|asked| reached < f64::from(asked) * ENOUGH);
        let miscounted = (of == "connections").then_some(verdict.miscounted);
        record.ladder.push(Step { of, asked, reached, lost: verdict.lost, miscounted });
    }
    Ok(())
}
