//! Draws the model: title, Services, the selected Service's endpoints and clients, quality, keys.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::super::findings::nodes;
use super::super::table::Paint;
use super::super::text::{between, clean, length, plural};
use super::model::Model;
use super::paint::style;
use super::panes;
use crate::words::quality;

const KEYS: &str = "q quit  ↑↓ select  tab pane  s sort  p pause  ? help";

const HELP: &str = "\
↑ ↓  k j      select a Service, or scroll the pane
PgUp PgDn     ten rows at a time
tab           next pane
s             sort: unevenness, connections, rate, name
p  space      pause
?             this help
q  Esc        quit

peak/mean  1.00 is even; at 2.00 one pod gets twice its share
coverage   share of ready pods with at least one connection
Jain       1.00 is even; 0.33 is as if a third of the pods got all
These figures include only connections by the Service's name.";

/// Draws everything.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let rows = u16::try_from(model.services().len()).unwrap_or(u16::MAX);
    let [title, services, details, quality, keys] = Layout::vertical([
        Constraint::Length(1),
        // Borders and the head take three rows; the details want at least half of the screen.
        Constraint::Max(rows.saturating_add(3).max(4).min(frame.area().height / 2)),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_title(model, frame, title);
    panes::services(model, frame, services);
    let split = if details.width >= 120 {
        Layout::horizontal([Constraint::Percentage(55), Constraint::Percentage(45)])
    } else {
        Layout::vertical([Constraint::Percentage(60), Constraint::Percentage(40)])
    };
    let [endpoints, clients] = split.areas(details);
    match model.services().get(model.selected()) {
        Some(service) => {
            panes::endpoints(model, service, frame, endpoints);
            panes::clients(model, service, frame, clients);
        }
        None => nothing(model, frame, details),
    }
    draw_quality(model, frame, quality);
    frame.render_widget(Line::from(KEYS).dim(), keys);
    if model.help {
        draw_help(frame);
    }
}

fn draw_title(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let mut spans = vec![Span::from("headless-obs ").bold()];
    if let Some(snapshot) = &model.snapshot {
        let services = plural(u64::try_from(snapshot.services.len()).unwrap_or(u64::MAX), "Service");
        let time = length(between(snapshot.from, snapshot.to));
        spans.push(Span::from(format!(
            "{} ({}), {services}, {time}, by {}",
            nodes(snapshot),
            clean(&model.source),
            model.sort.name(),
        )));
    }
    frame.render_widget(Line::from(spans), area);
    if model.paused {
        frame.render_widget(Paragraph::new(" PAUSED ".black().on_yellow()).alignment(Alignment::Right), area);
    }
}

fn draw_quality(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    if let Some(error) = &model.error {
        frame.render_widget(Line::from(clean(error)).red(), area);
        return;
    }
    let lines = model.snapshot.as_ref().map(quality::lines);
    let mut spans = Vec::new();
    // What is only for the record has no place here.
    for (paint, line) in lines.unwrap_or_default().into_iter().filter(|(paint, _)| *paint != Paint::Dim) {
        spans.push(Span::styled(format!("{line} "), style(paint)));
    }
    frame.render_widget(Line::from(spans), area);
}

fn nothing(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let text = match &model.snapshot {
        Some(_) => "No headless Service was seen yet. `headless-obs report` lists possible reasons.",
        None => "waiting for the first snapshot",
    };
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }).block(Block::bordered()), area);
}

fn draw_help(frame: &mut Frame<'_>) {
    let lines = u16::try_from(HELP.lines().count()).unwrap_or(u16::MAX);
    let area = frame.area().centered(Constraint::Max(68), Constraint::Max(lines.saturating_add(2)));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" help ")), area);
}
