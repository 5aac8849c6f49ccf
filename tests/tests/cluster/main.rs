//! A real control plane, hand-made pods and real traffic between them.
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

mod away;
mod harness;
mod observed;
mod plane;
mod rights;
mod source;

use std::process::ExitCode;

use harness::tests;

fn main() -> ExitCode {
    harness::run(&tests![
        plane::names_are_resolved_by_libc_in_a_pod,
        plane::slices_of_headless_services_are_labelled,
        source::clients_and_endpoints_have_their_names,
        source::slices_made_by_hand_count,
        source::an_object_that_cannot_be_read_costs_no_other,
        source::a_slice_may_change_who_watches_it,
        source::only_the_namespaces_asked_for,
        rights::each_rule_that_is_missing_costs_what_is_said,
        rights::a_token_is_read_again_when_it_is_refused,
        rights::doctor_names_what_is_missing,
        away::away_at_the_start,
        away::away_for_a_while,
        away::a_stream_that_breaks_is_no_loss,
        away::forgotten_history_is_listed_again,
        away::a_server_that_does_not_stream_lists,
    ])
}
