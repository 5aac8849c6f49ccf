//! The lock against counting twice. Two daemons on one machine count the same connections, so sums over both would
//! count them twice. One of them can wait until the other has ended.

use std::time::Duration;

use tracing::{info, warn};

use crate::config::{self, Observe};
use crate::probe::{CgroupRoot, ProbeError, RootLock};

/// The interval at which to check whether the other one has ended.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// The state of waiting.
pub(super) struct InstanceLock {
    /// The place of the lock; nothing without a lock.
    root: Option<CgroupRoot>,
    waits: bool,
    has_logged: bool,
    root_lock: Option<RootLock>,
}

impl InstanceLock {
    /// By the options. A daemon that does not wait starts at once.
    pub(super) fn new(observe: &Observe) -> Result<Self, ProbeError> {
        let waits = observe.standby == config::StandbyMode::Wait;
        let find = || CgroupRoot::find(observe.cgroup.as_deref());
        let root = match observe.standby {
            config::StandbyMode::Ignore => None,
            // The code that attaches programs reports errors about the cgroup.
            config::StandbyMode::Warn => find().ok(),
            config::StandbyMode::Wait => Some(find()?),
        };
        let mut lock = Self { root, waits, has_logged: false, root_lock: None };
        lock.try_acquire();
        if lock.root.is_some() && !waits && lock.root_lock.is_none() {
            warn!(
                "another headless-obs runs on this node; summing the metrics of both counts twice: use --stand-by"
            );
        }
        Ok(lock)
    }

    /// Whether it may observe.
    pub(super) fn is_granted(&self) -> bool {
        !self.waits || self.root_lock.is_some()
    }

    /// Waits until it may; for ever, if it may already. Cancel-safe.
    pub(super) async fn granted(&mut self) {
        while self.is_granted() || !self.try_acquire() {
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// The lock, to be kept for the whole observation.
    pub(super) fn into_root_lock(self) -> Option<RootLock> {
        self.root_lock
    }

    fn try_acquire(&mut self) -> bool {
        let Some(root) = &self.root else { return true };
        match root.try_lock() {
            Ok(root_lock) => self.root_lock = root_lock,
            Err(error) => {
                // The lock does not work, so this daemon does not wait.
                if self.waits {
                    warn!(%error, "cannot find out whether another headless-obs runs on this node, so this one starts without standing by");
                }
                self.waits = false;
                return true;
            }
        }
        if self.root_lock.is_none() && self.waits && !self.has_logged {
            info!("standing by until the other headless-obs on this node ends");
            self.has_logged = true;
        }
        self.root_lock.is_some()
    }
}
