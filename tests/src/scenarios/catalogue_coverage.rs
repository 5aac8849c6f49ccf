//! The catalogue's numbers, 1 to 44, that another test shows or that no test can show.
//!
//! Each number is in this list, has a scenario, or both; a test in `tests/tests/scenarios` checks this and looks each
//! test up.

/// The test for a number without a scenario.
pub(crate) enum Place {
    /// A file of the repository, and the test in it.
    Test(&'static str, &'static str),
    /// No test, and the reason.
    Nowhere(&'static str),
}

use Place::{Nowhere, Test};

/// Numbers without a scenario, and those that another test shows as well.
pub(crate) const ELSEWHERE: [(u8, Place); 14] = [
    (24, Test("tests/tests/cluster/services.rs", "the_cluster_ip_of_the_same_pods_is_not_headless")),
    (25, Test("tests/tests/node/attribution.rs", "of_two_services_the_one_whose_name_was_asked_for")),
    (28, Test("tests/tests/node/stale.rs", "endpoints_on_their_way_out_are_told_from_ready_ones")),
    (31, Test("tests/tests/cluster/services.rs", "two_hundred_and_fifty_endpoints_in_several_slices")),
    (32, Test("tests/tests/node/families.rs", "a_pod_with_two_addresses_is_one_endpoint")),
    (33, Test("tests/tests/cluster/services.rs", "without_ports_any_port_is_the_services")),
    (34, Test("tests/tests/cluster/services.rs", "endpoints_without_pods_are_known_by_their_addresses")),
    (35, Test("tests/tests/cluster/services.rs", "pods_on_one_host_address_are_told_apart_by_port")),
    (36, Test("tests/tests/cluster/clients.rs", "probes_and_scrapes_change_no_headline")),
    (37, Test("tests/tests/cluster/faults.rs", "history_that_goes_during_churn_loses_nothing")),
    (38, Test("tests/tests/cluster/faults.rs", "what_was_known_stays_while_the_api_server_is_away")),
    (41, Test("tests/tests/node/mesh.rs", "a_sidecar_is_not_counted_beside_its_application")),
    (43, Test("headless-obs/src/ledger.rs", "beyond_the_limit_clients_are_folded_and_sums_stay_exact")),
    (
        44,
        Nowhere(
            "not a verdict: what Prometheus makes of a counter's first sample; every edge begins at zero",
        ),
    ),
];
