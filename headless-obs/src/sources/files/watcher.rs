//! Watches files for changes.
//!
//! Editors and ConfigMaps replace files by a rename, and any folder or link on the path can be replaced. So the watches
//! are on folders: every folder on the path, and on the paths of the files and links. Events of other names in those
//! folders are ignored.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::{EXTENSIONS, FilesError, files, has_extension};

/// The most links to follow; links can form a circle.
const MAX_LINKS: usize = 256;

/// Notifies the source when files may have changed.
pub(super) struct FileWatcher {
    path: PathBuf,
    changed: Arc<Notify>,
    _watcher: RecommendedWatcher,
}

impl FileWatcher {
    /// Notifies `changed` when the files at the absolute `path` may have changed.
    pub(super) fn at(path: &Path, changed: &Arc<Notify>) -> Result<Self, FilesError> {
        let _watcher = watcher(path, Arc::clone(changed))?;
        Ok(Self { path: path.to_owned(), changed: Arc::clone(changed), _watcher })
    }

    /// Watches the folders that exist now; some may have been replaced.
    pub(super) fn renew(&mut self) -> Result<(), FilesError> {
        self._watcher = watcher(&self.path, Arc::clone(&self.changed))?;
        Ok(())
    }
}

fn watcher(path: &Path, changed: Arc<Notify>) -> Result<RecommendedWatcher, FilesError> {
    let trail = Trail::to(path);
    let unwatchable = |path: &Path, reason| FilesError::Unwatchable { path: path.to_owned(), reason };
    let names = trail.names;
    let handler = move |event: notify::Result<notify::Event>| {
        // Errors, and events without a path, mean that events were lost.
        if event.map_or(true, |event| !is_reading(event.kind) && concerns(&names, &event.paths)) {
            changed.notify_one();
        }
    };
    let mut watcher = notify::recommended_watcher(handler).map_err(|error| unwatchable(path, error))?;
    for folder in trail.folders {
        match watcher.watch(&folder, RecursiveMode::NonRecursive) {
            Ok(()) => {}
            Err(error) if is_missing(&error) => {}
            Err(error) if is_denied(&error) => {
                tracing::warn!(
                    "{}: no read permission, so headless-obs would not notice its replacement; give read permission, \
                     or restart after such a change",
                    folder.display()
                );
            }
            Err(error) => return Err(unwatchable(&folder, error)),
        }
    }
    Ok(watcher)
}

/// Whether an event only reports that a process, perhaps this one, opened or read a file.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// Whether one of `paths` is on the trail, can be a manifest, or is a link of a ConfigMap.
fn concerns(names: &BTreeSet<OsString>, paths: &[PathBuf]) -> bool {
    paths.is_empty()
        || paths.iter().any(|path| {
            has_extension(path, &EXTENSIONS)
                || path
                    .file_name()
                    .is_none_or(|name| names.contains(name) || name.as_encoded_bytes().starts_with(b".."))
        })
}

fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn is_denied(error: &notify::Error) -> bool {
    matches!(&error.kind, ErrorKind::Io(error) if error.kind() == io::ErrorKind::PermissionDenied)
}

/// The folders and links on the way to the files.
#[derive(Default)]
struct Trail {
    folders: BTreeSet<PathBuf>,
    names: BTreeSet<OsString>,
}

impl Trail {
    fn to(path: &Path) -> Self {
        let mut trail = Self::default();
        let mut ends = vec![path.to_owned()];
        ends.extend(files(path).unwrap_or_default());
        let (mut visited, mut links) = (BTreeSet::new(), 0);
        while let Some(end) = ends.pop() {
            if end.is_dir() {
                trail.folders.insert(end.clone());
            }
            for step in end.ancestors() {
                let Some(parent) = step.parent() else { break };
                if !visited.insert(step.to_owned()) {
                    break;
                }
                trail.folders.insert(parent.to_owned());
                trail.names.extend(step.file_name().map(ToOwned::to_owned));
                if let Ok(target) = fs::read_link(step)
                    && links < MAX_LINKS
                {
                    links += 1;
                    ends.push(parent.join(target));
                }
            }
        }
        trail
    }
}
