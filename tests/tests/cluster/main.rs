//! The daemon in a Kubernetes cluster: a real control plane, hand-made pods and real traffic between them.
//!
//! Each file is one subject. All tests share one cluster, and each has a namespace of its own; so this is no harness
//! of libtest's, which could not end the cluster after the last test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says where; a harness prints results"
)]

mod end;
mod harness;
mod plane;

use std::process::ExitCode;
use std::time::Duration;

use harness::tests;

/// How long a change may take from the API server to wherever it shows.
const PATIENCE: Duration = Duration::from_secs(10);
/// The port of everything.
const PORT: u16 = 8080;
/// The headless Service `orders`.
const ORDERS: &str = "
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {clusterIP: None, selector: {app: orders}, ports: [{name: http, port: 8080}]}
";

fn main() -> ExitCode {
    if end::child() {
        return ExitCode::SUCCESS;
    }
    harness::run(&tests![
        end::a_cluster_leaves_nothing,
        end::what_sigkill_leaves_the_next_lab_removes,
        plane::a_gate_passes_stalls_resets_and_refuses,
        plane::a_token_may_what_its_account_may,
        plane::names_are_resolved_by_libc_in_a_pod,
        plane::slices_of_headless_services_are_labelled,
        plane::who_watches_from_before_a_compaction_must_list_again,
    ])
}
