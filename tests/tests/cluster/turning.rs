//! A client turns to one pod and another one heals: `explain`, the page and the metric say so within a minute, with
//! three merged daemons and with one, and also after a restart of the daemons.

use std::thread;
use std::time::{Duration, Instant};

use lab::client::Pick;
use lab::cluster::{Draft, FakePod};
use lab::{Client, ClientSpec, program, stretched};
use serde_json::{Value, json};

use crate::PORT;
use crate::fleet::{report, run};
use crate::harness::Shared;
use crate::observed_daemon::Observed;
use crate::test_namespace::{RESOLVER, Scene, observe};

/// One connection a second and endpoint.
const RATE: f64 = 3.0;
/// The time that clients behave in one way before they change.
const BEFORE: Duration = Duration::from_secs(75);
/// The time that a change may take until it shows.
const MINUTE: Duration = Duration::from_secs(60);
/// Each has a daemon and a client.
const NODES: [&str; 3] = ["n1", "n2", "n3"];

/// The way in which a client behaves until it is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Habit {
    Fair,
    OnePod,
}

/// Three nodes with a client each; all clients use the same Service.
struct Three<'a> {
    scene: Scene<'a>,
    pods: Vec<FakePod>,
    clients: Vec<FakePod>,
    daemons: Vec<Observed>,
}

impl<'a> Three<'a> {
    fn new(shared: &'a Shared, name: &str) -> Self {
        let mut scene = Scene::new(shared, name);
        for node in &NODES[1..] {
            shared.cluster.add_node(node).unwrap();
        }
        let pods = scene.orders(3);
        let clients = ["turner", "healer", "steady"].iter().zip(NODES);
        let clients =
            clients.map(|(name, node)| scene.namespace.pod(&Draft::new(name).node(node)).unwrap()).collect();
        let daemons = NODES.map(|node| observe(shared, name, node)).into();
        Self { scene, pods, clients, daemons }
    }

    fn restart_daemons(&mut self, name: &str) {
        self.daemons.drain(..).for_each(|daemon| drop(daemon.observer.stop().unwrap()));
        self.daemons = NODES.map(|node| observe(self.scene.shared, name, node)).into();
    }

    /// Each client begins to behave like this.
    fn begin(&self, habits: [Habit; 3]) -> Vec<Client> {
        let name = format!("orders.{}.svc.cluster.local", self.scene.namespace.name());
        let first = self.pods[0].ip(true).unwrap();
        let start = |(pod, habit): (&FakePod, Habit)| {
            let spec = ClientSpec { rate: Some(RATE), ..ClientSpec::new(&name, PORT, RESOLVER, 100_000) };
            let pick = match habit {
                Habit::Fair => Pick::Random,
                Habit::OnePod => Pick::Only(first),
            };
            pod.client(&ClientSpec { pick, ..spec }).unwrap()
        };
        self.clients.iter().zip(habits).map(start).collect()
    }

    /// Waits until everything that a user looks at says how each client behaves. Returns how long it took.
    fn shows(&self, habits: [Habit; 3], patience: Duration) -> Duration {
        let begin = Instant::now();
        loop {
            let wrong = self.wrong(habits);
            if wrong.is_empty() {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < stretched(patience), "after {:?}: {wrong:#?}", begin.elapsed());
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// All that does not say how these clients behave.
    fn wrong(&self, habits: [Habit; 3]) -> Vec<String> {
        let froms: Vec<String> = self.daemons.iter().map(|daemon| daemon.address().to_string()).collect();
        let merged: Vec<&str> = froms.iter().flat_map(|from| ["--from", from]).collect();
        let merged = self.verdicts(&report(self.scene.shared, &merged));
        let mut wrong = Vec::new();
        for (index, habit) in habits.into_iter().enumerate() {
            let (client, daemon) = (self.clients[index].name(), &self.daemons[index]);
            let alone = self.verdicts(&report(self.scene.shared, &["--from", &froms[index]]));
            for (source, verdicts) in [("three daemons", &merged), ("one daemon", &alone)] {
                let verdict = &verdicts[client];
                if !fits(verdict["cause"].as_str(), habit) {
                    wrong.push(format!("{source}: {client} is {habit:?}, but {verdict}"));
                }
            }
            let metrics = daemon.metrics().unwrap();
            let cause = metrics.lines().find(|line| {
                line.starts_with("headless_client_verdict{")
                    && line.contains(&format!("namespace=\"{}\"", self.scene.namespace.name()))
                    && line.contains(&format!("client_workload=\"{client}\""))
            });
            let cause = cause.and_then(|line| line.split("cause=\"").nth(1)?.split('"').next());
            if !fits(cause, habit) {
                wrong.push(format!("metric: {client} is {habit:?}, but {cause:?}"));
            }
            let page = daemon.get("/").unwrap().1;
            let cause = cause_on_page(&page, &format!("{}/{client}", self.scene.namespace.name()));
            if !fits(cause.as_deref(), habit) {
                wrong.push(format!("page: {client} is {habit:?}, but {cause:?}"));
            }
        }
        wrong
    }

    fn verdicts(&self, snapshot: &Value) -> Value {
        let Some(service) = self.scene.find(snapshot, "orders") else { return json!({}) };
        let clients = service["clients"].as_array().unwrap().iter();
        clients.map(|row| (row["workload"].as_str().unwrap().to_owned(), row["verdict"].clone())).collect()
    }

    /// The output of `explain` for all daemons together.
    fn explain(&self) -> String {
        let name = format!("{}/orders", self.scene.namespace.name());
        let froms: Vec<String> = self.daemons.iter().map(|daemon| daemon.address().to_string()).collect();
        let words: Vec<&str> = froms.iter().flat_map(|from| ["--from", from]).collect();
        let (code, out, err) =
            run(self.scene.shared, &program().unwrap(), &[&["explain", name.as_str()], &words[..]].concat());
        assert_eq!(code, Some(0), "{err}");
        out
    }
}

/// Whether a cause says this.
fn fits(cause: Option<&str>, habit: Habit) -> bool {
    match habit {
        Habit::Fair => cause == Some("even"),
        Habit::OnePod => {
            let says_nothing =
                |cause: &str| matches!(cause, "even" | "too_few") || cause.starts_with("withheld");
            cause.is_some_and(|cause| !says_nothing(cause))
        }
    }
}

/// The cause in a client's row of the page: the text of its badge, without the sign.
fn cause_on_page(page: &str, client: &str) -> Option<String> {
    let table = page.split("<table class=\"answers\">").nth(1)?;
    let row = table.split("<tr>").find(|row| row.contains(client))?;
    let badge = row.split("class=\"badge ").nth(1)?.split_once('>')?.1.split_once('<')?.0;
    Some(badge.trim_start_matches(|sign: char| !sign.is_alphabetic()).to_owned())
}

pub(crate) fn clients_that_turn_or_heal_are_told_within_a_minute(shared: &Shared) {
    let mut three = Three::new(shared, "turning");
    let (before, after) =
        ([Habit::Fair, Habit::OnePod, Habit::Fair], [Habit::OnePod, Habit::Fair, Habit::Fair]);
    let running = three.begin(before);
    thread::sleep(BEFORE);
    three.shows(before, MINUTE);
    drop(running);

    let running = three.begin(after);
    let took = three.shows(after, MINUTE);
    println!("the first change shows after {took:?}");
    let text = three.explain();
    assert!(text.contains("; before that: even."), "{text}");

    // New daemons know nothing of what was before.
    three.restart_daemons("turning-again");
    thread::sleep(BEFORE);
    three.shows(after, MINUTE);
    drop(running);
    let _running = three.begin(before);
    let took = three.shows(before, MINUTE);
    println!("the change after the restart shows after {took:?}");
    let text = three.explain();
    assert!(text.contains("; before that: even."), "{text}");
}
