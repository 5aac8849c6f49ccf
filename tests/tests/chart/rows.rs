//! The table of all values: a setting, and the field of the rendering that changes by it.

use serde_json::{Value, json};

use crate::render::NAMESPACE;

/// A value and its effect.
pub(crate) struct Row {
    /// The value's path.
    pub(crate) path: &'static str,
    pub(crate) value: Value,
    /// Other settings that the value needs to have an effect.
    pub(crate) base: Value,
    /// The kind of the changed object, and the path of the field; the first object if there are several.
    pub(crate) kind: &'static str,
    pub(crate) at: &'static str,
    /// The new content of the field, which it did not have before; null: the field is absent.
    pub(crate) becomes: Value,
}

/// A value with its own test, and one that helm defines for all charts.
pub(crate) const ELSEWHERE: [&str; 2] = ["global", "prometheusRule.without"];

fn row(path: &'static str, value: Value, kind: &'static str, at: &'static str, becomes: Value) -> Row {
    Row { path, value, base: json!({}), kind, at, becomes }
}

/// A field of the daemons' pods.
fn pod(path: &'static str, value: Value, at: &'static str, becomes: Value) -> Row {
    row(path, value, "DaemonSet", at, becomes)
}

/// An option of the program, and its command-line arguments.
fn option(path: &'static str, value: Value, words: &[&str]) -> Row {
    let all =
        [&["run", "--topology=kubernetes", "--listen=0.0.0.0:9464", "--health-listen=0.0.0.0:9465"], words]
            .concat();
    pod(path, value, "/spec/template/spec/containers/0/args", json!(all))
}

impl Row {
    fn with(self, base: Value) -> Self {
        Self { base, ..self }
    }
}

pub(crate) fn rows() -> Vec<Row> {
    [naming(), rights(), options(), access(), node(), pods(), probes(), monitoring(), network()]
        .into_iter()
        .flatten()
        .collect()
}

fn naming() -> Vec<Row> {
    const IMAGE: &str = "/spec/template/spec/containers/0/image";
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    vec![
        pod("fullnameOverride", json!("watch"), "/metadata/name", json!("watch")),
        row("labels", json!({"team": "a"}), "Service", "/metadata/labels/team", json!("a")),
        pod("image.repository", json!("r:5000/x"), IMAGE, json!("r:5000/x:0.1.0")),
        pod("image.tag", json!("v9"), IMAGE, json!("localhost/headless-obs:v9")),
        pod("image.digest", json!(digest), IMAGE, json!(format!("localhost/headless-obs@{digest}"))),
        pod(
            "image.pullPolicy",
            json!("Always"),
            "/spec/template/spec/containers/0/imagePullPolicy",
            json!("Always"),
        ),
        pod(
            "image.pullSecrets",
            json!([{"name": "s"}]),
            "/spec/template/spec/imagePullSecrets",
            json!([{"name": "s"}]),
        ),
    ]
}

fn rights() -> Vec<Row> {
    const ADDED: &str = "/spec/template/spec/containers/0/securityContext/capabilities/add";
    let annotations = json!({"example.com/a": "b"});
    let account = json!(format!("system:serviceaccount:{NAMESPACE}:test-headless-obs"));
    let selinux = |path, value: &str, at| pod(path, json!(value), at, json!(value));
    vec![
        row("namespaces", json!(["shop"]), "Role", "/metadata/namespace", json!("shop")),
        option("namespaces", json!(["shop", "web"]), &["--namespace=shop", "--namespace=web"]),
        row("namespaces", json!(["shop"]), "ClusterRole", "/kind", Value::Null),
        row("rbac.create", json!(false), "ClusterRole", "/kind", Value::Null),
        row("rbac.create", json!(false), "ClusterRoleBinding", "/kind", Value::Null),
        row("serviceAccount.create", json!(false), "ServiceAccount", "/kind", Value::Null)
            .with(json!({"serviceAccount": {"name": "given"}})),
        pod("serviceAccount.name", json!("sa"), "/spec/template/spec/serviceAccountName", json!("sa")),
        row("serviceAccount.name", json!("sa"), "ClusterRoleBinding", "/subjects/0/name", json!("sa")),
        row(
            "serviceAccount.annotations",
            annotations.clone(),
            "ServiceAccount",
            "/metadata/annotations",
            annotations,
        ),
        pod("hostPID", json!(false), "/spec/template/spec/hostPID", Value::Null),
        pod(
            "extraCapabilities",
            json!(["SYS_RESOURCE"]),
            ADDED,
            json!(["BPF", "PERFMON", "NET_ADMIN", "SYS_RESOURCE"]),
        ),
        pod(
            "appArmorProfile.type",
            json!("Unconfined"),
            "/spec/template/spec/containers/0/securityContext/appArmorProfile/type",
            json!("Unconfined"),
        ),
        pod(
            "appArmorProfile.localhostProfile",
            json!("bpf"),
            "/spec/template/spec/containers/0/securityContext/appArmorProfile/localhostProfile",
            json!("bpf"),
        )
        .with(json!({"appArmorProfile": {"type": "Localhost"}})),
        selinux(
            "seLinuxOptions.user",
            "system_u",
            "/spec/template/spec/containers/0/securityContext/seLinuxOptions/user",
        ),
        selinux(
            "seLinuxOptions.role",
            "system_r",
            "/spec/template/spec/containers/0/securityContext/seLinuxOptions/role",
        ),
        selinux(
            "seLinuxOptions.type",
            "spc_t",
            "/spec/template/spec/containers/0/securityContext/seLinuxOptions/type",
        ),
        selinux(
            "seLinuxOptions.level",
            "s0",
            "/spec/template/spec/containers/0/securityContext/seLinuxOptions/level",
        ),
        row(
            "openshift.securityContextConstraints",
            json!(true),
            "SecurityContextConstraints",
            "/users/0",
            account,
        ),
        pod(
            "seccompProfile.type",
            json!("Unconfined"),
            "/spec/template/spec/securityContext/seccompProfile/type",
            json!("Unconfined"),
        ),
        pod(
            "seccompProfile.localhostProfile",
            json!("headless-obs.json"),
            "/spec/template/spec/securityContext/seccompProfile/localhostProfile",
            json!("headless-obs.json"),
        )
        .with(json!({"seccompProfile": {"type": "Localhost"}})),
    ]
}

fn options() -> Vec<Row> {
    vec![
        option("options.cluster-domain", json!("k8s.example"), &["--cluster-domain=k8s.example"]),
        option("options.zone", json!("eu-1a"), &["--zone=eu-1a"]),
        option("options.otlp", json!("http://collector:4318"), &["--otlp=http://collector:4318"]),
        option("options.otlp-interval", json!("1m"), &["--otlp-interval=1m"]),
        option(
            "options.otlp-header",
            json!(["a: b"]),
            &["--otlp=http://collector:4318", "--otlp-header=a: b"],
        )
        .with(json!({"options": {"otlp": "http://collector:4318"}})),
        option("options.mature-after", json!("15m"), &["--mature-after=15m"]),
        option("options.stale-grace", json!("1m30s"), &["--stale-grace=1m30s"]),
        option("options.exclude", json!(["none", "a/b*"]), &["--exclude=none", "--exclude=a/b*"]),
        option("options.proxy", json!(["my-proxy", "mesh/*"]), &["--proxy=my-proxy", "--proxy=mesh/*"]),
        option("options.count-host", json!(false), &["--count-host=false"]),
        option("options.count-host", json!(true), &["--count-host"]),
        option("options.dns-port", json!([53, 8053]), &["--dns-port=53", "--dns-port=8053"]),
        option("options.tcp-hook", json!("tracepoint"), &["--tcp-hook=tracepoint"]),
        option("options.ring-size", json!("4MiB"), &["--ring-size=4MiB"]),
        option("options.max-flows", json!(16_777_216), &["--max-flows=16777216"]),
        option("options.max-connections", json!(1_000_000), &["--max-connections=1000000"]),
        option("options.max-ignored", json!(1024), &["--max-ignored=1024"]),
        option("options.max-clients", json!(4096), &["--max-clients=4096"]),
        option("options.window-memory", json!("64MiB"), &["--window-memory=64MiB"]),
        option("options.kernel-log", json!(true), &["--kernel-log"]),
        option("options.stand-by", json!(true), &["--stand-by"]),
        option("options.client-labels", json!("namespace"), &["--client-labels=namespace"]),
        option("options.max-series", json!(200_000), &["--max-series=200000"]),
        option("options.max-series-per-service", json!(5000), &["--max-series-per-service=5000"]),
        option("options.log-level", json!("debug"), &["--log-level=debug"]),
        option("options.log-format", json!("json"), &["--log-format=json"]),
        pod("listen", json!("[::]"), "/spec/template/spec/containers/0/args/2", json!("--listen=[::]:9464")),
        pod(
            "listen",
            json!("[::]"),
            "/spec/template/spec/containers/0/args/3",
            json!("--health-listen=[::]:9465"),
        ),
    ]
}

fn access() -> Vec<Row> {
    let (secret, authorize) = (json!("cert"), json!({"authorize": {"enabled": true}}));
    let encrypted = json!({"tls": {"secretName": "cert"}, "podMonitor": {"enabled": true}});
    let monitor = |path, value, at, becomes| row(path, value, "PodMonitor", at, becomes);
    let of_test = |path, value, at, becomes| row(path, value, "Pod", at, becomes);
    let reviews = json!([
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ]);
    let (trust, token) =
        (json!({"insecureSkipVerify": true}), json!({"credentials": {"name": "s", "key": "t"}}));
    vec![
        option("tls.secretName", secret.clone(), &["--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key"]),
        pod(
            "tls.secretName",
            secret.clone(),
            "/spec/template/spec/volumes/2/secret/secretName",
            secret.clone(),
        ),
        pod(
            "tls.secretName",
            secret.clone(),
            "/spec/template/spec/containers/0/volumeMounts/2/mountPath",
            json!("/tls"),
        ),
        of_test(
            "tls.secretName",
            secret.clone(),
            "/spec/containers/0/args",
            json!(["report", "--from=https://test-headless-obs.observers.svc:9464", "--ca-file=/tls/ca.crt"]),
        ),
        monitor("tls.secretName", secret.clone(), "/spec/podMetricsEndpoints/0/scheme", json!("https"))
            .with(json!({"podMonitor": {"enabled": true}})),
        monitor(
            "tls.secretName",
            secret.clone(),
            "/spec/podMetricsEndpoints/0/tlsConfig",
            json!({
                "ca": {"secret": {"name": "cert", "key": "ca.crt"}},
                "serverName": "test-headless-obs.observers.svc",
            }),
        )
        .with(json!({"podMonitor": {"enabled": true}})),
        monitor("podMonitor.tlsConfig", trust.clone(), "/spec/podMetricsEndpoints/0/tlsConfig", trust)
            .with(encrypted),
        option("authorize.enabled", json!(true), &["--authorize"]),
        row("authorize.enabled", json!(true), "ClusterRole", "/rules", reviews)
            .with(json!({"namespaces": ["shop"]})),
        row(
            "authorize.enabled",
            json!(true),
            "ClusterRoleBinding",
            "/subjects/0/name",
            json!("test-headless-obs"),
        )
        .with(json!({"namespaces": ["shop"]})),
        row("rbac.create", json!(false), "ClusterRole", "/kind", Value::Null).with(authorize.clone()),
        row("rbac.create", json!(false), "Pod", "/kind", Value::Null).with(authorize),
        of_test(
            "authorize.enabled",
            json!(true),
            "/spec/serviceAccountName",
            json!("test-headless-obs-test"),
        ),
        monitor(
            "podMonitor.authorization",
            token.clone(),
            "/spec/podMetricsEndpoints/0/authorization",
            token,
        )
        .with(json!({"podMonitor": {"enabled": true}})),
    ]
}

fn node() -> Vec<Row> {
    vec![
        pod("cgroupPath", json!("/c"), "/spec/template/spec/volumes/0/hostPath/path", json!("/c")),
        pod("tracefs.enabled", json!(false), "/spec/template/spec/volumes/1", Value::Null),
        pod("tracefs.enabled", json!(false), "/spec/template/spec/containers/0/volumeMounts/1", Value::Null),
        pod("tracefs.path", json!("/t"), "/spec/template/spec/volumes/1/hostPath/path", json!("/t")),
    ]
}

fn pods() -> Vec<Row> {
    let limits = json!({"memory": "1Gi", "cpu": 1});
    let toleration = json!([{"key": "gpu", "operator": "Exists"}]);
    let affinity = json!({"requiredDuringSchedulingIgnoredDuringExecution": []});
    let of_pod = |path, value: &Value, at| pod(path, value.clone(), at, value.clone());
    vec![
        pod("podLabels", json!({"a": "b"}), "/spec/template/metadata/labels/a", json!("b")),
        of_pod("podAnnotations", &json!({"a": "b"}), "/spec/template/metadata/annotations"),
        of_pod("priorityClassName", &json!("high"), "/spec/template/spec/priorityClassName"),
        pod("nodeSelector", json!({"pool": "a"}), "/spec/template/spec/nodeSelector/pool", json!("a")),
        of_pod("tolerations", &toleration, "/spec/template/spec/tolerations"),
        of_pod("affinity.nodeAffinity", &affinity, "/spec/template/spec/affinity/nodeAffinity"),
        of_pod("affinity.podAffinity", &affinity, "/spec/template/spec/affinity/podAffinity"),
        of_pod("affinity.podAntiAffinity", &affinity, "/spec/template/spec/affinity/podAntiAffinity"),
        of_pod("updateStrategy.type", &json!("OnDelete"), "/spec/updateStrategy/type"),
        of_pod(
            "updateStrategy.rollingUpdate.maxUnavailable",
            &json!(3),
            "/spec/updateStrategy/rollingUpdate/maxUnavailable",
        ),
        of_pod(
            "terminationGracePeriodSeconds",
            &json!(30),
            "/spec/template/spec/terminationGracePeriodSeconds",
        ),
        pod(
            "resources.requests",
            json!({"cpu": "1"}),
            "/spec/template/spec/containers/0/resources/requests/cpu",
            json!("1"),
        ),
        of_pod("resources.limits", &limits, "/spec/template/spec/containers/0/resources/limits"),
    ]
}

fn probes() -> Vec<Row> {
    let at = |path, pointer| pod(path, json!(17), pointer, json!(17));
    vec![
        at(
            "livenessProbe.initialDelaySeconds",
            "/spec/template/spec/containers/0/livenessProbe/initialDelaySeconds",
        ),
        at("livenessProbe.periodSeconds", "/spec/template/spec/containers/0/livenessProbe/periodSeconds"),
        at("livenessProbe.timeoutSeconds", "/spec/template/spec/containers/0/livenessProbe/timeoutSeconds"),
        at(
            "livenessProbe.failureThreshold",
            "/spec/template/spec/containers/0/livenessProbe/failureThreshold",
        ),
        at(
            "readinessProbe.initialDelaySeconds",
            "/spec/template/spec/containers/0/readinessProbe/initialDelaySeconds",
        ),
        at("readinessProbe.periodSeconds", "/spec/template/spec/containers/0/readinessProbe/periodSeconds"),
        at("readinessProbe.timeoutSeconds", "/spec/template/spec/containers/0/readinessProbe/timeoutSeconds"),
        at(
            "readinessProbe.failureThreshold",
            "/spec/template/spec/containers/0/readinessProbe/failureThreshold",
        ),
    ]
}

fn monitoring() -> Vec<Row> {
    let monitor = |path, value: Value, at, becomes| {
        row(path, value, "PodMonitor", at, becomes).with(json!({"podMonitor": {"enabled": true}}))
    };
    let rule = |path, value: Value, at, becomes| {
        row(path, value, "PrometheusRule", at, becomes).with(json!({"prometheusRule": {"enabled": true}}))
    };
    let dashboard = |path, value: Value, at, becomes| {
        row(path, value, "ConfigMap", at, becomes).with(json!({"dashboards": {"enabled": true}}))
    };
    let drop = json!([{"sourceLabels": ["__name__"], "regex": "headless_dns_.*", "action": "drop"}]);
    let endpoint = "/spec/podMetricsEndpoints/0/metricRelabelings";
    vec![
        row("podMonitor.enabled", json!(true), "PodMonitor", "/kind", json!("PodMonitor")),
        monitor("podMonitor.labels", json!({"r": "k"}), "/metadata/labels/r", json!("k")),
        monitor("podMonitor.interval", json!("1m"), "/spec/podMetricsEndpoints/0/interval", json!("1m")),
        monitor(
            "podMonitor.scrapeTimeout",
            json!("5s"),
            "/spec/podMetricsEndpoints/0/scrapeTimeout",
            json!("5s"),
        ),
        monitor(
            "podMonitor.cluster",
            json!("east"),
            "/spec/podMetricsEndpoints/0/relabelings/2",
            json!({"targetLabel": "cluster", "replacement": "east"}),
        ),
        monitor("podMonitor.metricRelabelings", drop.clone(), endpoint, drop),
        row("prometheusRule.enabled", json!(true), "PrometheusRule", "/kind", json!("PrometheusRule")),
        rule("prometheusRule.labels", json!({"r": "k"}), "/metadata/labels/r", json!("k")),
        row("dashboards.enabled", json!(true), "ConfigMap", "/kind", json!("ConfigMap")),
        dashboard(
            "dashboards.labels",
            json!({"grafana_dashboard": "2"}),
            "/metadata/labels/grafana_dashboard",
            json!("2"),
        ),
        dashboard("dashboards.annotations", json!({"f": "K"}), "/metadata/annotations/f", json!("K")),
    ]
}

fn network() -> Vec<Row> {
    let policy = |path, value: Value, at, becomes| {
        row(path, value, "NetworkPolicy", at, becomes).with(json!({"networkPolicy": {"enabled": true}}))
    };
    let peer = json!({"namespaceSelector": {"matchLabels": {"a": "b"}}});
    let collector = json!({"to": [peer], "ports": [{"port": 4318, "protocol": "TCP"}]});
    vec![
        row("networkPolicy.enabled", json!(true), "NetworkPolicy", "/kind", json!("NetworkPolicy")),
        row("networkPolicy.from", json!([peer]), "NetworkPolicy", "/kind", json!("NetworkPolicy")),
        row("networkPolicy.enabled", json!(false), "NetworkPolicy", "/kind", Value::Null)
            .with(json!({"networkPolicy": {"from": [peer]}})),
        policy("networkPolicy.from", json!([peer]), "/spec/ingress/0/from/1", peer),
        policy(
            "networkPolicy.apiServerPorts",
            json!([8443]),
            "/spec/egress/0/ports",
            json!([{"port": 8443, "protocol": "TCP"}]),
        ),
        policy("networkPolicy.egress", json!([collector]), "/spec/egress/1", collector),
    ]
}
