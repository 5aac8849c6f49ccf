//! A minute of the soak test: the same program as `cargo xtask e2e soak`, which runs for half an hour.

use std::process::Command;

use lab::{Lab, machine_lock};

#[test]
fn the_soak_ends_well_when_it_is_short() {
    // From now on this process holds the machine's lock and shares it.
    drop(Lab::new().unwrap());
    let mut soak = Command::new(env!("CARGO_BIN_EXE_headless-obs-soak"));
    let output =
        soak.args(["--minutes", "0.5", "--turn", "3"]).env(machine_lock::SHARED, "1").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("each as the servers counted it"), "{out}\n{err}");
}
