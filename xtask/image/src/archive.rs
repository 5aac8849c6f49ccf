//! Tar files that depend only on their content.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// Something in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A file.
    File(Vec<u8>),
    /// An executable file.
    Program(Vec<u8>),
    /// A symbolic link.
    Link(String),
    /// A folder that everybody may write to, such as /tmp.
    Shared,
}

/// A `.tar.gz` of path → entry, with the parent folders. All of it has this time, in seconds since 1970.
///
/// # Errors
/// A path cannot be in an archive.
pub fn tar_gz(entries: &BTreeMap<String, Entry>, time: u64) -> Result<Vec<u8>> {
    gzip(&tar(entries, time)?)
}

/// The bytes, compressed.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(bytes).context("cannot compress an archive")?;
    gzip.finish().context("cannot compress an archive")
}

/// A tar file of path → entry, with the parent folders.
pub(crate) fn tar(entries: &BTreeMap<String, Entry>, time: u64) -> Result<Vec<u8>> {
    let mut all: BTreeMap<&Path, Option<&Entry>> = BTreeMap::new();
    for (path, entry) in entries {
        let path = Path::new(path.trim_start_matches('/'));
        let folders = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        for folder in folders {
            all.entry(folder).or_default();
        }
        all.insert(path, Some(entry));
    }
    let mut tar = Builder::new(Vec::new());
    for (path, entry) in all {
        append(&mut tar, path, entry, time).with_context(|| format!("cannot archive {}", path.display()))?;
    }
    Ok(tar.into_inner()?)
}

fn append(tar: &mut Builder<Vec<u8>>, path: &Path, entry: Option<&Entry>, time: u64) -> Result<()> {
    let mut header = Header::new_gnu();
    let (kind, mode, content): (_, _, &[u8]) = match entry {
        None => (EntryType::Directory, 0o755, &[]),
        Some(Entry::Shared) => (EntryType::Directory, 0o1777, &[]),
        Some(Entry::File(bytes)) => (EntryType::Regular, 0o644, bytes),
        Some(Entry::Program(bytes)) => (EntryType::Regular, 0o755, bytes),
        Some(Entry::Link(_)) => (EntryType::Symlink, 0o777, &[]),
    };
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    header.set_size(u64::try_from(content.len())?);
    match entry {
        Some(Entry::Link(target)) => tar.append_link(&mut header, path, target)?,
        _ => tar.append_data(&mut header, path, content)?,
    }
    Ok(())
}
