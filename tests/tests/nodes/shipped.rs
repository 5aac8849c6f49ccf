//! The shipped daemon as the kubelet runs it.

use std::collections::BTreeMap;
use std::fs;

use crate::harness::Shared;

/// CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF.
const CAPABILITIES: u64 = 1 << 12 | 1 << 38 | 1 << 39;

/// `/proc/PID/status` of the process in a container whose pod has this UID.
fn status_of(uid: &str, name: &str) -> BTreeMap<String, String> {
    let mut found = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let folder = entry.path();
        let cgroup = fs::read_to_string(folder.join("cgroup")).ok()?;
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let is_it = cgroup.contains(uid) && status.starts_with(&format!("Name:\t{name}\n"));
        is_it.then_some(status)
    });
    let status = found.next().unwrap_or_else(|| panic!("no process {name} in pod {uid}"));
    let field = |line: &str| line.split_once(":\t").map(|(name, value)| (name.to_owned(), value.to_owned()));
    status.lines().filter_map(field).collect()
}

pub(crate) fn the_daemons_have_the_rights_that_are_shipped_and_no_more(shared: &Shared) {
    for daemon in shared.daemons() {
        let object = daemon.object();
        let status = status_of(object["metadata"]["uid"].as_str().unwrap(), "headless-obs");
        // The daemon has dropped its capabilities when it is ready.
        for (set, expected) in [("CapEff", 0), ("CapPrm", 0), ("CapBnd", CAPABILITIES)] {
            assert_eq!(u64::from_str_radix(&status[set], 16).unwrap(), expected, "{set}: {status:#?}");
        }
        assert_eq!((status["NoNewPrivs"].as_str(), status["Seccomp"].as_str()), ("1", "2"), "{status:#?}");
        assert_eq!(object["status"]["containerStatuses"][0]["restartCount"], 0);
    }
}

pub(crate) fn doctor_finds_nothing_wrong_in_the_pods(shared: &Shared) {
    for daemon in shared.daemons() {
        let (code, text) = daemon.exec(&["doctor", "--listen", "127.0.0.1:0"]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("All checks passed"), "{}: {text}", daemon.node);
    }
}
