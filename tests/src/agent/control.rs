//! The conversation with the lab: commands on stdin, replies on stdout, one line of JSON each.

use std::io::{BufRead, Write, stdin, stdout};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Says that the role is ready, or answers a command.
pub(crate) fn reply<T: Serialize>(result: Result<T>) -> Result<()> {
    let value = match result {
        Ok(value) => json!({"ok": value}),
        Err(error) => json!({"error": format!("{error:#}")}),
    };
    let mut out = stdout().lock();
    writeln!(out, "{value}").and_then(|()| out.flush()).context("the lab has gone")
}

/// Says why the role cannot go on; to stderr as well, for `exec` has nobody who reads replies.
pub(crate) fn report_failure(error: &anyhow::Error) {
    // Nobody is left to be told when these fail.
    let _out = reply::<()>(Err(anyhow::anyhow!("{error:#}")));
    let _err = writeln!(std::io::stderr(), "lab-agent: {error:#}");
}

/// The commands, until stdin ends.
pub(crate) fn commands<T: DeserializeOwned>() -> impl Iterator<Item = Result<T>> {
    let lines = stdin().lock().lines().map_while(Result::ok);
    lines.map(|line| serde_json::from_str(&line).with_context(|| format!("unreadable command {line}")))
}
