//! Messages of xtask itself. They go to stderr, because standard output belongs to the running tool.

use std::io::Write as _;

/// Prints one message.
pub(crate) fn say(message: &str) {
    // If stderr is closed, nobody reads the message.
    let _ = writeln!(std::io::stderr(), "xtask: {message}");
}

/// Prints one line of the task's result on the standard output.
pub(crate) fn result(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
