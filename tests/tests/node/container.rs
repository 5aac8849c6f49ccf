//! The daemon in a container with a cgroup namespace: it must choose the right one of the visible hierarchies.

use crate::shop::{Shop, log_when};
use crate::{orders, sum};

/// A cgroup2 mount that was made inside a cgroup namespace shows that namespace, as a container's own mount does. With
/// `NODE`, a second mount from outside follows it in the list, as a hostPath volume does.
const CONTAINER: &str = "set -e
    awk '$3 == \"cgroup2\" { print $2 }' /proc/mounts | xargs -r -n1 umount -l
    mount -t tmpfs none /mnt && mkdir /mnt/own /mnt/node /mnt/outside
    [ -z \"$NODE\" ] || mount -t cgroup2 none /mnt/outside
    exec unshare --cgroup sh -ec 'mount -t cgroup2 none /mnt/own
        [ -z \"$NODE\" ] || mount --bind /mnt/outside /mnt/node
        [ -z \"$NODE\" ] || umount /mnt/outside
        exec \"$@\"' sh \"$@\"";

fn container(with_node: &'static str) -> [&'static str; 8] {
    ["env", with_node, "unshare", "-m", "sh", "-c", CONTAINER, "sh"]
}

#[test]
fn with_the_nodes_hierarchy_beside_its_own_it_sees_all() {
    let shop = Shop::open();
    let observer = shop.observe(&container("NODE=1"), &[]);
    let log = log_when(&observer, "probes attached");
    assert!(log.contains("cgroup=/mnt/node"), "{log}");
    shop.connect(100);
    let snapshot = shop.settled(&observer, 100);
    assert_eq!(sum(orders(&snapshot), "opened"), 100);
    let client = &orders(&snapshot)["clients"][0];
    assert_eq!(client["resolution"], serde_json::json!({"service": 100}), "answers were seen");
    let doctor = shop.run(&container("NODE=1"), &["doctor", "--listen", "127.0.0.1:0"]);
    assert!(doctor.code == Some(0) && doctor.out.contains("/mnt/node"), "{doctor:?}");
}

#[test]
fn with_its_own_hierarchy_alone_it_refuses_to_start() {
    let shop = Shop::open();
    let words = ["run", "--listen", "127.0.0.1:0"];
    let ran = shop.run(&container("NODE="), &words);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for hint in ["/mnt/own shows only this container", "mount the node's /sys/fs/cgroup", "hostPath"] {
        assert!(ran.err.contains(hint), "{hint}: {ran:?}");
    }
    let doctor = shop.run(&container("NODE="), &["doctor", "--listen", "127.0.0.1:0"]);
    assert!(doctor.code == Some(1) && doctor.out.contains("FAIL  cgroup2"), "{doctor:?}");
}
