//! A real Prometheus, which scrapes the daemons every second and evaluates the rules; tests query it over HTTP.
//!
//! In: its program (`HEADLESS_OBS_PROMETHEUS`), targets, rules as text. Out: answers to queries. It ends with the lab.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::observer::{free_port, get};
use crate::pod_exec::{Log, Program};

const POLL: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);

/// Time windows in the rules, and a twentieth of each.
const WINDOWS: [(&str, &str); 8] = [
    ("[5m]", "[15s]"),
    ("[10m]", "[30s]"),
    ("[1h]", "[3m]"),
    (" 600", " 30"),
    ("for: 5m", "for: 15s"),
    ("for: 10m", "for: 30s"),
    ("for: 15m", "for: 45s"),
    ("for: 30m", "for: 90s"),
];

/// The rules with windows of a twentieth of their length. An error if the rules lack one of the windows: otherwise a
/// test would wait in vain.
pub fn with_short_windows(rules: &str) -> Result<String> {
    WINDOWS.iter().try_fold(rules.to_owned(), |rules, (long, short)| {
        ensure!(rules.contains(long), "the rules have no `{long}`: adapt WINDOWS in tests/src/prometheus.rs");
        Ok(rules.replace(long, short))
    })
}

/// The path of a tool that `cargo xtask` builds, from its environment variable.
pub fn tool(variable: &str) -> Result<PathBuf> {
    let path = env::var_os(variable);
    path.map(PathBuf::from).with_context(|| format!("{variable} is not set; run `cargo xtask test`"))
}

/// A scrape target.
pub struct Target {
    /// Its address.
    pub address: SocketAddr,
    /// Labels of all of its series.
    pub labels: BTreeMap<&'static str, String>,
}

/// A sample of an instant vector: labels and value.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its labels, with its name.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// A label; empty if it has none of that name.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// A running Prometheus; it is killed when this is dropped.
pub struct Prometheus {
    program: Program,
    address: SocketAddr,
    log: Log,
}

impl Prometheus {
    /// Starts it on these targets, as job `headless-obs`, and waits until it is ready.
    pub fn start(lab: &Lab, targets: &[Target], rules: &str) -> Result<Self> {
        Self::scraping(lab, targets, &json!({}), rules)
    }

    /// The same with these fields of the job in addition, such as `tls_config`.
    pub fn scraping(lab: &Lab, targets: &[Target], fields: &Value, rules: &str) -> Result<Self> {
        let folder = lab.folder().join("prometheus");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write("rules.yaml", rules)?;
        // JSON is YAML.
        write("prometheus.yaml", &configuration(targets, fields).to_string())?;
        let address = free_port()?;
        let program = tool("HEADLESS_OBS_PROMETHEUS")?;
        let mut program = lab.exec(&[
            program.to_str().context("the path of Prometheus is not text")?,
            &format!("--config.file={}/prometheus.yaml", folder.display()),
            &format!("--storage.tsdb.path={}/data", folder.display()),
            &format!("--web.listen-address={address}"),
            "--log.level=warn",
        ])?;
        let log = Log::of(&mut program);
        let mut prometheus = Self { program, address, log };
        prometheus.wait_ready()?;
        Ok(prometheus)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !matches!(get(self.address, "/-/ready"), Ok((200, _))) {
            if let Some(status) = self.program.try_wait()? {
                bail!("Prometheus ended ({status}):\n{}", self.log.whole());
            }
            if Instant::now() > end {
                bail!("Prometheus is not ready after {PATIENCE:?}:\n{}", self.log.text());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Its listening address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Runs an instant query.
    pub fn query(&self, query: &str) -> Result<Vec<Sample>> {
        let rows = self.result(query, &format!("query?query={}", encoded(query)))?;
        rows.iter().map(|row| sample(row).with_context(|| format!("{query}: {row}"))).collect()
    }

    /// Runs a query over the last `span`, with a step of one second. Returns the last value of each series that is a
    /// number, or NaN if it has none.
    pub fn query_range(&self, query: &str, span: Duration) -> Result<Vec<Sample>> {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs_f64();
        let start = now - span.as_secs_f64();
        let path = format!("query_range?query={}&start={start}&end={now}&step=1", encoded(query));
        let mut rows = self.result(query, &path)?;
        for row in &mut rows {
            let mut points = row["values"].as_array().into_iter().flatten();
            let last = points.rfind(|point| point[1] != "NaN").cloned();
            row["value"] = last.unwrap_or_else(|| json!([now, "NaN"]));
        }
        rows.iter().map(|row| sample(row).with_context(|| format!("{query}: {row}"))).collect()
    }

    fn result(&self, query: &str, path: &str) -> Result<Vec<Value>> {
        let (_, body) = get(self.address, &format!("/api/v1/{path}"))?;
        let mut body: Value = serde_json::from_str(&body).context("the answer of Prometheus is not JSON")?;
        ensure!(body["status"] == "success", "{query}: {body}");
        match body["data"]["result"].take() {
            Value::Array(rows) => Ok(rows),
            other => bail!("{query}: expected a list of series, got {other}"),
        }
    }

    /// Queries until the result satisfies `wanted`; after `patience` the error has the last one.
    pub fn query_when(
        &self,
        patience: Duration,
        query: &str,
        wanted: impl Fn(&[Sample]) -> bool,
    ) -> Result<Vec<Sample>> {
        let end = Instant::now() + patience;
        loop {
            let samples = self.query(query)?;
            if wanted(&samples) {
                return Ok(samples);
            }
            if Instant::now() > end {
                bail!(
                    "`{query}` did not meet the condition within {patience:?}; the last result:\n{samples:#?}"
                );
            }
            thread::sleep(POLL);
        }
    }
}

fn sample(row: &Value) -> Option<Sample> {
    let labels = row["metric"].as_object()?.iter();
    let labels = labels.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    Some(Sample { labels: labels.collect::<Option<_>>()?, value: row["value"][1].as_str()?.parse().ok()? })
}

fn configuration(targets: &[Target], fields: &Value) -> Value {
    let targets: Vec<Value> = targets
        .iter()
        .map(|target| json!({"targets": [target.address.to_string()], "labels": target.labels}))
        .collect();
    let mut job = json!({"job_name": "headless-obs", "honor_labels": true, "static_configs": targets});
    for (name, value) in fields.as_object().into_iter().flatten() {
        job[name] = value.clone();
    }
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [job],
    })
}

/// Encodes text as part of a URL.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let piece = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(piece).collect()
}
