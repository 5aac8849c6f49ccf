//! The command line and its entry points live in `commands`.
//! x
fn main() {}
