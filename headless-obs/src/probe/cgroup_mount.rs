//! Selects the mount with the widest view of the cgroup2 hierarchy. Pure.
//!
//! In: the text of /proc/self/mountinfo. Out: a mount point.
//!
//! A container may have several views: its own cgroup as the root of a mount that its runtime made, and the node's
//! hierarchy, mounted from outside. The root in the table distinguishes them. It is relative to the cgroup namespace of
//! the reader: `/` for the namespace's own root and `/..` for each level above it.

use std::path::PathBuf;

/// One view of the hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupView {
    /// The mount point.
    pub point: PathBuf,
    /// The number of levels above the root of the reader's cgroup namespace at which it begins.
    pub above: usize,
}

/// The view that begins highest, or the first of several; `None` if no view has at least all of the reader's namespace.
pub fn widest_cgroup2(mountinfo: &str) -> Option<CgroupView> {
    let views = mountinfo.lines().rev().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let above = above(root).filter(|_| source.starts_with("cgroup2 "))?;
        Some(CgroupView { point: unescape(point).into(), above })
    });
    views.max_by_key(|view| view.above)
}

/// The levels of `/`, `/..`, `/../..`; `None` for any other path.
fn above(root: &str) -> Option<usize> {
    let mut steps = root.strip_prefix('/')?.split('/').filter(|step| !step.is_empty());
    steps.try_fold(0, |levels, step| (step == "..").then_some(levels + 1))
}

/// The table writes blanks and similar characters as octal numbers.
fn unescape(point: &str) -> String {
    point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(table: &str, expected: Option<(&str, usize)>) {
        let found = widest_cgroup2(table);
        assert_eq!(found, expected.map(|(point, above)| CgroupView { point: point.into(), above }));
    }

    #[test]
    fn of_a_machine() {
        check("25 1 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw", Some(("/sys/fs/cgroup", 0)));
        check(
            "30 25 0:25 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
             31 25 0:26 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw",
            Some(("/sys/fs/cgroup/unified", 0)),
        );
        check("30 25 0:25 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", None);
        check("25 1 0:22 / /a\\040b rw - cgroup2 none rw", Some(("/a b", 0)));
        check("garbage - \n -  - x\n1 1 0:1", None);
    }

    /// Of two equal views, the one that the table lists first counts.
    #[test]
    fn of_a_machine_with_two_mounts() {
        let table =
            "25 1 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n26 1 0:22 / /mnt rw - cgroup2 none rw";
        check(table, Some(("/sys/fs/cgroup", 0)));
    }

    /// The mount of containerd in a unified hierarchy, with the node's mounted as well, before it or after it.
    #[test]
    fn of_a_pod_with_a_cgroup_namespace() {
        let own = "700 690 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw";
        let nodes = "701 690 0:26 /../../../.. /host/sys/fs/cgroup ro - cgroup2 cgroup rw";
        check(&format!("{own}\n{nodes}"), Some(("/host/sys/fs/cgroup", 4)));
        check(&format!("{nodes}\n{own}"), Some(("/host/sys/fs/cgroup", 4)));
        check(own, Some(("/sys/fs/cgroup", 0)));
    }

    /// In the node's cgroup namespace, in a hybrid hierarchy: the runtime shows the container a part of its own.
    #[test]
    fn of_a_pod_without_a_cgroup_namespace() {
        let own = "700 690 0:26 /kubepods/pod1/c /sys/fs/cgroup/unified ro - cgroup2 cgroup rw";
        let nodes = "701 690 0:26 / /host/sys/fs/cgroup/unified rw - cgroup2 cgroup rw";
        check(&format!("{own}\n{nodes}"), Some(("/host/sys/fs/cgroup/unified", 0)));
        check(own, None);
    }

    /// A mount of another branch, or of a part, is not a whole view.
    #[test]
    fn parts_are_passed_over() {
        check("25 1 0:22 /user.slice /mnt rw - cgroup2 cgroup2 rw", None);
        check("25 1 0:22 /../other /mnt rw - cgroup2 cgroup2 rw", None);
        check("25 1 0:22 /..data /mnt rw - cgroup2 cgroup2 rw", None);
    }
}
