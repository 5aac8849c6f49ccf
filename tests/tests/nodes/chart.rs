//! The chart as a platform team uses it: installed, tested, scraped, changed, rolled back and removed.

use std::collections::{BTreeMap, BTreeSet};

use lab::cluster::until;
use serde_json::{Value, json};

use crate::harness::Shared;
use crate::operator;
use crate::release::{FULL_NAME, NAME, Release, kernel, pods_are_gone};
use crate::scrape::Scraper;
use crate::shared::PATIENCE;
use crate::shop::{RealPod, Shop};

/// Connections of each client pod.
const EACH: u64 = 30;

fn uids(pods: &[RealPod]) -> BTreeSet<String> {
    pods.iter().map(|pod| pod.uid.clone()).collect()
}

pub(crate) fn the_chart_is_installed_scraped_changed_rolled_back_and_removed(shared: &Shared) {
    operator::add_kinds(&shared.cluster);
    // The daemons of the other tests exist already, and stay.
    shared.daemons();
    let mut seen = BTreeSet::new();
    let before = kernel();
    let release = Release::install(
        shared,
        &json!({
            "options": {"mature-after": "1m"},
            "podMonitor": {"enabled": true, "interval": "1s", "scrapeTimeout": "1s", "cluster": "lab"},
            "prometheusRule": {"enabled": true},
            "dashboards": {"enabled": true},
            "networkPolicy": {"enabled": true},
        }),
    );
    let first = release.daemons();
    seen.extend(uids(&first));
    assert!(release.has_option("--mature-after=1m"));
    let mut loaded: BTreeSet<String> = kernel().difference(&before).cloned().collect();
    assert!(loaded.len() > 2, "a daemon on each node has programs: {loaded:?}");

    let told = release.documented("test", &[]);
    assert!(told.contains("Phase:") && told.contains("Succeeded"), "{told}");
    let pod = format!("/api/v1/namespaces/{NAME}/pods/{FULL_NAME}-test");
    assert_eq!(shared.cluster.api().find(&pod).unwrap(), None, "the pod of a test that passed goes");

    is_scraped(shared, &release);

    release.upgrade("options.mature-after=2m");
    let second = release.daemons();
    assert!(release.has_option("--mature-after=2m"));
    assert!(uids(&first).is_disjoint(&uids(&second)), "{first:?} {second:?}");
    seen.extend(uids(&second));

    release.documented("rollback", &[]);
    seen.extend(uids(&release.daemons()));
    assert!(release.has_option("--mature-after=1m"));
    let history: Value = serde_json::from_str(&release.run(&["history", NAME, "--output=json"])).unwrap();
    let states: Vec<_> = history.as_array().unwrap().iter().map(|revision| &revision["status"]).collect();
    assert_eq!(states, ["superseded", "superseded", "deployed"]);

    assert!(!release.left_in_the_api().is_empty());
    loaded.extend(kernel().difference(&before).cloned());
    release.documented("uninstall", &[]);
    let mut left = Vec::new();
    until(PATIENCE, "end of all objects of the release", || {
        left = release.left_in_the_api();
        Ok(left.is_empty().then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}: {left:#?}"));
    pods_are_gone(&seen.into_iter().collect::<Vec<_>>());
    // The kernel frees them a moment later.
    until(PATIENCE, "end of all programs and maps", || Ok(kernel().is_disjoint(&loaded).then_some(())))
        .unwrap_or_else(|error| panic!("{error:#}: {:?}", kernel().intersection(&loaded)));
}

/// The PodMonitor selects the daemons of this release only; their series have the labels that the rules use; and
/// Prometheus can evaluate all rules.
fn is_scraped(shared: &Shared, release: &Release<'_>) {
    let shop = Shop::open(shared, "scraped");
    shop.orders(2, 1);
    let web = shop.clients("web", 2);
    let monitor = release.object("monitoring.coreos.com/v1/namespaces/NS/podmonitors");
    let rule = release.object("monitoring.coreos.com/v1/namespaces/NS/prometheusrules");
    let prometheus = Scraper::start(shared, &monitor, &rule);
    let up = prometheus.when("up == 1", |series| series.len() == 2);
    let labels = |series: &Value| -> BTreeMap<String, String> {
        serde_json::from_value(series["metric"].clone()).unwrap()
    };
    for target in up.iter().map(labels) {
        let wanted =
            [("job", "headless-obs"), ("cluster", "lab"), ("namespace", NAME), ("endpoint", "metrics")];
        assert!(wanted.iter().all(|(name, value)| target[*name] == *value), "{target:?}");
        assert!(!target.contains_key("pod") && !target.contains_key("container"), "{target:?}");
    }

    for pod in &web {
        assert_eq!(shop.client(pod, EACH).wait().unwrap().total().connected, EACH);
    }
    let query = "sum by (cluster, job, node, namespace, service, client_namespace, client_workload) \
                 (headless_connections_opened_total{namespace=\"scraped\"})";
    let value = |series: &Value| series["value"][1].as_str().unwrap().parse::<u64>().unwrap();
    let rows = prometheus.when(query, |rows| rows.len() == 2 && rows.iter().all(|row| value(row) == EACH));
    let wanted = ["node-1", "node-2"].map(|node| {
        let pairs = [
            ("client_namespace", "scraped"),
            ("client_workload", "web"),
            ("cluster", "lab"),
            ("job", "headless-obs"),
            ("namespace", "scraped"),
            ("node", node),
            ("service", "orders"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    });
    let found: BTreeSet<BTreeMap<String, String>> = rows.iter().map(labels).collect();
    assert_eq!(found, BTreeSet::from(wanted), "the observed Service's own namespace is kept");
    let renamed = "{__name__=~\"headless_.+\", exported_namespace!=\"\"}";
    assert!(prometheus.when(renamed, |_any| true).is_empty());
    assert!(prometheus.evaluated() > 20);
}
