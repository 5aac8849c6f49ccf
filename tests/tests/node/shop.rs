//! Shared by the tests of commands and refusals: a Service of three pods, a client that uses a random one, and the
//! program as a user runs it.

use std::io::{BufRead, BufReader, Read};
use std::process::ExitStatus;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use lab::dns::Order;
use lab::*;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{ORDERS, PATIENCE, PORT, Scene, ZONE, accepted, opened, orders, sum};

/// The time that a command may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The Service `shop/orders` and its client `shop/web`.
pub(crate) struct Shop {
    pub(crate) scene: Scene,
    pub(crate) service: ServiceSpec,
    pub(crate) web: Pod,
    /// The option's value: `files:PATH`.
    pub(crate) topology: String,
    pub(crate) servers: Vec<Server>,
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Shop {
    pub(crate) fn open() -> Self {
        let scene = Scene::new();
        scene.dns.set_options(&DnsOptions { order: Order::Shuffle, ..DnsOptions::default() }).unwrap();
        let (service, servers) = scene.orders(3, &ServerMode::Hold);
        let web = scene.pod("web", "10.244.1.20/24");
        let mut shop = Self { scene, service, web, topology: String::new(), servers };
        shop.publish(&[shop.service.clone()]);
        shop
    }

    /// Writes Services to DNS and to the manifests.
    pub(crate) fn publish(&mut self, services: &[ServiceSpec]) {
        for (name, data) in services.iter().flat_map(|service| service.records(ZONE)) {
            self.scene.dns.set(&name, 30, data).unwrap();
        }
        let path = self.scene.lab.write_manifests("services.yaml", services).unwrap();
        self.topology = format!("files:{}", path.display());
    }

    /// Starts the daemon, with `wrapper` before its command.
    pub(crate) fn observe(&self, wrapper: &[&str], options: &[&str]) -> Observer {
        let options = [&["--topology", self.topology.as_str()], options].concat();
        let wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        let spec = ObserverSpec { wrapper, ..ObserverSpec::new(&options) };
        Observer::start(&self.scene.lab, &spec).unwrap()
    }

    /// A client that connects to the Service's name.
    pub(crate) fn client(&self, connections: u64) -> ClientSpec {
        ClientSpec {
            per_lookup: 5,
            ..ClientSpec::new(ORDERS, PORT, self.scene.resolver, connections).random()
        }
    }

    /// Makes this many connections, one after the other, and closes them.
    pub(crate) fn connect(&self, connections: u64) {
        let report = self.web.client(&self.client(connections)).unwrap().wait().unwrap();
        assert_eq!(report.total().connected, connections, "{report:?}");
    }

    /// Waits until the daemon has seen this many connections of `shop/orders` open and close, and compares them with
    /// the servers' counts.
    pub(crate) fn settled(&self, observer: &Observer, connections: u64) -> Value {
        let all = |snapshot: &Value| sum(orders(snapshot), "closed") == connections;
        let snapshot = observer.snapshot_when(PATIENCE, all).unwrap();
        assert_eq!(opened(orders(&snapshot)), accepted(&self.scene.lab), "{snapshot:#}");
        snapshot
    }

    /// Starts the program, with `wrapper` before its command.
    pub(crate) fn start(&self, wrapper: &[&str], words: &[&str]) -> Program {
        let path = program().unwrap();
        let words = [wrapper, &[path.to_str().unwrap()], words].concat();
        self.scene.lab.exec(&words).unwrap()
    }

    /// Runs the program to its end, which must not be far.
    pub(crate) fn run(&self, wrapper: &[&str], words: &[&str]) -> Ran {
        let mut program = self.start(wrapper, words);
        let (out, err) = program.streams();
        let (out, err) = (lines(out.unwrap()), lines(err.unwrap()));
        let until = Instant::now() + LIMIT;
        let rest = |lines: mpsc::Receiver<String>| {
            let mut text = String::new();
            loop {
                match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(line) => text += &line,
                    Err(RecvTimeoutError::Disconnected) => return text,
                    Err(RecvTimeoutError::Timeout) => panic!("{words:?} does not end: {text}"),
                }
            }
        };
        let (out, err) = (rest(out), rest(err));
        Ran { code: ended(&mut program, until).code(), out, err }
    }

    /// Starts the program with its output as lines.
    pub(crate) fn live(&self, words: &[&str]) -> Live {
        Live::new(self.start(&[], words))
    }
}

/// Waits for the end of a program that has closed its output.
fn ended(program: &mut Program, until: Instant) -> ExitStatus {
    loop {
        if let Some(status) = program.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < until, "it closed its output and goes on");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A running program whose output a test reads line by line.
pub(crate) struct Live {
    program: Program,
    out: mpsc::Receiver<String>,
    err: mpsc::Receiver<String>,
}

impl Live {
    fn new(mut program: Program) -> Self {
        let (out, err) = program.streams();
        Self { program, out: lines(out.unwrap()), err: lines(err.unwrap()) }
    }

    /// The next line of standard output.
    pub(crate) fn line(&self) -> String {
        self.out.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits for a line of standard error that contains `text`.
    pub(crate) fn wait_for(&self, text: &str) {
        while !self.err.recv_timeout(PATIENCE).unwrap().contains(text) {}
    }

    /// Sends a signal, waits for the end and returns the rest of its output.
    pub(crate) fn end(mut self, signal: Signal) -> Ran {
        let pid = i32::try_from(self.program.pid()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        // Both streams end with the program.
        let (out, err) = (self.out.iter().collect(), self.err.iter().collect());
        let status = ended(&mut self.program, Instant::now() + PATIENCE);
        Ran { code: status.code(), out, err }
    }
}

fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    lines
}

/// Waits until the daemon's log contains this text.
pub(crate) fn log_when(observer: &Observer, text: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let log = observer.log();
        if log.contains(text) {
            return log;
        }
        assert!(Instant::now() < until, "no {text:?} in the log:\n{log}");
        thread::sleep(Duration::from_millis(20));
    }
}
