//! Whose turn it is. Two observers of one machine count the same connections, and whoever adds up what both say counts
//! them twice. So one can stand by until the other has ended, however it ends.

use std::time::Duration;

use tracing::{info, warn};

use crate::config::{self, Observe};
use crate::probe::{CgroupRoot, ProbeError, RootLock};

/// How often it is looked whether the other one has ended.
const LOOK: Duration = Duration::from_millis(50);

/// A place in the queue.
pub(super) struct Turn {
    /// Where the others are looked for; nothing for who is in nobody's way.
    root: Option<CgroupRoot>,
    waits: bool,
    has_said: bool,
    claim: Option<RootLock>,
}

impl Turn {
    /// As told. Who does not wait takes its turn at once.
    pub(super) fn new(observe: &Observe) -> Result<Self, ProbeError> {
        let waits = observe.turn == config::Turn::Wait;
        let find = || CgroupRoot::find(observe.cgroup.as_deref());
        let root = match observe.turn {
            config::Turn::Pass => None,
            // What is wrong with it is said where programs are attached to it.
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

    /// What keeps the others waiting, to be held for as long as this one observes.
    pub(super) fn into_claim(self) -> Option<RootLock> {
        self.claim
    }

    fn look(&mut self) -> bool {
        let Some(root) = &self.root else { return true };
        match root.claim() {
            Ok(claim) => self.claim = claim,
            Err(error) => {
                // Nobody can be kept waiting then, nor be waited for.
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
