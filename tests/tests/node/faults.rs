//! Faults that the daemon must survive: it is stopped, gets too little processor time or memory, or its log cannot be
//! written. Its totals stay equal to the servers' counts.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::{Duration, Instant};

use lab::*;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::control_group::ControlGroup;
use crate::memory::TEN_THOUSAND;
use crate::shop::{Shop, log_when};
use crate::{PATIENCE, PORT, accepted, opened, orders, service, sum};

fn signal(observer: &Observer, signal: Signal) {
    let pid = i32::try_from(observer.pid()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn a_daemon_that_stands_still_for_twenty_seconds_loses_no_connection() {
    let shop = Shop::open();
    let observer = shop.observe(&[], &["--ring-size", "64KiB"]);
    let web = shop.web.client(&shop.client(u64::MAX).rate(500.0)).unwrap();
    signal(&observer, Signal::STOP);
    thread::sleep(Duration::from_secs(20));
    signal(&observer, Signal::CONT);
    let made = web.stop().unwrap().total().connected;
    assert!(made > 1_000, "only {made} connections");
    let snapshot = shop.settled(&observer, made);
    let quality = &snapshot["quality"];
    assert!(quality["events_lost"]["ring_full"].as_u64().unwrap() > 0, "{quality:#}");
}

#[test]
fn a_daemon_with_a_twentieth_of_a_processor_counts_exactly() {
    let shop = Shop::open();
    let group = ControlGroup::new("cpu");
    let observer = shop.observe(&group.wrapper(), &[]);
    if group.is_second {
        group.set(["", "cpu.max"], "5000 100000");
    } else {
        group.set(["cpu.cfs_period_us", ""], "100000");
        group.set(["cpu.cfs_quota_us", ""], "5000");
    }
    shop.connect(5_000);
    shop.settled(&observer, 5_000);
    let throttled = group.get(["cpu.stat", "cpu.stat"]);
    assert!(!throttled.contains("nr_throttled 0\n"), "{throttled}");
}

/// Linux kills a process that exceeds its cgroup's memory limit. The killed daemon leaves nothing in the kernel, and
/// the next daemon finds the open connections.
#[test]
fn a_daemon_that_runs_out_of_memory_leaves_nothing_in_the_way() {
    let shop = Shop::open();
    let group = ControlGroup::new("memory");
    let mut observer = shop.observe(&group.wrapper(), &[]);
    let held = shop.web.client(&shop.client(0).keep()).unwrap();
    held.open(6).unwrap();
    observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "active") == 6).unwrap();
    let used: u64 = group.get(["memory.usage_in_bytes", "memory.current"]).trim().parse().unwrap();
    group.set(["memory.limit_in_bytes", "memory.max"], &(used + (1 << 20)).to_string());
    // Ten thousand endpoints need much more.
    let path = shop.topology.strip_prefix("files:").unwrap();
    let few = fs::read_to_string(path).unwrap();
    fs::write(path, few.clone() + &TEN_THOUSAND.manifests()).unwrap();
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = observer.status().unwrap() {
            break status;
        }
        assert!(Instant::now() < end, "it lives with {used} bytes:\n{}", observer.log());
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.signal(), Some(9), "{status}");
    fs::write(path, few).unwrap();

    let next = shop.observe(&[], &[]);
    let snapshot = next.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "active") == 6).unwrap();
    assert_eq!(sum(orders(&snapshot), "opened"), 0, "what the first one saw is gone with it");
    held.close(6).unwrap();
    next.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "closed") == 6).unwrap();
}

#[test]
fn a_daemon_whose_log_cannot_be_written_observes() {
    let shop = Shop::open();
    let wrapper = ["sh", "-c", "exec \"$@\" >/dev/full 2>/dev/full", "sh"];
    let observer = shop.observe(&wrapper, &["--log-level", "debug"]);
    shop.connect(20);
    shop.settled(&observer, 20);
    assert_eq!(observer.log(), "");
    let (status, _) = observer.stop().unwrap();
    assert_eq!(status.code(), Some(0));
}

/// More parallel attempts than CONNECTIONS has room for: the daemon sees each attempt or counts it as lost, and
/// afterwards there is room again.
#[test]
fn a_hundred_thousand_attempts_that_nobody_answers_are_accounted_for() {
    const ATTEMPTS: u64 = 100_000;
    let mut shop = Shop::open();
    let silent = shop.scene.pod("silent", "10.244.1.200/24");
    silent.silence().unwrap();
    let to = silent.ip(true).unwrap();
    let of_silence = ServiceSpec::new("shop", "silent", PORT, std::slice::from_ref(&silent));
    shop.publish(&[shop.service.clone(), of_silence]);
    // Descriptors limit the number of parallel attempts, so the map is smaller.
    let observer = shop.observe(&[], &["--max-connections", "1024"]);
    let spec = ClientSpec::fixed(&[to], PORT, ATTEMPTS).threads(2_000);
    let client = shop.web.client(&spec.dial(|dial| dial.give_up_ms = Some(100))).unwrap();
    assert_eq!(client.wait().unwrap().total().aborted, ATTEMPTS);
    let lost = |snapshot: &Value| snapshot["quality"]["events_lost"]["connections_full"].as_u64().unwrap();
    let seen = |snapshot: &Value| {
        let silent = service(snapshot, "silent");
        silent["endpoints"][0]["failed"]["aborted"].as_u64().unwrap_or(0)
    };
    let all = |snapshot: &Value| seen(snapshot) + lost(snapshot) == ATTEMPTS;
    let snapshot = observer.snapshot_when(PATIENCE, all).unwrap();
    assert!(seen(&snapshot) > 1_024 && lost(&snapshot) > 0, "{:#}", snapshot["quality"]);
    log_when(&observer, "raise --max-connections");

    shop.connect(50);
    let snapshot =
        observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "closed") == 50).unwrap();
    assert_eq!(opened(orders(&snapshot)), accepted(&shop.scene.lab));
}
