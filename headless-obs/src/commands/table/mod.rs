//! The report: a snapshot in, text for people out. Pure.

use std::fmt::Write;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use super::findings::{by_waste, is_silent, nodes};
use super::text::{
    between, capital, counted, fit, full_name, length, percent, plural, thousands, total, wrap,
};
use crate::expose::snapshot::{Service, Snapshot};
pub(super) use crate::words::Paint;

pub(super) mod clients;
pub(super) mod endpoints;
mod nothing;
pub(super) mod quality;
pub(super) mod wrong;

/// How the text may look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Columns to use.
    pub width: usize,
    /// Whether colours are welcome.
    pub colours: bool,
}

impl Look {
    /// As wide as texts can be made.
    pub(super) fn clamped(self) -> Self {
        Self { width: self.width.clamp(MIN_WIDTH, MAX_WIDTH), ..self }
    }
}

/// Narrower terminals get lines that are too long.
const MIN_WIDTH: usize = 60;
/// Wider ones are not used up: bars would only be harder to compare.
const MAX_WIDTH: usize = 140;

/// The whole report.
pub fn render(snapshot: &Snapshot, look: Look) -> String {
    let look = look.clamped();
    let mut text = String::new();
    head(&mut text, snapshot, look);
    for service in by_waste(&snapshot.services) {
        text.push('\n');
        title(&mut text, service, look);
        endpoints::render(&mut text, service, None, look);
        clients::render(&mut text, service, look);
        beside(&mut text, service, look);
    }
    if snapshot.services.iter().all(is_silent) {
        nothing::render(&mut text, snapshot, look);
    }
    wrong::render(&mut text, snapshot, look);
    text.push('\n');
    quality::render(&mut text, snapshot, look);
    text
}

fn head(text: &mut String, snapshot: &Snapshot, look: Look) {
    let services = u64::try_from(snapshot.services.len()).unwrap_or(u64::MAX);
    let line = format!(
        "{}, {} until {}: {}\n",
        capital(&nodes(snapshot)),
        length(between(snapshot.from, snapshot.to)),
        snapshot.to.strftime("%F %T UTC"),
        plural(services, "headless Service"),
    );
    text.push_str(&paint(&line, Paint::Dim, look));
}

pub(super) fn title(text: &mut String, service: &Service, look: Look) {
    let name = fit(&full_name(&service.namespace, &service.name), look.width - 24);
    let ready = service.endpoints.iter().filter(|endpoint| endpoint.state == "ready").count();
    let listed = service.endpoints.iter().filter(|endpoint| endpoint.state != "removed").count();
    let ready = format!("{ready} of {} ready", plural(u64::try_from(listed).unwrap_or(u64::MAX), "endpoint"));
    let _infallible = writeln!(text, "{}  {ready}", paint(&name, Paint::Bold, look));
    let spread = service.spread;
    if spread.connections == 0 {
        text.push_str("no connection by its name\n");
        return;
    }
    let uneven = spread.peak_to_mean >= 1.5 && spread.endpoints > 1;
    let peak = format!("peak/mean {:.2}", spread.peak_to_mean);
    let _infallible = writeln!(
        text,
        "{} by its name  coverage {}  {}  CV {:.2}  Jain {:.2}",
        plural(spread.connections, "connection"),
        percent(spread.coverage),
        if uneven { paint(&peak, Paint::Warn, look) } else { peak },
        spread.cv,
        spread.jain,
    );
}

/// What is no part of the spread but belongs to the picture.
pub(super) fn beside(text: &mut String, service: &Service, look: Look) {
    let stale = counted(&service.stale);
    if !stale.is_empty() {
        indented(
            text,
            &format!("connections to addresses that were no ready endpoint: {stale}"),
            Some(Paint::Warn),
            look,
        );
    }
    let dns = &service.dns;
    if dns.answers == 0 {
        return;
    }
    let mut line = plural(dns.answers, "DNS answer");
    if dns.completeness < 1.0 {
        let _infallible = write!(line, ", listing {} of the ready endpoints", percent(dns.completeness));
    }
    if dns.truncated > 0 {
        let _infallible = write!(line, ", {} truncated", thousands(dns.truncated));
    }
    let mut refused = dns.rcodes.clone();
    refused.remove("noerror");
    if total(&refused) > 0 {
        let _infallible = write!(line, "; other responses: {}", counted(&refused));
    }
    indented(text, &line, None, look);
}

pub(super) fn indented(text: &mut String, line: &str, paint_as: Option<Paint>, look: Look) {
    for line in wrap(line, look.width - 2) {
        let line = paint_as.map_or(line.clone(), |paint_as| paint(&line, paint_as, look));
        let _infallible = writeln!(text, "  {line}");
    }
}

/// A table without lines, two columns between its columns.
pub(super) fn table(look: Look, heads: &[(&str, CellAlignment)]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if look.colours {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(
        heads
            .iter()
            .map(|(head, alignment)| Cell::new(head).set_alignment(*alignment).add_attribute(Attribute::Dim)),
    );
    for (column, (_, alignment)) in table.column_iter_mut().zip(heads) {
        column.set_padding((2, 0));
        column.set_cell_alignment(*alignment);
    }
    table
}

pub(super) fn paint(text: &str, paint: Paint, look: Look) -> String {
    if !look.colours {
        return text.to_owned();
    }
    let code = match paint {
        Paint::Bold => "1",
        Paint::Dim => "2",
        Paint::Good => "32",
        Paint::Warn => "33",
        Paint::Bad => "31",
    };
    // A line break stays outside: pagers end colours at it.
    let (line, end) = text.strip_suffix('\n').map_or((text, ""), |line| (line, "\n"));
    format!("\u{1b}[{code}m{line}\u{1b}[0m{end}")
}

/// Cells are painted by the table.
pub(super) fn cell(text: impl ToString, paint: Option<Paint>) -> Cell {
    let cell = Cell::new(text);
    match paint {
        None => cell,
        Some(Paint::Bold) => cell.add_attribute(Attribute::Bold),
        Some(Paint::Dim) => cell.add_attribute(Attribute::Dim),
        Some(Paint::Good) => cell.fg(Color::DarkGreen),
        Some(Paint::Warn) => cell.fg(Color::DarkYellow),
        Some(Paint::Bad) => cell.fg(Color::DarkRed),
    }
}

/// Appends a table; its lines carry no blanks at their end.
pub(super) fn push(text: &mut String, table: &Table) {
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests;
