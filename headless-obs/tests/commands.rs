//! The program as a user runs it, with a server that returns a snapshot from a file: no root, no probes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says where"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};

use headless_obs::expose::snapshot::Snapshot;

const SNAPSHOT: &str = include_str!("../src/golden/snapshot.json");

/// Two contexts, none of them current; their servers do not exist.
const KUBECONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubeconfig.yaml");

/// Answers every request for the default stretch with the snapshot, for as long as the test runs.
fn daemon() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4_096];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /api/v1/snapshot?last=900000ms HTTP/1.1\r\n"));
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", SNAPSHOT.len());
            stream.write_all((head + SNAPSHOT).as_bytes()).unwrap();
        }
    });
    address
}

fn program(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headless-obs"));
    command.args(words).env("COLUMNS", "80").env("HOME", "/none");
    for surroundings in ["RUST_LOG", "NODE_NAME", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"] {
        command.env_remove(surroundings);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(words: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = program(words).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn report_from_a_daemon() {
    let address = daemon().to_string();
    let (code, out, err) = run(&["report", "--from", &address]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (Some(0), include_str!("../src/golden/report-80.txt"), "")
    );

    let (code, out, _) = run(&["report", "--from", &address, "-o", "json", "--service", "shop/orders"]);
    let snapshot: Snapshot = serde_json::from_str(&out).unwrap();
    assert_eq!((code, snapshot.services.len()), (Some(0), 1));

    let (code, out, err) = run(&["report", "--from", &address, "--service", "none"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err, "error: no Service none was seen; Services that were seen: shop/orders, shop/sessions\n");
}

#[test]
fn errors_end_with_a_code_and_say_what_to_do() {
    for (words, expected, hint) in [
        (&["report", "--from", "127.0.0.1:1"][..], 1, "is `headless-obs run` listening there?"),
        (&["run", "--dns-port", "1,2,3,4,5,6,7,8,9"], 2, "remove some"),
        (&["run", "--topology", "kubernetes", "--listen", "127.0.0.1:0"], 1, "give --kubeconfig FILE"),
        (&["report", "--kubeconfig", "/none"], 1, "kubeconfig /none: failed to read"),
        (&["report", "--kubeconfig", KUBECONFIG, "--context", "x"], 1, "choose one with --context: a, b"),
        (&["report", "--kubeconfig", KUBECONFIG], 1, "has no current context; choose one"),
        (&["report", "--log-level", "=="], 1, "write a level"),
        (&["top", "--from", "127.0.0.1:1"], 1, "`top -o json`"),
        (&["top", "--from", "127.0.0.1:1", "-o", "json"], 1, "is `headless-obs run` listening there?"),
        (&["nonsense"], 2, "unrecognized subcommand"),
    ] {
        let (code, out, err) = run(words);
        assert!(code == Some(expected) && out.is_empty() && err.contains(hint), "{words:?}: {code:?} {err}");
    }
}

#[test]
fn a_port_in_use_is_told_before_anything_is_loaded() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, _, err) = run(&["run", "--listen", &held.local_addr().unwrap().to_string()]);
    assert!(code == Some(1) && err.contains("the port is in use") && err.contains("--listen"), "{err}");
}

#[test]
fn doctor_as_json() {
    let (code, out, _) = run(&["doctor", "--topology", "files:/none", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let failed = |check: &&serde_json::Value| check["name"] == "topology" && check["status"] == "fail";
    assert!(report["checks"].as_array().unwrap().iter().find(failed).is_some(), "{out}");
    assert_eq!((code, &report["ok"]), (Some(1), &serde_json::json!(false)));
}

#[test]
fn doctor_says_when_the_api_server_is_not_there() {
    let (code, out, _) = run(&["doctor", "--kubeconfig", KUBECONFIG, "--context", "a", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let check = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "Kubernetes API");
    let found = check.unwrap()["found"].as_str().unwrap();
    assert!(found.contains("https://127.0.0.1:1 refuses connections"), "{out}");
    assert_eq!(code, Some(1));
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let mut child = program(&["man"]).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
}

#[test]
fn top_streams_snapshots_until_it_is_ended() {
    let words = ["top", "-o", "json", "--interval", "100ms", "--from", &daemon().to_string()];
    let mut child = program(&words).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let snapshot: Snapshot = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(snapshot.node, "n1");
    }
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

fn terminate(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}
