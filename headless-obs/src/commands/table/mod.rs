//! The report: a snapshot in, text out. Pure.

use std::fmt::Write;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use super::column_layout::{Column, share, shown};
use super::findings::{by_waste, is_silent, nodes, unlisted_ports};
use super::fit_text::{
    capital, counted, fit_middle, full_name, percent, plural, thousands, total, width, wrap,
};
use crate::expose::snapshot::{Service, Snapshot};
pub(super) use crate::messages::Paint;
use crate::messages::other_names::other_names;
use crate::messages::since::stretch_in_words;
use crate::messages::unresolved::unresolved;
use crate::messages::zones::{crossing_in_words, ignored_hints, needless_crossings};

pub(super) mod clients;
mod empty;
pub(super) mod endpoints;
pub(super) mod findings;
pub(super) mod quality;

/// The style of the text.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Number of columns.
    pub width: usize,
    /// Whether to use colours.
    pub colours: bool,
}

impl Look {
    /// At least the least width of the text.
    pub(super) fn clamped(self) -> Self {
        Self { width: self.width.max(MIN_WIDTH), ..self }
    }

    /// The width of sentences.
    pub(super) fn prose(self) -> usize {
        self.width.min(MAX_PROSE)
    }
}

/// Narrower terminals get lines that are too long.
const MIN_WIDTH: usize = 40;
/// Longer lines are hard to read.
const MAX_PROSE: usize = 140;
/// Blanks before each column of a table.
const GAP: u16 = 2;

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
    if snapshot.services.iter().all(is_silent) && !snapshot.quality.stands_by {
        empty::render(&mut text, snapshot, look);
    }
    findings::render(&mut text, snapshot, look);
    text.push('\n');
    quality::render(&mut text, snapshot, look);
    text
}

fn head(text: &mut String, snapshot: &Snapshot, look: Look) {
    let services = u64::try_from(snapshot.services.len()).unwrap_or(u64::MAX);
    let line = format!(
        "{}, {} until {}: {}",
        capital(&nodes(snapshot)),
        stretch_in_words(snapshot),
        snapshot.to.strftime("%F %T UTC"),
        plural(services, "headless Service"),
    );
    sentence(text, &line, Some(Paint::Dim), look);
}

pub(super) fn title(text: &mut String, service: &Service, look: Look) {
    let name = fit_middle(&full_name(&service.namespace, &service.name), look.width);
    let ready = service.endpoints.iter().filter(|endpoint| endpoint.state == "ready").count();
    let listed = service.endpoints.iter().filter(|endpoint| endpoint.state != "removed").count();
    let ready = format!("{ready} of {} ready", plural(u64::try_from(listed).unwrap_or(u64::MAX), "endpoint"));
    let between = if width(&name) + 2 + width(&ready) <= look.width { "  " } else { "\n" };
    let _infallible = writeln!(text, "{}{between}{ready}", paint(&name, Paint::Bold, look));
    let spread = service.spread;
    if spread.connections == 0 {
        text.push_str("no connection by its name\n");
        return;
    }
    let uneven = spread.peak_to_mean >= 1.5 && spread.endpoints > 1;
    let figures = [
        (format!("{} by its name", plural(spread.connections, "connection")), None),
        (format!("coverage {}", percent(spread.coverage)), None),
        (format!("peak/mean {:.2}", spread.peak_to_mean), uneven.then_some(Paint::Warn)),
        (format!("CV {:.2}", spread.cv), None),
        (format!("Jain {:.2}", spread.jain), None),
    ];
    phrases(text, &figures, look);
}

/// With two blanks between them, on as many lines as needed.
fn phrases(text: &mut String, phrases: &[(String, Option<Paint>)], look: Look) {
    let mut column = 0;
    for (phrase, paint_as) in phrases {
        let columns = width(phrase);
        if column > 0 {
            let fits = column + 2 + columns <= look.width;
            text.push_str(if fits { "  " } else { "\n  " });
            column = if fits { column + 2 } else { 2 };
        }
        text.push_str(&paint_as.map_or(phrase.clone(), |paint_as| paint(phrase, paint_as, look)));
        column += columns;
    }
    text.push('\n');
}

/// Connections that are not part of the spread but worth reporting.
pub(super) fn beside(text: &mut String, service: &Service, look: Look) {
    for (client, line) in unresolved(service) {
        indented(text, &format!("{client}: {line}"), Some(Paint::Dim), look);
    }
    for (line, is_missed) in other_names(service) {
        indented(text, &line, Some(if is_missed { Paint::Warn } else { Paint::Dim }), look);
    }
    let stale = counted(&service.stale);
    if !stale.is_empty() {
        indented(
            text,
            &format!("connections to addresses that were no ready endpoint: {stale}"),
            Some(Paint::Warn),
            look,
        );
    }
    unlisted_ports(service).iter().for_each(|line| indented(text, line, None, look));
    for line in crossing_in_words(&service.zones).into_iter().chain(ignored_hints(service)) {
        indented(text, &line, None, look);
    }
    needless_crossings(service).iter().for_each(|line| indented(text, line, Some(Paint::Warn), look));
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

/// The line unchanged if it fits, including its blanks.
fn lines(line: &str, columns: usize) -> Vec<String> {
    if width(line) <= columns { vec![line.to_owned()] } else { wrap(line, columns) }
}

/// A sentence, on as many lines as needed.
pub(super) fn sentence(text: &mut String, line: &str, paint_as: Option<Paint>, look: Look) {
    for line in lines(line, look.prose()) {
        let line = paint_as.map_or(line.clone(), |paint_as| paint(&line, paint_as, look));
        let _infallible = writeln!(text, "{line}");
    }
}

pub(super) fn indented(text: &mut String, line: &str, paint_as: Option<Paint>, look: Look) {
    for line in lines(line, look.prose() - 2) {
        let line = paint_as.map_or(line.clone(), |paint_as| paint(&line, paint_as, look));
        let _infallible = writeln!(text, "  {line}");
    }
}

/// The width of each column, or nothing if there is no room for it.
pub(super) fn widths(columns: &[Column], look: Look) -> Vec<Option<usize>> {
    share(columns, look.width, usize::from(GAP))
}

/// A table without lines, of the columns that have a width.
pub(super) fn table(look: Look, columns: &[Column], widths: &[Option<usize>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if look.colours {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let alignment =
        |column: &Column| if column.is_right { CellAlignment::Right } else { CellAlignment::Left };
    let columns: Vec<_> = shown(columns, widths).collect();
    table.set_header(
        columns.iter().map(|column| {
            Cell::new(column.head).set_alignment(alignment(column)).add_attribute(Attribute::Dim)
        }),
    );
    for (cells, column) in table.column_iter_mut().zip(columns) {
        cells.set_padding((GAP, 0));
        cells.set_cell_alignment(alignment(column));
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

/// The table colours its cells.
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

/// Appends a table, without blanks at the ends of its lines.
pub(super) fn push(text: &mut String, table: &Table) {
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests;
