//! A release of the chart, in addition to the DaemonSet that the other tests share.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use aya::maps::loaded_maps;
use aya::programs::loaded_programs;
use lab::cluster::nodes::is_ready;
use lab::cluster::until;
use serde_json::{Value, json};

use crate::documents;
use crate::harness::Shared;
use crate::shared::PATIENCE;
use crate::shop::RealPod;

/// The name of the release and of its namespace.
pub(crate) const NAME: &str = "chart";
/// The name of its objects.
pub(crate) const FULL_NAME: &str = "chart-headless-obs";

/// A release; dropping it uninstalls it.
pub(crate) struct Release<'a> {
    shared: &'a Shared,
    values: PathBuf,
}

impl<'a> Release<'a> {
    /// Installs it as in docs/install.md, with these values.
    pub(crate) fn install(shared: &'a Shared, values: &Value) -> Self {
        let path = shared.lab.folder().join("values.yaml");
        fs::write(&path, values.to_string()).unwrap();
        let release = Self { shared, values: path };
        documents::make_namespace(shared);
        let values = release.values.display().to_string();
        release.documented("install", &["--values", &values]);
        release
    }

    /// Changes a value, and waits.
    pub(crate) fn upgrade(&self, set: &str) {
        let chart = documents::root().join("deploy/chart").display().to_string();
        let values = self.values.display().to_string();
        self.run(&["upgrade", NAME, &chart, "--values", &values, "--wait", "--timeout=2m", "--set", set]);
    }

    /// Runs the helm command in docs/install.md with more arguments; returns its output.
    pub(crate) fn documented(&self, verb: &str, more: &[&str]) -> String {
        let words = documents::helm(verb);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.run(&[words.as_slice(), &["--timeout=2m"], more].concat())
    }

    /// Runs any helm command in its namespace; returns its output.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let words = [words, &["--namespace", NAME]].concat();
        let done = self.shared.cluster.helm(&self.shared.lab, &words);
        done.unwrap_or_else(|error| self.shared.give_up(&error.context(format!("{:#?}", self.objects()))))
    }

    /// One of its objects.
    pub(crate) fn object(&self, list: &str) -> Value {
        self.shared.cluster.api().get(&format!("/apis/{list}/{FULL_NAME}").replace("NS", NAME)).unwrap()
    }

    /// Its daemons, one for each node, after all are ready.
    pub(crate) fn daemons(&self) -> Vec<RealPod> {
        let pods = self.objects();
        assert!(pods.iter().all(is_ready), "helm waits until they are: {pods:#?}");
        let pods: Vec<RealPod> = pods.iter().map(RealPod::of).collect();
        let nodes: BTreeSet<&str> = pods.iter().map(|pod| pod.node.as_str()).collect();
        assert_eq!((nodes, pods.len()), (BTreeSet::from(["node-1", "node-2"]), 2), "{pods:?}");
        pods
    }

    /// Asserts that each daemon's command line has this option.
    pub(crate) fn has_option(&self, option: &str) -> bool {
        let has =
            |pod: &Value| pod["spec"]["containers"][0]["args"].as_array().unwrap().contains(&json!(option));
        let pods = self.objects();
        let those = pods.iter().filter(|pod| has(pod)).count();
        assert!(those == 0 || those == pods.len(), "some have {option}: {pods:#?}");
        those > 0
    }

    fn objects(&self) -> Vec<Value> {
        let path =
            format!("/api/v1/namespaces/{NAME}/pods?labelSelector=app.kubernetes.io%2Finstance%3D{NAME}");
        self.shared.cluster.api().list(&path).unwrap()
    }

    /// Objects of any kind with its label, and helm's own records.
    pub(crate) fn left_in_the_api(&self) -> Vec<String> {
        let api = self.shared.cluster.api();
        let groups = api.get("/apis").unwrap()["groups"].take();
        let versions =
            groups.as_array().unwrap().iter().map(|group| &group["preferredVersion"]["groupVersion"]);
        let mut roots: Vec<String> = versions.map(|v| format!("/apis/{}", v.as_str().unwrap())).collect();
        roots.push("/api/v1".to_owned());
        let mut left = Vec::new();
        for root in roots {
            let list = api.get(&root).unwrap();
            for resource in list["resources"].as_array().unwrap() {
                let can_list = resource["verbs"].as_array().unwrap().contains(&json!("list"));
                let name = resource["name"].as_str().unwrap();
                // Events remain as a record, and expire by themselves.
                if !can_list || name == "events" {
                    continue;
                }
                let labels =
                    [format!("app.kubernetes.io%2Finstance%3D{NAME}"), format!("owner%3Dhelm,name%3D{NAME}")];
                for label in labels {
                    let found = api.list(&format!("{root}/{name}?labelSelector={label}")).unwrap();
                    left.extend(found.iter().map(|object| format!("{name}/{}", object["metadata"]["name"])));
                }
            }
        }
        left
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        // A failed test has printed its reason, and a successful one has uninstalled the release.
        let words = ["uninstall", NAME, "--ignore-not-found", "--namespace", NAME];
        let _gone = self.shared.cluster.helm(&self.shared.lab, &words);
    }
}

/// Programs and maps in the kernel. A link holds its program, so without programs there is no link.
pub(crate) fn kernel() -> BTreeSet<String> {
    let programs = loaded_programs().flatten().map(|program| format!("program {}", program.id()));
    programs.chain(loaded_maps().flatten().map(|map| format!("map {}", map.id()))).collect()
}

/// Waits until these pods have no process and no cgroup.
pub(crate) fn pods_are_gone(uids: &[String]) {
    let is_of = |text: &str| uids.iter().any(|uid| text.contains(uid.as_str()));
    let process = || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let cgroups = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cgroup")).ok());
        cgroups.into_iter().find(|cgroup| is_of(cgroup))
    };
    let mut last = None;
    until(PATIENCE, "end of the pods", || {
        last = process().or_else(|| directory(Path::new("/sys/fs/cgroup"), &is_of));
        Ok(last.is_none().then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}: {last:?}"));
}

/// A directory below `folder` whose path matches.
fn directory(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Option<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path());
    folders.into_iter().find_map(|path| {
        let text = path.display().to_string();
        if wanted(&text) { Some(text) } else { directory(&path, wanted) }
    })
}
