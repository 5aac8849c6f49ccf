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

mod harness;
mod plane;

use std::process::ExitCode;

use harness::tests;

fn main() -> ExitCode {
    harness::run(&tests![
        plane::names_are_resolved_by_libc_in_a_pod,
        plane::slices_of_headless_services_are_labelled,
    ])
}
