//! The three panes: Services, endpoints, clients.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::Text;
use ratatui::widgets::{Block, Row, Table, TableState};

use super::super::bars::bar;
use super::super::column_layout::{Column, needed, share, shown, wanted};
use super::super::fit_text::{
    clean, fit, fit_middle, fit_names, full_name, percent, thousands, total, width,
};
use super::super::table::Paint;
use super::super::table::clients::{per_pod, pods_column, verdict};
use super::model::{Model, Pane, Subject, total_opened};
use super::style::style;
use crate::expose::snapshot::{Client, Endpoint, Service};
use crate::messages::paths::{Path, paths};

/// Blanks between columns.
const GAP: usize = 1;
/// The two lines at the sides of a pane, without the gap before the first column.
const BORDERS: usize = 2 - GAP;
/// Rows of a pane that are not rows of its table: two lines and the heads.
const FRAME_ROWS: usize = 3;
const MIN_BAR: usize = 8;

/// The content of a pane. The place decides on the widths of the columns.
pub(super) struct Listing<'a> {
    pane: Pane,
    title: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell<'a>>>,
    selected: Option<usize>,
}

enum Cell<'a> {
    Name(String),
    Text(String, Style),
    Bar { endpoint: &'a Endpoint, most: u64, style: Style },
    Pods(&'a Client),
}

/// Services; the selected one is marked.
pub(super) fn services(model: &Model) -> Listing<'_> {
    let row = |service: &Service| {
        let spread = service.spread;
        let ready = service.endpoints.iter().filter(|endpoint| endpoint.state == "ready").count();
        let active =
            service.endpoints.iter().fold(0_u64, |sum, endpoint| sum.saturating_add(endpoint.active));
        let counted = |text: String| if spread.connections == 0 { "-".to_owned() } else { text };
        let uneven = if spread.peak_to_mean >= 1.5 { style(Paint::Warn) } else { Style::new() };
        let opened = total_opened(service);
        vec![
            Cell::Name(full_name(&service.namespace, &service.name)),
            plain(ready.to_string()),
            plain(thousands(opened)),
            plain(rate(model.rate(service, Subject::Whole, opened))),
            plain(thousands(active)),
            plain(counted(percent(spread.coverage))),
            Cell::Text(counted(format!("{:.2}", spread.peak_to_mean)), uneven),
            plain(counted(format!("{:.2}", spread.jain))),
        ]
    };
    let rows: Vec<_> = model.services().into_iter().map(row).collect();
    let columns = vec![
        Column::name("SERVICE", widths(&rows, 0)),
        Column::figure("READY", widths(&rows, 1)).optional(3),
        Column::figure("OPENED", widths(&rows, 2).chain([9])),
        Column::figure("/S", widths(&rows, 3).chain([6])).optional(1),
        Column::figure("ACTIVE", widths(&rows, 4)).optional(2),
        Column::figure("COVERAGE", widths(&rows, 5)).optional(4),
        Column::figure("PEAK/MEAN", widths(&rows, 6)).needed(0),
        Column::figure("JAIN", widths(&rows, 7)).optional(0),
    ];
    let (title, selected) = ("Services".to_owned(), Some(model.selected()));
    Listing { pane: Pane::Services, title, columns, rows, selected }
}

/// Endpoints of a Service, with a bar each.
pub(super) fn endpoints<'a>(model: &Model, service: &'a Service) -> Listing<'a> {
    let most = service.endpoints.iter().map(|endpoint| endpoint.opened).max().unwrap_or(0);
    let paths: Vec<_> = paths(service).iter().map(Path::round_trip).collect();
    let has_round_trips = paths.iter().any(Option::is_some);
    let row = |(endpoint, round_trip): (&'a Endpoint, Option<String>)| {
        let (state, paint) = state(service, endpoint);
        let uneven = service.spread.peak_to_mean >= 1.5 && endpoint.opened == most;
        let bar_paint = match paint {
            Paint::Dim => Paint::Dim,
            _ if uneven => Paint::Warn,
            _ => Paint::Good,
        };
        let per_second = model.rate(service, Subject::Endpoint(endpoint.pod.clone()), endpoint.opened);
        let failed = total(&endpoint.failed);
        let mut cells = vec![
            Cell::Name(clean(&endpoint.pod)),
            Cell::Text(state, style(paint)),
            plain(thousands(endpoint.opened)),
            plain(rate(per_second)),
            Cell::Bar { endpoint, most, style: style(bar_paint) },
            plain(thousands(endpoint.active)),
            Cell::Text(thousands(failed), if failed > 0 { style(Paint::Bad) } else { Style::new() }),
        ];
        cells.extend(has_round_trips.then(|| plain(round_trip.unwrap_or_default())));
        cells
    };
    let rows: Vec<_> = service.endpoints.iter().zip(paths).map(row).collect();
    let nothing_failed = service.endpoints.iter().all(|endpoint| total(&endpoint.failed) == 0);
    let mut columns = vec![
        Column::name("POD", widths(&rows, 0)),
        Column::word("STATE", widths(&rows, 1)).needed(1),
        Column::figure("OPENED", widths(&rows, 2).chain([7])),
        Column::figure("/S", widths(&rows, 3).chain([5])).optional(1),
        // It takes the remaining width.
        Column::elastic("", MIN_BAR, usize::from(u16::MAX)).optional(3),
        Column::figure("ACTIVE", widths(&rows, 5)).optional(2),
        Column::figure("FAILED", widths(&rows, 6)).needed(0).optional_if(nothing_failed, 0),
    ];
    columns.extend(has_round_trips.then(|| Column::figure("RTT", widths(&rows, 7)).optional(1)));
    let title = format!("Endpoints of {}", full_name(&service.namespace, &service.name));
    Listing { pane: Pane::Endpoints, title, columns, rows, selected: None }
}

/// Clients of a Service, busiest first.
pub(super) fn clients<'a>(model: &Model, service: &'a Service) -> Listing<'a> {
    let mut clients: Vec<&Client> = service.clients.iter().collect();
    clients.sort_by_key(|client| std::cmp::Reverse((client.opened, client.active)));
    let row = |client: &&'a Client| {
        let part = Subject::Client(client.namespace.clone(), client.workload.clone());
        let (verdict, paint) = verdict(client);
        vec![
            Cell::Name(full_name(&client.namespace, &client.workload)),
            Cell::Pods(client),
            plain(thousands(client.opened)),
            plain(rate(model.rate(service, part, client.opened))),
            plain(thousands(client.active)),
            plain(percent(client.coverage)),
            Cell::Text(verdict, style(paint)),
        ]
    };
    let rows: Vec<_> = clients.iter().map(row).collect();
    let columns = vec![
        Column::name("CLIENT", widths(&rows, 0)),
        pods_column(&clients),
        Column::figure("OPENED", widths(&rows, 2).chain([7])),
        Column::figure("/S", widths(&rows, 3).chain([5])).optional(1),
        Column::figure("ACTIVE", widths(&rows, 4)).optional(3),
        Column::figure("COVERAGE", widths(&rows, 5)).optional(4),
        Column::word("VERDICT", widths(&rows, 6)).needed(0),
    ];
    Listing { pane: Pane::Clients, title: "Clients".to_owned(), columns, rows, selected: None }
}

impl Listing<'_> {
    /// The least width without a cut name or a dropped column.
    pub(super) fn needed(&self) -> usize {
        needed(&self.columns, GAP) + BORDERS
    }

    /// The greatest useful width.
    pub(super) fn wanted(&self) -> usize {
        wanted(&self.columns, GAP) + BORDERS
    }

    /// The number of rows for everything.
    pub(super) fn rows(&self) -> usize {
        self.rows.len() + FRAME_ROWS
    }

    pub(super) fn draw(&self, model: &Model, frame: &mut Frame<'_>, area: Rect) {
        let widths = share(&self.columns, usize::from(area.width).saturating_sub(BORDERS), GAP);
        let scrolled = model.scrolled.get(&self.pane).copied().unwrap_or(0);
        // The selection is not known here, so all rows are made.
        let visible = if self.selected.is_some() { usize::MAX } else { usize::from(area.height) };
        let rows: Vec<_> = self.rows.iter().skip(scrolled).take(visible).collect();
        let name_width = self
            .columns
            .iter()
            .zip(&widths)
            .find_map(|(column, width)| if column.is_name() { *width } else { None });
        let names: Vec<_> = rows.iter().map(|row| name(row)).collect();
        let names = fit_names(&names, name_width.unwrap_or(0));
        let rows = rows.into_iter().zip(names).map(|(row, name)| {
            let cells = row.iter().zip(&self.columns).zip(&widths);
            let cells = cells.map(|((cell, column), width)| cell.text(&name, column, width.unwrap_or(0)));
            Row::new(shown(cells, &widths))
        });
        let heads = self.columns.iter().map(|column| aligned(column.head.to_owned(), column));
        let constraints = self.columns.iter().zip(&widths).filter_map(|(column, width)| {
            let width = u16::try_from((*width)?).unwrap_or(u16::MAX);
            // Spare width goes between the names and the rest.
            Some(if column.is_name() { Constraint::Min(width) } else { Constraint::Length(width) })
        });
        let table = Table::new(rows, constraints)
            .column_spacing(u16::try_from(GAP).unwrap_or(u16::MAX))
            .header(Row::new(shown(heads, &widths)).style(Style::new().dim()))
            .row_highlight_style(Style::new().reversed())
            .block(self.block(model, area));
        let mut state = TableState::new().with_selected(self.selected);
        frame.render_stateful_widget(table, area, &mut state);
    }

    fn block(&self, model: &Model, area: Rect) -> Block<'static> {
        let title = fit_middle(&self.title, usize::from(area.width).saturating_sub(4));
        let paint = if model.pane == self.pane { Paint::Bold } else { Paint::Dim };
        Block::bordered().title(format!(" {title} ")).border_style(style(paint))
    }
}

impl Cell<'_> {
    /// The columns that it takes; a bar takes what is left.
    fn width(&self) -> usize {
        match self {
            Self::Name(text) | Self::Text(text, _) => width(text),
            Self::Bar { .. } | Self::Pods(_) => 0,
        }
    }

    fn text(&self, name: &str, column: &Column, width: usize) -> Text<'static> {
        match self {
            Self::Name(_) => Text::from(name.to_owned()),
            Self::Text(text, style) => aligned(text.clone(), column).style(*style),
            Self::Bar { endpoint, most, style } => {
                Text::from(bar(endpoint.opened, endpoint.counted, *most, width)).style(*style)
            }
            Self::Pods(client) => Text::from(per_pod(client, width)).style(style(Paint::Good)),
        }
    }
}

fn name(row: &[Cell<'_>]) -> String {
    let mut names = row.iter().filter_map(|cell| if let Cell::Name(name) = cell { Some(name) } else { None });
    names.next().cloned().unwrap_or_default()
}

fn widths(rows: &[Vec<Cell<'_>>], column: usize) -> impl Iterator<Item = usize> {
    rows.iter().filter_map(move |row| row.get(column)).map(Cell::width)
}

fn plain(text: String) -> Cell<'static> {
    Cell::Text(text, Style::new())
}

fn aligned(text: String, column: &Column) -> Text<'static> {
    Text::from(text).alignment(if column.is_right { Alignment::Right } else { Alignment::Left })
}

/// The state of an endpoint, and its meaning.
fn state(service: &Service, endpoint: &Endpoint) -> (String, Paint) {
    match endpoint.state.as_str() {
        "ready" if service.idle.contains(&endpoint.pod) => ("idle".to_owned(), Paint::Warn),
        "ready" => ("ready".to_owned(), Paint::Good),
        other => (fit(&clean(other).replace('_', " "), 11), Paint::Dim),
    }
}

fn rate(per_second: Option<f64>) -> String {
    match per_second {
        None => "-".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(few) if few < 10.0 => format!("{few:.1}"),
        Some(many) => format!("{many:.0}"),
    }
}
