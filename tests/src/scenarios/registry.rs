//! All scenarios, in the order of lists and runs.

use crate::scenario::Scenario;
use crate::{endpoints, grpc, languages, many_pods, resolver, service_names, spread, systems};

/// All of them.
pub(crate) fn scenarios() -> Vec<Scenario> {
    let all = [
        spread::scenarios(),
        grpc::scenarios(),
        many_pods::scenarios(),
        resolver::scenarios(),
        languages::scenarios(),
        service_names::scenarios(),
        endpoints::scenarios(),
        systems::scenarios(),
    ];
    all.into_iter().flatten().collect()
}
