//! Standard output: its properties, and writes that do not stop the engine, which shares the thread.

use std::io::{self, IsTerminal, Write};

use ratatui::crossterm::terminal;
use serde::Serialize;

use super::table::Look;
use crate::client::sanitize::acts;

/// The width if nothing else gives one.
const COLUMNS: usize = 100;

/// The style of text on standard output: colours only on a terminal, and not if `NO_COLOR` is set.
pub fn look() -> Look {
    let terminal = io::stdout().is_terminal();
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    Look { width: width().unwrap_or(COLUMNS), colours: terminal && !set("NO_COLOR") && !dumb }
}

/// The width of standard output, if it is known.
pub fn width() -> Option<usize> {
    if io::stdout().is_terminal() {
        terminal::size().ok().map(|(columns, _lines)| usize::from(columns)).filter(|columns| *columns > 0)
    } else {
        std::env::var("COLUMNS").ok()?.parse().ok()
    }
}

/// Writes in a separate thread: a reader that stops reading stops only this thread.
pub async fn write(text: String) -> io::Result<()> {
    let written = tokio::task::spawn_blocking(move || {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    });
    written.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// One line of JSON. It escapes characters that could act on a terminal, although JSON does not require that; JSON
/// readers see no difference.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = String::new();
    for c in serde_json::to_string(value)?.chars() {
        if c != '\u{7f}' && (c.is_ascii() || c.is_alphanumeric()) {
            line.push(c);
        } else {
            let units =
                c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
            line.push_str(&units);
        }
    }
    Ok(line)
}

/// A message for people, on standard error. Errors quote what others sent, so nothing in it acts on the terminal.
pub fn note(message: &str) {
    // Nobody reads standard error, so there is nobody to report to.
    let _unread = writeln!(io::stderr().lock(), "{}", harmless(message));
}

fn harmless(message: &str) -> String {
    let shown = |c| if c != '\n' && acts(c) { char::REPLACEMENT_CHARACTER } else { c };
    message.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_do_nothing_to_a_terminal() {
        let text = "error: n1 says… \u{1b}]0;x\u{7}\u{9b}2J\u{202e}\r\nand more";
        assert_eq!(
            harmless(text),
            "error: n1 says… \u{fffd}]0;x\u{fffd}\u{fffd}2J\u{fffd}\u{fffd}\nand more"
        );
    }

    #[test]
    fn json_does_nothing_to_a_terminal_and_is_the_same_json() {
        let text = "é \u{1b}[2J \u{9b}31m \u{202e}x \u{e0041} \u{1f600} \u{7f}";
        let line = json(&text).unwrap();
        assert_eq!(line, r#""é \u001b[2J \u009b31m \u202ex \udb40\udc41 \ud83d\ude00 \u007f""#);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
