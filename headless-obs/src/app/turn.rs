//! The lock against counting twice. Two daemons on one machine count the same connections, so sums over both would
//! count them twice. One of them can wait until the other has ended.

use std::time::Duration;

use tracing::{info, warn};

use crate::config::{self, Observe};
use crate::probe::{CgroupRoot, ProbeError, RootLock};

/// How often to check whether the other one has ended.
const LOOK: Duration = Duration::from_millis(50);

/// The state of waiting.
pub(super) struct Turn {
    /// The place of the lock; nothing without a lock.
    root: Option<CgroupRoot>,
    waits: bool,
    has_said: bool,
    claim: Option<RootLock>,
}

impl Turn {
    /// By the options. A daemon that does not wait starts at once.
    pub(super) fn new(observe: &Observe) -> Result<Self, ProbeError> {
        let waits = observe.turn == config::Turn::Wait;
        let find = || CgroupRoot::find(observe.cgroup.as_deref());
        let root = match observe.turn {
            config::Turn::Pass => None,
            // The code that attaches programs reports errors about the cgroup.
            config::Turn::Take => find().ok(),
            config::Turn::Wait => Some(find()?),
        };
        let mut turn = Self { root, waits, has_said: false, claim: None };
        turn.look();
        if turn.root.is_some() && !waits && turn.claim.is_none() {
            warn!(
                "another headless-obs runs on this node; summing the metrics of both counts twice: use --stand-by"
            );
        }
        Ok(turn)
    }

    /// Whether it may observe.
    pub(super) fn has_come(&self) -> bool {
        !self.waits || self.claim.is_some()
    }

    /// Waits until it may; for ever, if it may already. Cancel-safe.
    pub(super) async fn come(&mut self) {
        while self.has_come() || !self.look() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The lock, to be kept for the whole observation.
    pub(super) fn into_claim(self) -> Option<RootLock> {
        self.claim
    }

    fn look(&mut self) -> bool {
        let Some(root) = &self.root else { return true };
        match root.claim() {
            Ok(claim) => self.claim = claim,
            Err(error) => {
                // The lock does not work, so this daemon does not wait.
                if self.waits {
                    warn!(%error, "cannot find out whether another headless-obs runs on this node, so this one starts without standing by");
                }
                self.waits = false;
                return true;
            }
        }
        if self.claim.is_none() && self.waits && !self.has_said {
            info!("standing by until the other headless-obs on this node ends");
            self.has_said = true;
        }
        self.claim.is_some()
    }
}
