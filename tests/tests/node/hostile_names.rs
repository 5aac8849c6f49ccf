//! Names that attack a terminal, a page, Prometheus or JSON. The output shows them, and they have no effect.

use std::collections::BTreeSet;

use lab::*;
use serde_json::Value;

use crate::shop::Shop;
use crate::{PATIENCE, PORT, sum};

/// Ends a label's value and begins another sample, or would do so by an escape.
const LABELS: &str = "a\",pod=\"b\"} 7\nheadless_forged_total{x=\"\\";
/// Clears a terminal, renames its window, reverses the writing direction.
const TERMINAL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\r\u{202e}gpj";
/// Runs a script in a page.
const PAGE: &str = "</td><script>alert(1)</script><img src=x onerror='alert(1)'>&amp;";

/// Labels and value of a sample, parsed as strictly as Prometheus does; `None` for a line that is no sample.
fn sample(line: &str) -> Option<(Vec<(String, String)>, f64)> {
    let at = line.find(['{', ' '])?;
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
    };
    let (name, mut rest) = line.split_at(at);
    if !is_name(name) {
        return None;
    }
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, value) = rest.split_once("=\"")?;
            let mut text = String::new();
            let mut chars = value.char_indices();
            let end = loop {
                match chars.next()? {
                    (at, '"') => break at + 1,
                    (_, '\\') => text.push(match chars.next()?.1 {
                        'n' => '\n',
                        quoted @ ('"' | '\\') => quoted,
                        _ => return None,
                    }),
                    (_, plain) => text.push(plain),
                }
            };
            if !is_name(label) {
                return None;
            }
            labels.push((label.to_owned(), text));
            rest = &value[end..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    Some((labels, rest.trim().parse().ok()?))
}

/// Characters of a text that would have an effect in a terminal or page.
fn acts(text: &str) -> Vec<char> {
    let acts = |c: &char| {
        (c.is_control() && *c != '\n') || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
    };
    text.chars().filter(acts).collect()
}

#[test]
fn names_that_act_are_only_shown() {
    let mut shop = Shop::open();
    let long = "x".repeat(70_000);
    // Names of everything: pods, namespaces, hosts, workloads and their kind, Services, ports.
    let hostile = [LABELS, TERMINAL, PAGE, &long];
    let mut services = vec![shop.service.clone()];
    let mut clients = Vec::new();
    for (name, last) in hostile.into_iter().zip(110..) {
        let spec = |last: u8, what: &str| {
            PodSpec::new(name, &format!("{what}{name}"))
                .address(&format!("10.244.1.{last}/24"))
                .workload(name, &format!("{what}{name}"))
                .known_as(name, name)
        };
        let server = shop.scene.node.pod(spec(last, "server")).unwrap();
        server.serve_port(PORT).unwrap();
        clients.push((shop.scene.node.pod(spec(last + 50, "client")).unwrap(), server.ip(true).unwrap()));
        let mut service = ServiceSpec::new(name, name, PORT, &[server]);
        service.ports[0].0 = name.to_owned();
        service.endpoints[0].zone = Some(name.to_owned());
        services.push(service);
    }
    let path = shop.scene.lab.write_manifests("services.yaml", &services).unwrap();
    // YAML requires this escape for characters that are not text.
    let escape = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.chars().map(escape).collect::<String>()).unwrap();
    shop.topology = format!("files:{}", path.display());
    let cgroup = shop.scene.lab.cgroup().to_str().unwrap().to_owned();
    let observer = shop.observe(&[], &["--cgroup", &cgroup]);
    for (pod, to) in &clients {
        let report = pod.client(&ClientSpec::fixed(&[*to], PORT, 30)).unwrap().wait().unwrap();
        assert_eq!(report.total().connected, 30);
    }
    shop.connect(30);
    let all = |snapshot: &Value| {
        let services = snapshot["services"].as_array().unwrap();
        services.iter().map(|service| sum(service, "closed")).sum::<u64>() == 150
    };
    let snapshot = observer.snapshot_when(PATIENCE, all).unwrap();
    // JSON data have the names unchanged.
    let names: BTreeSet<_> = snapshot["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| service["name"].as_str().unwrap())
        .collect();
    assert!(hostile.iter().all(|name| names.contains(name)), "{} names", names.len());

    let from = observer.address().to_string();
    let texts = [
        &["report", "--from", &from][..],
        &["explain", "--from", &from, "shop/orders"],
        &["report", "--from", &from, "-o", "html"],
    ];
    for words in texts {
        let ran = shop.run(&[], words);
        assert!(ran.code == Some(0), "{words:?}: {:?} {}", ran.code, ran.err);
        assert_eq!([acts(&ran.out), acts(&ran.err)].concat(), [] as [char; 0], "{words:?}");
    }
    let json = shop.run(&[], &["report", "--from", &from, "-o", "json"]);
    let printed: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(printed["services"].as_array().unwrap().len(), snapshot["services"].as_array().unwrap().len());
    assert!(acts(&json.out).is_empty(), "JSON escapes what acts");

    let (_, page) = observer.get("/").unwrap();
    assert_eq!(acts(&page), [] as [char; 0]);
    for tag in ["<script", "<img"] {
        assert!(!page.to_lowercase().contains(tag), "{tag} is in the page");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "it is shown as it is written");

    let metrics = observer.metrics().unwrap();
    let mut series = 0;
    for line in metrics.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (labels, _) = sample(line).unwrap_or_else(|| panic!("no sample: {line:.300}"));
        assert!(!line.starts_with("headless_forged"), "{line:.300}");
        series += usize::from(labels.iter().any(|(label, value)| label == "service" && value == LABELS));
    }
    assert!(series > 10, "{series} of the Service that is called so");
}
