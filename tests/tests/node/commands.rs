//! The commands as users run them, with real traffic: their output matches it.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use lab::client::Pick;
use lab::*;
use rustix::process::Signal;
use serde_json::Value;

use crate::shop::{Live, Shop};
use crate::{ORDERS, PATIENCE, PORT, accepted, opened, orders, service, sum};

const ESCAPE: char = '\u{1b}';
const PARTS: &str = "parts.shop.svc.cluster.local";

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The servers' counts, by pod.
fn by_pod(lab: &Lab) -> BTreeMap<String, u64> {
    let mut pods = BTreeMap::new();
    for ((_, pod), count) in accepted(lab) {
        *pods.entry(pod).or_default() += count;
    }
    pods
}

#[test]
fn report_observes_and_prints_what_the_servers_counted() {
    let shop = Shop::open();
    let options = ["report", "--for", "10m", "--topology", &shop.topology];
    let table = shop.live(&options);
    let raw = shop.live(&[&options[..], &["-o", "json"]].concat());
    for report in [&table, &raw] {
        report.wait_for("observing for 10 min; Ctrl-C ends the observation and prints the result");
    }
    shop.connect(60);
    let (table, raw) = (table.end(Signal::INT), raw.end(Signal::INT));
    assert_eq!((table.code, raw.code), (Some(0), Some(0)), "{table:?} {raw:?}");

    let snapshot = json(&raw.out);
    assert_eq!(raw.out.lines().count(), 1, "nothing but the snapshot");
    assert_eq!(snapshot["schema"], "headless-obs/v1");
    assert_eq!(opened(orders(&snapshot)), accepted(&shop.scene.lab));

    assert!(table.out.contains("shop/orders  3 of 3 endpoints ready"), "{}", table.out);
    assert!(table.out.contains("60 connections by its name  coverage 100%"), "{}", table.out);
    assert!(table.out.contains("Complete: no event was lost."), "{}", table.out);
    assert!(!table.out.contains(ESCAPE) && !table.err.contains(ESCAPE), "no colours in a pipe: {table:?}");
    for (pod, count) in by_pod(&shop.scene.lab) {
        let row = table.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = row.into_iter().find(|words| words.first() == Some(&pod.as_str())).unwrap();
        assert_eq!(row[1..3], ["ready", &count.to_string()], "{}", table.out);
    }
}

#[test]
fn a_service_without_traffic_is_shown_with_zeros() {
    let shop = Shop::open();
    let options = ["report", "--for", "2s", "--topology", &shop.topology];
    let table = shop.run(&[], &options);
    assert!(
        table.code == Some(0) && table.out.contains("No connection to any endpoint was seen"),
        "{table:?}"
    );
    let raw = shop.run(&[], &[&options[..], &["-o", "json"]].concat());
    let snapshot = json(&raw.out);
    let orders = orders(&snapshot);
    let endpoints = orders["endpoints"].as_array().unwrap();
    let pods: Vec<&str> = endpoints.iter().map(|endpoint| endpoint["pod"].as_str().unwrap()).collect();
    assert_eq!(pods, ["orders-0", "orders-1", "orders-2"]);
    for endpoint in endpoints {
        for figure in ["opened", "counted", "active", "closed", "superseded", "bytes_sent", "bytes_received"]
        {
            assert_eq!(endpoint[figure], 0, "{figure}");
        }
        for reason in ["refused", "timeout", "unreachable", "reset", "aborted"] {
            assert_eq!(endpoint["failed"][reason], 0, "{reason}: {endpoint:#}");
        }
        assert_eq!(endpoint["state"], "ready");
    }
    assert_eq!((&orders["spread"]["connections"], &orders["dns"]["answers"]), (&0.into(), &0.into()));
    assert_eq!(orders["clients"], serde_json::json!([]));
}

/// Two Services with the same pods; `web` looks up `orders`, `cron` looks up `parts`.
fn two_services() -> (Shop, Pod) {
    let mut shop = Shop::open();
    let cron = shop.scene.pod("cron", "10.244.1.21/24");
    let parts = ServiceSpec { name: "parts".to_owned(), ..shop.service.clone() };
    shop.publish(&[shop.service.clone(), parts]);
    (shop, cron)
}

/// Reads a trace until this many connections have ended.
fn events(live: &Live, closed: usize) -> Vec<Value> {
    let mut events = Vec::new();
    while events.iter().filter(|event: &&Value| event["kind"] == "closed").count() < closed {
        events.push(json(&live.line()));
    }
    events
}

#[test]
fn trace_prints_every_connection_and_answer() {
    let (shop, cron) = two_services();
    let options = ["trace", "--topology", &shop.topology];
    let text = shop.live(&options);
    let all = shop.live(&[&options[..], &["-o", "json"]].concat());
    let parts = shop.live(&[&options[..], &["-o", "json", "--service", "shop/parts"]].concat());
    for trace in [&text, &all, &parts] {
        trace.wait_for("tracing; Ctrl-C stops it");
    }
    shop.connect(20);
    let asks = ClientSpec { per_lookup: 2, ..ClientSpec::new(PARTS, PORT, shop.scene.resolver, 6) };
    assert_eq!(cron.client(&asks).unwrap().wait().unwrap().total().connected, 6);

    let events_of = |events: &[Value], kind: &str, service: &str| -> Vec<Value> {
        let of = |event: &&Value| event["kind"] == kind && event["service"]["name"] == service;
        events.iter().filter(of).cloned().collect()
    };
    let seen = events(&all, 26);
    for (service, client, connections, answers) in [("orders", "web", 20, 4), ("parts", "cron", 6, 3)] {
        let opened = events_of(&seen, "opened", service);
        assert_eq!(opened.len(), connections, "{seen:#?}");
        for event in &opened {
            assert_eq!(
                (&event["client"]["workload"], &event["client"]["namespace"]),
                (&client.into(), &"shop".into())
            );
            assert_eq!((&event["resolution"], &event["port"]), (&"service".into(), &PORT.into()));
            assert!(event["duration_ms"].as_f64().is_some_and(|time| time > 0.0), "{event:#}");
        }
        assert_eq!(events_of(&seen, "closed", service).len(), connections);
        let dns = events_of(&seen, "dns", service);
        assert_eq!(dns.len(), answers, "{dns:#?}");
        assert!(
            dns.iter().all(|answer| answer["addresses"] == 3 && answer["transport"] == "udp"),
            "{dns:#?}"
        );
    }
    let mut pods: BTreeMap<String, u64> = BTreeMap::new();
    for event in seen.iter().filter(|event| event["kind"] == "opened") {
        *pods.entry(event["pod"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(pods, by_pod(&shop.scene.lab));

    let only = events(&parts, 6);
    assert!(only.iter().all(|event| event["service"]["name"] == "parts"), "{only:#?}");
    let wanted: Vec<_> = seen.iter().filter(|event| event["service"]["name"] == "parts").collect();
    assert_eq!(only.len(), wanted.len());

    let mut lines: Vec<String> = Vec::new();
    while lines.iter().filter(|line| line.contains("closed")).count() < 26 {
        lines.push(text.line());
    }
    let line = lines.iter().find(|line| line.contains("opened")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[1..5], ["opened", "shop/web", "→", "shop/orders"]);
    assert!(
        words[5].starts_with("orders-") && words[5].ends_with(":8080") && line.contains("by service #"),
        "{line}"
    );
    assert!(!lines.concat().contains(ESCAPE));
    for trace in [text, all, parts] {
        let end = trace.end(Signal::TERM);
        assert_eq!((end.code, end.out.as_str()), (Some(0), ""));
    }
}

#[test]
fn top_streams_snapshots_and_draws_on_a_terminal() {
    let shop = Shop::open();
    let live = shop.live(&["top", "-o", "json", "--interval", "100ms", "--topology", &shop.topology]);
    assert_eq!(sum(orders(&json(&live.line())), "opened"), 0);
    shop.connect(30);
    let mut snapshots = (0..100).map(|_| json(&live.line()));
    let last = snapshots.find(|snapshot| sum(orders(snapshot), "closed") == 30).expect("all in ten seconds");
    assert_eq!(opened(orders(&last)), accepted(&shop.scene.lab));
    assert_eq!(live.end(Signal::TERM).code, Some(0));

    let ran = shop.run(&[], &["top", "--topology", &shop.topology]);
    assert!(ran.code == Some(1) && ran.err.contains("`top -o json`"), "{ran:?}");
    let program = program().unwrap();
    let command =
        format!("stty cols 120 rows 40; exec {} top --topology {}", program.display(), shop.topology);
    let on_terminal =
        shop.scene.lab.exec(&["env", "TERM=xterm", "script", "-qfec", &command, "/dev/null"]).unwrap();
    wait_for_drawing(on_terminal, &["shop/orders", "orders-2"]);
}

/// Waits until a program has drawn all these texts. It ends with its terminal.
fn wait_for_drawing(mut program: Program, wanted: &[&str]) {
    let (sender, drawn) = mpsc::channel();
    let mut stream = program.streams().0.unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    let end = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    while !wanted.iter().all(|text| String::from_utf8_lossy(&all).contains(text)) {
        let left = end.saturating_duration_since(Instant::now());
        all.extend(drawn.recv_timeout(left).unwrap_or_else(|error| panic!("{error}: {all:?}")));
    }
}

#[test]
fn a_running_daemon_is_asked_and_colours_are_for_terminals() {
    let (shop, cron) = two_services();
    let observer = shop.observe(&[], &[]);
    shop.connect(40);
    let asks = ClientSpec::new(PARTS, PORT, shop.scene.resolver, 5);
    assert_eq!(cron.client(&asks).unwrap().wait().unwrap().total().connected, 5);
    let settled = |snapshot: &Value| {
        sum(orders(snapshot), "closed") == 40 && sum(service(snapshot, "parts"), "closed") == 5
    };
    observer.snapshot_when(PATIENCE, settled).unwrap();

    let address = observer.address().to_string();
    let url = format!("http://{address}/");
    for from in [&address, &url] {
        let raw = shop.run(&[], &["report", "--from", from, "-o", "json"]);
        let snapshot = json(&raw.out);
        let mut cells = opened(orders(&snapshot));
        cells.extend(opened(service(&snapshot, "parts")));
        assert_eq!((raw.code, cells, raw.err.as_str()), (Some(0), accepted(&shop.scene.lab), ""));
    }
    let one = shop.run(&[], &["report", "--from", &address, "--service", "parts"]);
    assert!(one.out.contains("shop/parts") && !one.out.contains("shop/orders"), "{one:?}");
    assert!(one.out.contains("5 connections by its name") && !one.out.contains(ESCAPE), "{one:?}");

    let program = program().unwrap();
    let command = format!("{} report --from {address} 2>/dev/null", program.display());
    let on_terminal = |environment: &[&str]| {
        let words = [&["env"], environment, &["script", "-qec", &command, "/dev/null"]].concat();
        let output = shop.scene.lab.exec(&words).unwrap().output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let coloured = on_terminal(&["-u", "NO_COLOR", "TERM=xterm"]);
    assert!(coloured.contains("\u{1b}[1mshop/orders\u{1b}[0m"), "{coloured}");
    let plain = on_terminal(&["TERM=xterm", "NO_COLOR=1"]);
    assert!(plain.contains("shop/orders") && !plain.contains(ESCAPE), "{plain}");
}

#[test]
fn doctor_finds_nothing_wrong_here() {
    let shop = Shop::open();
    // The lab's pods are at a kubelet's paths below its folder.
    let root = shop.scene.lab.cgroup().to_str().unwrap().to_owned();
    let options = ["doctor", "--listen", "127.0.0.1:0", "--topology", &shop.topology, "--cgroup", &root];
    let raw = shop.run(&[], &[&options[..], &["-o", "json"]].concat());
    let report = json(&raw.out);
    assert_eq!((raw.code, &report["ok"]), (Some(0), &true.into()), "{report:#}");
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.len() >= 11 && checks.iter().all(|check| check["status"] == "ok"), "{report:#}");
    let found = |name: &str| {
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("no check {name}: {report:#}"))["found"].as_str().unwrap()
    };
    assert!(found("probes with tp_btf").contains("dns: cgroup_skb"), "{report:#}");
    assert!(found("probes with the classic tracepoint").contains("tcp: tracepoint"), "{report:#}");
    // Pods of the DNS server, of orders, and of web.
    assert_eq!(found("pods"), "5 run here");
    let text = shop.run(&[], &options);
    assert!(
        text.code == Some(0) && text.out.contains("All checks passed") && !text.out.contains(ESCAPE),
        "{text:?}"
    );
}

#[test]
fn completions_complete_and_the_manual_is_a_manual() {
    let shop = Shop::open();
    let script = shop.run(&[], &["completions", "bash"]);
    assert_eq!((script.code, script.err.as_str()), (Some(0), ""));
    let path = shop.scene.lab.folder().join("completions");
    std::fs::write(&path, script.out).unwrap();
    // The shell's request when a user presses Tab after `headless-obs re`.
    let ask = format!(
        "source {}; COMP_WORDS=(headless-obs re); COMP_CWORD=1; \
         $(complete -p headless-obs | sed 's/.*-F \\([^ ]*\\).*/\\1/') headless-obs re headless-obs; \
         echo \"${{COMPREPLY[@]}}\"",
        path.display()
    );
    let output = shop.scene.lab.exec(&["bash", "--norc", "-c", &ask]).unwrap().output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "report\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let manual = shop.run(&[], &["man"]);
    assert!(manual.code == Some(0) && manual.out.contains("\n.TH headless-obs 1 "), "{manual:?}");
    for command in ["RUN", "REPORT", "TOP", "TRACE", "DOCTOR"] {
        assert!(manual.out.contains(&format!(".SS {command}\n")), "{command}");
    }
}

/// Reads a trace until an event, or a notice, is as wanted; returns everything up to it.
fn until(live: &Live, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut lines = Vec::new();
    loop {
        let line = json(&live.line());
        let is_last = wanted(&line);
        lines.push(line);
        if is_last {
            return lines;
        }
    }
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

#[test]
fn a_trace_of_a_running_daemon_has_its_connections_and_goes_on_after_a_restart() {
    let (shop, cron) = two_services();
    let lab = &shop.scene.lab;
    let options = ["--topology", &shop.topology, "--node", "node-a", "--mature-after", "0s"];
    // The next daemon has the same address.
    let spec = ObserverSpec { options: options.map(str::to_owned).to_vec(), ..ObserverSpec::default() };
    let observer = Observer::start(lab, &spec).unwrap();
    let address = observer.address().to_string();
    let all = shop.live(&["trace", "-o", "json", "--from", &address]);
    let text = shop.live(&["trace", "--from", &address]);
    let parts = shop.live(&["trace", "-o", "json", "--service", "shop/parts", "--from", &address]);
    let failed =
        shop.live(&["trace", "-o", "json", "--client", "web", "--kind", "failed,opened", "--from", &address]);
    for trace in [&all, &text, &parts, &failed] {
        trace.wait_for("tracing; Ctrl-C stops it");
    }
    let begin = until(&all, |line| line["kind"] == "begin").pop().unwrap();
    assert_eq!(
        (&begin["node"], &begin["schema"]),
        (&"node-a".into(), &"headless-obs/v1".into()),
        "{begin:#}"
    );

    shop.connect(20);
    let asks = ClientSpec { per_lookup: 2, ..ClientSpec::new(PARTS, PORT, shop.scene.resolver, 6) };
    assert_eq!(cron.client(&asks).unwrap().wait().unwrap().total().connected, 6);
    let mut seen: Vec<Value> = Vec::new();
    while of_kind(&seen, "closed").len() < 26 {
        seen.push(json(&all.line()));
    }
    let mut pods: BTreeMap<String, u64> = BTreeMap::new();
    for event in of_kind(&seen, "opened") {
        assert_eq!(event["node"], "node-a");
        *pods.entry(event["pod"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(pods, by_pod(lab));
    assert_eq!(of_kind(&seen, "dns").len(), 7, "{seen:#?}");
    assert!(of_kind(&seen, "missed").is_empty(), "{seen:#?}");

    let is_last = |line: &Value| line["kind"] == "closed";
    let only: Vec<Value> = (0..6).flat_map(|_| until(&parts, is_last)).collect();
    let events = only.iter().filter(|line| line["kind"] != "begin");
    assert!({ events }.all(|line| line["service"]["name"] == "parts"), "{only:#?}");
    let opened: Vec<Value> = (0..20).flat_map(|_| until(&failed, |line| line["kind"] == "opened")).collect();
    assert!(
        opened.iter().all(|line| line["kind"] == "begin" || line["client"]["workload"] == "web"),
        "{opened:#?}"
    );
    assert_eq!(opened.len(), 21, "one begin, and nothing but what was asked for: {opened:#?}");
    let mut lines: Vec<String> = Vec::new();
    while lines.iter().filter(|line| line.contains("closed")).count() < 26 {
        lines.push(text.line());
    }
    assert!(
        lines.iter().any(|line| line.contains("opened  shop/web") && line.contains("→ shop/orders")),
        "{lines:?}"
    );

    // This client takes the same pod from every answer, so there is a verdict on it.
    let pick = Pick::Only(shop.service.endpoints[1].pod.ip(true).unwrap());
    let only = ClientSpec { pick, per_lookup: 1, ..ClientSpec::new(ORDERS, PORT, shop.scene.resolver, 90) };
    assert_eq!(cron.client(&only).unwrap().wait().unwrap().total().connected, 90);
    let verdict = until(&all, |line| {
        line["kind"] == "verdict"
            && line["client"]["workload"] == "cron"
            && line["service"]["name"] == "orders"
    });
    let verdict = verdict.last().unwrap();
    assert!(verdict["verdict"].is_string() && verdict["since"].is_string(), "{verdict:#}");

    // The daemon is gone, and another one comes.
    observer.kill();
    all.wait_for("; trying again");
    let lost = until(&all, |line| line["kind"] == "lost").pop().unwrap();
    assert_eq!(lost["node"], "node-a", "{lost:#}");
    let path = program().unwrap();
    let words = [&[path.to_str().unwrap(), "run", "--listen", &address], &options[..]].concat();
    let mut next = lab.exec(&words).unwrap();
    let again = until(&all, |line| line["kind"] == "begin").pop().unwrap();
    assert_eq!(again["restarted"], true, "{again:#}");
    assert!(again["missing_since"].is_string() && again["observation"] != begin["observation"], "{again:#}");
    all.wait_for("node-a: the daemon has restarted; events since ");
    shop.connect(3);
    let after: Vec<Value> = (0..3).flat_map(|_| until(&all, |line| line["kind"] == "opened")).collect();
    assert!(after.iter().all(|line| line["node"] == "node-a"), "{after:#?}");
    next.kill();
    for trace in [all, text, parts, failed] {
        assert_eq!(trace.end(Signal::TERM).code, Some(0));
    }
    let nobody = shop.run(&[], &["trace", "--from", &address]);
    assert!(nobody.code == Some(1) && nobody.err.contains("refused the connection"), "{nobody:?}");
}
