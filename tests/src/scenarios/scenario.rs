//! A scenario: plain data, and the function that runs it.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::stage::Stage;

/// A way to use a Service, and the verdict that the daemon must reach.
pub(crate) struct Scenario {
    /// Its name. A name that ends in `.fixed` is the same scenario with the fix that the verdict proposes.
    pub(crate) name: &'static str,
    /// Its number in the catalogue ([`crate::catalogue_coverage`]), if it has one.
    pub(crate) number: Option<u8>,
    /// A short description.
    pub(crate) title: &'static str,
    /// The expected [`Seen::got`].
    pub(crate) expected: &'static str,
    /// Whether it takes a few seconds only, and needs no server that must be downloaded.
    pub(crate) quick: bool,
    /// The function that runs it.
    pub(crate) run: fn(&Stage) -> Result<Seen>,
}

impl Scenario {
    /// A scenario that takes a few seconds and has no number.
    pub(crate) fn new(
        name: &'static str,
        title: &'static str,
        expected: &'static str,
        run: fn(&Stage) -> Result<Seen>,
    ) -> Self {
        Self { name, number: None, title, expected, quick: true, run }
    }

    /// The same with a number of the catalogue.
    pub(crate) fn number(self, number: u8) -> Self {
        Self { number: Some(number), ..self }
    }

    /// The same, as one that takes longer.
    pub(crate) fn slow(self) -> Self {
        Self { quick: false, ..self }
    }

    /// Whether a name on the command line selects it.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let family = self.name.split('.').next();
        self.name == name
            || family == Some(name)
            || self.number.is_some_and(|number| number.to_string() == name)
    }
}

/// The result of a run.
pub(crate) struct Seen {
    /// Verdicts and facts, in the words of [`Scenario::expected`].
    pub(crate) got: String,
    /// The data behind it, to print when it is wrong.
    pub(crate) facts: Value,
}

impl Seen {
    /// The verdict on one client of a Service.
    pub(crate) fn verdict(snapshot: &Value, service: &str, client: &str) -> Result<Self> {
        let facts = find(snapshot, service, client)?;
        Ok(Self { got: word(facts), facts: facts.clone() })
    }

    /// Adds a fact.
    pub(crate) fn and(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        if !self.got.is_empty() {
            self.got.push(' ');
        }
        self.got.push_str(&format!("{name}={value}"));
        self
    }

    /// Facts without a verdict.
    pub(crate) fn nothing(facts: &Value) -> Self {
        Self { got: String::new(), facts: facts.clone() }
    }
}

/// The cause of a client's verdict, or the reason for no verdict.
pub(crate) fn word(client: &Value) -> String {
    match (client["verdict"]["cause"].as_str(), client["withheld"].as_str()) {
        (Some(cause), _) => cause.to_owned(),
        (None, Some(reason)) => format!("withheld:{reason}"),
        (None, None) => "none".to_owned(),
    }
}

/// A Service `NAMESPACE/NAME` of a snapshot.
pub(crate) fn service<'a>(snapshot: &'a Value, name: &str) -> Result<&'a Value> {
    let is = |service: &&Value| {
        name.split_once('/') == service["namespace"].as_str().zip(service["name"].as_str())
    };
    let found = snapshot["services"].as_array().and_then(|all| all.iter().find(is));
    found.with_context(|| format!("no Service {name} in {snapshot:#}"))
}

/// A Service's client workload.
pub(crate) fn client<'a>(service: &'a Value, workload: &str) -> Option<&'a Value> {
    service["clients"].as_array()?.iter().find(|client| client["workload"] == workload)
}

/// A client of a Service; an error if it does not exist.
pub(crate) fn find<'a>(snapshot: &'a Value, name: &str, workload: &str) -> Result<&'a Value> {
    let found = service(snapshot, name)?;
    client(found, workload).with_context(|| format!("no client {workload} in {found:#}"))
}
