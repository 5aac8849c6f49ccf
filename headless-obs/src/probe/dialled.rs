//! The destinations that clients dial, before a socket-level load balancer replaces them: programs at `connect()`, in
//! front of the balancer's.
//!
//! In: the cgroups, and the programs of others at `connect()`. Out: our own programs in front of them, and whether that
//! holds for every cgroup with processes.
//!
//! Invariants: without programs of others, nothing is loaded. Nothing is attached where the kernel would then leave out
//! somebody else's program: below a program that allows only replacement.
//!
//! The kernel runs the programs of a cgroup before those of its parents, and those of one cgroup in the order of their
//! attachment. From Linux 6.17 on, a link can come before all others. Before, ours are attached to cgroups below the
//! balancer's, so they come first for these, but not for cgroups that are made beside them later.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::programs::{CgroupSockAddr, loaded_programs};
use headless_obs_ebpf::symbols::CONNECTS;

use super::cgroup_programs::{self, FIRST_OF_ALL, Hook};
use super::load::{program, refused};
use super::{CgroupRoot, ProbeError};

/// The most links for one hook. Each is a descriptor.
const MAX_LINKS: usize = 256;

/// The hooks, in the order of [`CONNECTS`].
const HOOKS: [Hook; 2] = [Hook::Connect4, Hook::Connect6];

/// A cgroup, the programs of others at its hook, and the cgroups below it.
#[derive(Debug, Default)]
struct Tree {
    path: PathBuf,
    programs: Vec<u32>,
    /// Whether others may be attached here and below without harm, as far as its own programs decide.
    allows_others: bool,
    below: Vec<Tree>,
}

/// The cgroups with the programs of others, for each hook.
#[derive(Debug)]
pub(super) struct Survey([Tree; 2]);

/// Our programs, in front of those of others.
#[derive(Debug, Default)]
pub struct Dialled {
    /// The names of the programs of others.
    pub others: BTreeSet<String>,
    /// Cgroups with processes for which a program of others comes first: what these dial is not known.
    pub behind: BTreeSet<PathBuf>,
    _links: Vec<OwnedFd>,
}

impl Survey {
    /// Asks every cgroup for its programs.
    pub(super) fn of(cgroups: &CgroupRoot) -> Self {
        let (root, _) = cgroups.describe();
        let own: BTreeSet<u32> = ids_of(|name| CONNECTS.contains(&name));
        Self(HOOKS.map(|hook| tree(root, hook, &own)))
    }

    /// Whether there are programs of others.
    pub(super) fn has_others(&self) -> bool {
        self.0.iter().any(|tree| !tree.is_free())
    }

    /// Attaches our programs.
    pub(super) fn attach(&self, ebpf: &mut Ebpf) -> Result<Dialled, ProbeError> {
        let mut dialled = Dialled::default();
        for ((tree, hook), name) in self.0.iter().zip(HOOKS).zip(CONNECTS) {
            if tree.is_free() {
                continue;
            }
            let ours: &mut CgroupSockAddr = program(ebpf, name)?;
            ours.load().map_err(refused(name))?;
            let id = ours.info().map_err(refused(name))?.id();
            let fd = ours.fd().map_err(refused(name))?.as_fd();
            let link = |path: &Path, flags| cgroup_programs::link(fd, fs::File::open(path)?, hook, flags);
            match link(&tree.path, FIRST_OF_ALL) {
                Ok(first) => dialled._links.push(first),
                // Before Linux 6.17, or the programs there refuse company.
                Err(_) => {
                    let places = tree.places(false);
                    let links = places.iter().take(MAX_LINKS).filter_map(|path| link(path, 0).ok());
                    dialled._links.extend(links);
                }
            }
            let others = tree.others();
            let is_behind = |path: &Path| {
                let order = cgroup_programs::effective_at(path, hook).unwrap_or_default();
                !comes_first(id, &order, &others) && has_processes(path)
            };
            tree.behind(&is_behind, &mut dialled.behind);
            dialled.others.extend(names_of(&others));
        }
        Ok(dialled)
    }
}

impl Dialled {
    /// The hook, as in output; `none` if no cgroup has it where it is needed.
    pub fn hook(&self) -> &'static str {
        match (self._links.is_empty(), self.behind.is_empty()) {
            (true, _) => "none",
            (false, true) => "cgroup/connect",
            (false, false) => "cgroup/connect in part",
        }
    }
}

impl Tree {
    /// Whether no program of others is here and below.
    fn is_free(&self) -> bool {
        self.programs.is_empty() && self.below.iter().all(Self::is_free)
    }

    /// The programs of others, here and below.
    fn others(&self) -> BTreeSet<u32> {
        let below = self.below.iter().flat_map(Self::others);
        self.programs.iter().copied().chain(below).collect()
    }

    /// The cgroups to which our program can be attached so that it runs before those of others, and once: the highest
    /// ones below a program of others that have none themselves, nor below them.
    fn places(&self, is_below_others: bool) -> Vec<&Path> {
        if self.is_free() {
            return if is_below_others { vec![&self.path] } else { Vec::new() };
        }
        if !self.programs.is_empty() && !self.allows_others {
            return Vec::new();
        }
        let is_below_others = is_below_others || !self.programs.is_empty();
        self.below.iter().flat_map(|below| below.places(is_below_others)).collect()
    }

    /// Adds the cgroups that are behind a program of others.
    fn behind(&self, is_behind: &impl Fn(&Path) -> bool, found: &mut BTreeSet<PathBuf>) {
        if is_behind(&self.path) {
            found.insert(self.path.clone());
        }
        self.below.iter().for_each(|below| below.behind(is_behind, found));
    }
}

/// A cgroup, and those below it. One that disappears meanwhile has no programs.
fn tree(path: &Path, hook: Hook, own: &BTreeSet<u32>) -> Tree {
    let mut attached = cgroup_programs::at(path, hook).unwrap_or_default();
    attached.programs.retain(|id| !own.contains(id));
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Tree {
        path: path.to_owned(),
        programs: attached.programs,
        allows_others: attached.allows_others,
        below: folders.map(|folder| tree(&folder.path(), hook, own)).collect(),
    }
}

/// Whether the program `ours` runs, and before all `others`, in this order.
fn comes_first(ours: u32, order: &[u32], others: &BTreeSet<u32>) -> bool {
    let first = order.iter().find(|id| **id == ours || others.contains(id));
    first.is_none_or(|first| *first == ours)
}

/// Whether processes are in this cgroup itself. The kernel's own threads, which are in the root, connect nowhere.
fn has_processes(cgroup: &Path) -> bool {
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    processes.lines().any(|process| fs::read_link(format!("/proc/{process}/exe")).is_ok())
}

/// The loaded programs with these names; none if this process may not list programs.
fn ids_of(is_it: impl Fn(&str) -> bool) -> BTreeSet<u32> {
    let programs = loaded_programs().flatten();
    programs.filter(|program| program.name_as_str().is_some_and(&is_it)).map(|program| program.id()).collect()
}

/// The names of programs, or their ids if this process may not list programs.
fn names_of(ids: &BTreeSet<u32>) -> BTreeSet<String> {
    let programs = loaded_programs().flatten().filter(|program| ids.contains(&program.id()));
    let mut names: BTreeMap<u32, String> = ids.iter().map(|id| (*id, format!("program {id}"))).collect();
    names.extend(programs.filter_map(|program| Some((program.id(), program.name_as_str()?.to_owned()))));
    names.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cgroup with `programs` of others; those of the last digit 0 allow none beside them.
    fn cgroup(path: &str, programs: &[u32], below: Vec<Tree>) -> Tree {
        let allows_others = programs.iter().all(|id| id % 10 > 0);
        Tree { path: path.into(), programs: programs.to_vec(), allows_others, below }
    }

    #[track_caller]
    fn check(tree: &Tree, expected: &[&str]) {
        let expected: Vec<&Path> = expected.iter().map(Path::new).collect();
        assert_eq!(tree.places(false), expected);
    }

    #[test]
    fn ours_are_attached_below_those_of_others_and_once() {
        let leaf = |path: &str| cgroup(path, &[], vec![]);
        let pods = |programs: &[u32]| cgroup("pods", programs, vec![leaf("pods/a"), leaf("pods/b")]);
        check(&cgroup("/", &[], vec![leaf("system"), pods(&[])]), &[]);
        check(&cgroup("/", &[1], vec![leaf("system"), pods(&[])]), &["system", "pods"]);
        check(&cgroup("/", &[], vec![leaf("system"), pods(&[2])]), &["pods/a", "pods/b"]);
        check(&cgroup("/", &[1], vec![leaf("system"), pods(&[2])]), &["system", "pods/a", "pods/b"]);
        let deep = cgroup("pods", &[], vec![leaf("pods/a"), cgroup("pods/b", &[3], vec![leaf("pods/b/c")])]);
        check(&cgroup("/", &[1], vec![deep]), &["pods/a", "pods/b/c"]);
    }

    #[test]
    fn programs_that_allow_none_beside_them_stay() {
        let below =
            || vec![cgroup("pods", &[], vec![]), cgroup("system", &[1], vec![cgroup("x", &[], vec![])])];
        check(&cgroup("/", &[10], below()), &[]);
        check(&cgroup("/", &[], vec![cgroup("pods", &[10], below()), cgroup("s", &[], vec![])]), &[]);
        check(&cgroup("/", &[1], vec![cgroup("pods", &[10], below()), cgroup("s", &[], vec![])]), &["s"]);
    }

    #[test]
    fn ours_comes_first_if_no_program_of_others_is_before_it() {
        let others = BTreeSet::from([3, 4]);
        assert!(comes_first(1, &[1, 3, 4], &others));
        assert!(comes_first(1, &[9, 1, 3], &others), "9 is one of ours, too");
        assert!(comes_first(1, &[], &others), "no program of others runs here");
        assert!(!comes_first(1, &[3, 1, 4], &others));
        assert!(!comes_first(1, &[4], &others));
    }
}
