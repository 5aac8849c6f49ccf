//! Tar files that depend only on their content.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
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

/// A tar file of path → entry, with the parent folders.
pub(crate) fn tar(entries: &BTreeMap<String, Entry>) -> Result<Vec<u8>> {
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
        append(&mut tar, path, entry).with_context(|| format!("cannot archive {}", path.display()))?;
    }
    Ok(tar.into_inner()?)
}

fn append(tar: &mut Builder<Vec<u8>>, path: &Path, entry: Option<&Entry>) -> Result<()> {
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
    header.set_mtime(0);
    header.set_size(u64::try_from(content.len())?);
    match entry {
        Some(Entry::Link(target)) => tar.append_link(&mut header, path, target)?,
        _ => tar.append_data(&mut header, path, content)?,
    }
    Ok(())
}
