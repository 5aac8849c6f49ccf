//! Readiness: which parts of the daemon keep it from seeing everything, and why.
//!
//! In: the parts report when they wait and when they no longer do. Out: the answer of /readyz. Invariant: the daemon is
//! ready if and only if no part blocks it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Whether the daemon sees everything that it should. It is not ready while any part blocks it.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// Not ready until each of these parts is [`Readiness::clear`]. Each has a name and the reason for waiting.
    pub fn waiting_for<const N: usize>(parts: [(&'static str, &str); N]) -> Self {
        Self(Arc::new(Mutex::new(parts.map(|(part, reason)| (part, reason.to_owned())).into())))
    }

    /// This part blocks readiness from now on.
    pub fn block(&self, part: &'static str, reason: impl Into<String>) {
        self.parts().insert(part, reason.into());
    }

    /// This part no longer blocks readiness.
    pub fn clear(&self, part: &'static str) {
        self.parts().remove(part);
    }

    /// The reason why this part blocks readiness, if it does.
    pub fn of(&self, part: &'static str) -> Option<String> {
        self.parts().get(part).cloned()
    }

    /// The parts that block readiness, one line each; empty when ready.
    pub fn reasons(&self) -> Vec<String> {
        self.parts().iter().map(|(part, reason)| format!("{part}: {reason}")).collect()
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        // The map is consistent after every statement above, so a panic elsewhere cannot have left it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_nothing_stands_in_the_way() {
        let readiness = Readiness::waiting_for([("probes", "being attached"), ("topology", "first listing")]);
        assert_eq!(readiness.reasons(), ["probes: being attached", "topology: first listing"]);
        readiness.clear("probes");
        readiness.clear("topology");
        assert!(readiness.reasons().is_empty());
        readiness.block("topology", "no contact");
        assert_eq!(readiness.reasons(), ["topology: no contact"]);
    }
}
