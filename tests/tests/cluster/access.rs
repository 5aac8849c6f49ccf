//! A daemon with TLS and tokens: the API server decides who may read, and probes stay open.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use lab::cluster::*;
use lab::prometheus::{Prometheus, Target};
use lab::{get, program};
use serde_json::{Value, json};

use crate::fleet::run;
use crate::harness::Shared;
use crate::observed_daemon::{Observed, PATIENCE, RULES, account};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The rights of docs/install.md: one to ask, one to read.
fn grant(shared: &Shared, namespace: &str, role: &str, rules: &Value, accounts: &[&str]) {
    let account = |name: &&str| json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
    let metadata = json!({"name": format!("{namespace}-{role}")});
    let version = "rbac.authorization.k8s.io/v1";
    let group = "rbac.authorization.k8s.io";
    for document in [
        json!({"apiVersion": version, "kind": "ClusterRole", "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": metadata["name"]},
            "subjects": accounts.iter().map(account).collect::<Vec<_>>(),
        }),
    ] {
        shared.cluster.api().apply(&document.to_string()).unwrap();
    }
}

/// A user of the daemon at a URL.
struct Reader<'a> {
    shared: &'a Shared,
    url: String,
    authority: PathBuf,
}

impl Reader<'_> {
    /// The complaint of `report`; empty if it prints a report.
    fn complaint(&self, token: Option<&Path>) -> String {
        let ca = format!("--ca-file={}", self.authority.display());
        let token = token.map(|file| format!("--token-file={}", file.display()));
        let words = ["report", "--from", &self.url, &ca].into_iter().chain(token.as_deref());
        let (code, _, err) = run(self.shared, &program().unwrap(), &words.collect::<Vec<_>>());
        if code == Some(0) { String::new() } else { err }
    }

    /// Waits for a complaint with these words; without words, for a report.
    fn is_told(&self, token: Option<&Path>, words: &str) {
        let told = until(PATIENCE, words, || {
            let told = self.complaint(token);
            let is_it = if words.is_empty() { told.is_empty() } else { told.contains(words) };
            anyhow::ensure!(is_it, "{token:?}: {told}");
            Ok(Some(()))
        });
        told.unwrap_or_else(|error| panic!("{words}: {error:#}"));
    }
}

pub(crate) fn a_daemon_with_tls_and_tokens_answers_those_who_may_read(shared: &Shared) {
    let space = shared.cluster.namespace("access").unwrap();
    let name = space.name();
    let token = |of: &str| {
        let file = shared.cluster.folder().join(format!("access-{of}"));
        fs::write(&file, account(shared, name, of, &[])).unwrap();
        file
    };
    let [good, late, weak] = ["good", "late", "weak"].map(token);
    let wrong = shared.cluster.folder().join("access-wrong");
    fs::write(&wrong, "nonsense").unwrap();
    let read = json!([{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]);
    grant(shared, name, "reader", &read, &["good", "late"]);

    let certificate = |until| shared.cluster.serving_certificate("access", HERE, until).unwrap();
    let [chain, key] = certificate(2100);
    let probes = TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap();
    let options = [
        format!("--tls-cert={}", chain.display()),
        format!("--tls-key={}", key.display()),
        format!("--health-listen={probes}"),
        "--authorize".to_owned(),
    ];
    let options = options.each_ref().map(String::as_str);
    let who = Identity::Token(account(shared, name, "observer", &RULES));
    let observed = Observed::launch(shared, "access", &who, &options);
    let ready = || Ok(matches!(get(probes, "/readyz"), Ok((200, _))).then_some(()));
    until(PATIENCE, "daemon that is ready", ready).unwrap();
    let address = observed.address();
    let reader = Reader { shared, url: format!("https://{address}"), authority: shared.cluster.authority() };

    // The daemon itself may not ask yet.
    reader.is_told(Some(&good), "does not allow the daemon to create tokenreviews");
    let ask = json!([
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ]);
    grant(shared, name, "reviewer", &ask, &["observer"]);
    reader.is_told(Some(&good), "");
    let refusal = format!("403 Forbidden: system:serviceaccount:{name}:weak may not get /metrics");
    reader.is_told(Some(&weak), &refusal);
    reader.is_told(Some(&wrong), "401 Unauthorized: the API server does not know this token");
    reader.is_told(None, "401 Unauthorized: no bearer token");
    let plain = Reader { shared, url: format!("http://{address}"), authority: shared.cluster.authority() };
    plain.is_told(Some(&good), "400 Bad Request: this port has TLS: the address begins with https://");

    let target = Target { address, labels: BTreeMap::new() };
    let fields = json!({
        "scheme": "https",
        "tls_config": {"ca_file": shared.cluster.authority()},
        "authorization": {"credentials_file": good},
    });
    let prometheus = Prometheus::scraping(&shared.lab, &[target], &fields, "groups: []").unwrap();
    let scraped = |samples: &[lab::prometheus::Sample]| samples.iter().any(|sample| sample.value == 1.0);
    prometheus.query_when(PATIENCE, "up", scraped).unwrap();
    prometheus.query_when(PATIENCE, "headless_observer_series", |samples| !samples.is_empty()).unwrap();

    // The files are read again, whatever is in them.
    certificate(2001);
    reader.is_told(Some(&good), "expired");
    certificate(2100);
    reader.is_told(Some(&good), "");
    prometheus.query_when(PATIENCE, "up", scraped).unwrap();

    // Without the API server nobody new may read, and probes are answered.
    observed.gate.close().unwrap();
    reader.is_told(Some(&late), "503 Service Unavailable: the token could not be reviewed: https://");
    assert_eq!(get(probes, "/healthz").unwrap().0, 200);
    observed.gate.open().unwrap();
    reader.is_told(Some(&late), "");
}
