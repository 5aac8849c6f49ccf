//! Pods by address and by UID.

use super::*;

#[test]
fn an_address_leads_to_the_pod_that_has_it_to_itself() {
    let mut test = Test::new();
    let name =
        |test: &Test, address| test.topology.pod_by_address(ip(address)).map(|p| p.key.name.to_string());
    test.apply(pod("shop", "job", &["10.1.0.1"]));
    let mut node_agent = pod("shop", "agent", &["192.168.0.1"]);
    node_agent.host_network = true;
    test.apply(node_agent);
    assert_eq!(name(&test, "192.168.0.1"), None);
    assert_eq!(test.topology.pod_by_uid("uid-agent").unwrap().key.name.as_ref(), "agent");

    // The address goes to another pod before the first one is reported as ended; a late update of the first one must
    // not take the address back.
    test.apply(pod("shop", "next", &["10.1.0.1"]));
    test.apply(pod("shop", "job", &["10.1.0.1"]));
    assert_eq!(name(&test, "10.1.0.1").as_deref(), Some("next"));
    let mut finished = pod("shop", "job", &["10.1.0.1"]);
    finished.finished = true;
    test.apply(finished);
    assert_eq!(name(&test, "10.1.0.1").as_deref(), Some("next"));
    test.apply(Change::Delete(Kind::Pod, key("shop", "next")));
    assert_eq!(name(&test, "10.1.0.1"), None);
}

#[test]
fn a_deleted_pod_is_found_by_uid_for_a_while_only() {
    let mut test = Test::new();
    test.apply(pod("shop", "c", &["10.1.0.1"]));
    test.apply(Change::Delete(Kind::Pod, key("shop", "c")));
    assert!(test.topology.pod_by_uid("uid-c").is_some());
    let _ = test.topology.expire(s(4000));
    assert!(test.topology.pod_by_uid("uid-c").is_none());
}

#[test]
fn a_pod_made_anew_under_the_same_name_is_another() {
    let mut test = Test::new();
    test.apply(pod("shop", "web-0", &["10.1.0.1"]));
    let mut again = pod("shop", "web-0", &["10.1.0.2"]);
    again.uid = "second".into();
    test.apply(again);
    assert!(test.topology.pod_by_address(ip("10.1.0.1")).is_none());
    assert_eq!(test.topology.pod_by_address(ip("10.1.0.2")).unwrap().uid.as_ref(), "second");
    assert!(test.topology.pod_by_uid("uid-web-0").is_some());
}

#[test]
fn pods_without_uid_are_told_apart() {
    let mut test = Test::new();
    for (name, address) in [("a", "10.1.0.1"), ("b", "10.1.0.2")] {
        let mut pod = pod("shop", name, &[address]);
        pod.uid = "".into();
        test.apply(pod);
    }
    assert_eq!(test.topology.pod_by_address(ip("10.1.0.1")).unwrap().key.name.as_ref(), "a");
    assert_eq!(test.topology.pod_by_address(ip("10.1.0.2")).unwrap().uid.as_ref(), "shop/b");
}
