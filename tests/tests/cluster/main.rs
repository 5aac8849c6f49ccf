//! The daemon in a Kubernetes cluster: a real control plane, fake pods, and real traffic between them.
//!
//! Each file is one subject. All tests share one cluster, and each has its own namespace. libtest could not end the
//! cluster after the last test, so this program has its own harness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says where; a harness prints results"
)]

mod access;
mod api_server_away;
mod cleanup;
mod clients;
mod control_plane;
mod faults;
mod fleet;
mod harness;
mod missing_rights;
mod observed_daemon;
mod pod_lifecycle;
mod rbac;
mod services;
mod shared;
#[path = "../node/snapshot_figures.rs"]
mod snapshot_figures;
mod source;
mod test_namespace;
mod topology_sources;
mod turning;

use std::process::ExitCode;
use std::time::Duration;

use harness::tests;

/// The time that a change may take from the API server to its last effect.
const PATIENCE: Duration = Duration::from_secs(60);
/// The port of all Services and pods.
const PORT: u16 = 8080;
/// The headless Service `orders`.
const ORDERS: &str = "
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {clusterIP: None, selector: {app: orders}, ports: [{name: http, port: 8080}]}
";

fn main() -> ExitCode {
    if cleanup::child() {
        return ExitCode::SUCCESS;
    }
    harness::run(&tests![
        access::a_daemon_with_tls_and_tokens_answers_those_who_may_read,
        rbac::a_role_in_one_namespace_is_enough_for_that_namespace,
        rbac::the_shipped_rights_allow_no_more_than_is_asked,
        rbac::without_pods_clients_have_no_names,
        rbac::without_services_what_only_they_say_is_missing,
        topology_sources::all_sources_give_the_same_report,
        api_server_away::a_server_that_does_not_stream_lists,
        api_server_away::a_stream_that_breaks_is_no_loss,
        api_server_away::away_at_the_start,
        api_server_away::away_for_a_while,
        api_server_away::forgotten_history_is_listed_again,
        clients::clients_have_the_names_of_their_workloads,
        clients::each_node_counts_its_own_pods,
        clients::probes_and_scrapes_change_no_headline,
        cleanup::a_cluster_leaves_nothing,
        cleanup::what_sigkill_leaves_the_next_lab_removes,
        faults::a_server_that_is_silent_is_noticed,
        faults::history_that_goes_during_churn_loses_nothing,
        faults::what_changed_behind_its_back_is_right_again_soon,
        faults::what_was_known_stays_while_the_api_server_is_away,
        fleet::several_daemons_are_one_report,
        fleet::the_daemons_of_a_cluster_are_found_by_its_api_server,
        pod_lifecycle::a_deployment_rolls,
        pod_lifecycle::a_pod_comes_back_under_its_name,
        pod_lifecycle::a_stateful_set_grows_and_shrinks,
        pod_lifecycle::an_address_goes_to_a_pod_of_another_service,
        pod_lifecycle::states_of_a_pod_are_told_apart,
        control_plane::a_gate_passes_stalls_resets_and_refuses,
        control_plane::a_token_may_what_its_account_may,
        control_plane::names_are_resolved_by_libc_in_a_pod,
        control_plane::slices_of_headless_services_are_labelled,
        control_plane::who_watches_from_before_a_compaction_must_list_again,
        missing_rights::a_token_is_read_again_when_it_is_refused,
        missing_rights::doctor_names_what_is_missing,
        missing_rights::each_rule_that_is_missing_costs_what_is_said,
        services::a_pod_with_two_addresses_is_one_endpoint,
        services::connections_without_dns_are_shown_beside_the_others,
        services::endpoints_without_pods_are_known_by_their_addresses,
        services::named_target_ports_may_differ_from_pod_to_pod,
        services::pods_on_one_host_address_are_told_apart_by_port,
        services::the_cluster_ip_of_the_same_pods_is_not_headless,
        services::the_services_port_is_not_its_targets,
        services::two_headless_services_are_told_apart_by_the_name_asked,
        services::two_hundred_and_fifty_endpoints_in_several_slices,
        services::without_ports_any_port_is_the_services,
        source::a_slice_may_change_who_watches_it,
        source::an_object_that_cannot_be_read_costs_no_other,
        source::clients_and_endpoints_have_their_names,
        source::only_the_namespaces_asked_for,
        source::slices_made_by_hand_count,
        turning::clients_that_turn_or_heal_are_told_within_a_minute,
    ])
}
