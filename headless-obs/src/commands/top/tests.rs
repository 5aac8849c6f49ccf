//! The live view on a terminal made of memory.

use std::fmt::Write;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tokio::sync::mpsc;

use super::model::{After, Model, Pane, Sort};
use super::*;
use crate::expose::sample;
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
    let mut before = sample::snapshot();
    before.to = sample::at(20);
    before.services[0].endpoints[0].opened -= 100;
    before.services[0].clients[0].opened -= 100;
    model.update(before);
    model.update(sample::snapshot());
    model
}

fn press(model: &mut Model, codes: &[KeyCode]) -> After {
    codes.iter().map(|code| model.key(KeyEvent::new(*code, KeyModifiers::NONE))).last().unwrap()
}

#[test]
fn the_view() {
    golden("top-80.txt", &drawn(&model(), 80, 30));
    golden("top-140.txt", &drawn(&model(), 140, 30));
}

#[test]
fn selection_stays_with_its_service_when_the_order_changes() {
    let mut model = model();
    assert_eq!(model.services()[0].name, "orders");
    press(&mut model, &[KeyCode::Char('j')]);
    assert!(drawn(&model, 80, 30).contains("Endpoints of shop/sessions"));
    press(&mut model, &[KeyCode::Down]);
    assert_eq!(model.selected(), 1, "there is no third");
    let mut snapshot = sample::snapshot();
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
    let mut newer = sample::snapshot();
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
    model.update(sample::snapshot());
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
