//! Draws the model: title, Services, the selected Service's endpoints and clients, quality, keys.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::super::findings::nodes;
use super::super::fit_text::{clean, fit_middle, plural, width, wrap};
use super::super::table::Paint;
use super::model::Model;
use super::panes::{self, Listing};
use super::style::style;
use crate::messages::quality;
use crate::messages::since::stretch_in_words;

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
        // Borders and the head take three rows; the details get at least half of the screen.
        Constraint::Max(rows.saturating_add(3).max(4).min(frame.area().height / 2)),
        Constraint::Fill(1),
        Constraint::Length(quality_rows(model, frame.area())),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_title(model, frame, title);
    panes::services(model).draw(model, frame, services);
    match model.services().get(model.selected()) {
        Some(service) => {
            let (endpoints, clients) = (panes::endpoints(model, service), panes::clients(model, service));
            let [left, right] = split(details, &endpoints, &clients);
            endpoints.draw(model, frame, left);
            clients.draw(model, frame, right);
        }
        None => nothing(model, frame, details),
    }
    draw_quality(model, frame, quality);
    frame.render_widget(Line::from(KEYS).dim(), keys);
    if model.help {
        draw_help(frame);
    }
}

/// Endpoints and clients side by side if neither loses anything, otherwise one above the other.
fn split(area: Rect, endpoints: &Listing<'_>, clients: &Listing<'_>) -> [Rect; 2] {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let columns = |columns: usize| Constraint::Length(u16::try_from(columns).unwrap_or(u16::MAX));
    if endpoints.needed() + clients.needed() <= width {
        // The bars take the width that the clients do not need.
        let right = clients.wanted().min(width - endpoints.needed());
        return Layout::horizontal([Constraint::Fill(1), columns(right)]).areas(area);
    }
    // A short pane leaves its rows to the other.
    let below = clients.rows().min((height / 2).max(height.saturating_sub(endpoints.rows())));
    Layout::vertical([Constraint::Fill(1), columns(below)]).areas(area)
}

fn draw_title(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let mut spans = vec![Span::from("headless-obs ").bold()];
    if let Some(snapshot) = &model.snapshot {
        let services = plural(u64::try_from(snapshot.services.len()).unwrap_or(u64::MAX), "Service");
        let time = stretch_in_words(snapshot);
        let observer = format!("{} ({})", nodes(snapshot), clean(&model.source));
        let order = format!(", by {}", model.sort.name());
        let left = usize::from(area.width).saturating_sub("headless-obs ".len());
        let rests = [format!(", {services}, {time}{order}"), format!(", {services}{order}"), order];
        let fits = |rest: &&String| width(&observer) + width(rest) <= left;
        let rest = rests.iter().find(fits).or(rests.last()).map_or("", |rest| rest);
        spans.push(Span::from(fit_middle(&observer, left.saturating_sub(width(rest))) + rest));
    }
    frame.render_widget(Line::from(spans), area);
    if model.paused {
        frame.render_widget(Paragraph::new(" PAUSED ".black().on_yellow()).alignment(Alignment::Right), area);
    }
}

/// Notes that a reader of the figures needs; notes without a consequence are left out.
fn quality_lines(model: &Model) -> Vec<(Paint, String)> {
    if let Some(error) = &model.error {
        return vec![(Paint::Bad, clean(error))];
    }
    let lines = model.snapshot.as_ref().map(quality::lines).unwrap_or_default();
    lines.into_iter().filter(|(paint, _)| *paint != Paint::Dim).collect()
}

/// The rows for it; only a few on a low screen.
fn quality_rows(model: &Model, area: Rect) -> u16 {
    let lines: Vec<_> = quality_lines(model).into_iter().map(|(_, line)| line).collect();
    let rows = wrap(&lines.join(" "), usize::from(area.width)).len();
    u16::try_from(rows).unwrap_or(u16::MAX).clamp(1, (area.height / 8).max(1))
}

fn draw_quality(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let lines = quality_lines(model).into_iter();
    let spans: Vec<_> = lines.map(|(paint, line)| Span::styled(format!("{line} "), style(paint))).collect();
    frame.render_widget(Paragraph::new(Line::from(spans)).wrap(Wrap { trim: true }), area);
}

fn nothing(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let text = match &model.snapshot {
        Some(_) => "No headless Service was seen yet. `headless-obs report` lists possible reasons.",
        None => "waiting for the first snapshot",
    };
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }).block(Block::bordered()), area);
}

fn draw_help(frame: &mut Frame<'_>) {
    let columns = frame.area().width.min(68);
    let rows =
        HELP.lines().map(|line| wrap(line, usize::from(columns.saturating_sub(2))).len()).sum::<usize>();
    let rows = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2);
    let area = frame.area().centered(Constraint::Max(columns), Constraint::Max(rows));
    frame.render_widget(Clear, area);
    let help = Paragraph::new(HELP).wrap(Wrap { trim: false });
    frame.render_widget(help.block(Block::bordered().title(" help ")), area);
}
