//! A running daemon: its engine, its readiness, and its end.
//!
//! In: the task that runs it. Out: access to the engine, and a stop that detaches everything.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::engine_handle::EngineHandle;
use crate::readiness::Readiness;

/// A running daemon: probes, topology and engine.
#[derive(Debug)]
pub struct RunningDaemon {
    /// Asks its engine.
    pub engine: EngineHandle,
    /// Its readiness.
    pub readiness: Readiness,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl RunningDaemon {
    /// `task` must end soon after `stop` is sent or dropped, with everything detached.
    pub fn new(
        engine: EngineHandle,
        readiness: Readiness,
        stop: oneshot::Sender<()>,
        task: JoinHandle<anyhow::Result<()>>,
    ) -> Self {
        Self { engine, readiness, stop, task }
    }

    /// Returns if the daemon ends without being stopped.
    pub async fn ended(&mut self) -> anyhow::Error {
        match (&mut self.task).await {
            Ok(Ok(())) => anyhow::anyhow!("the observation ended unexpectedly; please report this"),
            Ok(Err(error)) => error,
            Err(error) => anyhow::Error::new(error).context("the observation crashed; please report this"),
        }
    }

    /// Stops it and waits until everything is detached.
    pub async fn stop(self) -> anyhow::Result<()> {
        // The task may have ended already; then nobody receives the message.
        let _ended = self.stop.send(());
        self.task.await?
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A running daemon whose engine has prepared responses, for tests.

    use super::*;
    use crate::engine_handle::fake::engine;
    use crate::expose::snapshot::Snapshot;
    use crate::expose::trace_events::TraceEvent;

    /// It is ready.
    pub(crate) fn observer(snapshot: Snapshot, events: Vec<TraceEvent>) -> RunningDaemon {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let _dropped = stopped.await;
            Ok(())
        });
        RunningDaemon::new(engine(snapshot, events), Readiness::waiting_for([]), stop, task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_observer_that_fails_says_why() {
        let (stop, _stopped) = oneshot::channel();
        let task = tokio::spawn(async { anyhow::bail!("ring gone") });
        let mut observer = RunningDaemon::new(EngineHandle::new().0, Readiness::waiting_for([]), stop, task);
        assert_eq!(observer.ended().await.to_string(), "ring gone");
    }
}
