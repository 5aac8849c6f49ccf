//! The terminal style of each meaning.

use ratatui::style::{Color, Style};

use super::super::table::Paint;

/// The colour of a meaning.
pub(super) fn style(paint: Paint) -> Style {
    match paint {
        Paint::Bold => Style::new().bold(),
        Paint::Dim => Style::new().dim(),
        Paint::Good => Style::new().fg(Color::Green),
        Paint::Warn => Style::new().fg(Color::Yellow),
        Paint::Bad => Style::new().fg(Color::Red),
    }
}
