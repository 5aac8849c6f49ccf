//! All scenarios there are, in the order they are shown and run.

use crate::scenario::Scenario;
use crate::{spread, systems};

/// All of them.
pub(crate) fn scenarios() -> Vec<Scenario> {
    [spread::scenarios(), systems::scenarios()].into_iter().flatten().collect()
}
