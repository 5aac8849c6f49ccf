//! Standard output: what it is, and writing to it without holding up the engine, which shares the thread.

use std::io::{self, IsTerminal, Write};

use ratatui::crossterm::terminal;

use super::table::Look;

/// Columns where nobody says how many there are.
const COLUMNS: usize = 100;

/// How text on standard output may look: colours only on a terminal, and not where `NO_COLOR` is set.
pub fn look() -> Look {
    let terminal = io::stdout().is_terminal();
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
    let width = if terminal {
        terminal::size().ok().map(|(columns, _lines)| usize::from(columns)).filter(|columns| *columns > 0)
    } else {
        columns()
    };
    Look { width: width.unwrap_or(COLUMNS), colours: terminal && !set("NO_COLOR") && !dumb }
}

/// Writes in a thread of its own: a reader that stops reading stops only this.
pub async fn write(text: String) -> io::Result<()> {
    let written = tokio::task::spawn_blocking(move || {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    });
    written.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// One line for people, beside the result.
pub fn note(line: &str) {
    // Nobody reads standard error: then there is nobody to tell.
    let _unread = writeln!(io::stderr().lock(), "{line}");
}
