//! What xtask itself tells the user. It goes to stderr: the standard output belongs to the tool that runs.

use std::io::Write as _;

/// Prints one message.
pub(crate) fn say(message: &str) {
    // With stderr closed there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "xtask: {message}");
}

/// Prints one line of the task's result on the standard output.
pub(crate) fn result(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
