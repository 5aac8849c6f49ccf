//! The Helm chart: what it renders for several sets of values, what each value does, what it refuses; and whether a
//! real API server takes all of it.
//!
//! Each file is one subject. That it works is another test program's: `nodes`.

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
