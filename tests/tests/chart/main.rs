//! The Helm chart: its rendering for several sets of values, the effect of each value, the values that it rejects; a
//! real API server must accept every rendering.
//!
//! Each file is one subject. The test program `nodes` shows that the installed chart works.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says where; a harness prints results"
)]

mod applied;
mod documents;
mod effects;
#[path = "../cluster/harness.rs"]
mod harness;
mod monitoring;
mod operator;
mod render;
mod rows;
mod schema;
mod shared;

use std::process::ExitCode;

use harness::tests;

fn main() -> ExitCode {
    harness::run(&tests![
        applied::the_api_server_takes_all_that_is_rendered,
        documents::helm_takes_the_values_in_the_documents,
        documents::the_api_server_takes_the_objects_in_the_documents,
        effects::each_value_has_the_effect_that_is_meant,
        effects::no_value_is_without_a_test,
        effects::options_are_those_of_the_program,
        monitoring::an_alert_may_be_left_out,
        monitoring::dashboards_are_whole,
        monitoring::rules_are_those_of_the_file,
        render::every_object_says_what_it_belongs_to,
        render::helm_finds_nothing_to_mend,
        render::the_daemonset_selects_no_other_pod,
        schema::unknown_names_are_refused,
        schema::wrong_values_are_refused,
    ])
}
