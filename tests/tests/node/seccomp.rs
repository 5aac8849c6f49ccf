//! The shipped seccomp profile: the daemon works with it, and it allows only the listed calls.

use std::fs;
use std::path::{Path, PathBuf};

use lab::*;

use crate::shop::{Ran, Shop, log_when};
use crate::{PATIENCE, orders, sum};

/// The profile that users install on their nodes.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/seccomp/headless-obs.json")
}

/// Runs a command with a profile.
fn under(profile: &Path) -> Vec<String> {
    let agent = agent_path().unwrap();
    [agent.to_str().unwrap(), "--seccomp", profile.to_str().unwrap(), "exec"].map(str::to_owned).to_vec()
}

fn words(wrapper: &[String]) -> Vec<&str> {
    wrapper.iter().map(String::as_str).collect()
}

/// The daemon counts connections, serves pages, sees changes of the manifests, and ends properly.
fn it_works(hook: &str) {
    let mut shop = Shop::open();
    let held = shop.web.client(&shop.client(0).keep()).unwrap();
    assert_eq!(held.open(3).unwrap().open, 3);
    let wrapper = under(&shipped());
    let observer = shop.observe(&words(&wrapper), &["--tcp-hook", hook]);
    let status = fs::read_to_string(format!("/proc/{}/status", observer.pid())).unwrap();
    assert!(status.contains("\nSeccomp:\t2\n"), "{status}");
    let log = log_when(&observer, "dropped the capabilities that are no longer needed");
    assert!(!log.contains("WARN"), "{log}");
    shop.connect(100);
    let snapshot =
        observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "closed") == 100).unwrap();
    assert_eq!((sum(orders(&snapshot), "opened"), sum(orders(&snapshot), "active")), (100, 3));
    assert_eq!(snapshot["quality"]["probes"]["tcp"], hook);
    for path in ["/metrics", "/", "/healthz", "/readyz"] {
        assert_eq!(observer.get(path).unwrap().0, 200, "{path}");
    }
    let mut other = shop.service.clone();
    "purchases".clone_into(&mut other.name);
    shop.publish(&[shop.service.clone(), other]);
    let has_both = |snapshot: &serde_json::Value| snapshot["services"].as_array().unwrap().len() == 2;
    observer.snapshot_when(PATIENCE, has_both).unwrap();
    let (status, log) = observer.stop().unwrap();
    assert!(status.success(), "{log}");
}

#[test]
fn under_the_shipped_seccomp_profile_it_works() {
    it_works("tp_btf");
}

#[test]
fn under_the_shipped_seccomp_profile_the_classic_tracepoint_works() {
    it_works("tracepoint");
}

#[test]
fn the_shipped_seccomp_profile_refuses_the_rest() {
    let shop = Shop::open();
    let run = |profile: &Path, program: &[&str]| {
        let wrapper = under(profile);
        let output =
            shop.scene.lab.exec(&[words(&wrapper), program.to_vec()].concat()).unwrap().output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    };
    let new = shop.scene.lab.folder().join("new");
    let ran = run(&shipped(), &["mkdir", new.to_str().unwrap()]);
    assert!(ran.code == Some(1) && ran.err.contains("Operation not permitted"), "{ran:?}");
    assert!(!new.exists());

    // Without `bpf` in the profile the daemon fails, so the kernel really enforces the profile.
    let less = shop.scene.lab.folder().join("less.json");
    let profile = fs::read_to_string(shipped()).unwrap();
    fs::write(&less, profile.replace("\"bpf\", ", "")).unwrap();
    let daemon = program().unwrap();
    let ran = run(
        &less,
        &[daemon.to_str().unwrap(), "run", "--listen", "127.0.0.1:0", "--topology", &shop.topology],
    );
    assert!(ran.code == Some(1) && ran.err.contains("not allowed to use BPF"), "{ran:?}");
}
