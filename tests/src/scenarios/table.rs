//! All scenarios, in the order of lists and runs.

use crate::scenario::Scenario;
use crate::{endpoints, fleet, grpc, languages, names, resolver, spread, systems};

/// All of them.
pub(crate) fn scenarios() -> Vec<Scenario> {
    let all = [
        spread::scenarios(),
        grpc::scenarios(),
        fleet::scenarios(),
        resolver::scenarios(),
        languages::scenarios(),
        names::scenarios(),
        endpoints::scenarios(),
        systems::scenarios(),
    ];
    all.into_iter().flatten().collect()
}
