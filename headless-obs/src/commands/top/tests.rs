//! The live view on a terminal in memory.

use std::fmt::Write;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tokio::sync::mpsc;

use super::super::test_names;
use super::model::{After, Model, Pane, Sort};
use super::*;
use crate::expose::test_fixtures;
use crate::testing::golden;

fn drawn(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(model, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in buffer.content().chunks(usize::from(width)) {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    text
}

/// Two snapshots, 10 s apart: 100 connections to orders-0 in between.
fn model() -> Model {
    let mut model = Model::new("this machine".into());
    let mut before = test_fixtures::snapshot();
    before.to = test_fixtures::at(20);
    before.services[0].endpoints[0].opened -= 100;
    before.services[0].clients[0].opened -= 100;
    model.update(before);
    model.update(test_fixtures::snapshot());
    model
}

fn press(model: &mut Model, codes: &[KeyCode]) -> After {
    codes.iter().map(|code| model.key(KeyEvent::new(*code, KeyModifiers::NONE))).last().unwrap()
}

#[test]
fn the_view() {
    for width in [60, 80, 100, 120, 140] {
        golden(&format!("top-{width}.txt"), &drawn(&model(), width, 30));
    }
}

#[test]
fn selection_stays_with_its_service_when_the_order_changes() {
    let mut model = model();
    assert_eq!(model.services()[0].name, "orders");
    press(&mut model, &[KeyCode::Char('j')]);
    assert!(drawn(&model, 80, 30).contains("Endpoints of shop/sessions"));
    press(&mut model, &[KeyCode::Down]);
    assert_eq!(model.selected(), 1, "there is no third");
    let mut snapshot = test_fixtures::snapshot();
    snapshot.services[1].spread.peak_to_mean = 3.0;
    snapshot.services[1].spread.connections = 10_000;
    model.update(snapshot);
    assert_eq!(model.services()[0].name, "sessions");
    assert_eq!(model.selected(), 0);
    press(&mut model, &[KeyCode::Char('s'), KeyCode::Char('s'), KeyCode::Char('s')]);
    assert_eq!((model.sort, model.selected()), (Sort::Name, 1));
}

#[test]
fn keys() {
    let mut model = model();
    press(&mut model, &[KeyCode::Tab, KeyCode::Down, KeyCode::Down]);
    assert_eq!(model.pane, Pane::Endpoints);
    let text = drawn(&model, 80, 30);
    assert!(!text.contains("orders-1") && text.contains("orders-2"), "scrolled: {text}");

    press(&mut model, &[KeyCode::Char('p')]);
    let mut newer = test_fixtures::snapshot();
    newer.node = "other".into();
    model.update(newer);
    let text = drawn(&model, 80, 30);
    assert!(text.contains("PAUSED") && !text.contains("other"), "{text}");

    press(&mut model, &[KeyCode::Char('?')]);
    assert!(drawn(&model, 80, 30).contains("ten rows at a time"));
    assert_eq!(press(&mut model, &[KeyCode::Esc]), After::Stay);
    assert_eq!(press(&mut model, &[KeyCode::Esc]), After::Quit);
    assert_eq!(model.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), After::Quit);
}

#[test]
fn what_cannot_be_asked_is_said_and_the_old_picture_stays() {
    let mut model = model();
    model.fail("refused \u{1b}[2J".into());
    let text = drawn(&model, 80, 30);
    assert!(text.contains("refused") && text.contains("orders-0") && !text.contains('\u{1b}'), "{text}");
    model.update(test_fixtures::snapshot());
    assert!(!drawn(&model, 80, 30).contains("refused"));
}

#[test]
fn any_size_can_be_drawn_on() {
    for (width, height) in [(1, 1), (10, 3), (40, 10), (300, 100)] {
        drawn(&model(), width, height);
        drawn(&Model::new("x".into()), width, height);
    }
    assert!(drawn(&Model::new("x".into()), 80, 24).contains("waiting for the first snapshot"));
}

#[tokio::test]
async fn a_daemon_that_cannot_be_asked_ends_the_stream() {
    let (sender, mut receiver) = mpsc::channel(1);
    let url = "127.0.0.1:1".parse().unwrap();
    sender.send(Err(SourceError::Refused(url))).await.unwrap();
    let error = stream(&mut receiver, |snapshot| snapshot).await.unwrap_err().to_string();
    assert!(error.contains("is `headless-obs run` listening there?"), "{error}");
}

/// The pane whose table begins with a head: what is in its columns of the screen, line by line.
fn pane(screen: &str, head: &str, rows: usize) -> test_names::Shown {
    let lines: Vec<Vec<char>> = screen.lines().map(|line| line.chars().collect()).collect();
    let wanted: Vec<char> = format!("│{head} ").chars().collect();
    let find = |line: &Vec<char>| line.windows(wanted.len()).position(|part| part == wanted);
    let (row, from) = lines.iter().enumerate().find_map(|(row, line)| Some((row, find(line)? + 1))).unwrap();
    let to = lines[row].iter().skip(from).position(|c| *c == '│').unwrap();
    let of = |line: &Vec<char>| line.iter().skip(from).take(to).collect::<String>();
    let body = lines[row..=row + rows].iter().map(of).collect::<Vec<_>>().join("\n");
    test_names::table(&body, head, rows)
}

#[test]
fn names_are_cut_last_at_any_width() {
    for (width, length, differ) in test_names::cases() {
        let snapshot = test_names::snapshot(length, differ);
        let mut model = Model::new("this machine".into());
        model.update(snapshot.clone());
        let text = drawn(&model, u16::try_from(width).unwrap(), 50);
        let case = format!("{width} columns, names of {length} that differ at the {differ:?}:\n{text}");
        let services = pane(&text, "SERVICE", 2);
        let names = snapshot.services.iter().map(|s| test_names::full_name(&s.namespace, &s.name));
        services.assert_names(
            &names.collect::<Vec<_>>(),
            &["READY", "/S", "ACTIVE", "COVERAGE", "JAIN"],
            &case,
        );
        let service = &snapshot.services[0];
        let pods = pane(&text, "POD", service.endpoints.len());
        let cut = pods.assert_names(&test_names::pod_names(service), &["/S", "ACTIVE"], &case);
        pods.assert_figures(service.endpoints.iter().map(|endpoint| endpoint.opened), &case);
        let clients = pane(&text, "CLIENT", service.clients.len());
        let optional = ["PODS", "/S", "ACTIVE", "COVERAGE"];
        let cut = clients.assert_names(&test_names::client_names(service), &optional, &case) || cut;
        clients.assert_figures(service.clients.iter().map(|client| client.opened), &case);
        let side_by_side = text.lines().any(|line| line.contains("│POD ") && line.contains("│CLIENT "));
        assert!(!(cut && side_by_side), "{case}: names are cut although there is room below");
    }
}

#[test]
fn panes_are_side_by_side_where_both_fit() {
    let is_side_by_side = |width, length| {
        let mut model = Model::new("this machine".into());
        model.update(test_names::snapshot(length, test_names::Differ::End));
        let text = drawn(&model, width, 50);
        text.lines().any(|line| line.contains("│POD ") && line.contains("│CLIENT "))
    };
    for (width, length, expected) in
        [(100, 8, false), (130, 8, true), (160, 8, true), (130, 40, false), (200, 30, true), (200, 60, false)]
    {
        assert_eq!(is_side_by_side(width, length), expected, "{width} columns, names of {length}");
    }
}

#[test]
fn long_names_at_usual_widths() {
    let mut model = Model::new("this machine".into());
    model.update(test_names::snapshot(30, test_names::Differ::End));
    for width in [80, 100, 130, 200] {
        golden(&format!("top-long-{width}.txt"), &drawn(&model, width, 40));
    }
}
