//! Cgroup paths to pods, containers and units. Pure.
//!
//! In: a path relative to the root of cgroup2. Out: the pod, container or unit in it.
//!
//! The kubelet gives each pod a cgroup and each container one below it. The driver decides their names:
//!
//! | driver | pod | container |
//! |---|---|---|
//! | cgroupfs | `pod<uid>` | `<id>`, `crio-<id>` |
//! | systemd | `<parents>-pod<uid>.slice`, dashes of the UID as `_` | `<runtime>-<id>.scope` |
//!
//! The path before that may be anything, because nodes themselves can be containers: the innermost pod counts. It also
//! distinguishes nodes that share a kernel ([`part_of_node`]).

/// The content of a cgroup path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupIdentity<'a> {
    /// UID of the pod. That of a static pod is the hash of its manifest, 32 hexadecimal digits.
    pub pod_uid: Option<String>,
    /// Id of the container: that of the pod's, otherwise the innermost of any.
    pub container: Option<String>,
    /// The name of the systemd unit, or of the last cgroup, outside of pods; within the innermost container if there is
    /// one. Sessions and users have none.
    pub name: Option<&'a str>,
}

/// Reads a path relative to the root of cgroup2.
pub fn parse(path: &str) -> CgroupIdentity<'_> {
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    let pod = steps.iter().enumerate().rev().find_map(|(at, step)| Some((at, pod_uid(step)?)));
    if let Some((at, uid)) = pod {
        let within = steps.get(at).and_then(|step| step.rsplit_once(':')).map(|(_, id)| id);
        let container = within.or(steps.get(at + 1).copied()).and_then(container_id);
        return CgroupIdentity { pod_uid: Some(uid), container: container.map(str::to_owned), name: None };
    }
    let container = steps.iter().enumerate().rev().find_map(|(at, step)| Some((at, container_id(step)?)));
    let inner = steps.get(container.map_or(0, |(at, _)| at + 1)..).unwrap_or_default();
    CgroupIdentity {
        pod_uid: None,
        container: container.map(|(_, id)| id.to_owned()),
        name: unit_name(inner),
    }
}

/// The part of the hierarchy that belongs to a node, from the path of one of its pods: the cgroup in which the kubelet
/// creates its pods. It is empty if that is the root, as on a node with its own kernel.
pub fn part_of_node(path: &str) -> Option<String> {
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    let pod = steps.iter().rposition(|step| pod_uid(step).is_some())?;
    // The container runtime created this path, not the kubelet.
    if steps.get(pod)?.contains(':') {
        return None;
    }
    let above = steps.get(..pod)?;
    let end = above.iter().rposition(|step| !is_kubelets(step)).map_or(0, |last| last + 1);
    Some(above.get(..end)?.iter().map(|step| format!("/{step}")).collect())
}

/// A step that the kubelet creates or runs in: `kubepods`, a QoS class, `kubelet.slice`.
fn is_kubelets(step: &str) -> bool {
    let name = step.strip_suffix(".slice").unwrap_or(step);
    ["kubelet", "burstable", "besteffort"].contains(&name) || name.split('-').any(|word| word == "kubepods")
}

/// The UID in the name of a pod's cgroup.
fn pod_uid(step: &str) -> Option<String> {
    // Containerd with the wrong driver makes one cgroup of pod and container: `<pod>.slice:cri-containerd:<container>`.
    let step = step.split(':').next().unwrap_or(step);
    let uid = match step.strip_suffix(".slice") {
        Some(slice) => slice.rsplit_once("-pod")?.1.replace('_', "-"),
        None => step.strip_prefix("pod")?.to_owned(),
    };
    (is_hash(&uid) || is_uuid(&uid)).then_some(uid)
}

fn is_hash(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(is_hex)
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(is_hex))
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The id in the name of a container's cgroup. CRI-O's monitor of a container has another cgroup.
fn container_id(step: &str) -> Option<&str> {
    let step = step.strip_suffix(".scope").unwrap_or(step);
    let (runtime, id) = step.rsplit_once('-').unwrap_or(("", step));
    let is_id = id.len() == 64 && id.bytes().all(is_hex);
    (is_id && !runtime.ends_with("conmon")).then_some(id)
}

/// The name of the innermost systemd service or scope, otherwise of the last cgroup.
fn unit_name<'a>(steps: &[&'a str]) -> Option<&'a str> {
    let unit = steps.iter().rev().find_map(|step| {
        let unit = step.strip_suffix(".service").or_else(|| step.strip_suffix(".scope"))?;
        // A manager's own scope says nothing, so the unit around it counts.
        (unit != "init").then_some(unit)
    });
    match unit {
        Some(unit) => (!unit.starts_with("session-") && !unit.starts_with("user@")).then_some(unit),
        None => steps.last().copied().filter(|step| *step != "init.scope" && !step.ends_with(".slice")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
    const UID_: &str = "1b4e28ba_2fa1_11d2_883f_0016d3cca427";
    const HASH: &str = "0f3a9c0d6b1e4c2f8a7d5e6b9c0d1e2f";
    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e47364bf92f3577b34da6a3ce929d0e0e4736";
    const NODE: &str = "9999999999999999999999999999999999999999999999999999999999999999";

    /// `U`, `V`, `H`, `I` and `N` in braces stand for the constants.
    fn check(path: &str, pod_uid: Option<&str>, container: Option<&str>, name: Option<&str>) {
        let path = [("{U}", UID), ("{V}", UID_), ("{H}", HASH), ("{I}", ID), ("{N}", NODE)]
            .iter()
            .fold(path.to_owned(), |path, (mark, text)| path.replace(mark, text));
        let expected = CgroupIdentity {
            pod_uid: pod_uid.map(str::to_owned),
            container: container.map(str::to_owned),
            name,
        };
        assert_eq!(parse(&path), expected, "{path}");
    }

    #[test]
    fn pods() {
        for (path, container) in [
            ("/kubepods/burstable/pod{U}/{I}", Some(ID)),
            ("/kubepods/besteffort/pod{U}/crio-{I}", Some(ID)),
            ("/kubepods/pod{U}/{I}", Some(ID)),
            ("kubepods/pod{U}/{I}/", Some(ID)),
            ("/kubepods/burstable/pod{U}", None),
            ("/kubepods/burstable/pod{U}/{I}/init.scope", Some(ID)),
            ("/kubepods/burstable/pod{U}/{I}/docker/{N}", Some(ID)),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{V}.slice/cri-containerd-{I}.scope",
                Some(ID),
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{V}.slice/crio-{I}.scope",
                Some(ID),
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{V}.slice/crio-{I}.scope/container",
                Some(ID),
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{V}.slice/crio-conmon-{I}.scope",
                None,
            ),
            ("/kubepods.slice/kubepods-pod{V}.slice/docker-{I}.scope", Some(ID)),
            ("/kubepods.slice/kubepods-pod{V}.slice", None),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{V}.slice/cri-containerd-{I}.scope",
                Some(ID),
            ),
            ("/system.slice/docker-{N}.scope/kubepods/burstable/pod{U}/{I}", Some(ID)),
            ("/docker/{N}/kubelet/kubepods/pod{U}/{I}", Some(ID)),
            (
                "/system.slice/docker-{N}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{V}.slice/cri-containerd-{I}.scope",
                Some(ID),
            ),
            ("/system.slice/containerd.service/kubepods-burstable-pod{V}.slice:cri-containerd:{I}", Some(ID)),
            ("/kubepods/pod00000000000000000000000000000000/{I}/kubepods/pod{U}/{N}", Some(NODE)),
        ] {
            check(path, Some(UID), container, None);
        }
        check("/kubepods/burstable/pod{H}/{I}", Some(HASH), Some(ID), None);
        check("/kubepods.slice/kubepods-pod{H}.slice/crio-{I}.scope", Some(HASH), Some(ID), None);
    }

    #[test]
    fn parts_of_nodes() {
        for (path, part) in [
            ("/kubepods/burstable/pod{U}/{I}", Some("")),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{V}.slice/crio-{I}.scope",
                Some(""),
            ),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{V}.slice/cri-containerd-{I}.scope",
                Some(""),
            ),
            ("/node-1/kubepods/pod{U}/{I}", Some("/node-1")),
            ("/docker/{N}/kubelet/kubepods/besteffort/pod{U}", Some("/docker/{N}")),
            (
                "/system.slice/docker-{N}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{V}.slice/{I}",
                Some("/system.slice/docker-{N}.scope"),
            ),
            // A node within a pod.
            ("/kubepods/pod{H}/{N}/kubepods/pod{U}/{I}", Some("/kubepods/pod{H}/{N}")),
            ("/pods/pod{U}/{I}", Some("/pods")),
            ("/system.slice/containerd.service/kubepods-pod{V}.slice:cri-containerd:{I}", None),
            ("/system.slice/kubelet.service", None),
            ("/", None),
        ] {
            let filled = |text: &str| {
                [("{U}", UID), ("{V}", UID_), ("{H}", HASH), ("{I}", ID), ("{N}", NODE)]
                    .iter()
                    .fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value))
            };
            assert_eq!(part_of_node(&filled(path)), part.map(filled), "{path}");
        }
    }

    #[test]
    fn containers_without_a_pod() {
        check("/docker/{I}", None, Some(ID), None);
        check("/system.slice/docker-{I}.scope", None, Some(ID), None);
        check("/machine.slice/libpod-{I}.scope/container", None, Some(ID), Some("container"));
        check("/docker/{N}/system.slice/kubelet.service", None, Some(NODE), Some("kubelet"));
        check("/system.slice/docker-{N}.scope/init.scope", None, Some(NODE), None);
    }

    #[test]
    fn units_and_others() {
        for (path, name) in [
            ("/system.slice/nginx.service", Some("nginx")),
            ("/system.slice/nginx.service/worker", Some("nginx")),
            ("/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1")),
            ("/user.slice/user-1000.slice/session-3.scope", None),
            ("/user.slice/user-1000.slice/user@1000.service/init.scope", None),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", Some("web")),
            ("/user.slice", None),
            ("/init.scope", None),
            ("/bench.scope", Some("bench")),
            ("/batch/job-7", Some("job-7")),
            ("/", None),
            ("", None),
            ("/kubepods/burstable/podcast", Some("podcast")),
            ("/kubepods/pod1234/abc", Some("abc")),
            ("/kubepods-podx.slice", None),
        ] {
            check(path, None, None, name);
        }
    }
}
