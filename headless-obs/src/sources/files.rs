//! The source `files`: topology from manifests in a file or a folder.
//!
//! [`load`] reads everything once. [`watch`] reports it, and reports it again after each change. It rejects an invalid
//! state as a whole and keeps the last valid one.
//!
//! In a folder, it reads the files `*.yaml`, `*.yml` and `*.json`, in the order of their names, except names that begin
//! with a dot. It does not read subfolders. A file that the user names can have any name.
//!
//! Invariants: no polling; no change is missed, because a change during a reading causes another reading.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

use self::watcher::FileWatcher;
use super::Update;
use super::manifest::{Flaw, Format, Manifest};
use crate::topology::model::Change;

mod watcher;

/// The extensions of the files that are read.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// Changes often come in groups. A group is over when no change came for this long.
const SETTLED: Duration = Duration::from_millis(100);
/// The longest time to wait for a group to end.
const PATIENCE: Duration = Duration::from_secs(1);
/// The largest file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// Why there is no topology.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file or folder cannot be read.
    #[error("{}: cannot be read: {reason}; check the path and its permissions", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// A file is too large.
    #[error("{}: is larger than {} MiB; remove objects that are no Service, EndpointSlice or Pod", .path.display(), MAX_BYTES >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A document is invalid.
    #[error("{}: {flaw}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The error and its place.
        flaw: Box<Flaw>,
    },
    /// There is nothing to observe.
    #[error("{}: contains no Service, EndpointSlice, Endpoints or Pod; write them with kubectl get -o yaml (a folder's files must end in .yaml, .yml or .json)", .path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
    /// Changes cannot be observed.
    #[error("{}: cannot be watched for changes: {reason}; see fs.inotify.max_user_instances and max_user_watches", .path.display())]
    Unwatchable {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: notify::Error,
    },
}

/// Reads everything at `path`. Blocks.
pub fn load(path: &Path) -> Result<Vec<Change>, FilesError> {
    State::read(path).map(|state| state.changes)
}

/// A reading of everything at a path.
struct State {
    changes: Vec<Change>,
    /// The hash of everything that was read. It distinguishes two readings without keeping either.
    fingerprint: u64,
}

impl State {
    fn read(path: &Path) -> Result<Self, FilesError> {
        let (mut manifest, mut hasher) = (Manifest::default(), DefaultHasher::new());
        for file in files(path)? {
            let text = read(&file)?;
            (&file, &text).hash(&mut hasher);
            let format = if has_extension(&file, &["json"]) { Format::Json } else { Format::Yaml };
            manifest
                .add(&file.display().to_string(), format, &text)
                .map_err(|flaw| FilesError::Invalid { path: file, flaw: Box::new(flaw) })?;
        }
        if manifest.is_empty() {
            return Err(FilesError::Empty { path: path.to_owned() });
        }
        Ok(Self { changes: manifest.into_changes(), fingerprint: hasher.finish() })
    }
}

/// Reports everything at `path`, now and after each change, until it is cancelled or the receiver is gone.
///
/// Fails if the first state is invalid; later invalid states are rejected.
pub async fn watch(path: PathBuf, sender: mpsc::Sender<Update>) -> Result<(), FilesError> {
    // An absolute path, valid also if the process changes its folder.
    let path = std::path::absolute(&path).map_err(|reason| FilesError::Unreadable { path, reason })?;
    let changed = Arc::new(Notify::new());
    let mut watcher = FileWatcher::at(&path, &changed)?;
    let first = read_all(&path).await?;
    // The hash of the last valid state; none: the next state is new in any case.
    let mut good = Some(first.fingerprint);
    let mut update = Some(Update::Changes(first.changes));
    loop {
        if let Some(update) = update
            && sender.send(update).await.is_err()
        {
            return Ok(());
        }
        tokio::select! {
            () = settle(&changed) => {}
            () = sender.closed() => return Ok(()),
        }
        // The watcher sees changes from here on, so a reading that follows cannot miss one.
        watcher.renew()?;
        update = match read_all(&path).await {
            Ok(state) if good == Some(state.fingerprint) => None,
            Ok(state) => {
                good = Some(state.fingerprint);
                Some(Update::Changes(state.changes))
            }
            Err(error) => {
                good = None;
                Some(Update::Refused(error.to_string()))
            }
        };
    }
}

async fn read_all(path: &Path) -> Result<State, FilesError> {
    let owned = path.to_owned();
    match tokio::task::spawn_blocking(move || State::read(&owned)).await {
        Ok(result) => result,
        Err(error) => Err(FilesError::Unreadable { path: path.to_owned(), reason: io::Error::other(error) }),
    }
}

/// Waits for a change, and then until the group of changes ends or the longest time is over.
async fn settle(changed: &Notify) {
    changed.notified().await;
    let deadline = Instant::now() + PATIENCE;
    let quiet = async { while timeout(SETTLED, changed.notified()).await.is_ok() {} };
    let _: Result<(), _> = timeout_at(deadline, quiet).await;
}

/// The files that belong to `path`.
fn files(path: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let unreadable = |reason| FilesError::Unreadable { path: path.to_owned(), reason };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let file = entry.path();
        if !hidden && has_extension(&file, &EXTENSIONS) && !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, FilesError> {
    let unreadable = |reason| FilesError::Unreadable { path: path.to_owned(), reason };
    // To open a named pipe would wait for a writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("is no ordinary file")));
    }
    let mut text = String::new();
    let mut limited = File::open(path).map_err(unreadable)?.take(MAX_BYTES + 1);
    let length = limited.read_to_string(&mut text).map_err(unreadable)?;
    if u64::try_from(length).is_ok_and(|length| length <= MAX_BYTES) {
        Ok(text)
    } else {
        Err(FilesError::TooLarge { path: path.to_owned() })
    }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
}

#[cfg(test)]
mod tests;
