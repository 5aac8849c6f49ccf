//! A Prometheus of the run: a child process on loopback that scrapes daemons and evaluates rules, asked over its API.
//!
//! In: its program (`HEADLESS_OBS_PROMETHEUS`), what to scrape, the text of rules. Out: results of queries, as its API
//! gives them, and the alerts there are. Its files are in the run's folder; it ends with the lab whatever happens.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::observer::{free_port, get};
use crate::program::{Log, Program};

const POLL: Duration = Duration::from_millis(100);
/// How long it may take to be ready.
const START: Duration = Duration::from_secs(30);
/// By which tests find the program.
const PROGRAM: &str = "HEADLESS_OBS_PROMETHEUS";

/// Something to scrape.
#[derive(Clone, Debug)]
pub struct Scraped {
    /// The job's name.
    pub job: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Labels of the target, such as `cluster` and `node`.
    pub labels: Vec<(String, String)>,
}

impl Scraped {
    /// A daemon, as the chart's PodMonitor would have it scraped.
    #[must_use]
    pub fn daemon(address: SocketAddr, cluster: &str, node: &str) -> Self {
        let labels = [("cluster", cluster), ("node", node)].map(|(name, value)| (name.into(), value.into()));
        Self { job: "headless-obs".to_owned(), address, labels: labels.to_vec() }
    }
}

/// The Prometheus to be started.
#[derive(Clone, Debug)]
pub struct PrometheusSpec {
    /// What it scrapes.
    pub targets: Vec<Scraped>,
    /// Files of rules, as text.
    pub rules: Vec<String>,
    /// Between two scrapes, and between two evaluations of the rules that do not say it themselves.
    pub interval: Duration,
}

impl PrometheusSpec {
    /// One that scrapes these each second.
    #[must_use]
    pub fn new(targets: &[Scraped]) -> Self {
        Self { targets: targets.to_vec(), rules: Vec::new(), interval: Duration::from_secs(1) }
    }

    /// The same with one more file of rules.
    #[must_use]
    pub fn rules(mut self, text: &str) -> Self {
        self.rules.push(text.to_owned());
        self
    }

    /// The configuration. JSON is YAML too.
    fn config(&self, rules: &[PathBuf]) -> Value {
        let scrape = |target: &Scraped| {
            let labels: serde_json::Map<String, Value> =
                target.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            json!({"targets": [target.address.to_string()], "labels": labels})
        };
        let mut jobs: Vec<&str> = self.targets.iter().map(|target| target.job.as_str()).collect();
        jobs.sort_unstable();
        jobs.dedup();
        let jobs = jobs.iter().map(|&job| {
            let targets: Vec<Value> =
                self.targets.iter().filter(|target| target.job == job).map(scrape).collect();
            json!({"job_name": job, "honor_labels": true, "static_configs": targets})
        });
        let interval = format!("{}ms", self.interval.as_millis());
        json!({
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": rules,
            "scrape_configs": jobs.collect::<Vec<_>>(),
        })
    }
}

/// A running Prometheus; it is killed when this is dropped.
pub struct Prometheus {
    program: Program,
    address: SocketAddr,
    log: Log,
}

impl Prometheus {
    /// Starts it and waits until it answers.
    pub fn start(lab: &Lab, spec: &PrometheusSpec) -> Result<Self> {
        let path = env::var_os(PROGRAM).with_context(|| {
            format!("{PROGRAM} is not set: `cargo xtask test` builds Prometheus and sets it")
        })?;
        let path = path.to_str().with_context(|| format!("{PROGRAM} is not text"))?;
        let address = free_port()?;
        // Several may run in one lab.
        let folder = lab.folder().join(format!("prometheus-{}", address.port()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display())).map(|()| path)
        };
        let rules = spec.rules.iter().enumerate();
        let rules =
            rules.map(|(n, text)| write(&format!("rules-{n}.yaml"), text)).collect::<Result<Vec<_>>>()?;
        let config = write("prometheus.yaml", &spec.config(&rules).to_string())?;
        let options = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address={address}"),
        ];
        let mut arguments = vec![path];
        arguments.extend(options.iter().map(String::as_str));
        let mut program = lab.exec(&arguments)?;
        let log = Log::of(&mut program);
        let mut prometheus = Self { program, address, log };
        prometheus.wait_ready()?;
        Ok(prometheus)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let end = Instant::now() + START;
        while !matches!(get(self.address, "/-/ready"), Ok((200, _))) {
            if let Some(status) = self.program.try_wait()? {
                bail!("Prometheus ended before it was ready ({status}):\n{}", self.log());
            }
            if Instant::now() > end {
                bail!("Prometheus is not ready after {START:?}:\n{}", self.log());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has written to stdout and stderr.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// What a query gives now: series with `metric` and `value`.
    pub fn query(&self, query: &str) -> Result<Vec<Value>> {
        self.api(&format!("query?query={}", encode(query)), query, "result")
    }

    /// What a query gave over the last `span`: series with `metric` and `values`.
    pub fn query_range(&self, query: &str, span: Duration, step: Duration) -> Result<Vec<Value>> {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs_f64();
        let (from, step) = (now - span.as_secs_f64(), step.as_secs_f64());
        let path = format!("query_range?query={}&start={from}&end={now}&step={step}", encode(query));
        self.api(&path, query, "result")
    }

    /// Asks until the result is as wanted; the last one is the error after `patience`.
    pub fn query_when(
        &self,
        patience: Duration,
        query: &str,
        wanted: impl Fn(&[Value]) -> bool,
    ) -> Result<Vec<Value>> {
        let end = Instant::now() + patience;
        loop {
            let result = self.query(query)?;
            if wanted(&result) {
                return Ok(result);
            }
            if Instant::now() > end {
                bail!("{query}: not as wanted within {patience:?}; the last result:\n{:#}", json!(result));
            }
            thread::sleep(POLL);
        }
    }

    /// The alerts that are pending or firing.
    pub fn alerts(&self) -> Result<Vec<Value>> {
        self.api("alerts", "alerts", "alerts")
    }

    fn api(&self, path: &str, asked: &str, field: &str) -> Result<Vec<Value>> {
        let (status, body) = get(self.address, &format!("/api/v1/{path}"))?;
        let mut answer: Value = serde_json::from_str(&body)
            .with_context(|| format!("{asked}: HTTP {status} without JSON: {body}"))?;
        if answer["status"] != "success" {
            bail!("{asked}: {}", answer["error"].as_str().unwrap_or(&body));
        }
        match answer["data"][field].take() {
            Value::Array(rows) => Ok(rows),
            other => bail!("{asked}: no list but {other}"),
        }
    }
}

/// Text as a value in a URL.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _done = write!(all, "%{byte:02X}");
        }
        all
    })
}
