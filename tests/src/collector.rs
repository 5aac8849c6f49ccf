//! A real OpenTelemetry Collector, which takes OTLP over HTTP and sends it on to this process as JSON.
//!
//! In: its program (`HEADLESS_OBS_COLLECTOR`). Out: the address for pushes, and the latest points of every metric. It
//! ends with the lab.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::observer::free_port;
use crate::pod_exec::{Log, Program};
use crate::prometheus::tool;

const PATIENCE: Duration = Duration::from_secs(60);

/// A series in Prometheus' form: its name, and its labels in the order of their names.
pub type Series = (String, Vec<(String, String)>);

/// Values by series, each with its time in nanoseconds since 1970.
type Samples = BTreeMap<Series, (u64, f64)>;

/// A running Collector; it is killed when this is dropped.
pub struct Collector {
    _program: Program,
    address: SocketAddr,
    log: Log,
    latest: Arc<Mutex<Samples>>,
}

impl Collector {
    /// Starts it, and waits until it takes connections.
    pub fn start(lab: &Lab) -> Result<Self> {
        let sink = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
        let address = free_port()?;
        let config = json!({
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": address.to_string()}}}},
            "exporters": {"otlp_http": {
                "metrics_endpoint": format!("http://{}/", sink.local_addr()?),
                "encoding": "json",
                "compression": "none",
            }},
            "service": {
                "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
                "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["otlp_http"]}},
            },
        });
        let path = lab.folder().join("collector.yaml");
        // JSON is YAML.
        fs::write(&path, config.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
        let program = tool("HEADLESS_OBS_COLLECTOR")?;
        let program = program.to_str().context("the path of the Collector is not text")?;
        let mut program = lab.exec(&[program, &format!("--config=file:{}", path.display())])?;
        let log = Log::of(&mut program);
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = program.try_wait()? {
                bail!("the Collector ended ({status}):\n{}", log.whole());
            }
            if Instant::now() > end {
                bail!("the Collector takes no connections after {PATIENCE:?}:\n{}", log.text());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let latest = Arc::<Mutex<Samples>>::default();
        let kept = Arc::clone(&latest);
        thread::spawn(move || {
            for stream in sink.incoming().flatten() {
                // A broken request is sent again.
                if let Ok(request) = take(stream) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).extend(samples(&request));
                }
            }
        });
        Ok(Self { _program: program, address, log, latest })
    }

    /// Its address for OTLP over HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// The series of the latest push that it passed on.
    #[must_use]
    pub fn samples(&self) -> BTreeMap<Series, f64> {
        let all = self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let newest = all.values().map(|(time, _)| *time).max();
        let of_newest = all.into_iter().filter(|(_, (time, _))| Some(*time) == newest);
        of_newest.map(|(series, (_, value))| (series, value)).collect()
    }
}

/// Reads a request and answers it.
fn take(mut stream: TcpStream) -> Result<Value> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    while reader.read_line(&mut head)? > 2 {
        let line = std::mem::take(&mut head).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    stream.write_all(answer.as_bytes())?;
    Ok(serde_json::from_slice(&body)?)
}

/// The samples of a request as Prometheus would have them.
fn samples(request: &Value) -> Samples {
    let mut samples = Samples::new();
    let mut add = |name: String, point: &Value, bound: Option<f64>, value: f64| {
        let time = point["timeUnixNano"].as_str().and_then(|time| time.parse().ok()).unwrap_or(0);
        samples.insert((name, labels(point, bound)), (time, value));
    };
    for metric in list(&request["resourceMetrics"])
        .flat_map(|part| list(&part["scopeMetrics"]))
        .flat_map(|scope| list(&scope["metrics"]))
    {
        let name = metric["name"].as_str().unwrap_or_default();
        for (kind, suffix) in [("sum", "_total"), ("gauge", "")] {
            for point in list(&metric[kind]["dataPoints"]) {
                let value = if point["asInt"].is_null() { &point["asDouble"] } else { &point["asInt"] };
                add(format!("{name}{suffix}"), point, None, number(value));
            }
        }
        for point in list(&metric["histogram"]["dataPoints"]) {
            add(format!("{name}_count"), point, None, number(&point["count"]));
            add(format!("{name}_sum"), point, None, number(&point["sum"]));
            let bounds = list(&point["explicitBounds"]).map(number).chain([f64::INFINITY]);
            let mut up_to = 0.0;
            for (bound, count) in bounds.zip(list(&point["bucketCounts"])) {
                up_to += number(count);
                add(format!("{name}_bucket"), point, Some(bound), up_to);
            }
        }
    }
    samples
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A number, or a large whole number, which JSON has as text. A 0 may be absent.
fn number(value: &Value) -> f64 {
    let read = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    read.unwrap_or(if value.is_null() { 0.0 } else { f64::NAN })
}

fn labels(point: &Value, bound: Option<f64>) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let own = list(&point["attributes"])
        .map(|attribute| (text(&attribute["key"]), text(&attribute["value"]["stringValue"])));
    let bound = bound.map(|bound| ("le".to_owned(), bound_text(bound)));
    let mut all: Vec<_> = own.chain(bound).collect();
    all.sort();
    all
}

/// A bucket's bound, whatever form the text of a page has.
#[must_use]
pub fn bound_text(bound: f64) -> String {
    if bound.is_finite() { format!("{bound:?}") } else { "+Inf".to_owned() }
}
