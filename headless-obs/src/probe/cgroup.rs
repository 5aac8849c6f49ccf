//! The cgroup2 hierarchy: its root, for the attachment, and the path of a cgroup id.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use super::ProbeError;
use super::cgroup_mount::{CgroupView, widest_cgroup2};

/// The claim of the daemon that observes below a root. It ends with the process, for whatever reason.
#[derive(Debug)]
pub struct RootLock {
    _locked: File,
}

/// The root of the cgroup2 hierarchy.
#[derive(Debug)]
pub struct CgroupRoot {
    /// Keeps a private mount alive; the mount ends with the process.
    fd: OwnedFd,
    path: PathBuf,
    how: &'static str,
}

impl CgroupRoot {
    /// Opens `path` if it is given, otherwise the widest view in the mount table. Without any, it mounts cgroup2 for
    /// this process alone.
    ///
    /// # Errors
    /// `path` is not a cgroup2 directory, only this container is visible, or there is no cgroup2 and it cannot be
    /// mounted.
    pub fn find(path: Option<&Path>) -> Result<Self, ProbeError> {
        if let Some(path) = path {
            return Self::open(path, "option");
        }
        let table = fs::read_to_string("/proc/self/mountinfo")
            .map_err(|error| ProbeError::Cgroup(format!("/proc/self/mountinfo: {error}")))?;
        let Some(view) = widest_cgroup2(&table) else { return Self::mount() };
        if is_own_container(&view) {
            return Err(ProbeError::OwnCgroup(view.point));
        }
        Self::open(&view.point, if view.point.ends_with("unified") { "hybrid" } else { "unified" })
    }

    fn open(path: &Path, how: &'static str) -> Result<Self, ProbeError> {
        let failed = |why: String| ProbeError::Cgroup(format!("{}: {why}", path.display()));
        if !path.join("cgroup.procs").exists() && !path.join("cgroup.controllers").exists() {
            return Err(failed(
                "no cgroup2 directory; give the root of a cgroup2 mount with --cgroup".to_owned(),
            ));
        }
        let file = File::open(path).map_err(|error| failed(error.to_string()))?;
        Ok(Self { fd: file.into(), path: path.to_owned(), how })
    }

    /// A mount without a place in the file system: no other process sees it, and it ends with this process.
    fn mount() -> Result<Self, ProbeError> {
        let fd = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)
            .and_then(|context| {
                fsconfig_create(context.as_fd())?;
                fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
            })
            .map_err(|error| {
                ProbeError::Cgroup(format!("it is not mounted, and mounting it failed: {error}"))
            })?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&fd);
        Ok(Self { fd, path: PathBuf::from(format!("/proc/self/fd/{number}")), how: "private mount" })
    }

    /// The directory to which programs are attached.
    pub fn fd(&self) -> impl AsFd + '_ {
        self.fd.as_fd()
    }

    /// Its place, and the way it was found: `unified`, `hybrid`, `private mount` or `option`.
    pub fn describe(&self) -> (&Path, &'static str) {
        (&self.path, self.how)
    }

    /// Claims it, unless another daemon has. The lock is on the directory itself, which is the same for all processes,
    /// in whatever container and however mounted.
    ///
    /// # Errors
    /// The directory cannot be locked.
    pub fn try_lock(&self) -> std::io::Result<Option<RootLock>> {
        // The descriptor of a private mount cannot be locked.
        let file = File::open(&self.path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(RootLock { _locked: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is the root of all cgroups, not only of a node that is itself a container.
    pub fn is_whole(&self) -> bool {
        const ROOT: u64 = 1;
        fs::metadata(&self.path).is_ok_and(|root| root.ino() == ROOT)
    }

    /// The path of a cgroup, relative to the root; `None` if no cgroup has this id. Walks the hierarchy.
    pub fn path_of(&self, id: u64) -> Option<String> {
        if fs::metadata(&self.path).ok()?.ino() == id {
            return Some("/".to_owned());
        }
        self.find_path(|found, _path| found == id)
    }

    /// The path, relative to the root, of the first cgroup whose id and path satisfy `is_it`. Walks the hierarchy.
    pub fn find_path(&self, is_it: impl Fn(u64, &str) -> bool) -> Option<String> {
        let mut folders = vec![self.path.clone()];
        while let Some(folder) = folders.pop() {
            // A cgroup may disappear during the visit.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                let full = entry.path();
                let path = format!("/{}", full.strip_prefix(&self.path).ok()?.display());
                if is_it(entry.ino(), &path) {
                    return Some(path);
                }
                folders.push(full);
            }
        }
        None
    }
}

/// Whether a view shows only this process's container: it begins at the process's own cgroup, and that is not the top
/// of the machine's hierarchy, which is the only cgroup without a type.
pub fn is_own_container(view: &CgroupView) -> bool {
    view.above == 0
        && view.point.join("cgroup.type").exists()
        && fs::read_to_string("/proc/self/cgroup").is_ok_and(|text| text.lines().any(|line| line == "0::/"))
}
