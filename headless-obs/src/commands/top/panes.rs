//! The three panes: Services, endpoints, clients.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::Text;
use ratatui::widgets::{Block, Row, Table, TableState};

use super::super::bars::{bar, columns};
use super::super::table::Paint;
use super::super::table::clients::verdict;
use super::super::text::{clean, fit, fit_middle, full_name, percent, thousands, total};
use super::model::{Model, Pane, Part, total_opened};
use super::paint::style;
use crate::expose::snapshot::{Client, Endpoint, Service};

/// Services; the selected one is marked.
pub(super) fn services(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let names = usize::from(area.width).saturating_sub(62).max(12);
    let rows = model.services().into_iter().map(|service| {
        let spread = service.spread;
        let ready = service.endpoints.iter().filter(|endpoint| endpoint.state == "ready").count();
        let active =
            service.endpoints.iter().fold(0_u64, |sum, endpoint| sum.saturating_add(endpoint.active));
        let counted = |text: String| if spread.connections == 0 { "-".to_owned() } else { text };
        let uneven = if spread.peak_to_mean >= 1.5 { style(Paint::Warn) } else { Style::new() };
        let opened = total_opened(service);
        Row::new([
            Text::from(fit_middle(&full_name(&service.namespace, &service.name), names)),
            right(ready.to_string()),
            right(thousands(opened)),
            right(rate(model.rate(service, Part::Whole, opened))),
            right(thousands(active)),
            right(counted(percent(spread.coverage))),
            right(counted(format!("{:.2}", spread.peak_to_mean))).style(uneven),
            right(counted(format!("{:.2}", spread.jain))),
        ])
    });
    let widths = [Constraint::Fill(1)].into_iter().chain([5, 9, 7, 7, 8, 9, 5].map(Constraint::Length));
    let heads = ["SERVICE", "READY", "OPENED", "/S", "ACTIVE", "COVERAGE", "PEAK/MEAN", "JAIN"];
    let table = Table::new(rows, widths)
        .header(head(heads, 1))
        .row_highlight_style(Style::new().reversed())
        .block(block(model, Pane::Services, "Services".to_owned()));
    let mut state = TableState::new().with_selected(model.selected());
    frame.render_stateful_widget(table, area, &mut state);
}

/// Endpoints of the selected Service, with a bar each.
pub(super) fn endpoints(model: &Model, service: &Service, frame: &mut Frame<'_>, area: Rect) {
    let most = service.endpoints.iter().map(|endpoint| endpoint.opened).max().unwrap_or(0);
    let names = service.endpoints.iter().map(|endpoint| clean(&endpoint.pod).len()).max().unwrap_or(0);
    // Borders, the other columns and the space between columns.
    let left = usize::from(area.width).saturating_sub(2 + 11 + 9 + 7 + 6 + 6 + 6);
    let names = names.clamp(4, left.saturating_sub(8).max(4));
    let bar_width = left.saturating_sub(names).max(1);
    let scrolled = model.scrolled.get(&Pane::Endpoints).copied().unwrap_or(0);
    let rows = service.endpoints.iter().skip(scrolled).map(|endpoint| {
        let (state, paint) = state(service, endpoint);
        let uneven = service.spread.peak_to_mean >= 1.5 && endpoint.opened == most;
        let bar_paint = match paint {
            Paint::Dim => Paint::Dim,
            _ if uneven => Paint::Warn,
            _ => Paint::Good,
        };
        let per_second = model.rate(service, Part::Endpoint(endpoint.pod.clone()), endpoint.opened);
        let failed = total(&endpoint.failed);
        Row::new([
            Text::from(fit_middle(&clean(&endpoint.pod), names)),
            Text::from(state).style(style(paint)),
            right(thousands(endpoint.opened)),
            right(rate(per_second)),
            Text::from(bar(endpoint.opened, endpoint.counted, most, bar_width)).style(style(bar_paint)),
            right(thousands(endpoint.active)),
            right(thousands(failed)).style(if failed > 0 { style(Paint::Bad) } else { Style::new() }),
        ])
    });
    let bar_width = u16::try_from(bar_width).unwrap_or(u16::MAX);
    let names = u16::try_from(names).unwrap_or(u16::MAX);
    let widths = [names, 11, 9, 7, bar_width, 6, 6].map(Constraint::Length);
    let heads = ["POD", "STATE", "OPENED", "/S", "", "ACTIVE", "FAILED"];
    let title = format!("Endpoints of {}", full_name(&service.namespace, &service.name));
    let table = Table::new(rows, widths).header(head(heads, 2)).block(block(model, Pane::Endpoints, title));
    frame.render_widget(table, area);
}

/// Clients of the selected Service, busiest first.
pub(super) fn clients(model: &Model, service: &Service, frame: &mut Frame<'_>, area: Rect) {
    let mut clients: Vec<&Client> = service.clients.iter().collect();
    clients.sort_by_key(|client| std::cmp::Reverse((client.opened, client.active)));
    let names = usize::from(area.width / 3);
    let scrolled = model.scrolled.get(&Pane::Clients).copied().unwrap_or(0);
    let rows = clients.into_iter().skip(scrolled).map(|client| {
        let most = client.endpoints.iter().map(|endpoint| endpoint.opened).max().unwrap_or(0);
        let part = Part::Client(client.namespace.clone(), client.workload.clone());
        let (verdict, paint) = verdict(client);
        Row::new([
            Text::from(fit_middle(&full_name(&client.namespace, &client.workload), names)),
            Text::from(columns(client.endpoints.iter().map(|endpoint| endpoint.opened), most))
                .style(style(Paint::Good)),
            right(thousands(client.opened)),
            right(rate(model.rate(service, part, client.opened))),
            right(thousands(client.active)),
            right(percent(client.coverage)),
            Text::from(verdict).style(style(paint)),
        ])
    });
    let widths = [Constraint::Fill(3), Constraint::Fill(2)]
        .into_iter()
        .chain([9, 7, 7, 8, 18].map(Constraint::Length));
    let heads = ["CLIENT", "PODS", "OPENED", "/S", "ACTIVE", "COVERAGE", "VERDICT"];
    let table = Table::new(rows, widths).header(head(heads, 2)).block(block(
        model,
        Pane::Clients,
        "Clients".to_owned(),
    ));
    frame.render_widget(table, area);
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

fn right(text: String) -> Text<'static> {
    Text::from(text).alignment(Alignment::Right)
}

/// Names of columns. The first ones and the verdicts are aligned to the left, because they are words.
fn head<const N: usize>(names: [&'static str; N], left: usize) -> Row<'static> {
    let cells = names.into_iter().enumerate();
    let cells = cells.map(|(place, name)| {
        let alignment = if place < left || name == "VERDICT" { Alignment::Left } else { Alignment::Right };
        Text::from(name).alignment(alignment)
    });
    Row::new(cells).style(Style::new().dim())
}

fn block(model: &Model, pane: Pane, title: String) -> Block<'static> {
    let block = Block::bordered().title(format!(" {title} "));
    if model.pane == pane {
        block.border_style(style(Paint::Bold))
    } else {
        block.border_style(style(Paint::Dim))
    }
}
