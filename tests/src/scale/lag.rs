//! The daemon's lag behind the API server: the time from the server's acknowledgement that an address is an endpoint to
//! the first connection that the daemon attributes to it.
//!
//! A client connects to one address all the time, and one slice gains and loses that address in turn. A second process,
//! `headless-obs trace` with the same source, reports the events.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use lab::cluster::{Cluster, Draft};
use lab::{ClientSpec, Lab, program};
use serde_json::{Value, json};

/// The client's target port.
const PORT: u16 = 8080;
/// Connections a second: the resolution of the measurement.
const RATE: f64 = 200.0;
/// After this time without contrary events, an endpoint counts as known, or as forgotten.
const QUIET: Duration = Duration::from_millis(200);
/// A longer lag is a failure.
const LIMIT: Duration = Duration::from_secs(20);

const SLICE: &str = "/apis/discovery.k8s.io/v1/namespaces/lag/endpointslices/target-a";

/// Measures lags for this long; returns them in milliseconds.
pub(crate) fn measure(lab: &Lab, cluster: &Cluster, time: Duration) -> Result<Vec<f64>> {
    let mut namespace = cluster.namespace("lag")?;
    let server = namespace.pod(&Draft::new("server"))?;
    let _server = server.serve_port(PORT)?;
    let address = server.ip(true)?;
    namespace.apply(&format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: target}}, spec: {{clusterIP: None, ports: [{{port: {PORT}}}]}}}}"
    ))?;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "target-a", "labels": {"kubernetes.io/service-name": "target"}},
        "ports": [{"port": PORT, "protocol": "TCP"}], "endpoints": [],
    });
    cluster.api().create("/apis/discovery.k8s.io/v1/namespaces/lag/endpointslices", &slice)?;

    let events = trace(lab, cluster)?;
    let client = namespace.pod(&Draft::new("client"))?;
    let _client = client.client(&ClientSpec::fixed(&[address], PORT, 10_000_000).rate(RATE))?;
    let write = |endpoints: Value| cluster.api().patch(SLICE, &json!({ "endpoints": endpoints }));
    let end = Instant::now() + time;
    let mut lags = Vec::new();
    while lags.is_empty() || Instant::now() < end {
        write(json!([{"addresses": [address]}]))?;
        let written = Timestamp::now();
        let first =
            events.recv_timeout(LIMIT).context("no connection was attributed to the new endpoint in time")?;
        lags.push((first - written).total(jiff::Unit::Millisecond)?);
        write(json!([]))?;
        until_quiet(&events)?;
    }
    // The first one includes the observer's start.
    lags.remove(0);
    Ok(lags)
}

/// The times of connections to the target, from an observer that is ready.
fn trace(lab: &Lab, cluster: &Cluster) -> Result<Receiver<Timestamp>> {
    let gate = cluster.gate()?;
    let kubeconfig = crate::kubeconfig(cluster, "trace", &gate)?;
    let program = program()?;
    let mut arguments =
        vec![program.to_str().context("the daemon's path is not text")?.to_owned(), "trace".to_owned()];
    arguments.extend(["-o", "json", "--service", "lag/target"].map(str::to_owned));
    arguments.extend(crate::source(&kubeconfig, cluster.node().name()));
    let mut observer = lab.exec(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    let (output, _errors) = observer.streams();
    let output = output.context("the observer has no output")?;
    let (sender, events) = mpsc::channel();
    thread::Builder::new().spawn(move || -> Result<()> {
        // Both live until the receiver is dropped.
        let _kept = (observer, gate);
        for line in BufReader::new(output).lines() {
            let event: Value = serde_json::from_str(&line?)?;
            if event["kind"] == "opened" && event["pod"].is_string() {
                let time = event["time"].as_str().context("an event without a time")?;
                sender.send(time.parse()?)?;
            }
        }
        Ok(())
    })?;
    Ok(events)
}

fn until_quiet(events: &Receiver<Timestamp>) -> Result<()> {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        match events.recv_timeout(QUIET) {
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => bail!("the observer has ended"),
        }
    }
    bail!("connections are still attributed to a removed endpoint")
}

/// Number, median and tail.
pub(crate) fn summary(mut lags: Vec<f64>) -> Value {
    lags.sort_by(f64::total_cmp);
    let at = |percent: usize| lags.get((lags.len().saturating_sub(1)) * percent / 100).copied();
    json!({"samples": lags.len(), "p50": at(50), "p90": at(90), "p99": at(99), "max": at(100)})
}
