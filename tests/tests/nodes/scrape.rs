//! A Prometheus in the cluster's network, with the configuration that the Prometheus operator would generate.
//!
//! In: a PodMonitor and a PrometheusRule from the API server. Out: results of queries.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use lab::Program;
use lab::cluster::until;
use serde_json::{Map, Value, json};

use crate::harness::Shared;
use crate::shared::PATIENCE;

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// A Prometheus; dropping it ends it.
pub(crate) struct Scraper<'a> {
    shared: &'a Shared,
    _program: Program,
}

impl<'a> Scraper<'a> {
    pub(crate) fn start(shared: &'a Shared, monitor: &Value, rule: &Value) -> Self {
        let rules = shared.lab.folder().join("rules.yaml");
        // JSON is YAML.
        fs::write(&rules, json!({"groups": rule["spec"]["groups"]}).to_string()).unwrap();
        let kubeconfig = shared.cluster.admin_kubeconfig().display().to_string();
        let config = json!({
            "global": {"evaluation_interval": "1s"},
            "rule_files": [rules],
            "scrape_configs": [scrape_config(monitor, &kubeconfig)],
        });
        Self::with(shared, "prometheus", &config)
    }

    /// Starts it with this configuration; its files are in a folder of this name.
    pub(crate) fn with(shared: &'a Shared, name: &str, config: &Value) -> Self {
        let folder = shared.lab.folder().join(name);
        fs::create_dir(&folder).unwrap();
        let file = folder.join("prometheus.yaml");
        fs::write(&file, config.to_string()).unwrap();
        let config = format!("--config.file={}", file.display());
        let data = format!("--storage.tsdb.path={}", folder.join("data").display());
        let listen = format!("--web.listen-address={ADDRESS}");
        let words = [config.as_str(), &data, &listen];
        let program = shared.cluster.start_tool(&shared.lab, "HEADLESS_OBS_PROMETHEUS", &[], &words).unwrap();
        Self { shared, _program: program }
    }

    fn ask(&self, path: &str) -> Result<Value> {
        let (status, body) = self.shared.cluster.page(ADDRESS, path)?;
        ensure!(status == 200, "HTTP {status}: {body}");
        serde_json::from_str(&body).with_context(|| body)
    }

    /// The series of a query once they satisfy `wanted`: labels and value.
    pub(crate) fn when(&self, query: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let path = format!("/api/v1/query?query={}", encoded(query));
        let mut last = Value::Null;
        let found = until(PATIENCE, query, || {
            last = self.ask(&path)?["data"]["result"].take();
            let series = last.as_array().context("no result")?;
            Ok(wanted(series).then(|| series.clone()))
        });
        found.unwrap_or_else(|error| panic!("{error:#}: the last was {last:#}"))
    }

    /// Waits until every rule has been evaluated; returns their number.
    pub(crate) fn evaluated(&self) -> usize {
        until(PATIENCE, "evaluation of all rules", || {
            let answer = self.ask("/api/v1/rules")?;
            let groups = answer["data"]["groups"].as_array().context("no groups")?;
            let rules: Vec<&Value> =
                groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
            let wrong = rules.iter().find(|rule| rule["health"] == "err");
            assert!(wrong.is_none(), "{wrong:#?}");
            Ok(rules.iter().all(|rule| rule["health"] == "ok").then_some(rules.len()))
        })
        .unwrap()
    }
}

/// The operator's scrape configuration for a PodMonitor with one endpoint.
fn scrape_config(monitor: &Value, kubeconfig: &str) -> Value {
    let (metadata, spec) = (&monitor["metadata"], &monitor["spec"]);
    let endpoint = &spec["podMetricsEndpoints"][0];
    let label = |name: &str| {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        format!("__meta_kubernetes_pod_label_{name}")
    };
    let keep = |source: &str, value: &Value| {
        // A dot of a version or address matches any character, also itself.
        json!({"action": "keep", "source_labels": [source], "regex": value})
    };
    let copy = |source: &str, target: &str| json!({"source_labels": [source], "target_label": target});
    let mut relabelings: Vec<Value> = Vec::new();
    for (name, value) in spec["selector"]["matchLabels"].as_object().unwrap() {
        relabelings.push(keep(&label(name), value));
    }
    relabelings.extend([
        keep("__meta_kubernetes_pod_container_port_name", &endpoint["port"]),
        copy("__meta_kubernetes_namespace", "namespace"),
        copy("__meta_kubernetes_pod_container_name", "container"),
        copy("__meta_kubernetes_pod_name", "pod"),
        copy(&label(spec["jobLabel"].as_str().unwrap()), "job"),
        json!({"target_label": "endpoint", "replacement": endpoint["port"]}),
    ]);
    relabelings.extend(endpoint["relabelings"].as_array().into_iter().flatten().map(snake));
    let of_metrics = endpoint["metricRelabelings"].as_array().into_iter().flatten().map(snake);
    json!({
        "job_name": format!("podMonitor/{}/{}/0", metadata["namespace"], metadata["name"]),
        "honor_labels": endpoint["honorLabels"],
        "metrics_path": endpoint["path"],
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint["scrapeTimeout"],
        "kubernetes_sd_configs": [{
            "role": "pod", "kubeconfig_file": kubeconfig, "namespaces": {"names": [metadata["namespace"]]},
        }],
        "relabel_configs": relabelings,
        "metric_relabel_configs": of_metrics.collect::<Vec<_>>(),
    })
}

/// A relabeling in Prometheus's notation: `source_labels` for `sourceLabels`.
fn snake(relabeling: &Value) -> Value {
    let name = |name: &str| {
        name.chars()
            .flat_map(|c| c.is_uppercase().then_some('_').into_iter().chain(c.to_lowercase()))
            .collect()
    };
    let fields = relabeling.as_object().unwrap().iter();
    Value::Object(fields.map(|(field, value)| (name(field), value.clone())).collect::<Map<String, Value>>())
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
