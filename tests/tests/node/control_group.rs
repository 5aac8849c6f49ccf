//! A cgroup with a limit, in which a daemon starts.
//!
//! In: a controller, and settings by their name in each version of cgroups. Out: the command that starts a program in
//! it. Dropping it removes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// The cgroup, in the hierarchy version that has the controller.
pub(crate) struct ControlGroup {
    path: PathBuf,
    pub(crate) is_second: bool,
    script: String,
}

impl ControlGroup {
    pub(crate) fn new(controller: &str) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let is_second = root.join("cgroup.controllers").exists();
        let name = format!("headless-obs-{}", std::process::id());
        let path = if is_second {
            fs::write(root.join("cgroup.subtree_control"), format!("+{controller}")).unwrap();
            root.join(name)
        } else {
            root.join(controller).join(name)
        };
        fs::create_dir(&path).unwrap();
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", path.display());
        Self { path, is_second, script }
    }

    /// The command before a program that starts in it.
    pub(crate) fn wrapper(&self) -> [&str; 4] {
        ["sh", "-c", &self.script, "sh"]
    }

    /// Writes a setting by its name in each version.
    pub(crate) fn set(&self, [first, second]: [&str; 2], value: &str) {
        fs::write(self.path.join(if self.is_second { second } else { first }), value).unwrap();
    }

    pub(crate) fn get(&self, [first, second]: [&str; 2]) -> String {
        fs::read_to_string(self.path.join(if self.is_second { second } else { first })).unwrap()
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // Killed processes need a moment to leave.
        let end = Instant::now() + PATIENCE;
        while fs::remove_dir(&self.path).is_err() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
    }
}
