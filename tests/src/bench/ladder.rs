//! Ever more connections and answers a second, to the machine's limit: where the daemon begins to lose detail, and
//! whether its totals stay exact.

use anyhow::Result;

use crate::inside::{Done, Pace};
use crate::note;
use crate::plan::Steps;
use crate::record::{Record, Step};
use crate::stage::{ORDERS, Stage};
use crate::tool::observer;
use crate::truth;

/// How long each step lasts.
const MILLIS: u64 = 2_000;
/// Questions under way at a time: one by one their way there and back would be the limit.
const WINDOW: usize = 32;
/// A step that reaches less than this share of what is asked is the last one before the limit.
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
        // A new one for each step: what it lost, it lost there.
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
