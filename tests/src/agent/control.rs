//! Commands from the lab on stdin and replies on stdout, each one line of JSON.

use std::io::{BufRead, Write, stdin, stdout};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Reports that the role is ready, or answers a command.
pub(crate) fn reply<T: Serialize>(result: Result<T>) -> Result<()> {
    let value = match result {
        Ok(value) => json!({"ok": value}),
        Err(error) => json!({"error": format!("{error:#}")}),
    };
    let mut out = stdout().lock();
    writeln!(out, "{value}").and_then(|()| out.flush()).context("cannot reply: the lab has ended")
}

/// Reports why the role cannot go on. It writes to stderr too, because nobody reads replies of `exec`.
pub(crate) fn report_failure(error: &anyhow::Error) {
    // If these writes fail, there is no reader left.
    let _out = reply::<()>(Err(anyhow::anyhow!("{error:#}")));
    let _err = writeln!(std::io::stderr(), "lab-agent: {error:#}");
}

/// The commands, until stdin ends.
pub(crate) fn commands<T: DeserializeOwned>() -> impl Iterator<Item = Result<T>> {
    let lines = stdin().lock().lines().map_while(Result::ok);
    lines.map(|line| serde_json::from_str(&line).with_context(|| format!("unreadable command {line}")))
}
