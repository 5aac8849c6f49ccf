//! A case that must fail does, says why, and leaves nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Played, play};

/// A case whose report is known: `EXPECTED` is what it must say of the client.
const CASE: &str = "
title: three pods
pods: {orders: {count: 3, addresses: net.1.100, serve: {8080: hold}}}
services: {orders: {port: 8080, pods: orders}}
clients: {web: {name: orders.shop.svc.cluster.local, port: 8080, connections: 90}}
steps:
- run: web
- expect: {within: 1s, clients: {shop/orders: {web: EXPECTED}}}
";

/// A case in a folder of its own, which is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("cases-test-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("case.yaml"), text).unwrap();
        Self(folder)
    }

    fn play(&self, place: &str) -> Played {
        play(&["--only", place, self.0.to_str().unwrap()])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

pub(crate) fn a_wrong_expectation_fails() {
    let right = Folder::new("right", &CASE.replace("EXPECTED", "even")).play("simulation");
    assert!(right.succeeded, "{}", right.errors);
    for (expected, said) in [
        ("pinned", "is even high instead of pinned"),
        ("even low", "is even high instead of even low"),
        ("not even", "is even high instead of not even"),
        ("absent", "is even high instead of absent"),
        ("withheld losses", "is even high instead of withheld losses"),
    ] {
        let wrong = Folder::new("wrong", &CASE.replace("EXPECTED", expected)).play("simulation");
        assert!(!wrong.succeeded && wrong.output.contains(said), "{expected}: {}", wrong.output);
        assert!(wrong.output.contains("1 failed"), "{}", wrong.output);
    }
    let text = CASE.replace("web: EXPECTED}}", "web: even}}, report: {says: elephants}, fail_on: {idle: 3}");
    let wrong = Folder::new("texts", &text).play("simulation");
    assert!(!wrong.succeeded && wrong.errors.contains("does not say \"elephants\""), "{}", wrong.errors);
    assert!(wrong.errors.contains("exit code 0 instead of 3"), "{}", wrong.errors);
}

pub(crate) fn an_open_expectation_is_shown() {
    let open = CASE.replace("web: EXPECTED}}", "web: pinned}}, open: it is for later");
    let open = Folder::new("open", &open).play("simulation");
    assert!(open.succeeded && open.output.contains("it is for later"), "{}", open.output);
    assert!(open.output.contains("0 passed, 1 open, 0 failed"), "{}", open.output);
}

pub(crate) fn an_unknown_field_is_named() {
    let wrong = CASE.replace("EXPECTED", "even").replace("port: 8080, pods", "prot: 8080, pods");
    let wrong = Folder::new("field", &wrong).play("simulation");
    assert!(!wrong.succeeded && wrong.output.is_empty());
    for part in ["case.yaml", "services.orders", "unknown field `prot`"] {
        assert!(wrong.errors.contains(part), "{}", wrong.errors);
    }
}

pub(crate) fn a_missing_file_is_named() {
    let wrong = CASE.replace("EXPECTED", "even").replace("steps:", "manifests: {more.yaml: }\nsteps:");
    let wrong = Folder::new("file", &wrong).play("simulation");
    assert!(!wrong.succeeded && wrong.errors.contains("cases-test") && wrong.errors.contains("more.yaml"));
    let nowhere = play(&["nowhere"]);
    assert!(!nowhere.succeeded && nowhere.errors.contains("there is no case nowhere"), "{}", nowhere.errors);
}

/// Folders and cgroups of a process's labs, and its snapshots. Another process may have a lab by now.
fn remains(process: u32) -> BTreeSet<PathBuf> {
    let names = |folder: &Path, prefix: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_ours =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
        entries.filter(is_ours).collect::<Vec<_>>()
    };
    let temp = std::env::temp_dir();
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
    let cgroups = roots.iter().flat_map(|root| names(root, &format!("headless-lab.{process}.")));
    names(&temp, &format!("headless-lab.{process}."))
        .into_iter()
        .chain(names(&temp, &format!("headless-case-{process}-")))
        .chain(cgroups)
        .collect()
}

fn leaves_nothing(name: &str, text: &str, said: &str) {
    let played = Folder::new(name, text).play("lab");
    assert!(!played.succeeded && played.errors.contains(said), "{}", played.errors);
    let left = remains(played.process);
    assert!(left.is_empty(), "{left:?}");
}

pub(crate) fn a_failure_in_the_lab_leaves_nothing() {
    leaves_nothing("lab", &CASE.replace("EXPECTED", "pinned"), "is even high instead of pinned");
}

pub(crate) fn an_error_in_the_lab_leaves_nothing() {
    let text = CASE.replace("EXPECTED", "even");
    let text = text.replace("steps:", "manifests: {more.yaml: 'kind: ConfigMap'}\nsteps:");
    let change = "- run: web\n- manifest: {file: more.yaml, replace: elephants, by: mice}\n";
    let text = text.replace("- run: web\n", change);
    leaves_nothing("error", &text, "steps[1]: the manifest more.yaml does not contain \"elephants\"");
}
