//! The workload of a pod.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// The characters of the hashes that Kubernetes appends to names.
const HASH: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The minutes since 1970 that a CronJob appends to the names of its Jobs. They start in 2015, before there were
/// CronJobs; dates such as 20260131 are smaller.
const JOB_MINUTES: std::ops::Range<u64> = 24_000_000..100_000_000;

/// The name of the Deployment, StatefulSet, CronJob … that `pod` belongs to, or its own.
///
/// The function looks at the pod alone. A ReplicaSet stands for its Deployment and a Job for its CronJob, if the name
/// has the form that Kubernetes gives it.
pub(super) fn of(pod: &Pod, name: &str) -> String {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let Some(owner) = owners.iter().find(|owner| owner.controller == Some(true)) else {
        // A maker of generated names makes many alike.
        let prefix = pod.metadata.generate_name.as_deref().filter(|prefix| name.starts_with(*prefix));
        let prefix = prefix.map(|prefix| prefix.trim_end_matches(['-', '.']));
        return prefix.filter(|prefix| !prefix.is_empty()).unwrap_or(name).to_owned();
    };
    let workload = match owner.kind.as_str() {
        "ReplicaSet" => replica_set(owner, pod),
        "Job" => without_suffix(&owner.name, |suffix| {
            suffix.parse().is_ok_and(|minutes| JOB_MINUTES.contains(&minutes))
        }),
        // A static pod: its name ends in the name of its node.
        "Node" => name.strip_suffix(&owner.name).and_then(|rest| rest.strip_suffix('-')).unwrap_or(name),
        _ => &owner.name,
    };
    workload.to_owned()
}

/// Whether a pod of this workload is a run: it is not started again when it ends, as controllers demand of pods that
/// serve. All runs of a CronJob have its name already.
pub(super) fn is_run(pod: &Pod, workload: &str) -> bool {
    let owners = pod.metadata.owner_references.iter().flatten();
    let has_job = |owner: &OwnerReference| owner.controller == Some(true) && owner.kind == "Job";
    if owners.filter(|owner| has_job(owner)).any(|job| job.name != workload) {
        return false;
    }
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    matches!(policy, Some("Never" | "OnFailure"))
}

fn replica_set<'a>(owner: &'a OwnerReference, pod: &Pod) -> &'a str {
    let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    match label {
        Some(hash) => without_suffix(&owner.name, |suffix| suffix == hash),
        None => without_suffix(&owner.name, |suffix| {
            (5..=10).contains(&suffix.len()) && suffix.bytes().all(|byte| HASH.contains(&byte))
        }),
    }
}

/// `name` without the part after its last dash, if `is_suffix` accepts that part.
fn without_suffix(name: &str, is_suffix: impl Fn(&str) -> bool) -> &str {
    match name.rsplit_once('-') {
        Some((rest, suffix)) if !rest.is_empty() && is_suffix(suffix) => rest,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::core::v1::PodSpec;

    use super::*;

    fn check(kind: &str, owner: &str, hash: Option<&str>, expected: &str) {
        let mut pod = Pod::default();
        pod.metadata.labels =
            hash.map(|hash| BTreeMap::from([("pod-template-hash".to_owned(), hash.to_owned())]));
        let reference = |kind: &str, name: &str, controller| OwnerReference {
            kind: kind.to_owned(),
            name: name.to_owned(),
            controller,
            ..OwnerReference::default()
        };
        pod.metadata.owner_references =
            Some(vec![reference("Other", "bystander", None), reference(kind, owner, Some(true))]);
        assert_eq!(of(&pod, "pod-0-node-1"), expected, "{kind} {owner}");
    }

    #[test]
    fn owners() {
        check("ReplicaSet", "web-6d4cf56db6", Some("6d4cf56db6"), "web");
        check("ReplicaSet", "web-front-6d4cf56db6", Some("6d4cf56db6"), "web-front");
        check("ReplicaSet", "web-6d4cf56db6", None, "web");
        check("ReplicaSet", "web-frontend", None, "web-frontend");
        check("ReplicaSet", "web", None, "web");
        check("ReplicaSet", "web-6d4cf56db6", Some("other"), "web-6d4cf56db6");
        check("Job", "backup-29700000", None, "backup");
        check("Job", "backup-20260131", None, "backup-20260131");
        check("Job", "backup-2", None, "backup-2");
        check("Job", "backup", None, "backup");
        check("StatefulSet", "db-6d4cf56db6", None, "db-6d4cf56db6");
        check("DaemonSet", "agent", None, "agent");
        check("Node", "node-1", None, "pod-0");
        check("Node", "node-2", None, "pod-0-node-1");
    }

    #[test]
    fn no_controller() {
        assert_eq!(of(&Pod::default(), "alone"), "alone");
        let made = |prefix: &str| {
            let mut pod = Pod::default();
            pod.metadata.generate_name = Some(prefix.to_owned());
            pod
        };
        assert_eq!(of(&made("ci-build-"), "ci-build-x7k2p"), "ci-build");
        assert_eq!(of(&made("other-"), "ci-build-x7k2p"), "ci-build-x7k2p", "copied from another pod");
        assert_eq!(of(&made("-"), "-x"), "-x");
    }

    #[test]
    fn runs_are_pods_that_are_not_started_again() {
        let with = |policy: Option<&str>| {
            let spec = PodSpec { restart_policy: policy.map(str::to_owned), ..PodSpec::default() };
            Pod { spec: Some(spec), ..Pod::default() }
        };
        let cases = [None, Some("Always"), Some("Never"), Some("OnFailure")];
        assert_eq!(cases.map(|policy| is_run(&with(policy), "x")), [false, false, true, true]);
        assert!(!is_run(&Pod::default(), "x"));
        let mut pod = with(Some("Never"));
        let job = OwnerReference {
            kind: "Job".to_owned(),
            name: "backup-29700000".to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        };
        pod.metadata.owner_references = Some(vec![job]);
        assert!(!is_run(&pod, "backup"), "a CronJob's");
        assert!(is_run(&pod, "backup-29700000"), "a Job of its own");
    }
}
