//! The state of the live view, and how keys change it. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::super::fit_text::between;
use crate::expose::snapshot::{Service, Snapshot};

/// State of the view.
#[derive(Debug)]
pub(super) struct Model {
    /// The source.
    pub(super) source: String,
    /// The last snapshot.
    pub(super) snapshot: Option<Snapshot>,
    /// The reason why there is no newer snapshot.
    pub(super) error: Option<String>,
    /// Order of the Services.
    pub(super) sort: Sort,
    /// The pane that the arrow keys move in.
    pub(super) pane: Pane,
    /// Whether new snapshots are not shown.
    pub(super) paused: bool,
    /// Whether the keys are shown.
    pub(super) help: bool,
    /// Rows scrolled out of view, per pane of details.
    pub(super) scrolled: HashMap<Pane, usize>,
    selected: Option<Key>,
    /// The counts before the last snapshot, and the seconds since.
    before: Option<(Opened, f64)>,
}

type Key = (String, String);
/// Connections opened by Service and, for its parts, by name.
type Opened = HashMap<(Key, Subject), u64>;

/// A part of a Service, or all of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// All of it.
    Whole,
    /// An endpoint, by pod.
    Endpoint(String),
    /// A client, by namespace and workload.
    Client(String, String),
}

/// A part of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pane {
    Services,
    Endpoints,
    Clients,
}

/// Order of the Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// By waste, the largest first.
    Unevenness,
    Connections,
    Rate,
    Name,
}

impl Sort {
    /// The name in the title.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unevenness => "unevenness",
            Self::Connections => "connections",
            Self::Rate => "rate",
            Self::Name => "name",
        }
    }
}

/// The effect of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Stay,
    Quit,
}

impl Model {
    pub(super) fn new(source: String) -> Self {
        Self {
            source,
            snapshot: None,
            error: None,
            sort: Sort::Unevenness,
            pane: Pane::Services,
            paused: false,
            help: false,
            scrolled: HashMap::new(),
            selected: None,
            before: None,
        }
    }

    /// A new snapshot arrived.
    pub(super) fn update(&mut self, snapshot: Snapshot) {
        self.error = None;
        if self.paused {
            return;
        }
        self.before =
            self.snapshot.as_ref().map(|old| (opened(old), between(old.to, snapshot.to).as_secs_f64()));
        self.snapshot = Some(snapshot);
    }

    /// No new snapshot arrived; the old one stays.
    pub(super) fn fail(&mut self, error: String) {
        self.error = Some(error);
    }

    /// Services in the order of the view.
    pub(super) fn services(&self) -> Vec<&Service> {
        let mut services: Vec<_> = self.snapshot.iter().flat_map(|snapshot| &snapshot.services).collect();
        services.sort_by_key(|service| key(service));
        match self.sort {
            Sort::Unevenness => services.sort_by(|a, b| unevenness(b).total_cmp(&unevenness(a))),
            Sort::Connections => services.sort_by_key(|service| Reverse(total_opened(service))),
            Sort::Rate => {
                let rate = |service: &Service| {
                    self.rate(service, Subject::Whole, total_opened(service)).unwrap_or(0.0)
                };
                services.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
            }
            Sort::Name => {}
        }
        services
    }

    /// Position of the selected Service. The selection stays with the Service when the order changes.
    pub(super) fn selected(&self) -> usize {
        let selected = |wanted: &Key| self.services().iter().position(|service| key(service) == *wanted);
        self.selected.as_ref().and_then(selected).unwrap_or(0)
    }

    /// Connections opened per second since the previous snapshot.
    pub(super) fn rate(&self, service: &Service, part: Subject, opened: u64) -> Option<f64> {
        let (before, seconds) = self.before.as_ref()?;
        let before = before.get(&(key(service), part)).copied().unwrap_or(0);
        // Precision above 2^52 does not matter on a screen.
        (*seconds > 0.0).then(|| opened.saturating_sub(before) as f64 / seconds)
    }

    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent) -> After {
        if key.kind == KeyEventKind::Release {
            return After::Stay;
        }
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return After::Quit,
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Char('q') | KeyCode::Esc => return After::Quit,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('s') => {
                self.sort = match self.sort {
                    Sort::Unevenness => Sort::Connections,
                    Sort::Connections => Sort::Rate,
                    Sort::Rate => Sort::Name,
                    Sort::Name => Sort::Unevenness,
                }
            }
            KeyCode::Tab => {
                self.pane = match self.pane {
                    Pane::Services => Pane::Endpoints,
                    Pane::Endpoints => Pane::Clients,
                    Pane::Clients => Pane::Services,
                }
            }
            KeyCode::BackTab => {
                self.pane = match self.pane {
                    Pane::Services => Pane::Clients,
                    Pane::Endpoints => Pane::Services,
                    Pane::Clients => Pane::Endpoints,
                }
            }
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(10),
            KeyCode::PageUp => self.step(-10),
            _ => {}
        }
        After::Stay
    }

    fn step(&mut self, rows: isize) {
        let selected = self.selected();
        let services = self.services();
        let clamp = |from: usize, rows_in_all: usize| {
            from.saturating_add_signed(rows).min(rows_in_all.saturating_sub(1))
        };
        if self.pane == Pane::Services {
            self.selected = services.get(clamp(selected, services.len())).map(|service| key(service));
            self.scrolled.clear();
            return;
        }
        let rows_in_all = services.get(selected).map_or(0, |service| match self.pane {
            Pane::Endpoints => service.endpoints.len(),
            Pane::Services | Pane::Clients => service.clients.len(),
        });
        let scrolled = self.scrolled.entry(self.pane).or_default();
        *scrolled = clamp(*scrolled, rows_in_all);
    }
}

/// Connections to any of its endpoints.
pub(super) fn total_opened(service: &Service) -> u64 {
    service.endpoints.iter().fold(0, |sum, endpoint| sum.saturating_add(endpoint.opened))
}

/// The number of connections above an equal share.
fn unevenness(service: &Service) -> f64 {
    (service.spread.peak_to_mean - 1.0).max(0.0) * service.spread.connections as f64
}

fn key(service: &Service) -> Key {
    (service.namespace.clone(), service.name.clone())
}

fn opened(snapshot: &Snapshot) -> Opened {
    let mut opened = HashMap::new();
    for service in &snapshot.services {
        opened.insert((key(service), Subject::Whole), total_opened(service));
        for endpoint in &service.endpoints {
            opened.insert((key(service), Subject::Endpoint(endpoint.pod.clone())), endpoint.opened);
        }
        for client in &service.clients {
            let part = Subject::Client(client.namespace.clone(), client.workload.clone());
            opened.insert((key(service), part), client.opened);
        }
    }
    opened
}
