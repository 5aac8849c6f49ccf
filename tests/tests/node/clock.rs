//! The wall clock moves a day forward and two days back. Only the daemon sees this: libfaketime changes its wall clock,
//! and the monotonic clock is the kernel's own.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::shop::Shop;
use crate::{PATIENCE, accepted, opened, orders, sum};

const DAY: i64 = 86_400;

/// Debian's path of the library.
fn library() -> String {
    let architecture = std::env::consts::ARCH;
    let path = format!("/usr/lib/{architecture}-linux-gnu/faketime/libfaketime.so.1");
    assert!(Path::new(&path).exists(), "no {path}: install faketime");
    path
}

fn seconds(snapshot: &Value, field: &str) -> i64 {
    snapshot[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
}

/// Every number in a JSON value.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Number(number) => number.as_f64().into_iter().collect(),
        Value::Array(all) => all.iter().flat_map(numbers).collect(),
        Value::Object(all) => all.values().flat_map(numbers).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_clock_that_is_set_changes_no_count_and_no_duration() {
    let shop = Shop::open();
    let clock = shop.scene.lab.folder().join("clock");
    // Written to another file and renamed: the change is atomic.
    let set = |offset: i64| {
        let draft = clock.with_extension("draft");
        fs::write(&draft, format!("{offset:+}\n")).unwrap();
        fs::rename(&draft, &clock).unwrap();
    };
    set(0);
    let (preload, file) =
        (format!("LD_PRELOAD={}", library()), format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()));
    let monotonic = ["FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1"];
    let wrapper = [&["env", &preload, &file][..], &monotonic].concat();
    let observer = shop.observe(&wrapper, &[]);
    let held = shop.web.client(&shop.client(0).keep()).unwrap();
    held.open(3).unwrap();
    let active = |snapshot: &Value| sum(orders(snapshot), "active") == 3;
    let before = observer.snapshot_when(PATIENCE, active).unwrap();

    for (turn, offset) in (1..).zip([DAY, -DAY, 0]) {
        set(offset);
        shop.connect(20);
        let ended = |snapshot: &Value| sum(orders(snapshot), "closed") == turn * 20;
        let snapshot = observer.snapshot_when(PATIENCE, ended).unwrap();
        let service = orders(&snapshot);
        assert_eq!(opened(service), accepted(&shop.scene.lab), "{offset}");
        assert_eq!((sum(service, "opened"), sum(service, "active")), (turn * 20 + 3, 3), "{offset}");
        let name = |snapshot: &Value| snapshot.get("observation").unwrap_or(&snapshot["began"]).clone();
        assert_eq!(name(&snapshot), name(&before), "which names the observation");
        let shown = seconds(&snapshot, "to") - seconds(&snapshot, "from");
        assert!((0..600).contains(&shown), "{offset}: the stretch is {shown} s long");
        let moved = seconds(&snapshot, "to") - seconds(&before, "to");
        assert!(offset <= 0 || (DAY..DAY + 600).contains(&moved), "it was told: {moved} s");
        assert!(seconds(&snapshot, "to") >= seconds(&snapshot, "from"), "{offset}");

        // Ages of answers and durations of connections and endpoints are in seconds of this test.
        for client in service["clients"].as_array().unwrap() {
            for figure in ["answer_age", "open_connections", "converged"] {
                let sum = client[figure]["sum"].as_f64().unwrap_or(0.0);
                assert!((0.0..3_600.0 * 100.0).contains(&sum), "{offset}: {figure} {sum}");
            }
        }
        let latency = &service["dns"]["latency"]["sum"];
        assert!((0.0..3_600.0).contains(&latency.as_f64().unwrap()), "{offset}: {latency}");
        let negative: Vec<_> = numbers(service).into_iter().filter(|number| *number < -1_000.0).collect();
        assert!(negative.is_empty(), "{offset}: {negative:?}");
        let rate = service["waste"].as_f64().unwrap();
        let peak = service["spread"]["peak_to_mean"].as_f64().unwrap();
        // The rate fits a few minutes of observation, not a day.
        assert!(rate >= (peak - 1.0) * (turn * 20) as f64 / 600.0, "{offset}: {rate} at {peak}");
        let report = shop.run(&[], &["report", "--from", &observer.address().to_string()]);
        assert_eq!((report.code, report.out.contains("shop/orders")), (Some(0), true), "{report:?}");
    }
    held.close(3).unwrap();
    let snapshot = observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "active") == 0).unwrap();
    assert_eq!(sum(orders(&snapshot), "closed"), 63);
}
