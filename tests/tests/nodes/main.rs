//! The shipped daemon: its image, manifests and chart on two real nodes with real pods.
//!
//! Each file is one subject. All tests share one cluster, and each has its own namespace. libtest could not end the
//! cluster after the last test, so this program has its own harness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and says where; a harness prints results"
)]

mod chart;
mod cleanup;
mod daemon;
mod documents;
#[path = "../cluster/harness.rs"]
mod harness;
mod missing_rights;
#[path = "../chart/operator.rs"]
mod operator;
mod release;
mod rollout;
mod scrape;
mod shared;
mod shipped;
mod shop;
mod traffic;

use std::process::ExitCode;

use harness::tests;

fn main() -> ExitCode {
    if cleanup::child() {
        return ExitCode::SUCCESS;
    }
    harness::run(&tests![
        cleanup::nodes_leave_nothing,
        cleanup::what_sigkill_leaves_of_nodes_the_next_lab_removes,
        shipped::the_daemons_have_the_rights_that_are_shipped_and_no_more,
        shipped::doctor_finds_nothing_wrong_in_the_pods,
        traffic::the_reports_of_both_nodes_add_up_to_what_the_servers_accepted,
        traffic::names_are_resolved_by_libc_with_the_kubelets_search_list,
        traffic::the_kubelets_probes_are_in_no_figure,
        rollout::a_rolling_update_is_counted_to_the_last_connection,
        rollout::a_pod_that_terminates_gracefully_is_seen_to_serve_on,
        rollout::a_probe_that_fails_takes_the_pod_out,
        documents::kubectl_commands_run_as_they_are_written,
        documents::prometheus_finds_the_daemons_by_the_documents_configurations,
        chart::the_chart_is_installed_scraped_changed_rolled_back_and_removed,
        missing_rights::with_roles_in_one_namespace_it_sees_that_namespace,
        missing_rights::as_another_user_it_has_no_capabilities_and_names_them,
        missing_rights::without_one_of_its_capabilities_it_is_not_ready_and_names_it,
        missing_rights::without_the_hosts_processes_older_connections_stay_unknown,
        missing_rights::without_the_nodes_cgroups_it_is_not_ready_and_says_what_to_mount,
        missing_rights::without_tracefs_only_the_classic_tracepoint_is_lost,
    ])
}
