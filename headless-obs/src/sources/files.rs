//! The source `files`: topology from manifests in a file or a folder.
//!
//! [`load`] reads everything once. [`watch`] reports it, and reports it again after each change. It refuses a state in
//! which a file of ours is broken, and keeps the last valid one. An object with a flaw refuses itself alone. Files and
//! objects that are none of ours are passed over and counted.
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
use super::manifest::{Flaw, Format, Manifest, decode};
use crate::topology::model::Change;

mod status;
mod watcher;

pub use status::Status;

/// The extensions of the files that are read.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// Changes often come in groups. A group is over when no change came for this long.
const SETTLED: Duration = Duration::from_millis(100);
/// The longest time to wait for a group to end.
const PATIENCE: Duration = Duration::from_secs(1);
/// The largest file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// The reason why there is no topology.
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
    /// A file is no text, or its syntax is wrong and it names no object of the topology.
    #[error("{}: is no manifest in UTF-8 or UTF-16; write one with kubectl get -o yaml", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// All objects have flaws.
    #[error("{flaws}")]
    Flawed {
        /// The flaws, each with its file.
        flaws: String,
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

/// Everything at a path, as it was read once.
#[derive(Debug)]
pub struct Reading {
    /// All objects.
    pub changes: Vec<Change>,
    /// The flaws of objects that are not read, and of files that are not or not wholly read.
    pub flaws: Vec<String>,
    /// The number of objects with a flaw.
    pub flawed: u64,
    /// The number of objects and files that are none of the topology's.
    pub passed_over: u64,
    /// Files that may have objects of the topology and are not read to their ends.
    broken: Vec<PathBuf>,
    /// The hash of everything that was read. It distinguishes two readings without keeping either.
    fingerprint: u64,
}

/// Reads everything at `path`. Blocks.
///
/// # Errors
///
/// If there is nothing to observe, or if `path` is a file that cannot be read to its end.
pub fn load(path: &Path) -> Result<Reading, FilesError> {
    let (mut manifest, mut hasher) = (Manifest::default(), DefaultHasher::new());
    let (mut broken, mut others) = (Vec::new(), 0);
    let is_folder = path.is_dir();
    for file in files(path)? {
        let added = read(&file).and_then(|bytes| {
            (&file, &bytes).hash(&mut hasher);
            add(&mut manifest, &file, &bytes)
        });
        match added {
            Ok(()) => {}
            Err(error) if !is_folder => return Err(error),
            // A folder has files of other tools beside manifests.
            Err(FilesError::Foreign { .. }) => others += 1,
            Err(error) => broken.push((file, error)),
        }
    }
    if manifest.is_empty() && manifest.flawed() == 0 {
        let empty = FilesError::Empty { path: path.to_owned() };
        return Err(broken.into_iter().next().map_or(empty, |(_, error)| error));
    }
    let of_files = broken.iter().map(|(_, error)| error.to_string());
    let of_objects = manifest.flaws().iter().map(|(file, flaw)| format!("{file}: {flaw}"));
    let flaws: Vec<_> = of_files.chain(of_objects).collect();
    if manifest.is_empty() {
        return Err(FilesError::Flawed { flaws: flaws.join("; ") });
    }
    Ok(Reading {
        flaws,
        flawed: manifest.flawed(),
        passed_over: manifest.passed_over() + others,
        broken: broken.into_iter().map(|(file, _)| file).collect(),
        fingerprint: hasher.finish(),
        changes: manifest.into_changes(),
    })
}

/// Adds the objects of a file.
fn add(manifest: &mut Manifest, file: &Path, bytes: &[u8]) -> Result<(), FilesError> {
    let Some(text) = decode(bytes) else { return Err(FilesError::Foreign { path: file.to_owned() }) };
    let format = if has_extension(file, &["json"]) { Format::Json } else { Format::Yaml };
    let added = manifest.add(&file.display().to_string(), format, &text);
    added.map_err(|flaw| match may_be_manifest(&text) {
        true => FilesError::Invalid { path: file.to_owned(), flaw: Box::new(flaw) },
        false => FilesError::Foreign { path: file.to_owned() },
    })
}

/// Whether a text whose syntax is wrong names a kind of the topology.
fn may_be_manifest(text: &str) -> bool {
    let kinds = ["Service", "EndpointSlice", "Endpoints", "Pod", "List"];
    let named = text.split("kind").skip(1).map(|rest| rest.trim_start_matches(['"', ':', ' ', '\'']));
    named.into_iter().any(|rest| kinds.iter().any(|kind| rest.starts_with(kind)))
}

/// Reports everything at `path`, now and after each change, until it is cancelled or the receiver is gone.
///
/// Fails if the first state is invalid. A later state in which another file is broken is refused, because that file may
/// be written at this moment.
pub async fn watch(path: PathBuf, status: Status, sender: mpsc::Sender<Update>) -> Result<(), FilesError> {
    // An absolute path, valid also if the process changes its folder.
    let path = std::path::absolute(&path).map_err(|reason| FilesError::Unreadable { path, reason })?;
    let changed = Arc::new(Notify::new());
    let mut watcher = FileWatcher::at(&path, &changed)?;
    let first = read_all(&path).await?;
    status.took(&first);
    warn_of(&first);
    let broken = first.broken;
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
            Ok(reading) if good == Some(reading.fingerprint) => None,
            Ok(reading) if reading.broken.iter().all(|file| broken.contains(file)) => {
                good = Some(reading.fingerprint);
                status.took(&reading);
                warn_of(&reading);
                Some(Update::Changes(reading.changes))
            }
            refused => {
                good = None;
                let reason = match refused {
                    Ok(reading) => reading.flaws.into_iter().next().unwrap_or_default(),
                    Err(error) => error.to_string(),
                };
                status.refused(&reason);
                Some(Update::Refused(reason))
            }
        };
    }
}

/// Logs everything that is not read.
fn warn_of(reading: &Reading) {
    for flaw in &reading.flaws {
        tracing::warn!(
            "a manifest cannot be read: {flaw}; the daemon keeps its last readable state, if there is one"
        );
    }
}

async fn read_all(path: &Path) -> Result<Reading, FilesError> {
    let owned = path.to_owned();
    match tokio::task::spawn_blocking(move || load(&owned)).await {
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

fn read(path: &Path) -> Result<Vec<u8>, FilesError> {
    let unreadable = |reason| FilesError::Unreadable { path: path.to_owned(), reason };
    // To open a named pipe would wait for a writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("is no ordinary file")));
    }
    let mut bytes = Vec::new();
    let mut limited = File::open(path).map_err(unreadable)?.take(MAX_BYTES + 1);
    let length = limited.read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(length).is_ok_and(|length| length <= MAX_BYTES) {
        Ok(bytes)
    } else {
        Err(FilesError::TooLarge { path: path.to_owned() })
    }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
}

#[cfg(test)]
mod tests;
