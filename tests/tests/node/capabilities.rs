//! The daemon's capabilities while it observes: it drops all that it no longer needs, and still works. Its behaviour
//! when one is missing from the start is a test on nodes (`nodes/rights.rs`).

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;

use lab::*;

use crate::shop::{Shop, log_when};
use crate::{PATIENCE, orders, sum};

/// CAP_DAC_READ_SEARCH, to read files of other users.
const DAC_READ_SEARCH: u64 = 1 << 2;
/// CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF.
const ATTACHING: u64 = 1 << 12 | 1 << 38 | 1 << 39;
/// Starts a command with these three only, as a container does.
const WITH_THREE: [&str; 2] = ["setpriv", "--bounding-set=-all,+net_admin,+perfmon,+bpf"];

/// A line of `/proc/PID/task/TID/status` for each thread.
fn of_threads(observer: &Observer, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", observer.pid())).unwrap();
    // A thread may end meanwhile.
    let statuses = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    let line = |status: String| {
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
    };
    statuses.map(line).collect()
}

/// Asserts that every thread has this set, and that the daemon has several threads.
#[track_caller]
fn every_thread_has(observer: &Observer, set: &str, expected: u64) {
    let sets = of_threads(observer, set);
    assert!(sets.len() > 1, "{sets:?}");
    assert!(sets.iter().all(|held| u64::from_str_radix(held, 16) == Ok(expected)), "{set} {sets:?}");
}

/// Checks connections, totals, a changed manifest and the reads once a second, of a daemon without capabilities.
fn it_works(shop: &mut Shop, observer: &Observer) {
    shop.connect(300);
    shop.settled(observer, 300);
    let held = shop.web.client(&shop.client(0).keep()).unwrap();
    assert_eq!(held.open(4).unwrap().open, 4);
    observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "active") == 4).unwrap();
    held.close(4).unwrap();
    let snapshot = shop.settled(observer, 304);
    let maps = &snapshot["quality"]["maps"];
    assert!(maps["FLOWS"]["entries"].as_u64() > Some(0), "{maps}");
    // The daemon writes loopback to the kernel's ignore list.
    assert!(maps["IGNORED_DESTS"]["entries"].as_u64() > Some(0), "{maps}");

    let mut renamed = shop.service.clone();
    "purchases".clone_into(&mut renamed.name);
    shop.publish(&[shop.service.clone(), renamed]);
    let has_both = |snapshot: &serde_json::Value| snapshot["services"].as_array().unwrap().len() == 2;
    observer.snapshot_when(PATIENCE, has_both).unwrap();
}

#[test]
fn it_gives_up_what_attaching_took_and_goes_on_counting() {
    let mut shop = Shop::open();
    // As in a user's home directory: root without capabilities may not even list it.
    let manifests = PathBuf::from(shop.topology.strip_prefix("files:").unwrap());
    let home = manifests.parent().unwrap();
    chown(home, Some(65534), Some(65534)).unwrap();
    fs::set_permissions(home, Permissions::from_mode(0o700)).unwrap();
    let observer = shop.observe(&[], &[]);
    let log = log_when(&observer, "dropped the capabilities that are no longer needed");
    assert!(
        log.contains("CAP_PERFMON, CAP_BPF and ") && log.contains("kept=\"CAP_DAC_READ_SEARCH\""),
        "{log}"
    );
    it_works(&mut shop, &observer);
    for (set, expected) in
        [("CapEff:", DAC_READ_SEARCH), ("CapPrm:", DAC_READ_SEARCH), ("CapInh:", 0), ("CapBnd:", 0)]
    {
        every_thread_has(&observer, set, expected);
    }
    assert!(of_threads(&observer, "NoNewPrivs:").iter().all(|value| value == "1"));
    let (status, log) = observer.stop().unwrap();
    assert!(status.success(), "{log}");
}

#[test]
fn with_three_capabilities_it_works_and_ends_up_with_none() {
    let mut shop = Shop::open();
    let observer = shop.observe(&WITH_THREE, &[]);
    let log = log_when(&observer, "dropped the capabilities that are no longer needed");
    assert!(log.contains("dropped=\"CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF\" kept=\"none\""), "{log}");
    assert!(!log.contains("WARN"), "{log}");
    it_works(&mut shop, &observer);
    for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
        every_thread_has(&observer, set, 0);
    }
    // A process needs one more capability to reduce this set. Its content is useless here, because no started program
    // gets any.
    every_thread_has(&observer, "CapBnd:", ATTACHING);
    assert!(of_threads(&observer, "NoNewPrivs:").iter().all(|value| value == "1"));
}
