//! Each command line becomes the right configuration, or an error with a remedy.

use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::client::exclude::Exclude;
use crate::client::proxy_names::ProxyNames;
use crate::config::{Kubernetes, Observe, TcpHook, Topology};

mod documents;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    let words = std::iter::once("headless-obs").chain(line.split_whitespace());
    // Without the test runner's environment.
    let command = Cli::command().mut_subcommands(|sub| sub.mut_args(|arg| arg.env(None)));
    Cli::from_arg_matches(&command.mut_args(|arg| arg.env(None)).try_get_matches_from(words)?)
}

fn error(line: &str) -> String {
    parse(line).unwrap_err().to_string()
}

fn observe(line: &str) -> Result<Observe, observe::Misfit> {
    match parse(line).unwrap().command {
        Command::Run(args) => args.observe.check(false),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn defaults() {
    let observe = observe("run").unwrap();
    assert_eq!(observe.topology, Topology::Dns);
    assert_eq!(observe.dns_ports, [53, 5353, 15053, 0, 0, 0, 0, 0]);
    assert_eq!((observe.ring_bytes, observe.tcp_hook), (1024 * 1024, TcpHook::Auto));
    assert!(observe.max_flows == observe.max_connections && observe.max_flows.is_power_of_two());
    assert!(!observe.node.is_empty());
    assert_eq!((observe.mature_after.as_secs(), observe.stale_grace.as_secs()), (600, 5));
    assert_eq!((observe.exclude, observe.count_host), (Exclude::default(), true));
    let Command::Run(run) = parse("run").unwrap().command else { panic!() };
    assert_eq!(run.listen.to_string(), LISTEN);
    assert_eq!(cardinality::Config::from(run.series), cardinality::Config::default());
}

#[test]
fn series_are_bounded_as_told() {
    let line = "run --max-series-per-service 12 --max-series 34 --client-labels namespace";
    let Command::Run(run) = parse(line).unwrap().command else { panic!() };
    let clients = cardinality::ClientLabels::Namespace;
    assert_eq!(
        cardinality::Config::from(run.series),
        cardinality::Config { per_service: 12, total: 34, clients }
    );
    assert!(error("run --max-series 0").contains("--max-series"));
    assert!(error("run --client-labels pod").contains("workload, namespace, none"));
}

#[test]
fn everything_set() {
    let observe = observe(
        "run --topology files:/m --dns-port 53,5300 --dns-port 54 --tcp-hook tp_btf --ring-size 64KiB \
         --max-flows 10 --max-connections 11 --max-ignored 12 --cgroup /c --node n --kernel-log \
         --mature-after 1m --stale-grace 0s --exclude none --exclude shop/* --count-host=false \
         --cluster-domain Corp.Example. --zone eu-1a --proxy my-proxy --proxy mesh/node-*",
    )
    .unwrap();
    assert_eq!((observe.mature_after.as_secs(), observe.stale_grace.as_secs()), (60, 0));
    assert_eq!((observe.exclude, observe.count_host), (Exclude::new(["none", "shop/*"]).unwrap(), false));
    assert_eq!(observe.proxies, ProxyNames::new(["my-proxy", "mesh/node-*"]).unwrap());
    assert_eq!(observe.topology, Topology::Files("/m".into()));
    assert_eq!(observe.cluster_domain.as_deref(), Some("corp.example"));
    assert_eq!(observe.zone.as_deref(), Some("eu-1a"));
    assert_eq!(observe.dns_ports, [53, 5300, 54, 0, 0, 0, 0, 0]);
    assert_eq!((observe.tcp_hook, observe.ring_bytes), (TcpHook::TpBtf, 65_536));
    assert_eq!((observe.max_flows, observe.max_connections, observe.max_ignored), (10, 11, 12));
    assert_eq!((observe.cgroup, observe.node.as_str(), observe.kernel_log), (Some("/c".into()), "n", true));
}

#[test]
fn the_output_is_chosen_before_or_after_the_command() {
    assert_eq!(parse("-o json report").unwrap().common.output, Format::Json);
    assert_eq!(parse("report -o json").unwrap().common.output, Format::Json);
    assert_eq!(parse("report").unwrap().common.output, Format::Table);
    let error = Output::try_from(parse("top -o html").unwrap().common.output).unwrap_err();
    assert!(error.to_string().contains("only `report` writes"), "{error}");
}

#[test]
fn errors_say_what_to_do() {
    for (line, hint) in [
        ("run --topology kubernetes:x", "give kubernetes, dns, or files:PATH"),
        ("run --namespace Shop", "lower case"),
        ("run --exclude a/b/c", "monitoring/*"),
        ("run --proxy a/b/c", "my-proxy"),
        ("run --mature-after 10", "500ms, 30s"),
        ("run --cluster-domain a..b", "such as cluster.local"),
        ("run --zone eu/1a", "such as eu-central-1a"),
        ("report --zone-price 1ct", "such as 0.01"),
        ("report --zone-price -1", "--zone-price"),
        ("explain a/b --zone-price inf", "such as 0.01"),
        ("report --prometheus x --zone-price 1", "cannot be used with"),
        ("explain a/b --connections --zone-price 1", "cannot be used with"),
        ("run --listen 9464", "127.0.0.1:9464 for this machine"),
        ("run --ring-size 100KiB", "65536 or 131072"),
        ("run --dns-port 0", "1..=65535"),
        ("run --max-flows 0", "1..=16777216"),
        ("report --for 30", "500ms, 30s"),
        ("report --for 3s --from x", "cannot be used with"),
        ("report --from x --ring-size 64KiB", "cannot be used with"),
        ("report --from ftp://x", "http or https"),
        ("run --tls-cert a", "--tls-key"),
        ("run --tls-key a", "--tls-cert"),
        ("report --ca-file a", "--from"),
        ("report --from x --prometheus y --token-file a", "cannot be used with"),
        ("report --fail-on x", "imbalance, stale, idle"),
        ("explain", "NAMESPACE/]NAME"),
        ("explain a/b/c", "NAMESPACE/NAME"),
        ("explain a/b --from x --mature-after 1m", "cannot be used with"),
        ("diff a.json", "AFTER.json"),
        ("top --interval 1ms", "100ms"),
        ("trace --from x --last 1h", "unexpected argument"),
        ("trace --kind open", "opened, failed, closed, dns, verdict"),
        ("explain a --connections --limit 0", "a number from 1 to 1000"),
        ("explain a --connections --sort size", "possible values: load, age, rtt, waiting"),
    ] {
        let error = error(line);
        assert!(error.contains(hint), "{line}: {error}");
    }
    assert_eq!(
        observe("run --dns-port 1,2,3,4,5,6,7,8,9").unwrap_err().to_string(),
        "--dns-port can be given at most 8 times, but was given 9 times; remove some"
    );
    for (line, told) in [
        (
            "run --topology files:x --dns-public",
            "--dns-public needs --topology dns, but the topology is files",
        ),
        ("run --topology files:x --context y", "--context needs --topology kubernetes"),
        ("run --topology dns --namespace y", "--namespace needs --topology kubernetes"),
        ("run --kubeconfig x --topology kubernetes --dns-names y", "but the topology is kubernetes"),
        ("run --dns-names y --namespace x", "but the topology is dns"),
    ] {
        let error = observe(line).unwrap_err().to_string();
        assert!(error.starts_with(told) || error.contains(told), "{line}: {error}");
    }
}

#[test]
fn the_topology_follows_from_the_surroundings() {
    let topology = |line: &str, is_in_cluster| match parse(line).unwrap().command {
        Command::Run(args) => args.observe.check(is_in_cluster).unwrap().topology,
        other => panic!("{other:?}"),
    };
    let kubernetes = |kubeconfig: &[&str], context: Option<&str>, namespaces: &[&str]| {
        Topology::Kubernetes(Kubernetes {
            kubeconfig: kubeconfig.iter().map(Into::into).collect(),
            context: context.map(ToOwned::to_owned),
            namespaces: namespaces.iter().map(|&name| name.to_owned()).collect(),
        })
    };
    assert_eq!(topology("run", true), kubernetes(&[], None, &[]));
    let counts_host = |line: &str| match parse(line).unwrap().command {
        Command::Run(args) => args.observe.check(true).unwrap().count_host,
        other => panic!("{other:?}"),
    };
    assert!(!counts_host("run") && counts_host("run --count-host") && counts_host("run --topology dns"));
    assert_eq!(topology("run --topology dns", true), Topology::Dns);
    assert_eq!(topology("run --dns-public", true), Topology::Dns);
    assert_eq!(topology("run --kubeconfig a:b", false), kubernetes(&["a", "b"], None, &[]));
    assert_eq!(topology("run --kubeconfig a --topology dns", false), Topology::Dns);
    assert_eq!(
        topology("run --topology kubernetes --context c --namespace x --namespace y", false),
        kubernetes(&[], Some("c"), &["x", "y"])
    );
}

#[test]
fn a_daemon_is_asked_for_everything_or_nothing() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let mut observing: Vec<&str> = run.get_arguments().map(|arg| arg.get_id().as_str()).collect();
    let others = [
        "listen",
        "health_listen",
        "tls_cert",
        "tls_key",
        "authorize",
        "stand_by",
        "node",
        "zone",
        "kubeconfig",
        "max_series",
        "max_series_per_service",
        "client_labels",
        "otlp",
        "otlp_interval",
        "otlp_headers",
        "otlp_token_file",
        "otlp_ca_file",
    ];
    observing.retain(|id| !others.contains(id));
    let mut listed = [&observe::OBSERVING[..], &["context", "mature_after"]].concat();
    listed.sort_unstable();
    observing.sort_unstable();
    assert_eq!(observing, listed);
    assert!(parse("report --from x --node y").is_ok());
    for line in [
        "report --from x --fleet",
        "report --from x --prometheus y",
        "report --fleet --prometheus y",
        "report --fleet --for 1m",
        "report --fleet --max-flows 7",
        "report --prometheus x --max-flows 7",
        "report --from x --context y",
        "trace --from x --fleet",
        "trace --fleet --max-flows 7",
        "report --prometheus x --token-file y",
        "explain a --connections --prometheus x",
    ] {
        assert!(error(line).contains("cannot be used with"), "{line}");
    }
    for line in [
        "report --fleet-namespace x",
        "top --fleet-service-account x",
        "top --for 1m",
        "report --prometheus-header a:b",
        "explain a --client b",
        "explain a --limit 7",
        "trace --fleet-namespace x",
    ] {
        assert!(error(line).contains("required"), "{line}: {}", error(line));
    }
    assert!(
        parse("report --fleet --kubeconfig x --context y --fleet-namespace z --fleet-service-account a")
            .is_ok()
    );
    assert!(parse("report --prometheus x --for 1h --mature-after 0s --prometheus-token-file y").is_ok());
    let Command::Top(top) = parse("top --from a --from b.json").unwrap().command else { panic!() };
    assert_eq!(top.remote.daemons.from, ["a".parse().unwrap(), "b.json".parse().unwrap()]);
}

#[test]
fn as_a_plugin_of_kubectl_it_asks_the_cluster() {
    let of = |line: &str| Cli::of(line.split_whitespace().map(Into::into).collect());
    let asks = |line: &str| match of(line).unwrap().command {
        Command::Report(args) => args.remote.daemons.fleet,
        Command::Explain(args) => args.remote.daemons.fleet,
        Command::Top(args) => args.remote.daemons.fleet,
        Command::Trace(args) => args.daemons.fleet,
        _ => false,
    };
    let plugin = "/usr/local/bin/kubectl-headless_obs";
    for line in ["report", "top", "explain shop/orders", "report --context x", "trace", "trace --kind failed"]
    {
        assert!(asks(&format!("{plugin} {line}")) && !asks(&format!("headless-obs {line}")), "{line}");
    }
    for line in [
        "report --from x",
        "report --for 1m",
        "top --topology dns",
        "doctor",
        "trace --from x",
        "trace --topology dns",
    ] {
        assert!(!asks(&format!("{plugin} {line}")), "{line}");
    }
    let usage = of(&format!("{plugin} report --help")).unwrap_err().to_string();
    assert!(usage.contains("Usage: kubectl headless-obs report"), "{usage}");
}

#[test]
fn findings_are_given_one_by_one_or_together() {
    let Command::Report(args) = parse("report --fail-on imbalance,idle --fail-on stale").unwrap().command
    else {
        panic!()
    };
    assert_eq!(args.fail_on, [FailOn::Imbalance, FailOn::Idle, FailOn::Stale]);
}

#[test]
fn every_command_has_examples() {
    for command in Cli::command().get_subcommands() {
        let help = command.get_after_help().unwrap_or_else(|| panic!("{}", command.get_name())).to_string();
        assert!(help.starts_with("Examples:") && help.contains(command.get_name()), "{help}");
    }
}
