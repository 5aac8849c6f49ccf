//! Changes slices all the time: each change makes one endpoint of a Service ready and another one not ready, on a
//! schedule that does not wait for the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use lab::cluster::{Api, Cluster};
use serde_json::json;

use crate::population::Population;

/// Writers; each waits for its own responses only.
const WRITERS: u32 = 16;

/// Counts of changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) headless: u64,
    pub(crate) other: u64,
    /// Changes more than 100 ms behind schedule: then the server is the limit.
    pub(crate) late: u64,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    headless: AtomicU64,
    other: AtomicU64,
    late: AtomicU64,
}

/// Changes that go on until `stop`.
pub(crate) struct Churn {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<Result<()>>>,
}

impl Churn {
    /// Starts: `rate` changes a second of headless Services' slices, and as many of other Services'.
    pub(crate) fn start(cluster: &Cluster, population: &Population, rate: u32) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let begin = Instant::now();
        let writers = (0..WRITERS).map(|writer| {
            let (api, shared, population) = (cluster.api().clone(), Arc::clone(&shared), *population);
            thread::Builder::new().spawn(move || write(&api, &shared, &population, begin, writer, rate * 2))
        });
        Ok(Self { writers: writers.collect::<Result<_, _>>()?, shared })
    }

    /// Stops; returns the counts.
    pub(crate) fn stop(self) -> Result<Changes> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.join().map_err(|_| anyhow!("a writer died"))??;
        }
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Shared { headless, other, late, .. } = &*self.shared;
        Ok(Changes { headless: count(headless), other: count(other), late: count(late) })
    }
}

fn write(
    api: &Api,
    shared: &Shared,
    population: &Population,
    begin: Instant,
    writer: u32,
    rate: u32,
) -> Result<()> {
    for step in (0..).map(|turn: u32| turn * WRITERS + writer) {
        let due = begin + Duration::from_secs(1) * step / rate;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if shared.is_over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let number = usize::try_from(step)?;
        let member = population.member(number);
        // A different endpoint in each round, so that every write is a change.
        let unready = number % (population.each() + 1);
        api.patch(
            &member.slice_path(),
            &json!({"endpoints": member.endpoints(population.each(), Some(unready))}),
        )?;
        let counter = if member.is_headless { &shared.headless } else { &shared.other };
        counter.fetch_add(1, Ordering::Relaxed);
        let is_late = due.elapsed() > Duration::from_millis(100);
        shared.late.fetch_add(u64::from(is_late), Ordering::Relaxed);
    }
    Ok(())
}
